//! The files that pgsetup reads and writes.

use crate::layout;

/// `files.md`.
pub fn page() -> String {
    let mut text = super::page(
        "Files",
        "Paths are below `--root`, which is `/` unless it is given. The source of this page is `src/layout.rs`.\n",
    );
    let logs = layout::logs();
    let failed = layout::failed("NAME-VERSION");
    let source = layout::source("NAME-VERSION");
    let records = layout::RECORDS;
    let row = |path: &str, lifetime: &str, meaning: &str| {
        [format!("`{path}`"), lifetime.to_owned(), meaning.to_owned()]
    };
    let rows = [
        row(
            &format!("{records}/receipt.json"),
            "stays",
            "the [receipt](receipt.md): what was installed, from what, and why",
        ),
        row(
            &format!("{records}/contents.txt"),
            "stays",
            "what the image holds, a line for each component",
        ),
        row(
            &format!("{records}/sbom.cdx.json"),
            "stays",
            "the bill of materials in CycloneDX form",
        ),
        row(
            &format!("{records}/sbom.spdx.json"),
            "stays",
            "the bill of materials in SPDX form",
        ),
        row(
            layout::DPKG_CONFIGURATION,
            "stays",
            "which files of Debian packages dpkg does not unpack (`prune.package_paths`)",
        ),
        row(
            layout::PROGRAM,
            "stays, if the image manifest keeps it",
            "pgsetup itself",
        ),
        row(
            layout::WORK,
            "during a run",
            "the working directory: sources, stages, logs. Mount a cache or memory here to compile faster",
        ),
        row(
            &source,
            "during a run; after a failed build",
            "the unpacked sources of a component",
        ),
        row(
            &failed,
            "after a failed build",
            "the command that failed, for `pgsetup shell`",
        ),
        row(
            &logs,
            "during a run; after a failed step",
            "one log for each step",
        ),
        row(
            layout::UNFINISHED,
            "during a run",
            "what the root held before, from which the next run recovers",
        ),
        row(
            "/var/cache/pgsetup",
            "until `pgsetup cache prune`",
            "the cache of downloads and artifacts (`--cache`)",
        ),
    ];
    text.push_str(&super::table(["path", "lifetime", "what it is"], rows));
    text
}

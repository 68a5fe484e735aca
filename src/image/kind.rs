//! The kind of an installed file, by its name and directory.

use crate::manifest::image::Removal;

/// Where debuggers look for symbols.
pub const DEBUG_SYMBOLS: &str = "/usr/lib/debug/.build-id/";

/// Programs that only compile something.
const DEVELOPMENT_PROGRAMS: [&str; 1] = ["ecpg"];

/// Libraries that only programs made with them need.
const DEVELOPMENT_LIBRARIES: [&str; 3] = ["libecpg.so", "libecpg_compat.so", "libpgtypes.so"];

/// The kind of a file by its path inside the root or a stage; `None` for what belongs to the server.
pub fn kind(path: &str) -> Option<Removal> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let (name, directories) = names.split_last()?;
    let has = |wanted: &str| directories.contains(&wanted);
    // Documentation lies below `share`; a `doc` directory elsewhere may be anything.
    let after_share = directories
        .iter()
        .position(|directory| *directory == "share")
        .map_or(&[][..], |place| &directories[place + 1..]);
    let extension = |wanted: &str| {
        std::path::Path::new(name)
            .extension()
            .is_some_and(|extension| extension == wanted)
    };
    // What `strip` has put there.
    if path.starts_with(DEBUG_SYMBOLS) {
        return Some(Removal::DebugSymbols);
    }
    let is_python = has("site-packages") || has("dist-packages");
    if extension("pyc") || has("__pycache__") {
        Some(Removal::ByteCode)
    } else if is_python {
        None
    } else if has("bitcode") && has("lib") {
        Some(Removal::Bitcode)
    } else if has("locale") && has("LC_MESSAGES") && extension("mo") {
        Some(Removal::Translations)
    } else if is_text(name) {
        None
    } else if after_share
        .iter()
        .any(|directory| ["doc", "info", "man"].contains(directory))
    {
        Some(Removal::Documentation)
    } else if extension("a") || extension("la") {
        Some(Removal::StaticLibraries)
    } else if is_development(name, directories) {
        Some(Removal::Development)
    } else {
        None
    }
}

fn is_development(name: &str, directories: &[&str]) -> bool {
    let has = |wanted: &str| directories.contains(&wanted);
    let ends = |ending: &str| directories.last().is_some_and(|last| *last == ending);
    has("include")
        || has("pgxs")
        || ends("pkgconfig")
        || ends("cmake")
        // lib/cmake/NAME/NAMEConfig.cmake
        || (has("cmake") && name.rsplit_once('.').is_some_and(|(_, suffix)| suffix == "cmake"))
        || (ends("bin") && DEVELOPMENT_PROGRAMS.contains(&name))
        || DEVELOPMENT_LIBRARIES
            .iter()
            .any(|library| name.starts_with(library))
}

/// How the names of licence texts begin.
const WORDS: [&str; 6] = [
    "COPYING",
    "COPYRIGHT",
    "LICENCE",
    "LICENSE",
    "NOTICE",
    "UNLICENSE",
];

/// How the names of texts end.
const TEXTS: [&str; 5] = ["adoc", "html", "md", "rst", "txt"];

/// Extensions of code and data. A file with one of them is never a licence.
const CODE: [&str; 27] = [
    "am", "c", "cc", "cmake", "cpp", "cxx", "data", "go", "h", "hpp", "in", "java", "js", "json", "mk",
    "out", "pl", "pm", "py", "rb", "rs", "sh", "spec", "sql", "ts", "yaml", "yml",
];

/// Whether a file of this name is a licence text: `LICENSE`, `COPYRIGHT.orafce`, `COPYING3`, `license.md`, and neither
/// `license.c` nor `notice.out`. In lower case, only a name that is a text's.
pub fn is_text(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let Some(rest) = WORDS.iter().find_map(|word| upper.strip_prefix(word)) else {
        return false;
    };
    let suffix = name
        .rsplit_once('.')
        .map(|(_, suffix)| suffix.to_ascii_lowercase());
    let is_one_of = |list: &[&str]| suffix.as_deref().is_some_and(|suffix| list.contains(&suffix));
    let is_written_large = name.starts_with(|c: char| c.is_ascii_uppercase());
    let goes_on = rest.starts_with(|c: char| !c.is_ascii_alphabetic());
    rest.is_empty()
        || goes_on && (is_one_of(&TEXTS) || suffix.is_none() && !rest.starts_with('_'))
        || goes_on && is_written_large && !is_one_of(&CODE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_place() {
        let known = [
            (
                "/usr/include/postgresql/server/postgres.h",
                Some(Removal::Development),
            ),
            (
                "/usr/lib/postgresql/18/lib/pgxs/src/Makefile.global",
                Some(Removal::Development),
            ),
            (
                "/usr/lib/postgresql/18/lib/pkgconfig/libpq.pc",
                Some(Removal::Development),
            ),
            ("/usr/lib/postgresql/18/bin/ecpg", Some(Removal::Development)),
            (
                "/usr/lib/x86_64-linux-gnu/cmake/h3/h3Config.cmake",
                Some(Removal::Development),
            ),
            ("/usr/share/postgresql/18/cmake/x/notes.txt", None),
            (
                "/usr/lib/postgresql/18/lib/libecpg.so.6.18",
                Some(Removal::Development),
            ),
            (
                "/usr/lib/postgresql/18/lib/libpgport.a",
                Some(Removal::StaticLibraries),
            ),
            (
                "/usr/lib/postgresql/18/lib/bitcode/postgres.index.bc",
                Some(Removal::Bitcode),
            ),
            (
                "/usr/lib/postgresql/18/share/man/man1/psql.1",
                Some(Removal::Documentation),
            ),
            (
                "/usr/share/doc/postgresql/extension/pg_cron.md",
                Some(Removal::Documentation),
            ),
            ("/usr/share/doc/citus/LICENSE", None),
            (
                "/usr/share/locale/de/LC_MESSAGES/libpq5-18.mo",
                Some(Removal::Translations),
            ),
            (
                "/opt/patroni/lib/python3.11/site-packages/x/__pycache__/y.cpython-311.pyc",
                Some(Removal::ByteCode),
            ),
            ("/opt/patroni/lib/python3.11/site-packages/include/x.py", None),
            ("/usr/share/postgresql/18/extension/citus--14.0-1.sql", None),
            ("/usr/share/postgresql/18/timezonesets/Africa.txt", None),
            ("/usr/lib/postgresql/18/bin/postgres", None),
            ("/usr/lib/postgresql/18/lib/libpq.so.5", None),
        ];
        for (path, expected) in known {
            assert_eq!(kind(path), expected, "{path}");
        }
    }

    #[test]
    fn texts_are_told_from_code_that_is_called_alike() {
        let texts = "LICENSE License LICENSE.md LICENSE.APACHE LICENSE-TIMESCALE LICENSE_1_0.txt COPYING3 COPYING.LESSER \
                     COPYRIGHT.orafce COPYRIGHT.pg_sphere copyright license.txt license-mit LICENSE&COPYING.txt NOTICE \
                     LICENCE.rst UNLICENSE";
        for name in texts.split(' ') {
            assert!(is_text(name), "{name}");
        }
        let others = "license.c license.h license.py license.sql LICENSE.sql license.out license_guc.c license_apache.spec \
                      notice.sql copyright.pl licensed LICENSES.json copy.c README license_check";
        for name in others.split(' ') {
            assert!(!is_text(name), "{name}");
        }
    }
}

//! Keeps the licence texts of what is compiled: most licences ask for it, and the purge of a source tree forgets them.

use anyhow::Result;

use super::prune::is_licence;
use crate::host::Host;
use crate::host::fs::FileKind;

/// Copies the licence texts at the top of `source`, an unpacked source tree, into `stage` as
/// `/usr/share/doc/COMPONENT/`. Both are directories inside the root. Returns the names that were copied.
pub fn keep(host: &Host, source: &str, stage: &str, component: &str) -> Result<Vec<String>> {
    let mut kept = Vec::new();
    for name in host.names(source)? {
        let path = format!("{source}/{name}");
        let is_file = host
            .look(&path)?
            .is_some_and(|found| found.kind == FileKind::File);
        if !is_file || !is_licence(&name) {
            continue;
        }
        let mut directory = stage.to_owned();
        for part in ["usr", "share", "doc", component] {
            directory = format!("{directory}/{part}");
            host.install_directory(&directory)?;
        }
        host.install_file(&host.path(&path), &format!("{directory}/{name}"), 0o644)?;
        kept.push(name);
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_at_the_top_of_a_source_tree_are_kept_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        std::fs::create_dir_all(host.path("/source/vendor/LICENSES")).unwrap();
        std::fs::create_dir_all(host.path("/stage")).unwrap();
        for name in ["LICENSE", "COPYRIGHT", "README.md", "vendor/LICENSE", "license.c"] {
            std::fs::write(host.path(format!("/source/{name}")), name).unwrap();
        }
        let kept = keep(&host, "/source", "/stage", "citus").unwrap();
        assert_eq!(kept, ["COPYRIGHT", "LICENSE"]);
        assert_eq!(host.names("/stage/usr/share/doc/citus").unwrap(), kept);
    }
}

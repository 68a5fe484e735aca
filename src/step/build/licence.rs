//! Keeps the licence texts of compiled components, as most licences require. Without this they would be removed with the
//! source tree.

use anyhow::Result;

use crate::host::entry::FileKind;
use crate::host::{Host, local};
use crate::image::kind::is_text;
use crate::record::inventory::{Content, Inventory};

/// Copies the licence texts in `source`, the unpacked archives of a component, to `/usr/share/doc/COMPONENT/` in `stage`.
/// Each keeps its path, because bundled code has licence texts of its own. Both directories are inside the root. Returns
/// the copied paths.
///
/// # Errors
/// The source tree cannot be read, or the stage cannot be written.
pub fn keep(host: &Host, source: &str, stage: &str, component: &str) -> Result<Vec<String>> {
    let mut kept = Vec::new();
    for entry in host.tree(source)? {
        let Some(path) = entry.path.to_str().filter(|_| entry.kind == FileKind::File) else {
            continue;
        };
        let name = path.rsplit('/').next().unwrap_or(path);
        // Hidden directories hold the project's tooling.
        let is_hidden = path.split('/').any(|part| part.starts_with('.'));
        if is_hidden || !is_text(name) {
            continue;
        }
        let to = format!("{stage}{}/{path}", directory(component));
        let above = to.rsplit_once('/').map_or("", |(above, _)| above);
        let parts = above.strip_prefix(stage).unwrap_or(above);
        let mut made = stage.to_owned();
        for part in parts.split('/').filter(|part| !part.is_empty()) {
            made = format!("{made}/{part}");
            host.install_directory(&made)?;
        }
        host.install_file(&host.reach(format!("{source}/{path}"))?, &to, 0o644)?;
        kept.push(path.to_owned());
    }
    Ok(kept)
}

/// The directory of a component's licence texts.
pub fn directory(component: &str) -> String {
    format!("/usr/share/doc/{component}")
}

/// The installed licence texts of a component, each after its path; empty if it has none.
pub fn texts(host: &Host, inventory: &Inventory, component: &str) -> String {
    let below = format!("{}/", directory(component));
    let mut texts = String::new();
    for file in inventory.iter() {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let is_file = matches!(file.content, Content::File { .. });
        if is_file && is_text(name) && file.path.starts_with(&below) {
            let text = host.reach(&file.path).ok();
            let text = text.and_then(|path| local::read_foreign(&path, MAX_BYTES));
            let text = text.unwrap_or_default();
            texts.push_str(&format!("{}:\n\n{}\n\n", file.path, text.trim_end()));
        }
    }
    texts
}

/// The largest file in bytes that is read as a licence text.
pub const MAX_BYTES: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::install::merge;

    #[test]
    fn every_text_of_the_archives_is_kept_at_its_path_and_read_again() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        std::fs::create_dir_all(host.path("/stage")).unwrap();
        let names = [
            "LICENSE",
            "COPYRIGHT.orafce",
            "README.md",
            "h3-4.2.0/LICENSE",
            "vendor/safe/LICENSE&COPYING.txt",
            "src/license.c",
            ".github/LICENSE",
        ];
        for name in names {
            let path = host.path(format!("/source/{name}"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("text of {name}")).unwrap();
        }
        let kept = keep(&host, "/source", "/stage", "h3").unwrap();
        let expected = [
            "COPYRIGHT.orafce",
            "LICENSE",
            "h3-4.2.0/LICENSE",
            "vendor/safe/LICENSE&COPYING.txt",
        ];
        assert_eq!(kept, expected);
        let mut inventory = Inventory::default();
        merge::merge(&host, "/stage", "h3", &mut inventory, &|_| Ok(())).unwrap();
        let texts = texts(&host, &inventory, "h3");
        assert!(
            texts.contains("/usr/share/doc/h3/h3-4.2.0/LICENSE:\n\ntext of h3-4.2.0/LICENSE\n"),
            "{texts}"
        );
        assert_eq!(super::texts(&host, &inventory, "h"), "");
    }
}

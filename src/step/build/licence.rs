//! Keeps the licence texts of what is compiled: most licences ask for it, and the purge of a source tree forgets them.

use anyhow::Result;

use crate::host::entry::FileKind;
use crate::host::{Host, local};
use crate::image::kind::is_text;
use crate::record::inventory::{Content, Inventory};

/// Copies the licence texts in `source`, the unpacked archives of a component, into `stage` as
/// `/usr/share/doc/COMPONENT/`, each at the path that it has there: what is compiled in from somewhere else has a text of
/// its own. Both are directories inside the root. Returns what was copied.
pub fn keep(host: &Host, source: &str, stage: &str, component: &str) -> Result<Vec<String>> {
    let mut kept = Vec::new();
    for entry in host.tree(source)? {
        let Some(path) = entry.path.to_str().filter(|_| entry.kind == FileKind::File) else {
            continue;
        };
        let name = path.rsplit('/').next().unwrap_or(path);
        // What begins with a dot is for those who develop it.
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

/// Where the texts of a component are.
fn directory(component: &str) -> String {
    format!("/usr/share/doc/{component}")
}

/// The licence texts of a component that are installed, one after the other with the path of each; empty where it has
/// brought none.
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

/// A licence of more bytes than this is none.
const MAX_BYTES: u64 = 1024 * 1024;

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

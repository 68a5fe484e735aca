//! The catalogue: the manifests that complete those of the user. The binary carries those that it was released with, and what
//! was tested of them; a directory can take their place.
//!
//! It knows names and texts. What they mean is `manifest`'s.

mod pack;
pub mod start;
pub mod tested;

use std::sync::LazyLock;

use crate::digest::Sha256;

/// What `build.rs` has packed.
static PACK: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/catalogue.xz"));
/// Where the manifests are in the pack.
const MANIFESTS: &str = "manifests/";
/// Where the table of tested releases is in the pack.
const TESTED: &str = "docs/results/extensions.md";

/// The files of the pack: path and text.
static FILES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let files = pack::unpack(PACK).expect("the program carries what build.rs has packed");
    let text = |file: pack::File| (file.path, String::from_utf8_lossy(&file.bytes).into_owned());
    files.into_iter().map(text).collect()
});

/// Manifests beside the user's own.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// Path below the catalogue's top and text of each manifest, sorted by path.
    pub manifests: Vec<(String, String)>,
    /// Which catalogue it is.
    pub edition: Edition,
}

/// Which catalogue it is, for records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition {
    /// `pgsetup 0.2.0`, or the directory that was given.
    pub name: String,
    /// SHA-256 of the paths and texts of its manifests.
    pub sha256: Sha256,
}

impl Catalogue {
    /// The one that this binary carries.
    pub fn embedded() -> Self {
        let manifests = FILES.iter().filter_map(|(path, text)| {
            let path = path.strip_prefix(MANIFESTS)?;
            Some((path.to_owned(), text.clone()))
        });
        Self::new(
            concat!("pgsetup ", env!("CARGO_PKG_VERSION")),
            manifests.collect(),
        )
    }

    /// The one that these manifests are.
    pub fn new(name: &str, mut manifests: Vec<(String, String)>) -> Self {
        manifests.sort();
        let mut all = String::new();
        for (path, text) in &manifests {
            all.push_str(&format!("{path} {}\n{text}", text.len()));
        }
        Self {
            edition: Edition {
                name: name.to_owned(),
                sha256: Sha256::of(all.as_bytes()),
            },
            manifests,
        }
    }

    /// The name under which messages show the manifest at `path`.
    pub fn shown(path: &str) -> String {
        format!("catalogue:{path}")
    }
}

/// The page with what was tested of the embedded manifests.
pub fn tested_page() -> &'static str {
    let page = FILES.iter().find(|(path, _)| path == TESTED);
    page.map_or("", |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_catalogue_is_the_directory_of_manifests() {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
        let files = crate::host::local::manifests(&directory).unwrap();
        let below = files.into_iter().map(|file| {
            let path = std::path::Path::new(&file.name).strip_prefix(&directory).unwrap();
            (path.display().to_string(), file.text)
        });
        let written = Catalogue::new("written", below.collect());
        let embedded = Catalogue::embedded();
        assert_eq!(embedded.manifests, written.manifests);
        assert_eq!(embedded.edition.sha256, written.edition.sha256);
        assert!(embedded.manifests.len() > 50);
    }

    #[test]
    fn one_changed_letter_gives_another_digest() {
        let digest = |path: &str, text: &str| {
            let files = vec![(path.to_owned(), text.to_owned())];
            Catalogue::new("", files).edition.sha256
        };
        assert_eq!(digest("a.yaml", "x"), digest("a.yaml", "x"));
        assert_ne!(digest("a.yaml", "x"), digest("a.yaml", "y"));
        assert_ne!(digest("a.yaml", "x"), digest("b.yaml", "x"));
    }
}

//! What was put into the root besides Debian packages, and which component each path belongs to.
//!
//! Pure data: merging fills it, pruning takes from it, the receipt is made of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::resolve::Component;

/// A path that a component brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledFile {
    /// Absolute path inside the root.
    pub path: String,
    /// The component it belongs to: `postgresql`, `citus`, `patroni`.
    pub component: String,
    /// What it is.
    pub content: Content,
    /// Permission bits; 0o777 for links.
    pub mode: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl InstalledFile {
    /// Whether it belongs to `component`. An installation records the slug of a component, and a receipt its id.
    pub fn is_of(&self, component: &Component) -> bool {
        self.component == component.slug() || self.component == component.id()
    }
}

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A directory that was not there before.
    Directory,
    /// A regular file.
    File {
        /// Its digest.
        sha256: Sha256,
        /// Size in bytes.
        size: u64,
    },
    /// A symbolic link.
    Link {
        /// Its target as written.
        target: String,
    },
}

/// Every path that was installed, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    files: BTreeMap<String, InstalledFile>,
}

impl Inventory {
    /// Records a path; what was known of it is replaced.
    pub fn insert(&mut self, file: InstalledFile) {
        self.files.insert(file.path.clone(), file);
    }

    /// Forgets a path.
    pub fn remove(&mut self, path: &str) -> Option<InstalledFile> {
        self.files.remove(path)
    }

    /// What is known of a path.
    pub fn find(&self, path: &str) -> Option<&InstalledFile> {
        self.files.get(path)
    }

    /// Every path, in the order of their names.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &InstalledFile> {
        self.files.values()
    }

    /// Bytes of all regular files.
    pub fn size(&self) -> u64 {
        self.iter()
            .map(|file| match file.content {
                Content::File { size, .. } => size,
                _ => 0,
            })
            .sum()
    }
}

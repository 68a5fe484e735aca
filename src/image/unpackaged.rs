//! What no Debian package has: programs and libraries wherever they are, and everything that stands where programs and
//! libraries are searched for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::elf::{Elf, ElfKind};
use super::{entry, programs};
use crate::debian::dpkg::Dpkg;
use crate::host::Host;
use crate::host::entry::{FileFacts, FileKind, is_below};
use crate::record::inventory::InstalledFile;
use crate::record::receipt::IMAGE;

/// Places of what does not last.
pub const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/var/cache/pgsetup"];

/// Directories below which the dynamic linker finds libraries, and so whatever a link there leads to.
pub const LIBRARIES: [&str; 9] = [
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libx32",
    "/usr/local/lib",
];

/// How directories begin below which the distribution's Python finds modules, compiled ones and what it runs at each start.
pub const MODULES: [&str; 2] = ["/usr/lib/python3", "/usr/local/lib/python3"];

/// What the dynamic linker reads (ld.so(8)), and what links to programs lead to by Debian's rules
/// (update-alternatives(1)).
const STEERING: [&str; 5] = [
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
];

/// What no Debian package has, apart from this program itself and what is temporary.
#[derive(Debug, Default)]
pub struct Unpackaged {
    /// Programs and libraries.
    pub elf_files: BTreeMap<String, Elf>,
    /// Files and links that stand where programs and libraries are searched for.
    pub searched: BTreeSet<String>,
}

impl Unpackaged {
    /// Adds what was found at a path if it can be run or loaded and does not belong to a Debian package.
    pub fn add(&mut self, host: &Host, dpkg: &Dpkg, path: &str, found: &FileFacts) {
        let is_temporary = TEMPORARY.iter().any(|place| is_below(path, place));
        if found.kind == FileKind::Directory || is_temporary || dpkg.owner(path).is_some() {
            return;
        }
        if is_searched(path, found) {
            self.searched.insert(path.to_owned());
        }
        if found.kind == FileKind::File
            // What this user may not read, he may not load either.
            && let Ok(Some(elf)) = host.elf(path)
            && elf.kind != ElfKind::Object
        {
            self.elf_files.insert(path.to_owned(), elf);
        }
    }

    /// What the receipt records of it, without the files of components. Programs and libraries that the base did not have are
    /// unowned, and are left out.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn record(
        &self,
        host: &Host,
        base: &BTreeSet<String>,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<Vec<InstalledFile>> {
        let is_unowned = |path: &str| self.elf_files.contains_key(path) && !base.contains(path);
        let paths: BTreeSet<&String> = self.searched.iter().chain(self.elf_files.keys()).collect();
        let files = paths
            .into_iter()
            .filter(|path| !is_known(path) && !is_unowned(path))
            .map(|path| entry::record(host, IMAGE, path));
        files.filter_map(Result::transpose).collect()
    }
}

/// Whether a search for a program or a library by name finds the path.
fn is_searched(path: &str, found: &FileFacts) -> bool {
    let (directory, _) = path.rsplit_once('/').unwrap_or_default();
    let is_below_one = |places: &[&str]| places.iter().any(|place| is_below(path, place));
    let is_link = matches!(found.kind, FileKind::Link(_));
    let is_program = is_link || found.mode & 0o111 != 0;
    programs::PATH.contains(&directory) && is_program
        || is_link && is_below_one(&LIBRARIES)
        || is_below_one(&STEERING)
        || MODULES.iter().any(|start| path.starts_with(start))
}

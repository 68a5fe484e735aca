//! Debian packages: which there are, that their files are there, and that these hold what the packages brought.

use std::collections::BTreeMap;
use std::fmt;
use std::thread;

use anyhow::Result;

use super::document::Aspect;
use super::{Verifier, name_of};
use crate::host::dpkg::Dpkg;
use crate::host::fs::FileKind;
use crate::host::packaged::Packaged;
use crate::host::tree::is_below;
use crate::host::{self, Host};
use crate::layout;

impl Verifier<'_> {
    /// Packages, their files, and what these hold.
    pub(super) fn packages(&mut self) -> Result<()> {
        let dpkg = self.host.dpkg()?;
        self.contents(&dpkg)?;
        let left_out = self.host.left_out()?;
        let links = self.receipt.package_record.as_ref().map(|record| &record.links);
        for (path, package) in dpkg.files() {
            let is_left_out =
                left_out.has(path) || layout::DOCUMENTATION.iter().any(|place| is_below(path, place));
            // Links are compared on their own.
            let is_left_out = is_left_out || links.is_some_and(|links| links.contains_key(path));
            if path.starts_with("/usr/") && !is_left_out && !self.host.exists(path) {
                let explanation = format!("is missing; the package {package} has it");
                self.differs(Aspect::Package, path, explanation);
            }
        }
        let installed = dpkg.packages;
        let expected: BTreeMap<&str, &str> = self
            .receipt
            .packages()
            .map(|package| (package.name.as_str(), package.version.as_str()))
            .collect();
        self.found.checked.packages = expected.len();
        for (name, version) in &expected {
            match installed.get(*name) {
                None => self.differs(
                    Aspect::Package,
                    name,
                    format!("is not installed, the receipt says {version}"),
                ),
                Some(package) if package.version != *version => {
                    let explanation = format!("has version {}, the receipt says {version}", package.version);
                    self.differs(Aspect::Package, name, explanation);
                }
                Some(_) => {}
            }
        }
        for package in installed.values() {
            if !expected.contains_key(package.name.as_str()) {
                let explanation = format!("is installed ({}), and not in the receipt", package.version);
                self.differs(Aspect::Package, &package.name, explanation);
            }
        }
        Ok(())
    }

    /// The content of files of packages, apart from what was another one in the base already.
    fn contents(&mut self, dpkg: &Dpkg) -> Result<()> {
        let known = self.receipt.base.altered();
        let files = self.host.packaged(dpkg)?;
        self.found.checked.package_files = files.len();
        for (file, found) in compared(self.host, &files) {
            let Some(Some(found)) = self.take(&file.path, found) else {
                continue;
            };
            if known.get(&file.path) == Some(&found.to_string()) {
                continue;
            }
            let package = &file.package;
            let explanation = match found {
                Instead::Content(_) => format!("has another content than the package {package} brought"),
                // Named as a link, with where it leads.
                Instead::Kind(FileKind::Link(_)) if self.receipt.package_record.is_some() => continue,
                Instead::Kind(kind) => {
                    format!("is {}, the package {package} brought a file", name_of(&kind))
                }
            };
            self.differs(Aspect::Content, &file.path, explanation);
        }
        Ok(())
    }
}

/// What is there in place of what a package brought.
enum Instead {
    /// A file of this MD5.
    Content(String),
    /// No file at all.
    Kind(FileKind),
}

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(md5) => f.write_str(md5),
            Self::Kind(kind) => f.write_str(name_of(kind)),
        }
    }
}

/// Files of packages that are not as the packages brought them: by path, the MD5 of what is there, or what it is. What
/// this user may not read is not among them.
pub fn altered(host: &Host, dpkg: &Dpkg) -> Result<BTreeMap<String, String>> {
    let files = host.packaged(dpkg)?;
    let altered = compared(host, &files).into_iter();
    Ok(altered
        .filter_map(|(file, found)| Some((file.path.clone(), found.ok()??.to_string())))
        .collect())
}

/// Each of the files with what is there in its place, where that is something else. On all processors, for there are
/// thousands.
fn compared<'f>(host: &Host, files: &'f [Packaged]) -> Vec<(&'f Packaged, Result<Option<Instead>>)> {
    let share = files.len().div_ceil(host::processors()).max(1);
    thread::scope(|scope| {
        let compare = |files: &'f [Packaged]| {
            scope.spawn(move || {
                let each = files.iter().map(|file| (file, instead(host, file)));
                each.collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = files.chunks(share).map(compare).collect();
        let results = threads.into_iter().map(thread::ScopedJoinHandle::join);
        results
            .flat_map(|result| result.expect("comparing files does not panic"))
            .collect()
    })
}

/// What is there in place of a file of a package. One that is missing is told of by whoever knows what was left out.
fn instead(host: &Host, file: &Packaged) -> Result<Option<Instead>> {
    Ok(match host.look(&file.path)?.map(|found| found.kind) {
        None => None,
        Some(FileKind::File) => Some(host.md5(&file.path)?)
            .filter(|md5| *md5 != file.md5)
            .map(Instead::Content),
        Some(kind) => Some(Instead::Kind(kind)),
    })
}

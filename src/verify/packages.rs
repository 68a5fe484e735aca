//! Debian packages: which there are, that their files are there, and that these hold what the packages brought.

use std::collections::BTreeMap;
use std::thread;

use anyhow::Result;

use super::document::Aspect;
use super::{Verifier, name_of};
use crate::host::dpkg::Dpkg;
use crate::host::fs::FileKind;
use crate::host::packaged::Packaged;
use crate::host::{self, Host};

/// Files of packages that base images leave out without telling dpkg.
const LEFT_OUT: [&str; 6] = [
    "/usr/share/doc",
    "/usr/share/groff",
    "/usr/share/info",
    "/usr/share/lintian",
    "/usr/share/locale",
    "/usr/share/man",
];

impl Verifier<'_> {
    /// Packages, their files, and what these hold.
    pub(super) fn packages(&mut self) -> Result<()> {
        let dpkg = self.host.dpkg()?;
        self.contents(&dpkg)?;
        let left_out = self.host.left_out()?;
        for (path, package) in dpkg.files() {
            let is_left_out = left_out.has(path) || LEFT_OUT.iter().any(|place| path.starts_with(place));
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

    /// The content of files of packages, on all processors: there are thousands.
    fn contents(&mut self, dpkg: &Dpkg) -> Result<()> {
        let files = self.host.packaged(dpkg)?;
        self.found.checked.package_files = files.len();
        let share = files.len().div_ceil(host::processors()).max(1);
        let host = self.host;
        let compared: Vec<(&Packaged, Result<Option<String>>)> = thread::scope(|scope| {
            let compare = |files| scope.spawn(move || compared(host, files));
            let threads: Vec<_> = files.chunks(share).map(compare).collect();
            let results = threads.into_iter().map(thread::ScopedJoinHandle::join);
            results
                .flat_map(|result| result.expect("comparing files does not panic"))
                .collect()
        });
        for (file, result) in compared {
            if let Some(Some(explanation)) = self.take(&file.path, result) {
                self.differs(Aspect::Content, &file.path, explanation);
            }
        }
        Ok(())
    }
}

/// Each of the files with what is different about it.
fn compared<'f>(host: &Host, files: &'f [Packaged]) -> Vec<(&'f Packaged, Result<Option<String>>)> {
    files.iter().map(|file| (file, difference(host, file))).collect()
}

/// What is different about a file of a package. One that is missing is told of by whoever knows what was left out.
fn difference(host: &Host, file: &Packaged) -> Result<Option<String>> {
    let package = &file.package;
    Ok(match host.look(&file.path)?.map(|found| found.kind) {
        None => None,
        Some(FileKind::File) if host.md5(&file.path)? == file.md5 => None,
        Some(FileKind::File) => Some(format!("has another content than the package {package} brought")),
        Some(kind) => Some(format!(
            "is {}, the package {package} brought a file",
            name_of(&kind)
        )),
    })
}

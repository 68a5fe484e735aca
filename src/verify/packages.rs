//! Verifies Debian packages: their versions, the existence of their files, and the content of these.

use std::collections::BTreeMap;

use anyhow::Result;

use super::Verifier;
use super::document::Aspect;
use crate::debian::dpkg::Dpkg;
use crate::host::entry::{FileKind, is_below, name_of};
use crate::image::altered::{Instead, compared};
use crate::layout;

impl Verifier<'_> {
    /// Compares packages, their files and the content of these.
    ///
    /// # Errors
    /// dpkg's database cannot be read.
    pub(super) fn packages(&mut self) -> Result<()> {
        let dpkg = self.host.dpkg()?;
        self.contents(&dpkg)?;
        let left_out = self.host.left_out()?;
        let links = self.receipt.package_record.as_ref().map(|record| &record.links);
        for (path, package) in dpkg.files() {
            let is_left_out =
                left_out.has(path) || layout::DOCUMENTATION.iter().any(|place| is_below(path, place));
            // `recorded` compares links.
            let is_left_out = is_left_out || links.is_some_and(|links| links.contains_key(path));
            if path.starts_with("/usr/") && !is_left_out && !self.host.exists(path) {
                let explanation = format!("is missing; the package {package} has it");
                self.differs(Aspect::Package, path, explanation);
            }
        }
        let installed = &dpkg.packages;
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
                let explanation = format!("is installed ({}), but is not in the receipt", package.version);
                self.differs(Aspect::Package, &package.name, explanation);
            }
        }
        Ok(())
    }

    /// Compares the content of files of packages, except for files that were altered in the base already.
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
                Instead::Content(_) => format!("differs from the file of the package {package}"),
                // `recorded` reports it with the link's target.
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

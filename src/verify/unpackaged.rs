//! Verifies files that belong neither to a Debian package nor to a component: programs and libraries anywhere, and every
//! file in the search paths of programs and libraries.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::Verifier;
use crate::debian::dpkg::Dpkg;
use crate::host::entry::{FileKind, is_below};
use crate::image::elf::Elf;
use crate::image::unpackaged::Unpackaged;

/// Directories in which every entry has an owner.
const OWNED: [&str; 2] = ["/", "/opt"];

/// A file that Docker creates in every container.
const OF_DOCKER: &str = "/.dockerenv";

impl Verifier<'_> {
    /// Reports unowned programs and libraries, and unowned files in search paths.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub(super) fn unowned_files(&mut self, dpkg: &Dpkg, found: Unpackaged) -> Result<()> {
        let recorded = self.receipt.unpackaged.as_deref();
        let known: BTreeSet<&str> = self
            .receipt
            .files
            .iter()
            .chain(recorded.unwrap_or_default())
            .map(|file| file.path.as_str())
            .collect();
        let base = &self.receipt.base.unpackaged;
        let unowned_files: Vec<(String, Elf)> = found
            .elf_files
            .into_iter()
            .filter(|(path, _)| !known.contains(path.as_str()) && !base.contains(path))
            .collect();
        let unowned = "is a program or library that neither the receipt nor a package has";
        for (path, _) in &unowned_files {
            self.differs_if_new(path, unowned);
        }
        if recorded.is_none() {
            self.unrecorded("scripts and links where programs and libraries are searched for");
        } else {
            let unowned = "is found where programs or libraries are searched for, and neither the receipt nor a package has it";
            for path in found
                .searched
                .iter()
                .filter(|path| !known.contains(path.as_str()))
            {
                if !self.is_link_to_recorded_program(path)? {
                    self.differs_if_new(path, unowned);
                }
            }
        }
        self.follow(dpkg, unowned_files)
    }

    /// Whether a path is a link to a component's program of the same name, as a Dockerfile links psql into /usr/bin. Such a
    /// link runs nothing else.
    fn is_link_to_recorded_program(&self, path: &str) -> Result<bool> {
        let Some(real) = self.host.real_path(path)?.filter(|real| real != path) else {
            return Ok(false);
        };
        let is_recorded = self.receipt.files.iter().any(|file| file.path == real);
        Ok(is_recorded && Path::new(path).file_name() == Path::new(&real).file_name())
    }

    /// Reports as unchecked what was added to the image after its receipt, such as an entrypoint. The receipt does not say
    /// what it should be.
    ///
    /// # Errors
    /// A path or dpkg's database cannot be read.
    pub(super) fn later(&mut self) -> Result<()> {
        let dpkg = self.host.dpkg()?;
        let mounted = self.host.mount_points()?;
        let directories = self.receipt.directories.iter().map(|one| &one.path);
        let files = self.receipt.files.iter().map(|one| &one.path);
        let known: Vec<&String> = directories.chain(files).collect();
        for directory in OWNED {
            let names = self.host.names(directory);
            for name in self.take(directory, names).unwrap_or_default() {
                let path = format!("{}/{name}", directory.trim_end_matches('/'));
                let is_known = dpkg.owner(&path).is_some()
                    || path == OF_DOCKER
                    || OWNED.contains(&path.as_str())
                    || mounted
                        .iter()
                        .chain(known.iter().copied())
                        .any(|known| is_below(known, &path));
                // An empty directory is a mount point.
                if !is_known && !self.is_empty_directory(&path)? {
                    self.unchecked(&path, "neither the receipt nor a package has it");
                }
            }
        }
        Ok(())
    }

    fn is_empty_directory(&self, path: &str) -> Result<bool> {
        let found = self.host.look(path)?;
        let is_directory = found.is_some_and(|found| found.kind == FileKind::Directory);
        Ok(is_directory && self.host.names(path)?.is_empty())
    }
}

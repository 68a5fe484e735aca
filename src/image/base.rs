//! The machine before the installation, and the changes of its packages.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::altered;
use super::everywhere::everywhere;
use crate::debian::dpkg::Package;
use crate::host::Host;
use crate::layout;
use crate::record::receipt::Receipt;

/// Directories for temporary files.
pub const TEMPORARY: [&str; 3] = ["/root", "/tmp", "/var/tmp"];

/// The packages of the machine before the installation, and its temporary files. All of them are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagesBefore {
    /// Each package with its version and its mark.
    pub packages: BTreeMap<String, PackageState>,
    /// Content of the directories for temporary files.
    pub temporary: BTreeSet<String>,
}

/// The files of the machine before the installation, as far as they are not what its packages say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesBefore {
    /// Set-id files and world-writable files.
    pub privileged: BTreeSet<String>,
    /// Unpackaged programs and libraries.
    pub unpackaged: BTreeSet<String>,
    /// Files that differ from their packages: the path, and what is there.
    pub altered: BTreeMap<String, String>,
}

/// Version and mark of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageState {
    /// Its version.
    pub version: String,
    /// True if apt marked it as installed automatically.
    pub automatic: bool,
}

impl PackagesBefore {
    /// The current packages. If there was an earlier installation, the base is what that one began with.
    ///
    /// # Errors
    /// The package database or a file cannot be read.
    pub fn take(host: &Host, earlier: Option<&Receipt>) -> Result<Self> {
        let is_of_base = |package: &&Package| {
            earlier.is_none_or(|earlier| {
                earlier
                    .base
                    .packages
                    .iter()
                    .any(|known| known.name == package.name)
            })
        };
        Ok(Self {
            packages: host
                .dpkg()?
                .packages
                .values()
                .filter(is_of_base)
                .map(|package| {
                    let state = PackageState {
                        version: package.version.clone(),
                        automatic: package.automatic,
                    };
                    (package.name.clone(), state)
                })
                .collect(),
            temporary: temporary(host)?,
        })
    }
}

impl FilesBefore {
    /// The current files. If there was an earlier installation, those that it began with.
    ///
    /// # Errors
    /// The package database or a file cannot be read.
    pub fn take(host: &Host, earlier: Option<&Receipt>) -> Result<Self> {
        let dpkg = host.dpkg()?;
        // Nothing of the base is in the working directory, which other steps fill.
        let found = everywhere(host, &dpkg, &[layout::WORK])?;
        let (unpackaged, altered) = if let Some(earlier) = earlier {
            let unpackaged = earlier.base.unpackaged.iter().cloned().collect();
            (unpackaged, earlier.base.altered())
        } else {
            let unpackaged = found.unpackaged.elf_files.into_keys().collect();
            (unpackaged, altered::altered(host, &dpkg)?)
        };
        Ok(Self {
            privileged: found.privileged.into_iter().map(|one| one.path).collect(),
            unpackaged,
            altered,
        })
    }
}

/// The content of the directories for temporary files.
///
/// # Errors
/// A directory cannot be read.
pub fn temporary(host: &Host) -> Result<BTreeSet<String>> {
    let mut paths = BTreeSet::new();
    for directory in TEMPORARY {
        paths.extend(
            host.names(directory)?
                .iter()
                .map(|name| format!("{directory}/{name}")),
        );
    }
    Ok(paths)
}

/// A kept package that is not in the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The package.
    pub package: Package,
    /// Why it is kept: the caller's reason, or the package that depends on it.
    pub reason: String,
}

/// The result of a purge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purged {
    /// Kept packages that are not in the base, by name.
    pub kept: BTreeMap<String, Kept>,
    /// Packages that were removed, by name.
    pub removed: BTreeMap<String, Package>,
    /// Packages of the base that have another version now: name, version before, version now.
    pub upgraded: Vec<(String, String, String)>,
}

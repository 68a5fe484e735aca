//! The packages of the machine before the installation, and their changes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{altered, rights, unpackaged};
use crate::debian::dpkg::Package;
use crate::host::Host;
use crate::record::receipt::Receipt;

/// Directories for temporary files.
pub const TEMPORARY: [&str; 3] = ["/root", "/tmp", "/var/tmp"];

/// The machine before the installation. Everything that it contains is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagesBefore {
    /// Each package with its version and its mark.
    pub packages: BTreeMap<String, PackageState>,
    /// Content of the directories for temporary files.
    pub temporary: BTreeSet<String>,
    /// Set-id files and world-writable files.
    pub privileged: BTreeSet<String>,
    /// Unpackaged programs and libraries.
    pub unpackaged: BTreeSet<String>,
    /// Files that differ from their packages: the path, and what is there.
    #[serde(default)]
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
        let dpkg = host.dpkg()?;
        let unpackaged = match earlier {
            Some(earlier) => earlier.base.unpackaged.iter().cloned().collect(),
            None => unpackaged::unpackaged(host, &dpkg)?
                .elf_files
                .into_keys()
                .collect(),
        };
        let altered = match earlier {
            Some(earlier) => earlier.base.altered(),
            None => altered::altered(host, &dpkg)?,
        };
        let is_of_base = |package: &Package| {
            earlier.is_none_or(|earlier| {
                earlier
                    .base
                    .packages
                    .iter()
                    .any(|known| known.name == package.name)
            })
        };
        Ok(Self {
            packages: dpkg
                .packages
                .into_values()
                .filter(is_of_base)
                .map(|package| {
                    let state = PackageState {
                        version: package.version,
                        automatic: package.automatic,
                    };
                    (package.name, state)
                })
                .collect(),
            temporary: temporary(host)?,
            privileged: rights::privileged(host)?
                .0
                .into_iter()
                .map(|one| one.path)
                .collect(),
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

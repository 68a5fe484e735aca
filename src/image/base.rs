//! The packages of the machine before anything was installed, and what became of them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{altered, rights, unpackaged};
use crate::debian::dpkg::Package;
use crate::host::Host;
use crate::record::receipt::Receipt;

/// Directories for what is not meant to last.
pub const TEMPORARY: [&str; 3] = ["/root", "/tmp", "/var/tmp"];

/// The machine before anything was installed: what is in it now stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagesBefore {
    /// Each package with its version and its mark.
    pub packages: BTreeMap<String, PackageState>,
    /// What lay in the directories for temporary files.
    pub temporary: BTreeSet<String>,
    /// Set-id files, and what everybody may write.
    pub privileged: BTreeSet<String>,
    /// Programs and libraries that no package has.
    pub unpackaged: BTreeSet<String>,
    /// Files of packages that are not as their packages brought them: path, and what is there.
    #[serde(default)]
    pub altered: BTreeMap<String, String>,
}

/// Version and mark of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageState {
    /// Its version.
    pub version: String,
    /// True where apt marked it as installed automatically.
    pub automatic: bool,
}

impl PackagesBefore {
    /// The packages as they are now. Where an earlier installation was here, the base is what that one began with.
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

/// What lies in the directories for temporary files.
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

/// A package that stays, beyond those of the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The package.
    pub package: Package,
    /// Why it stays: the reason that was handed in, or the package that depends on it.
    pub reason: String,
}

/// What a purge did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purged {
    /// Packages that stay beyond those of the base, by name.
    pub kept: BTreeMap<String, Kept>,
    /// Packages that were removed, by name.
    pub removed: BTreeMap<String, Package>,
    /// Packages of the base that have another version now: name, version before, version now.
    pub upgraded: Vec<(String, String, String)>,
}

//! What the receipt says of a machine besides its components.

use std::collections::BTreeSet;

use anyhow::Result;

use super::everywhere::everywhere;
use super::packages;
use crate::debian::dpkg::Dpkg;
use crate::host::Host;
use crate::layout;
use crate::record::inventory::InstalledFile;
use crate::record::receipt::{PackageRecord, Privileged};

/// What was found on the machine.
#[derive(Debug)]
pub struct Stock {
    /// Set-id files, files with capabilities, and world-writable paths.
    pub privileged: Vec<Privileged>,
    /// Files that belong neither to a component nor to a package.
    pub unpackaged: Vec<InstalledFile>,
    /// Facts about files of packages that dpkg does not record.
    pub package_record: PackageRecord,
}

impl Stock {
    /// Takes stock of a machine whose base has the unpackaged programs and libraries `base`. `is_known` tells paths of
    /// components.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn take(
        host: &Host,
        dpkg: &Dpkg,
        base: &BTreeSet<String>,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        // The throw-away cluster is in the working directory.
        let found = everywhere(host, dpkg, &[layout::WORK])?;
        Ok(Self {
            unpackaged: found.unpackaged.record(host, base, is_known)?,
            privileged: found.privileged,
            package_record: packages::package_record(host, dpkg)?,
        })
    }
}

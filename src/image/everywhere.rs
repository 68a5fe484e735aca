//! One walk over a whole machine for everything that may be anywhere: special rights, and what no Debian package has.

use std::path::Path;

use anyhow::Result;

use super::rights::privilege;
use super::unpackaged::Unpackaged;
use crate::debian::dpkg::Dpkg;
use crate::host::{self, Host};
use crate::record::receipt::Privileged;

/// What was found on a machine.
#[derive(Debug, Default)]
pub struct Everywhere {
    /// Set-id files, files with capabilities, and world-writable files.
    pub privileged: Vec<Privileged>,
    /// What no Debian package has.
    pub unpackaged: Unpackaged,
    /// Directories and files that this user may not read.
    pub unreadable: Vec<String>,
}

/// Walks over the machine without the paths of `except`.
///
/// # Errors
/// A directory cannot be read.
pub fn everywhere(host: &Host, dpkg: &Dpkg, except: &[&str]) -> Result<Everywhere> {
    let own = host::own_program().filter(|_| host.is_system());
    let (mut privileged, mut unpackaged) = (Vec::new(), Unpackaged::default());
    let unreadable = host.walk(except, &mut |path, found| {
        privileged.extend(privilege(host, path, found));
        if own.as_deref() != Some(Path::new(path)) {
            unpackaged.add(host, dpkg, path, found);
        }
        Ok(())
    })?;
    Ok(Everywhere {
        privileged,
        unpackaged,
        unreadable,
    })
}

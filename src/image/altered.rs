//! Files of Debian packages that differ from the packages.

use std::collections::BTreeMap;
use std::{fmt, thread};

use anyhow::Result;

use crate::debian::dpkg::Dpkg;
use crate::debian::md5sums::Packaged;
use crate::host::entry::{FileKind, name_of};
use crate::host::{self, Host};

/// What replaces a file of a package.
pub enum Instead {
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

/// Files of packages that differ from the packages: by path, the MD5 of the content, or the kind of file. Files that this
/// user may not read are left out.
///
/// # Errors
/// The package database or a file cannot be read.
pub fn altered(host: &Host, dpkg: &Dpkg) -> Result<BTreeMap<String, String>> {
    let files = host.packaged(dpkg)?;
    let altered = compared(host, &files).into_iter();
    Ok(altered
        .filter_map(|(file, found)| Some((file.path.clone(), found.ok()??.to_string())))
        .collect())
}

/// Each of the files with what is there in its place, where that is something else. On all processors, for there are
/// thousands.
pub fn compared<'f>(host: &Host, files: &'f [Packaged]) -> Vec<(&'f Packaged, Result<Option<Instead>>)> {
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

/// What replaces a file of a package. A missing file is reported by the caller, which knows what was left out.
///
/// # Errors
/// The file cannot be read.
pub fn instead(host: &Host, file: &Packaged) -> Result<Option<Instead>> {
    Ok(match host.look(&file.path)?.map(|found| found.kind) {
        None => None,
        Some(FileKind::File) => Some(host.md5(&file.path)?)
            .filter(|md5| *md5 != file.md5)
            .map(Instead::Content),
        Some(kind) => Some(Instead::Kind(kind)),
    })
}

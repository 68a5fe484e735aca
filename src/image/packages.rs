//! What packages brought and dpkg does not record: where their links lead, whose their files are and what may be done with
//! them; and dpkg's own lists, by which all the rest is compared.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::debian::dpkg::Dpkg;
use crate::digest::Sha256;
use crate::host::Host;
use crate::host::entry::{FileFacts, FileKind, is_below, utf8};
use crate::host::unread::Unread;
use crate::record::receipt::{PackageRecord, octal};

/// Where owners and modes are those of the packages. Elsewhere is what changes while an image is used, and what may be
/// mounted while it is made.
const STEADY: [&str; 8] = [
    "/bin", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr",
];

/// What no package brings as it is, and whose owner decides over all the rest.
const OF_THE_BASE: [&str; 6] = [
    "/etc/group",
    "/etc/gshadow",
    "/etc/passwd",
    "/etc/shadow",
    "/opt",
    "/root",
];

/// What there is of packages now, by path.
#[derive(Debug, Default)]
pub struct Now {
    /// Links with their targets.
    pub links: BTreeMap<String, String>,
    /// Modes and owners of files and directories.
    pub rights: BTreeMap<String, Rights>,
    /// Digests of dpkg's own lists.
    pub lists: BTreeMap<String, Sha256>,
    /// Digests of configuration files.
    pub configuration: BTreeMap<String, Sha256>,
}

/// Mode and owner of a file or directory.
#[derive(Debug)]
pub struct Rights {
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Permission bits.
    pub mode: u32,
    /// User and group id: `0:0`.
    pub owner: String,
}

impl Rights {
    fn of(found: &FileFacts) -> Self {
        Self {
            is_directory: found.kind == FileKind::Directory,
            mode: found.mode,
            owner: format!("{}:{}", found.uid, found.gid),
        }
    }

    /// As the receipt has it: `0755 0:0`.
    pub fn text(&self) -> String {
        format!("{} {}", octal(self.mode), self.owner)
    }

    /// What the receipt does not name.
    pub fn usual(&self) -> &'static str {
        if self.is_directory { "0755 0:0" } else { "0644 0:0" }
    }
}

/// What the receipt records of packages.
///
/// # Errors
/// A file of a package cannot be looked at; all of them are named.
pub fn package_record(host: &Host, dpkg: &Dpkg) -> Result<PackageRecord> {
    let mut unread = Unread::default();
    let now = now(host, dpkg, &mut unread)?;
    unread.into_result()?;
    let unusual = |(path, rights): (String, Rights)| {
        let text = rights.text();
        (text != rights.usual()).then_some((path, text))
    };
    Ok(PackageRecord {
        links: now.links,
        rights: now.rights.into_iter().filter_map(unusual).collect(),
        lists: now.lists,
        configuration: now.configuration,
    })
}

/// Looks at everything that packages have.
///
/// # Errors
/// dpkg's lists cannot be read. What cannot be read of a package is taken down in `unread`.
pub fn now(host: &Host, dpkg: &Dpkg, unread: &mut Unread) -> Result<Now> {
    let mounted: BTreeSet<String> = host.mount_points()?.into_iter().collect();
    let mut now = Now::default();
    for (path, _) in dpkg.files().filter(|(path, _)| !mounted.contains(*path)) {
        let Some(found) = unread.take(host, path, host.look(path)).flatten() else {
            continue;
        };
        if let FileKind::Link(target) = &found.kind {
            let target = unread.take(host, path, utf8(target).map(str::to_owned));
            now.links.extend(target.map(|target| (path.to_owned(), target)));
        } else if STEADY.iter().any(|place| is_below(path, place)) {
            now.rights.insert(path.to_owned(), Rights::of(&found));
        }
    }
    for path in OF_THE_BASE.into_iter().filter(|path| !mounted.contains(*path)) {
        let found = unread.take(host, path, host.look(path)).flatten();
        now.rights
            .extend(found.map(|found| (path.to_owned(), Rights::of(&found))));
    }
    now.lists = digests(host, host.package_lists()?, unread);
    now.configuration = digests(host, host.configuration_files(dpkg)?, unread);
    Ok(now)
}

/// The digests of those of the paths that are files.
fn digests(host: &Host, paths: BTreeSet<String>, unread: &mut Unread) -> BTreeMap<String, Sha256> {
    let mut digests = BTreeMap::new();
    for path in paths {
        let found = unread.take(host, &path, host.look(&path)).flatten();
        if found.is_some_and(|found| found.kind == FileKind::File) {
            let digest = unread.take(host, &path, host.sha256(&path));
            digests.extend(digest.map(|digest| (path, digest)));
        }
    }
    digests
}

//! What packages brought and dpkg does not record: where their links lead, whose their files are and what may be done with
//! them; and dpkg's own lists, by which all the rest is compared. The receipt records it, and it is compared with that.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::document::Aspect;
use super::{Verifier, name_of, rights};
use crate::digest::Sha256;
use crate::host::Host;
use crate::host::dpkg::{Dpkg, Package};
use crate::host::fs::FileKind;
use crate::host::tree::{Found, is_below, utf8};
use crate::host::unread::Unread;
use crate::receipt::{PackageRecord, octal};

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

/// What says where the dynamic linker searches. Of all configuration files of packages these are not for an
/// administrator to change in an image: whatever is run loads what they say.
const LINKER: [&str; 2] = ["/etc/ld.so.conf", "/etc/ld.so.conf.d"];

/// What there is of packages now.
#[derive(Debug, Default)]
struct Now {
    links: BTreeMap<String, String>,
    rights: BTreeMap<String, Rights>,
    lists: BTreeMap<String, Sha256>,
    configuration: BTreeMap<String, Sha256>,
}

/// Mode and owner of a file or directory.
#[derive(Debug)]
struct Rights {
    is_directory: bool,
    mode: u32,
    owner: String,
}

impl Rights {
    fn of(found: &Found) -> Self {
        Self {
            is_directory: found.kind == FileKind::Directory,
            mode: found.mode,
            owner: format!("{}:{}", found.uid, found.gid),
        }
    }

    fn text(&self) -> String {
        format!("{} {}", octal(self.mode), self.owner)
    }

    /// What the receipt does not name.
    fn usual(&self) -> &'static str {
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

fn now(host: &Host, dpkg: &Dpkg, unread: &mut Unread) -> Result<Now> {
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

impl Verifier<'_> {
    /// Links, owners and modes of what packages have, and dpkg's lists of it.
    pub(super) fn recorded(&mut self) -> Result<()> {
        let Some(expected) = &self.receipt.package_record else {
            self.unrecorded("links, owners, modes and lists of packages");
            return Ok(());
        };
        let mut unread = Unread::default();
        let dpkg = self.host.dpkg()?;
        let mut now = now(self.host, &dpkg, &mut unread)?;
        let mut expected = expected.clone();
        // Of another package than the receipt's no more can be said than that it is another one.
        let others = self.other_packages(&dpkg);
        let is_others = |path: &str| dpkg.owner(path).is_some_and(|package| others.contains(package));
        for links in [&mut now.links, &mut expected.links] {
            links.retain(|path, _| !is_others(path));
        }
        now.rights.retain(|path, _| !is_others(path));
        for lists in [&mut now.lists, &mut expected.lists] {
            lists.retain(|path, _| !others.contains(package_of_list(path)));
        }
        let configuration: BTreeSet<&String> = now
            .configuration
            .keys()
            .chain(expected.configuration.keys())
            .collect();
        self.links(&expected.links, &now.links, &unread)?;
        for (path, rights) in &now.rights {
            let should = expected.rights.get(path).map_or(rights.usual(), String::as_str);
            self.rights_of_package(path, rights, should, configuration.contains(path));
        }
        for (path, why) in changed(&expected.lists, &now.lists, &unread) {
            self.differs(
                Aspect::Package,
                path,
                format!("{why}; packages are compared by it"),
            );
        }
        for (path, why) in changed(&expected.configuration, &now.configuration, &unread) {
            if LINKER.iter().any(|place| is_below(path, place)) {
                self.differs(
                    Aspect::Content,
                    path,
                    format!("{why}; the dynamic linker reads it"),
                );
            } else {
                self.unchecked(path, format!("{why}: configuration is the administrator's"));
            }
        }
        self.all_unread(unread);
        Ok(())
    }

    /// Packages that are not there as the receipt has them.
    fn other_packages(&self, dpkg: &Dpkg) -> BTreeSet<String> {
        let recorded = self.receipt.packages();
        let mut others: BTreeMap<&str, &str> = recorded
            .map(|package| (package.name.as_str(), package.version.as_str()))
            .collect();
        let is_other =
            |package: &&Package| others.remove(package.name.as_str()) != Some(package.version.as_str());
        let installed = dpkg.packages.values().filter(is_other);
        let mut names: BTreeSet<String> = installed.map(|package| package.name.clone()).collect();
        names.extend(others.into_keys().map(str::to_owned));
        names
    }

    fn links(
        &mut self,
        expected: &BTreeMap<String, String>,
        now: &BTreeMap<String, String>,
        unread: &Unread,
    ) -> Result<()> {
        for (path, target) in expected {
            let explanation = match now.get(path) {
                Some(found) if found == target => continue,
                Some(found) => format!("links to {found}, the receipt says {target}"),
                None if unread.0.contains_key(path) => continue,
                None => match self.host.look(path)? {
                    None => format!("is missing, the receipt says a link to {target}"),
                    Some(found) => {
                        format!("is {}, the receipt says a link to {target}", name_of(&found.kind))
                    }
                },
            };
            self.differs(Aspect::Content, path, explanation);
        }
        for (path, target) in now.iter().filter(|(path, _)| !expected.contains_key(*path)) {
            let explanation = format!("is a link to {target}, the receipt says it is none");
            self.differs(Aspect::Content, path, explanation);
        }
        Ok(())
    }

    fn rights_of_package(&mut self, path: &str, is: &Rights, should: &str, is_configuration: bool) {
        if is.text() == should {
            return;
        }
        let explanation = format!("has mode and owner {}, the receipt says {should}", is.text());
        let (mode, owner) = should.split_once(' ').unwrap_or((should, ""));
        if is_configuration {
            self.unchecked(
                path,
                format!("{explanation}: configuration is the administrator's"),
            );
        } else if is.is_directory && rights::lost_group_only(is.mode, mode) && is.owner == owner {
            self.unchecked(path, rights::LOST_GROUP);
        } else {
            self.differs(Aspect::Rights, path, explanation);
        }
    }
}

/// The package that one of dpkg's lists is of: its file is `NAME.list` or `NAME:ARCHITECTURE.list`.
fn package_of_list(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.rsplit_once('.').map_or(name, |(name, _)| name);
    name.split_once(':').map_or(name, |(name, _)| name)
}

/// Files that are not those of the receipt: path, and what is the matter with it.
fn changed<'p>(
    expected: &'p BTreeMap<String, Sha256>,
    now: &'p BTreeMap<String, Sha256>,
    unread: &Unread,
) -> Vec<(&'p str, &'static str)> {
    let gone_or_other = expected.iter().filter_map(|(path, digest)| match now.get(path) {
        Some(found) if found == digest => None,
        Some(_) => Some((path.as_str(), "has another content than the receipt says")),
        None if unread.0.contains_key(path) => None,
        None => Some((path.as_str(), "is missing, the receipt has it")),
    });
    let added = now.keys().filter(|path| !expected.contains_key(*path));
    let added = added.map(|path| (path.as_str(), "is there, and not in the receipt"));
    gone_or_other.chain(added).collect()
}

//! Verifies what dpkg does not record of packages: the targets of their links, and the owners and modes of their files. It
//! also verifies dpkg's own lists, which the other comparisons use. The receipt has all of it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::document::Aspect;
use super::{Verifier, rights};
use crate::debian::dpkg::{Dpkg, Package};
use crate::digest::Sha256;
use crate::host::entry::{is_below, name_of};
use crate::host::unread::Unread;
use crate::image::packages::{Rights, now};

/// The configuration of the dynamic linker's search path. An administrator may change other configuration files of
/// packages, but every program of the image loads what these name.
const LINKER: [&str; 2] = ["/etc/ld.so.conf", "/etc/ld.so.conf.d"];

impl Verifier<'_> {
    /// Compares links, owners and modes of packages, and dpkg's lists.
    ///
    /// # Errors
    /// A path or dpkg's database cannot be read.
    pub(super) fn recorded(&mut self) -> Result<()> {
        let Some(expected) = &self.receipt.package_record else {
            self.unrecorded("links, owners, modes and lists of packages");
            return Ok(());
        };
        let mut unread = Unread::default();
        let dpkg = self.host.dpkg()?;
        let mut now = now(self.host, &dpkg, &mut unread)?;
        let mut expected = expected.clone();
        // The receipt says nothing about the files of a package in another version.
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

    /// The packages that are missing, added, or installed in another version than the receipt says.
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
            let explanation = format!("is a link to {target}, and not a link in the receipt");
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

/// The package of one of dpkg's lists, whose file is `NAME.list` or `NAME:ARCHITECTURE.list`.
fn package_of_list(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.rsplit_once('.').map_or(name, |(name, _)| name);
    name.split_once(':').map_or(name, |(name, _)| name)
}

/// The files that differ from the receipt: path and explanation.
fn changed<'p>(
    expected: &'p BTreeMap<String, Sha256>,
    now: &'p BTreeMap<String, Sha256>,
    unread: &Unread,
) -> Vec<(&'p str, &'static str)> {
    let gone_or_other = expected.iter().filter_map(|(path, digest)| match now.get(path) {
        Some(found) if found == digest => None,
        Some(_) => Some((path.as_str(), "differs from the receipt")),
        None if unread.0.contains_key(path) => None,
        None => Some((path.as_str(), "is missing, the receipt has it")),
    });
    let added = now.keys().filter(|path| !expected.contains_key(*path));
    let added = added.map(|path| (path.as_str(), "exists, but is not in the receipt"));
    gone_or_other.chain(added).collect()
}

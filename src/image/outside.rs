//! What a build changed outside of its own directories, found by comparing the root before and after it. This is what is
//! left where the kernel does not confine a build.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::debian::dpkg::Dpkg;
use crate::host::Host;
use crate::host::entry::{FileKind, is_below};
use crate::host::owner::Stamp;
use crate::layout;

/// Trees that others change meanwhile: caches, logs, sockets and temporary files.
const VOLATILE: [&str; 8] = [
    layout::WORK,
    layout::UNFINISHED,
    "/run",
    "/tmp",
    "/var/cache",
    "/var/log",
    "/var/run",
    "/var/tmp",
];

/// The root before a build.
#[derive(Debug)]
pub struct Before {
    stamps: BTreeMap<String, Stamp>,
    places: Vec<String>,
}

/// A path that was changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// The path.
    pub path: String,
    /// Whether nothing was there before.
    pub is_new: bool,
    /// What happened to it.
    what: &'static str,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.path, self.what)
    }
}

impl Before {
    /// Looks at the root. What is at `places` and below may change.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn look(host: &Host, places: &[String]) -> Result<Self> {
        let places: Vec<String> = VOLATILE
            .iter()
            .map(|top| (*top).to_owned())
            .chain(places.iter().cloned())
            .collect();
        let mut stamps = BTreeMap::new();
        host.walk(&[layout::WORK], &mut |path, _| {
            if !places.iter().any(|top| is_below(path, top)) {
                stamps.extend(host.stamp(path)?.map(|stamp| (path.to_owned(), stamp)));
            }
            Ok(())
        })?;
        Ok(Self { stamps, places })
    }

    /// What has changed since: paths that neither a package nor a component has (`is_known`), what was there before, and
    /// everything outside of the work directory that belongs to `user`, a build's own.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn changes(
        mut self,
        host: &Host,
        dpkg: &Dpkg,
        user: Option<u32>,
        is_known: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        host.walk(&[layout::WORK], &mut |path, found| {
            let change = |what, is_new| Change {
                path: path.to_owned(),
                is_new,
                what,
            };
            let is_its_own = user == Some(found.uid) && !is_below(path, layout::WORK);
            if self.places.iter().any(|top| is_below(path, top)) {
                if is_its_own {
                    changes.push(change("belongs to the user of the build", true));
                }
                return Ok(());
            }
            match (self.stamps.remove(path), host.stamp(path)?) {
                (Some(before), Some(now)) if before != now => changes.push(change("was changed", false)),
                (None, Some(_)) if is_its_own || (dpkg.owner(path).is_none() && !is_known(path)) => {
                    changes.push(change("is new", true));
                }
                _ => {}
            }
            Ok(())
        })?;
        changes.extend(self.stamps.into_keys().map(|path| Change {
            path,
            is_new: false,
            what: "was removed",
        }));
        Ok(changes)
    }
}

/// Removes what is new, deepest first, so that another run does not take it for the base's.
///
/// # Errors
/// A path cannot be removed.
pub fn remove_new(host: &Host, changes: &[Change]) -> Result<()> {
    for change in changes.iter().rev().filter(|change| change.is_new) {
        let is_directory = host
            .look(&change.path)?
            .is_some_and(|found| found.kind == FileKind::Directory);
        if is_directory {
            host.remove_empty_directory(&change.path)?;
        } else {
            host.remove(&change.path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_outside_is_found_and_what_is_new_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let write = |path: &str, text: &str| {
            let path = host.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for path in [
            "/usr/same",
            "/usr/changed",
            "/usr/removed",
            "/opt/place/x",
            "/tmp/x",
        ] {
            write(path, "before");
        }
        let before = Before::look(&host, &["/opt/place".to_owned()]).unwrap();
        for path in [
            "/usr/changed",
            "/usr/local/share/new",
            "/usr/known",
            "/opt/place/y",
            "/tmp/y",
            "/var/tmp/pgsetup/z",
        ] {
            write(path, "after");
        }
        std::fs::remove_file(host.path("/usr/removed")).unwrap();
        let changes = before
            .changes(&host, &Dpkg::default(), None, &|path| path == "/usr/known")
            .unwrap();
        let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "/var is new",
                "/usr/changed was changed",
                "/usr/local is new",
                "/usr/local/share is new",
                "/usr/local/share/new is new",
                "/usr/removed was removed",
            ]
        );
        remove_new(&host, &changes).unwrap();
        assert!(!host.exists("/usr/local") && host.exists("/usr/changed") && host.exists("/usr/known"));
    }
}

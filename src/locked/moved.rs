//! What has moved since a lock was written.

use std::collections::{BTreeMap, BTreeSet};

use super::{LockedSource, SourceKind, TargetLock, Wants};

/// How many digits of a digest are shown where two are compared.
const SHOWN: usize = 12;

/// The Debian packages of a machine, with their versions.
#[derive(Debug, Clone, Copy)]
pub struct MachinePackages<'a> {
    /// The packages.
    pub installed: &'a BTreeMap<String, String>,
    /// Whether an installation has begun, or was finished, here: the machine has more than its base then, or less.
    pub is_changed: bool,
}

impl Wants {
    /// The differences of `now` from this, one per line.
    pub fn moved(&self, now: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let digest = |wants: &Self| wants.catalogue.as_ref().map(|one| one.sha256.clone());
        if digest(self) != digest(now) {
            let shown = |wants: &Self| match &wants.catalogue {
                Some(one) => format!("{} (sha256 {})", one.name, short(&one.sha256)),
                None => "none".to_owned(),
            };
            lines.push(format!("catalogue: {} -> {}", shown(self), shown(now)));
        }
        let (before, after) = (grouped(&self.sources), grouped(&now.sources));
        let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        for key in names {
            let (kind, name) = key;
            let what = match kind {
                SourceKind::Archive => "source",
                SourceKind::Python => "Python distribution",
            };
            lines.extend(match (before.get(key), after.get(key)) {
                (Some(old), Some(new)) => source_moved(what, name, old, new),
                (Some(old), None) => Some(format!("{what} {name} {}: no longer wanted", old[0].version)),
                (None, Some(new)) => Some(format!("{what} {name} {}: not in the lock", new[0].version)),
                (None, None) => None,
            });
        }
        let (before, after): (BTreeSet<_>, BTreeSet<_>) =
            (self.packages.iter().collect(), now.packages.iter().collect());
        let added = after.difference(&before);
        lines.extend(added.map(|name| format!("Debian package {name}: not in the lock")));
        let removed = before.difference(&after);
        lines.extend(removed.map(|name| format!("Debian package {name}: no longer wanted")));
        lines
    }
}

type Grouped<'a> = BTreeMap<(SourceKind, &'a str), Vec<&'a LockedSource>>;

fn grouped(sources: &[LockedSource]) -> Grouped<'_> {
    let mut grouped = Grouped::new();
    for source in sources {
        let key = (source.kind, source.name.as_str());
        grouped.entry(key).or_default().push(source);
    }
    grouped
}

fn source_moved(what: &str, name: &str, old: &[&LockedSource], new: &[&LockedSource]) -> Option<String> {
    let versions = |sources: &[&LockedSource]| -> String {
        let all: BTreeSet<&str> = sources.iter().map(|one| one.version.as_str()).collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    let (before, after) = (versions(old), versions(new));
    if before != after {
        return Some(format!("{what} {name}: {before} -> {after}"));
    }
    let digests = |sources: &[&LockedSource]| -> String {
        let all = sources.iter().flat_map(|one| &one.sha256);
        all.map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    let (of_old, of_new) = (digests(old), digests(new));
    (of_old != of_new).then(|| {
        let shown = |text: &str| text.split(' ').map(short).collect::<Vec<_>>().join(" or ");
        format!(
            "{what} {name} {before}: sha256 {} -> {}",
            shown(&of_old),
            shown(&of_new)
        )
    })
}

fn short(digest: &str) -> &str {
    digest.get(..SHOWN).unwrap_or(digest)
}

/// How the packages of a machine differ from the base of a lock, one line each. A package is as it should be with the
/// base's version, or with the locked one.
pub fn base_moved(lock: &TargetLock, machine: MachinePackages<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let is_locked = |name: &str, version: &str| {
        lock.package(name)
            .is_some_and(|package| package.version == version)
    };
    for (name, before) in &lock.base.packages {
        match machine.installed.get(name) {
            Some(now) if now == before || machine.is_changed && is_locked(name, now) => {}
            Some(now) => lines.push(format!("package {name} of the base: {before} -> {now}")),
            None if machine.is_changed => {}
            None => lines.push(format!("package {name} of the base: {before} -> none")),
        }
    }
    for (name, now) in machine.installed {
        if !lock.base.packages.contains_key(name) && !machine.is_changed {
            lines.push(format!("package {name} of the base: none -> {now}"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::{Base, LockedCatalogue, LockedPackage};
    use super::*;

    fn source(kind: SourceKind, name: &str, version: &str, digest: &str) -> LockedSource {
        LockedSource {
            kind,
            name: name.to_owned(),
            version: version.to_owned(),
            sha256: vec![digest.to_owned()],
        }
    }

    fn wants() -> Wants {
        Wants {
            catalogue: Some(LockedCatalogue {
                name: "pgsetup 0.2.0".to_owned(),
                sha256: "aaaaaaaaaaaaaaaa".to_owned(),
            }),
            sources: vec![
                source(SourceKind::Archive, "citus", "14.0.1", "11"),
                source(SourceKind::Archive, "pgvector", "0.8.1", "22"),
                source(SourceKind::Python, "pyyaml", "6.0", "33"),
            ],
            packages: vec!["bison".to_owned(), "flex".to_owned()],
        }
    }

    #[test]
    fn everything_that_moved_is_named() {
        assert_eq!(wants().moved(&wants()), Vec::<String>::new());
        let mut now = wants();
        if let Some(catalogue) = &mut now.catalogue {
            catalogue.sha256 = "bbbbbbbbbbbbbbbb".to_owned();
            catalogue.name = "pgsetup 0.3.0".to_owned();
        }
        now.sources[0].version = "14.1.0".to_owned();
        now.sources[1].sha256 = vec!["ffffffffffffffff".to_owned()];
        now.sources[2].name = "psycopg".to_owned();
        now.packages = vec!["bison".to_owned(), "gettext".to_owned()];
        assert_eq!(
            wants().moved(&now),
            [
                "catalogue: pgsetup 0.2.0 (sha256 aaaaaaaaaaaa) -> pgsetup 0.3.0 (sha256 bbbbbbbbbbbb)",
                "source citus: 14.0.1 -> 14.1.0",
                "source pgvector 0.8.1: sha256 22 -> ffffffffffff",
                "Python distribution psycopg 6.0: not in the lock",
                "Python distribution pyyaml 6.0: no longer wanted",
                "Debian package gettext: not in the lock",
                "Debian package flex: no longer wanted",
            ]
        );
        now.catalogue = None;
        assert!(
            wants()
                .moved(&now)
                .contains(&"catalogue: pgsetup 0.2.0 (sha256 aaaaaaaaaaaa) -> none".to_owned())
        );
    }

    #[test]
    fn a_base_that_moved_is_named_and_what_an_installation_changed_is_not() {
        let versions = |list: &[(&str, &str)]| -> BTreeMap<String, String> {
            let owned = |(name, version): &(&str, &str)| ((*name).to_owned(), (*version).to_owned());
            list.iter().map(owned).collect()
        };
        let package = LockedPackage {
            name: "libssl3".to_owned(),
            version: "3.0.16".to_owned(),
            architecture: "amd64".to_owned(),
            sha256: crate::digest::Sha256::of(b""),
            bytes: 1,
            path: "pool/x.deb".to_owned(),
            relations: BTreeMap::new(),
        };
        let lock = TargetLock {
            target: "debian:bookworm/amd64".to_owned(),
            base: Base {
                digest: None,
                packages: versions(&[("dpkg", "1.21"), ("libssl3", "3.0.15"), ("tzdata", "2024a")]),
            },
            wants: Wants::default(),
            archives: Vec::new(),
            packages: vec![package],
        };
        let now = versions(&[("dpkg", "1.22"), ("gcc", "12"), ("libssl3", "3.0.16")]);
        let moved = |is_changed| {
            let installed = &now;
            base_moved(
                &lock,
                MachinePackages {
                    installed,
                    is_changed,
                },
            )
        };
        assert_eq!(
            moved(false),
            [
                "package dpkg of the base: 1.21 -> 1.22",
                "package libssl3 of the base: 3.0.15 -> 3.0.16",
                "package tzdata of the base: 2024a -> none",
                "package gcc of the base: none -> 12",
            ]
        );
        assert_eq!(moved(true), ["package dpkg of the base: 1.21 -> 1.22"]);
    }
}

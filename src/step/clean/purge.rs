//! Removes every Debian package that only the installation itself needed.
//!
//! The set is computed from dpkg's database: every package that was installed since [`PackagesBefore`] was taken, except
//! for those that have to stay and their dependencies. apt simulates the removal first, and removes the packages only if
//! the simulation gives exactly this set. So neither a package of the base nor a needed one is removed by accident.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

use crate::command::Command;
use crate::debian::dpkg::{Dpkg, Package};
use crate::host::{Host, Log};
use crate::image::base::{Kept, PackagesBefore, Purged};
use crate::plan::apt;

/// The reason in the receipt for packages that only builds needed and that stay.
pub const BUILD_PACKAGES_STAY: &str = "build packages stay";

/// The result if build packages stay: every package that was installed since `before` is kept.
///
/// # Errors
/// A package of the base is gone.
pub fn nothing(dpkg: &Dpkg, before: &PackagesBefore) -> Result<Purged> {
    let all = dpkg
        .packages
        .keys()
        .filter(|name| !before.packages.contains_key(*name));
    let keep = all
        .map(|name| (name.clone(), BUILD_PACKAGES_STAY.to_owned()))
        .collect();
    decide(dpkg, before, &keep)
}

/// Removes the packages that were installed since `before`, except for those in `keep` (package and reason) and the
/// dependencies of those that stay. `announce` gets the packages before the first is removed.
///
/// # Errors
/// A package of the base or of `keep` is not installed, apt would do something else, or apt fails.
pub fn purge(
    host: &Host,
    log: &Log,
    before: &PackagesBefore,
    keep: &BTreeMap<String, String>,
    announce: &dyn Fn(&BTreeMap<String, Package>) -> Result<()>,
) -> Result<Purged> {
    let dpkg = host.dpkg()?;
    let purged = decide(&dpkg, before, keep)?;
    if !purged.removed.is_empty() {
        let names: Vec<&str> = purged.removed.keys().map(String::as_str).collect();
        let wanted: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let answer = host
            .capture(&apt::remove_packages(&["--simulate", "purge"], &names), log)
            .context("cannot ask apt what a purge would remove")?;
        compare(&wanted, &answer)?;
        announce(&purged.removed)?;
        host.run(&apt::remove_packages(&["--yes", "purge"], &names), log)
            .context("cannot purge packages")?;
    }
    mark(host, log, before, keep)?;
    let after = host.dpkg()?;
    for name in purged.removed.keys() {
        if after.packages.contains_key(name) {
            bail!("the package {name} is still there after the purge");
        }
    }
    Ok(purged)
}

/// Decides which packages stay and which are removed.
///
/// # Errors
/// A package of the base or of `keep` is not installed, or an essential package would be removed.
pub fn decide(dpkg: &Dpkg, before: &PackagesBefore, keep: &BTreeMap<String, String>) -> Result<Purged> {
    let gone: Vec<&str> = before
        .packages
        .keys()
        .filter(|name| !dpkg.packages.contains_key(*name))
        .map(String::as_str)
        .collect();
    if !gone.is_empty() {
        bail!(
            "the installation removed packages of the base: {}",
            gone.join(", ")
        );
    }
    let absent: Vec<String> = keep
        .iter()
        .filter(|(name, _)| !dpkg.packages.contains_key(*name))
        .map(|(name, why)| format!("{name} ({why})"))
        .collect();
    if !absent.is_empty() {
        bail!("packages that must stay are not installed: {}", absent.join(", "));
    }
    let roots = before.packages.keys().chain(keep.keys()).map(String::as_str);
    let needed = dpkg.needed(roots);
    let mut purged = Purged::default();
    for (name, package) in &dpkg.packages {
        if let Some(known) = before.packages.get(name) {
            if known.version != package.version {
                let (old, new) = (known.version.clone(), package.version.clone());
                purged.upgraded.push((name.clone(), old, new));
            }
            continue;
        }
        match needed.get(name) {
            None => {
                purged.removed.insert(name.clone(), package.clone());
            }
            Some(by) => {
                let reason = match (keep.get(name), by) {
                    (Some(why), _) => why.clone(),
                    (None, Some(by)) => format!("package {by}"),
                    (None, None) => "package of the base".to_owned(),
                };
                let kept = Kept {
                    package: package.clone(),
                    reason,
                };
                purged.kept.insert(name.clone(), kept);
            }
        }
    }
    if let Some(essential) = purged.removed.values().find(|package| package.essential) {
        bail!("{} is essential and was not in the base", essential.name);
    }
    Ok(purged)
}

/// Compares a simulation of apt (its lines `Purg`, `Remv` and `Inst`) with the packages to remove.
fn compare(wanted: &BTreeSet<String>, simulation: &str) -> Result<()> {
    let mut answered = BTreeSet::new();
    let mut others = Vec::new();
    for line in simulation.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("Purg" | "Remv"), Some(name)) => {
                answered.insert(name.to_owned());
            }
            (Some("Inst"), Some(name)) => others.push(format!("installs {name}")),
            _ => {}
        }
    }
    others.extend(
        answered
            .difference(wanted)
            .map(|name| format!("removes {name}, which must stay")),
    );
    others.extend(
        wanted
            .difference(&answered)
            .map(|name| format!("does not remove {name}")),
    );
    if others.is_empty() {
        return Ok(());
    }
    bail!(
        "apt would do more than remove what is not needed: {}",
        others.join("; ")
    )
}

/// Gives every package the mark that it would have in a hand-made image. Packages of the base keep theirs, packages of
/// `keep` are manual, and their dependencies are automatic. Then `apt-get autoremove` removes none of them.
fn mark(host: &Host, log: &Log, before: &PackagesBefore, keep: &BTreeMap<String, String>) -> Result<()> {
    let dpkg = host.dpkg()?;
    let wanted = wanted_marks(&dpkg, before, keep);
    for (verb, is_automatic) in [("manual", false), ("auto", true)] {
        let names: Vec<&str> = wanted
            .iter()
            .filter(|(name, wanted)| {
                **wanted == is_automatic && dpkg.packages[*name].automatic != is_automatic
            })
            .map(|(name, _)| name.as_str())
            .collect();
        if !names.is_empty() {
            host.run(&Command::new("apt-mark", [verb, "--"]).args(names), log)
                .context("cannot mark packages")?;
        }
    }
    Ok(())
}

/// Whether each package is to be marked as automatic.
fn wanted_marks(
    dpkg: &Dpkg,
    before: &PackagesBefore,
    keep: &BTreeMap<String, String>,
) -> BTreeMap<String, bool> {
    let mut marks: BTreeMap<String, bool> = dpkg
        .packages
        .keys()
        .map(|name| {
            (
                name.clone(),
                before.packages.get(name).is_none_or(|state| state.automatic),
            )
        })
        .collect();
    // A dependency of another package that stays is automatic. Decided one by one, because two may depend on each other.
    for name in keep.keys() {
        let others = marks
            .iter()
            .filter(|(_, automatic)| !**automatic)
            .map(|(other, _)| other);
        let others = others
            .chain(keep.keys().filter(|other| *other > name))
            .filter(|other| *other != name);
        let is_brought_along = dpkg.needed(others.map(String::as_str)).contains_key(name);
        if let Some(mark) = marks.get_mut(name) {
            *mark = *mark && is_brought_along;
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::base::PackageState;

    fn package(name: &str, needs: &[&str]) -> (String, Package) {
        let package = Package {
            name: name.to_owned(),
            version: "1".to_owned(),
            needs: needs.iter().map(|name| vec![(*name).to_owned()]).collect(),
            ..Package::default()
        };
        (name.to_owned(), package)
    }

    fn state(version: &str) -> PackageState {
        PackageState {
            version: version.to_owned(),
            automatic: false,
        }
    }

    fn database() -> Dpkg {
        let mut dpkg = Dpkg::default();
        dpkg.packages = BTreeMap::from([
            package("base", &["libbase"]),
            package("libbase", &[]),
            package("gcc", &["binutils", "libc"]),
            package("binutils", &["libc"]),
            package("libicu", &["libc", "icu-data"]),
            package("icu-data", &[]),
            package("libc", &[]),
        ]);
        dpkg
    }

    #[test]
    fn packages_outside_the_base_that_nothing_needs_are_removed() {
        let before = PackagesBefore {
            packages: BTreeMap::from([
                ("base".to_owned(), state("0")),
                ("libbase".to_owned(), state("1")),
            ]),
            ..PackagesBefore::default()
        };
        let keep = BTreeMap::from([("libicu".to_owned(), "postgres -> libicu.so".to_owned())]);
        let purged = decide(&database(), &before, &keep).unwrap();
        let removed: Vec<&str> = purged.removed.keys().map(String::as_str).collect();
        assert_eq!(removed, ["binutils", "gcc"]);
        let kept: Vec<(&str, &str)> = purged
            .kept
            .iter()
            .map(|(name, kept)| (name.as_str(), kept.reason.as_str()))
            .collect();
        assert_eq!(
            kept,
            [
                ("icu-data", "package libicu"),
                ("libc", "package libicu"),
                ("libicu", "postgres -> libicu.so"),
            ]
        );
        assert_eq!(
            purged.upgraded,
            [("base".to_owned(), "0".to_owned(), "1".to_owned())]
        );
    }

    #[test]
    fn only_packages_that_no_other_depends_on_are_manual() {
        let before = PackagesBefore {
            packages: BTreeMap::from([("base".to_owned(), state("1"))]),
            ..PackagesBefore::default()
        };
        let keep = ["libicu", "libc", "icu-data"].map(|name| (name.to_owned(), String::new()));
        let marks = wanted_marks(&database(), &before, &BTreeMap::from(keep));
        let manual: Vec<&str> = marks
            .iter()
            .filter(|(_, auto)| !**auto)
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(manual, ["base", "libicu"]);
    }

    #[test]
    fn a_missing_package_of_the_base_is_an_error() {
        let before = PackagesBefore {
            packages: BTreeMap::from([("mawk".to_owned(), state("1"))]),
            ..PackagesBefore::default()
        };
        let error = decide(&database(), &before, &BTreeMap::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the installation removed packages of the base: mawk"
        );
    }

    #[test]
    fn a_simulation_that_differs_from_the_computed_set_is_an_error() {
        let wanted = BTreeSet::from(["gcc".to_owned(), "make".to_owned()]);
        assert!(compare(&wanted, "Purg gcc [4:12]\nPurg make [4.3]\n").is_ok());
        let error = compare(&wanted, "Purg gcc [4:12]\nRemv patroni [1]\nInst clang (1)\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "apt would do more than remove what is not needed: installs clang; \
             removes patroni, which must stay; does not remove make"
        );
    }
}

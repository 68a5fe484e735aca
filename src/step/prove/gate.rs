//! Whether what an extension installed finds what it needs after the build packages are gone.
//!
//! An installation removes them and looks (`clean::check_libraries`). A test needs them for what comes next, so it computes
//! which packages an image with this extension alone would keep, and looks at its files as if the others were gone. Both
//! use the same comparison, `image::needs::check`.

use std::collections::{BTreeMap, BTreeSet};

use crate::debian::dpkg::Dpkg;
use crate::failure::{Cause, Failure, WithCause};
use crate::host::Host;
use crate::host::entry::FileKind;
use crate::image::needs::{self, Needs};
use crate::plan::Gate;
use crate::record::inventory::{InstalledFile, Inventory};
use crate::resolve::Extension;
use crate::step::clean::{prune, purge};
use crate::step::context::Context;

/// Checks the files of `extension`.
///
/// # Errors
/// A file needs what no kept package has; the error names all of them. A kept package brings a program with more rights
/// than those of the base.
pub fn check(context: &Context<'_>, gate: &Gate, extension: &Extension) -> Result<(), Failure> {
    let (host, state) = (context.host, &context.state);
    let installed = state.inventory().clone();
    let mut own = only(&installed, |file| file.is_of(&extension.component));
    // The image's policy removes them before anything is looked for.
    for path in prune::names(&gate.prune, &own)? {
        own.remove(&path);
    }
    let now = needs::needs(host, &own, &gate.declared)?;
    let Some(before) = state.packages_before.get().filter(|_| gate.removes) else {
        // Nothing will be removed any more.
        let earlier = state.needs_before.get().unwrap_or(&now);
        return needs::check(&known_before(earlier, &now), &now).cause(Cause::Test);
    };
    let dpkg = host.dpkg()?;
    let around = only(&installed, |file| gate.beside.iter().any(|one| file.is_of(one)));
    let mut keep: BTreeMap<String, String> = needs::needs(host, &around, &gate.declared)?.packages();
    keep.extend(now.packages());
    for package in &gate.keep {
        let reason = format!("wanted by {}", package.wanted_by.join(", "));
        keep.insert(package.name.clone(), reason);
    }
    let purged = purge::decide(&dpkg, before, &keep).cause(Cause::Test)?;
    let after = now.without(&|package| purged.removed.contains_key(package));
    needs::check(&now, &after).cause(Cause::Test)?;
    let kept = purged.kept.keys().map(String::as_str).collect();
    rights(host, &dpkg, &kept).map_err(|error| Failure::new(Cause::Test, error))
}

/// The part of an inventory that belongs to some components.
fn only(inventory: &Inventory, is_wanted: impl Fn(&InstalledFile) -> bool) -> Inventory {
    let mut part = Inventory::default();
    for file in inventory.iter().filter(|file| is_wanted(file)) {
        part.insert(file.clone());
    }
    part
}

/// What was needed before packages were removed, as far as it concerns the files of `now`.
fn known_before(earlier: &Needs, now: &Needs) -> Needs {
    let mut before = earlier.clone();
    before.scripts.retain(|path, _| now.scripts.contains_key(path));
    before.named.retain(|name, _| now.named.contains_key(name));
    before
}

/// Finds set-id programs of kept packages, which an installation refuses.
fn rights(host: &Host, dpkg: &Dpkg, kept: &BTreeSet<&str>) -> Result<(), String> {
    let mut findings = Vec::new();
    for (path, package) in dpkg.files().filter(|(_, package)| kept.contains(package)) {
        let found = host.look(path).ok().flatten();
        if let Some(found) = found.filter(|found| found.kind == FileKind::File && found.mode & 0o6000 != 0) {
            findings.push(format!(
                "\n  {path}: mode {:04o}, of the package {package}",
                found.mode
            ));
        }
    }
    if findings.is_empty() {
        return Ok(());
    }
    Err(format!(
        "an image with it would have programs that run with other rights than their caller's:{}",
        findings.concat()
    ))
}

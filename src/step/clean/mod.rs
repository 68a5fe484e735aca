//! The end of an installation: removes what only builds needed, and checks the rest.

pub mod normalise;
pub mod prune;
pub mod purge;
pub mod times;

use std::collections::BTreeMap;

use super::clean::prune as pruning;
use super::context::Context;
use super::recover::unfinished::Note;
use crate::archive::symbols;
use crate::failure::{Cause, Failure, WithCause};
use crate::host::Log;
use crate::image::{kind, needs};
use crate::manifest::image::Prune;
use crate::plan::WantedPackage;
use crate::report::bytes;
use crate::resolve::Declared;

/// Removes compiled files that the policy names.
///
/// # Errors
/// A file cannot be removed, or the archive of debug symbols cannot be written.
pub fn prune(policy: &Prune, context: &Context<'_>) -> Result<String, Failure> {
    if policy.keep_debug_symbols {
        keep_debug_symbols(context)?;
    }
    let pruned = pruning::files(context.host, policy, &mut context.state.inventory())?;
    Ok(format!("{} files, {}", pruned.removed, bytes(pruned.bytes)))
}

/// Packs the debug symbols into an archive outside the image, named by its digest, before they are removed.
fn keep_debug_symbols(context: &Context<'_>) -> Result<(), Failure> {
    let inventory = context.state.inventory();
    let names = inventory
        .iter()
        .map(|file| file.path.as_str())
        .filter(|path| path.starts_with(kind::DEBUG_SYMBOLS));
    let archive = symbols::pack(context.host, names, context.debug_symbols)?;
    context
        .reporter
        .line(&format!("       debug symbols are in {}", archive.path.display()));
    let _ = context.state.debug_symbols.set(archive);
    Ok(())
}

/// Removes every package that was installed and that the installed files do not need.
///
/// # Errors
/// An installed file needs something that does not exist, or apt would remove other packages than those.
pub fn remove_build_packages(
    keep: &[WantedPackage],
    declared: &Declared,
    context: &Context<'_>,
    log: &Log,
) -> Result<String, Failure> {
    let needs = needs::needs(context.host, &context.state.inventory(), declared)?;
    let dpkg = context.host.dpkg()?;
    let mut wanted: BTreeMap<String, String> = context.state.kept_earlier(&dpkg);
    wanted.extend(needs.packages());
    for package in keep {
        wanted.insert(
            package.name.clone(),
            format!("wanted by {}", package.wanted_by.join(", ")),
        );
    }
    let before = context.state.packages_before.get().cloned().unwrap_or_default();
    let state = &context.state;
    let announce = |packages: &BTreeMap<_, _>| state.note(context.host, &Note::Removing(packages.clone()));
    let mut purged = purge::purge(context.host, log, &before, &wanted, &announce).cause(Cause::Build)?;
    // Packages that a killed run removed were installed for this image as well.
    for (name, package) in state.removed_earlier() {
        if !purged.kept.contains_key(&name) {
            purged.removed.entry(name).or_insert(package);
        }
    }
    let note = format!(
        "{} removed, {} kept besides the base's",
        purged.removed.len(),
        purged.kept.len()
    );
    let _ = context.state.needs_before.set(needs);
    let _ = context.state.purged.set(purged);
    Ok(note)
}

/// Removes what package tools left behind.
///
/// # Errors
/// A file cannot be read or removed.
pub fn remove_leftovers(policy: &Prune, context: &Context<'_>) -> Result<String, Failure> {
    let before = context.state.packages_before.get().cloned().unwrap_or_default();
    normalise::remove(context.host)?;
    let pruned = pruning::leftovers(context.host, policy, &before)?;
    for line in stays(&pruned.owned) {
        context.reporter.line(&format!("       {line}"));
    }
    Ok(format!("{} files, {}", pruned.removed, bytes(pruned.bytes)))
}

/// Follows every shared library again after packages were removed.
///
/// # Errors
/// A program or library lost something that it needs.
pub fn check_libraries(declared: &Declared, context: &Context<'_>) -> Result<String, Failure> {
    let after = needs::needs(context.host, &context.state.inventory(), declared)?;
    let before = context.state.needs_before.get().unwrap_or(&after);
    needs::check(before, &after).cause(Cause::Test)?;
    Ok(format!("{} programs and libraries", after.elf_files))
}

/// A line for each Debian package that owns files that the policy names.
fn stays(owned: &[(String, String)]) -> Vec<String> {
    let mut by_package: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (path, package) in owned {
        by_package.entry(package).or_default().push(path);
    }
    let line = |(package, paths): (&str, Vec<&str>)| {
        let more = match paths.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "{}{more} stays: the package {package} has it; `prune.package_paths` keeps it from being unpacked",
            paths[0]
        )
    };
    by_package.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_files_of_the_policy_are_reported_once_per_package() {
        let owned = [("/a/x.pyc", "python3"), ("/log", "dpkg"), ("/a/y.pyc", "python3")];
        let owned = owned.map(|(path, package)| (path.to_owned(), package.to_owned()));
        assert_eq!(
            stays(&owned),
            [
                "/log stays: the package dpkg has it; `prune.package_paths` keeps it from being unpacked",
                "/a/x.pyc and 1 more stays: the package python3 has it; `prune.package_paths` keeps it from being unpacked",
            ]
        );
    }
}

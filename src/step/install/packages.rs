//! Installs the Debian packages of the plan that this run needs.

use super::files::{ROOT_DIRECTORY, ROOT_FILE};
use crate::debian::dpkg;
use crate::failure::{Cause, Failure};
use crate::host::Log;
use crate::layout;
use crate::locked::TargetLock;
use crate::plan::{PackageInstallation, apt};
use crate::source::{Origin, SourceRequest};
use crate::step::context::Context;
use crate::step::fetch;

/// Installs the packages of `installation`. The packages of a build are left out if its artifact is at hand. The libraries
/// that the artifact links are then installed by name.
///
/// # Errors
/// apt fails.
pub fn install(
    installation: &PackageInstallation,
    context: &Context<'_>,
    log: &Log,
) -> Result<String, Failure> {
    let artifacts = context.state.artifacts();
    let mut names = installation.always.clone();
    for (component, packages) in &installation.of_builds {
        if !artifacts.is_at_hand(component) {
            names.extend(packages.iter().cloned());
        }
    }
    if installation.libraries {
        names.extend(artifacts.libraries());
        names.extend(artifacts.upgraded.iter().cloned());
    }
    if let Some(unknown) = context.state.unknown_packages.get() {
        // The builds that want them fail.
        names.retain(|name| !unknown.names.contains(name));
    }
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Ok("not needed: what they would build is at hand".to_owned());
    }
    let note = match &installation.locked {
        Some(lock) => format!(", {}", fetch_locked(lock, installation, &names, context, log)?),
        None => String::new(),
    };
    context.host.run(&installation.command_for(&names), log)?;
    Ok(format!("{} packages{note}", names.len()))
}

/// Writes what apt needs to take packages from the lock.
///
/// # Errors
/// A file cannot be written.
pub fn index(lock: &TargetLock, context: &Context<'_>) -> Result<String, Failure> {
    let host = context.host;
    host.empty_directory(layout::LOCKED)?;
    host.make_directory(layout::LOCKED, ROOT_DIRECTORY)?;
    host.make_directory(&format!("{}/lists/partial", layout::LOCKED), ROOT_DIRECTORY)?;
    for (path, text) in apt::locked_archive(lock) {
        host.write(&path, &text, ROOT_FILE)?;
    }
    Ok(format!("{} packages", lock.packages.len()))
}

/// Puts the files of the packages that apt is about to install where its index says they are.
fn fetch_locked(
    lock: &TargetLock,
    installation: &PackageInstallation,
    names: &[String],
    context: &Context<'_>,
    log: &Log,
) -> Result<String, Failure> {
    let coming = dpkg::parse_simulation(&context.host.capture(&installation.simulation_for(names), log)?);
    let mut packages = Vec::new();
    for (name, version) in &coming {
        let locked = lock.package(name).filter(|package| package.version == *version);
        packages.push(locked.ok_or_else(|| {
            let message = format!("apt would install {name} {version}, which is not in the lock");
            Failure::new(Cause::Internal, message)
        })?);
    }
    let requests: Vec<SourceRequest> = packages
        .iter()
        .map(|package| SourceRequest::of_package(package, &lock.archives))
        .collect();
    let obtained = fetch::all(&requests, "install packages", context)?;
    let downloaded = obtained
        .iter()
        .filter(|one| matches!(one.origin, Origin::Network(_)))
        .count();
    for (package, file) in packages.iter().zip(&obtained) {
        let path = format!("{}/{}", layout::LOCKED, package.stored());
        context.host.install_file(&file.path, &path, ROOT_FILE.mode)?;
    }
    Ok(format!(
        "with what they depend on {}: {} at hand, {downloaded} downloaded",
        packages.len(),
        packages.len() - downloaded
    ))
}

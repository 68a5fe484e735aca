//! Installs the Debian packages of the plan that this run needs.

use crate::failure::Failure;
use crate::host::Log;
use crate::plan::PackageInstallation;
use crate::step::context::Context;

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
    context.host.run(&PackageInstallation::command_for(&names), log)?;
    Ok(format!("{} packages", names.len()))
}

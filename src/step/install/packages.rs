//! Installs Debian packages: of those that the plan lists, the ones that are needed here and now.

use crate::failure::Failure;
use crate::host::Log;
use crate::plan::PackageInstallation;
use crate::step::context::Context;

/// Installs what `installation` says. What only builds need is left out where nothing is built that needs it; then the
/// libraries that those builds would have brought along are installed by name.
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
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Ok("not needed: what they would build is at hand".to_owned());
    }
    context.host.run(&PackageInstallation::command_for(&names), log)?;
    Ok(format!("{} packages", names.len()))
}

//! Makes Patroni's environment.

use super::files::ROOT_FILE;
use super::{Context, lock, merge, strip};
use crate::failure::Failure;
use crate::host::Log;
use crate::plan::PatroniInstallation;

/// Installs Patroni, and adds what came of it to the inventory.
pub fn install(
    installation: &PatroniInstallation,
    context: &Context<'_>,
    log: &Log,
) -> Result<String, Failure> {
    let host = context.host;
    let (path, text) = &installation.requirements;
    host.write(path, text, ROOT_FILE)?;
    let _token = context.jobserver.acquire().map_err(anyhow::Error::from)?;
    for command in &installation.commands {
        host.run(command, log)?;
    }
    // Wheels are published with their symbols, and what pip compiles has Python's own -g.
    strip::strip(
        host,
        log,
        &installation.directory,
        &installation.prune.remove,
        None,
    )?;
    let mut inventory = lock(&context.state.inventory);
    let files = merge::adopt(
        host,
        &installation.directory,
        &installation.component,
        &mut inventory,
    )?;
    Ok(format!("{} files", files.len()))
}

//! Installs pgsetup itself if the image's manifest keeps it, so that `pgsetup verify` runs in the image.

use anyhow::Context as _;

use crate::failure::{Cause, Failure};
use crate::host::{self, Host};
use crate::image::entry;
use crate::layout;
use crate::record::receipt::IMAGE;
use crate::step::context::Context;

/// Copies the running program to [`layout::PROGRAM`].
///
/// # Errors
/// The path of the running program is not known, or the copy cannot be written.
pub fn install(context: &Context<'_>) -> Result<String, Failure> {
    let own = host::own_program().context("the path of the running pgsetup is not known")?;
    let (directory, _) = layout::PROGRAM.rsplit_once('/').unwrap_or_default();
    context.state.note_new(context.host, [layout::PROGRAM])?;
    context
        .host
        .make_directory(directory, crate::step::install::files::ROOT_DIRECTORY)?;
    context.host.install_file(&own, layout::PROGRAM, 0o755)?;
    if let Some(file) = entry::record(context.host, IMAGE, layout::PROGRAM)? {
        context.state.inventory().insert(file);
    }
    Ok(String::new())
}

/// Checks before anything is built that the program can be installed.
///
/// # Errors
/// Something is mounted at [`layout::PROGRAM`].
pub fn has_a_place(host: &Host) -> Result<(), Failure> {
    if host.mount_points()?.iter().any(|place| place == layout::PROGRAM) {
        let message = format!(
            "not installed; the image keeps pgsetup in {} (`prune.keep_pgsetup`), but something is mounted there\n  \
             hint: mount it somewhere else, such as on /run/pgsetup, and call that",
            layout::PROGRAM
        );
        return Err(Failure::new(Cause::Usage, message));
    }
    Ok(())
}

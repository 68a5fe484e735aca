//! Unpacks a component's sources, compiles them, and leaves the result in its stage.

use anyhow::Context as _;

use super::failed::FailedBuild;
use super::{Context, Done, licence, lock, strip};
use crate::command::Command;
use crate::failure::{Because, Cause, Failure};
use crate::hint;
use crate::host::Log;
use crate::host::archive::{self, Limits};
use crate::host::cmd::Settings;
use crate::layout;
use crate::plan::Build;
use crate::report::bytes;

/// Builds a component. It holds one token of the jobserver throughout, which is the job that a `make` runs
/// without asking for one.
pub fn build(build: &Build, context: &Context<'_>, log: &Log) -> Result<Done, Failure> {
    let host = context.host;
    let source = host.empty_directory(&layout::source(&build.component))?;
    host.remove(layout::failed(&build.component))?;
    let stage = layout::stage(&build.component);
    host.empty_directory(&stage)?;
    let _token = context.jobserver.acquire().because(Cause::Internal)?;
    for archive in &build.sources {
        let path = {
            let archives = lock(&context.state.archives);
            archive
                .accepted
                .iter()
                .find_map(|digest| archives.get(digest).cloned())
        };
        let path = path.ok_or_else(|| anyhow::anyhow!("{} was not fetched", archive.title))?;
        archive::unpack(&path, &source, archive.strip, &Limits::default())
            .with_context(|| format!("cannot unpack {}", archive.title))
            .because(Cause::Build)?;
    }
    let settings = Settings {
        jobserver: Some(context.jobserver),
        ..Settings::default()
    };
    for command in &build.commands {
        host.run_with(command, log, settings)
            .map_err(|error| left_open(build, command, context, explained(error.into(), log), log))?;
    }
    licence::keep(host, &layout::source(&build.component), &stage, &build.name)?;
    let debug = build
        .prune
        .keep_debug_symbols
        .then(|| format!("{stage}{}", strip::DEBUG_DIRECTORY));
    let stripped = strip::strip(host, log, &stage, &build.prune.remove, debug.as_deref())?;
    Ok(Done::built(format!("{} staged", bytes(stripped.after))))
}

/// Keeps what `pgsetup shell` needs to open the directory of a failed build, and says so.
fn left_open(
    build: &Build,
    command: &Command,
    context: &Context<'_>,
    failure: Failure,
    log: &Log,
) -> Failure {
    if failure.cause != Cause::Build {
        return failure;
    }
    let kept = FailedBuild {
        name: build.name.clone(),
        slug: build.component.clone(),
        command: command.clone(),
        log: log.path().display().to_string(),
    };
    let directory = layout::source(&build.component);
    match kept.keep(context.host) {
        Ok(()) => Failure::new(
            failure.cause,
            format_args!(
                "{failure}\n  pgsetup shell {} opens {directory} with the variables of this command, as long as that is there",
                build.name
            ),
        ),
        // The build's own failure is what matters.
        Err(_) => failure,
    }
}

/// Adds to a failed build what its output tells of the reason.
fn explained(failure: Failure, log: &Log) -> Failure {
    if failure.cause != Cause::Build {
        return failure;
    }
    let hints = hint::hints(&log.text());
    let hints: String = hints.iter().map(|hint| format!("\n  hint: {hint}")).collect();
    Failure::new(failure.cause, format_args!("{failure}{hints}"))
}

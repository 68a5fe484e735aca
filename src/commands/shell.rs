//! `pgsetup shell`: opens the directory of a failed build, with the variables of the command that failed.

use crate::cli::ShellArgs;
use crate::command::Command;
use crate::failure::{Cause, Failure, WithCause};
use crate::host::{self, Host};
use crate::layout;
use crate::report::Reporter;
use crate::step::build::failed::FailedBuild;

/// Opens a shell or runs one command in the directory. If that begins, this function does not return.
///
/// # Errors
/// No build that matches has failed, or the program cannot be started.
pub fn shell(args: &ShellArgs, reporter: &Reporter) -> Result<(), Failure> {
    let host = Host::new(&args.root);
    let failed = chosen(&FailedBuild::all(&host)?, &args.name)?;
    let directory = layout::source(&failed.slug);
    if !host.exists(&directory) {
        let message = format!(
            "the build of {} failed, but its directory {directory} no longer exists",
            failed.slug
        );
        return Err(Failure::new(Cause::Usage, message));
    }
    let needs_terminal = args.command.is_empty();
    if needs_terminal {
        reporter.line(&format!(
            "{} failed at\n  {}\nlog: {}\nThis shell has its directory and its environment.",
            failed.slug, failed.command, failed.log
        ));
        if let Some(program) = missing(&host, &failed.command) {
            reporter.line(&format!(
                "{program} is not installed here: the layer with the build packages was discarded. To build again, run\n\
                 `pgsetup install` in a container (docker run --interactive --tty), and this command after it has failed there."
            ));
        }
    }
    let command = in_place_of(&failed, &args.command);
    let error = host.become_command(&command);
    Err(error).cause(Cause::Internal)
}

/// The failed build that the arguments select.
fn chosen(all: &[FailedBuild], name: &str) -> Result<FailedBuild, Failure> {
    let is_meant = |failed: &&FailedBuild| failed.name == name || failed.slug == name;
    match all.iter().filter(is_meant).collect::<Vec<_>>().as_slice() {
        [failed] => Ok((*failed).clone()),
        [] => {
            let slugs: Vec<&str> = all.iter().map(|failed| failed.slug.as_str()).collect();
            let others = match slugs.as_slice() {
                [] => format!("there is no failed build below {}", layout::WORK),
                slugs => format!("failed: {}", slugs.join(", ")),
            };
            let message = format!(
                "no build of {name} has failed here; {others}\n  A failed build leaves its directory in {}: in its container, or in the cache\n  \
                 that a Dockerfile mounts there.",
                layout::WORK
            );
            Err(Failure::new(Cause::Usage, message))
        }
        several => {
            let slugs: Vec<&str> = several.iter().map(|failed| failed.slug.as_str()).collect();
            Err(Failure::new(
                Cause::Usage,
                format_args!(
                    "several builds of {name} have failed; name one: {}",
                    slugs.join(", ")
                ),
            ))
        }
    }
}

/// The shell or the given command, with the directory and the variables of the failed command.
fn in_place_of(failed: &FailedBuild, words: &[String]) -> Command {
    let mut command = match words {
        // The shell skips the user's startup files, which would set variables of their own.
        [] => Command::new("bash", ["--noprofile", "--norc"]).env("PS1", format!("{} \\w\\$ ", failed.slug)),
        [program, args @ ..] => Command::new(program, args.iter().cloned()),
    };
    for (name, value) in &failed.command.environment {
        command = command.env(name, value.clone());
    }
    if let Some(terminal) = host::variable("TERM") {
        command = command.env("TERM", terminal);
    }
    let directory = failed.command.directory.clone();
    command.dir(directory.unwrap_or_else(|| layout::source(&failed.slug)))
}

/// The first program that the failed command needs and that does not exist.
fn missing(host: &Host, command: &Command) -> Option<String> {
    let mut named = command
        .environment
        .get("PG_CONFIG")
        .into_iter()
        .chain([&command.program]);
    named.find(|program| !host.has_program(program)).cloned()
}

//! The commands, one file each: from arguments to the last line of output.

mod available;
mod cache;
mod doctor;
mod entrypoint;
mod explain;
mod explaining;
mod fetch;
mod init;
mod install;
mod interrupt;
mod locking;
mod manifests;
mod new;
mod outdated;
mod plan;
mod receipts;
mod schema;
mod selecting;
mod setup;
mod shell;
mod test;
mod trace_file;
mod update;
mod verify;
mod workspace;

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, FromArgMatches as _};

use crate::cli::{Cli, Command, ManifestArgs};
use crate::failure::{Cause, Failure, WithCause};
use crate::manifest::problem::Problem;
use crate::report::Reporter;
use crate::resolve::{self, ChosenBase, Purpose, Resolved, Selection};
use crate::target::Target;
use crate::{host, manifest};
use manifests::{Files, Usage};
#[cfg(test)]
pub use schema::schema_of;

/// Parses the command line of this process.
///
/// # Errors
/// The command line is wrong. The usage that is shown is the command's: clap's own names every option that is set, those
/// of the environment as well.
pub fn parse() -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(std::env::args_os());
    matches
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(|mut error| {
            if error.get(ContextKind::Usage).is_some() {
                let usage = usage(&mut command, std::env::args_os().skip(1));
                error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
            }
            error
        })
}

/// The usage of the subcommand that the first of `words` name.
fn usage(command: &mut clap::Command, mut words: impl Iterator<Item = OsString>) -> StyledStr {
    let subcommand = words
        .next()
        .filter(|word| command.find_subcommand(word).is_some());
    match subcommand.and_then(|word| command.find_subcommand_mut(word)) {
        Some(subcommand) => usage(subcommand, words),
        None => command.render_usage(),
    }
}

/// The command line, completed with exit statuses and with the variables that are set. An empty variable counts as not
/// set.
pub fn command() -> clap::Command {
    let statuses = Cause::ALL.map(|cause| format!("\n  {:>3}  {}", cause.exit_status(), cause.meaning()));
    let help = format!("Exit status:\n    0  done{}", statuses.concat());
    without_empty_variables(Cli::command()).after_help(help)
}

fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| {
        let name = arg.get_env().and_then(std::ffi::OsStr::to_str);
        name.is_some_and(host::environment::is_empty)
    };
    command
        .mut_args(|arg| {
            if is_empty(&arg) {
                arg.env(None::<&str>)
            } else {
                arg
            }
        })
        .mut_subcommands(without_empty_variables)
}

/// Runs the command that the command line names.
///
/// # Errors
/// The failure of the command, with the cause that gives the exit status.
pub fn run(command: &Command, reporter: &Reporter) -> Result<(), Failure> {
    match command {
        Command::Init(args) => init::init(args, reporter),
        Command::Entrypoint { root } => entrypoint::entrypoint(root, reporter),
        Command::List(args) => available::list(args, reporter),
        Command::Search(args) => available::search(args, reporter),
        Command::Info(args) => available::info(args, reporter),
        Command::Add(args) => selecting::add(args, reporter),
        Command::Remove(args) => selecting::remove(args, reporter),
        Command::Export(args) => selecting::export(args, reporter),
        Command::Doctor(args) => doctor::doctor(args, reporter),
        Command::Why(args) => explaining::why(args, reporter),
        Command::Diff(args) => explaining::diff(args, reporter),
        Command::Lock(args) => locking::lock(args, reporter),
        Command::Plan(args) => plan::plan(args, reporter),
        Command::Install(args) => install::install(args, reporter),
        Command::Fetch(args) => fetch::fetch(args, reporter),
        Command::Cache(args) => cache::cache(args, reporter),
        Command::Shell(args) => shell::shell(args, reporter),
        Command::Test(args) => test::test(args, reporter),
        Command::Update(args) => update::update(args, reporter),
        Command::New(args) => new::new(args, reporter),
        Command::Verify(args) => verify::verify(args, reporter),
        Command::Schema { document } => schema::schema(*document, reporter),
        Command::Completions { shell } => schema::completions(*shell, reporter),
    }
}

/// A document as JSON text.
fn json(document: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document).cause(Cause::Internal)?;
    Ok(text + "\n")
}

fn print(reporter: &Reporter, text: &str) -> Result<(), Failure> {
    reporter.result(text).cause(Cause::Internal)
}

/// The manifests for a command that takes no word but MANIFESTS.
fn files(args: &ManifestArgs, command: &str) -> Result<Files, Failure> {
    manifests::read(&args.place, Usage::of(command))
}

/// The image that the manifests and the command line select, for a target that the command line names.
fn resolved(
    files: &Files,
    args: &ManifestArgs,
    target: Option<Target>,
    reporter: &Reporter,
) -> Result<Resolved, Failure> {
    let base = ChosenBase::by(args.base.as_ref(), target.as_ref());
    let selection = Selection {
        target,
        base,
        ..selection(args)
    };
    resolved_by(files, &selection, reporter)
}

/// The same for this machine, which has to be of the base that the manifests or the command line name.
fn resolved_here(
    files: &Files,
    args: &ManifestArgs,
    machine: Target,
    reporter: &Reporter,
) -> Result<Resolved, Failure> {
    let selection = Selection {
        target: Some(machine),
        base: ChosenBase::by(args.base.as_ref(), None),
        ..selection(args)
    };
    resolved_by(files, &selection, reporter)
}

/// The image that the manifests and a selection resolve to.
fn resolved_by(files: &Files, selection: &Selection, reporter: &Reporter) -> Result<Resolved, Failure> {
    let (manifests, mut problems) = files.parse();
    match resolve::resolve(&manifests, selection) {
        Ok(resolved) if problems.is_empty() => return Ok(resolved),
        Ok(_) => {}
        Err(more) => problems.extend(more),
    }
    Err(told(&problems, reporter).expect_err("there are problems"))
}

/// Prints the problems of manifests.
///
/// # Errors
/// There are problems.
fn told(problems: &[Problem], reporter: &Reporter) -> Result<(), Failure> {
    if problems.is_empty() {
        return Ok(());
    }
    reporter.line(manifest::problem::render(problems, reporter.is_styled()).trim_end());
    Err(Failure::new(
        Cause::Manifest,
        "the manifests have problems; nothing was done",
    ))
}

/// What the command line selects, without the target.
fn selection(args: &ManifestArgs) -> Selection {
    let names = |text: &String| {
        let separators = |c: char| c == ',' || c.is_whitespace();
        let names = text.split(separators).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(str::to_owned).collect();
        // An unset build argument of a Dockerfile gives an empty list, which means the image's own list.
        (!names.is_empty()).then_some(names)
    };
    Selection {
        target: None,
        base: None,
        postgresql: args.pg.clone(),
        previous: args.previous.as_ref().and_then(names),
        extensions: args.extensions.as_ref().and_then(names),
        with: args.with.clone(),
        without: args.without.clone(),
        jit: args.jit,
        keep_build_packages: args.keep_build_deps,
        purpose: Purpose::Image,
    }
}

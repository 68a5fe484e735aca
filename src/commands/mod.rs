//! The commands, one file each: from arguments to the last line.

mod cache;
mod explain;
mod fetch;
mod install;
mod interrupt;
mod new;
mod outdated;
mod plan;
mod schema;
mod setup;
mod shell;
mod test;
mod trace_file;
mod update;
mod verify;
mod workspace;

use std::path::PathBuf;

use crate::cli::{Command, ManifestArgs};
use crate::failure::{Because, Cause, Failure};
use crate::report::Reporter;
use crate::resolve::{self, Purpose, Resolved, Selection};
use crate::target::Target;
use crate::{host, manifest};

/// Does what the command line asks for.
pub fn run(command: &Command, reporter: &Reporter) -> Result<(), Failure> {
    match command {
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

fn print(reporter: &Reporter, text: &str) -> Result<(), Failure> {
    reporter.result(text).because(Cause::Internal)
}

/// The image that the manifests and the command line select.
fn resolved(args: &ManifestArgs, target: Option<Target>, reporter: &Reporter) -> Result<Resolved, Failure> {
    resolved_by(&args.manifests, &selection(args, target), reporter)
}

/// What the manifests in these places and a selection come to.
fn resolved_by(places: &[PathBuf], selection: &Selection, reporter: &Reporter) -> Result<Resolved, Failure> {
    let files = host::fs::manifests(places).because(Cause::Manifest)?;
    let (manifests, mut problems) = manifest::parse(&files);
    match resolve::resolve(&manifests, selection) {
        Ok(resolved) if problems.is_empty() => return Ok(resolved),
        Ok(_) => {}
        Err(more) => problems.extend(more),
    }
    reporter.line(manifest::problem::render(&problems, reporter.is_styled()).trim_end());
    Err(Failure::new(
        Cause::Manifest,
        "the manifests cannot be used as they are; nothing was done",
    ))
}

fn selection(args: &ManifestArgs, target: Option<Target>) -> Selection {
    let names = |text: &String| {
        let separators = |c: char| c == ',' || c.is_whitespace();
        let names = text.split(separators).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(str::to_owned).collect();
        // An empty list is what an unset build argument of a Dockerfile gives: the image's own.
        (!names.is_empty()).then_some(names)
    };
    Selection {
        target,
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

//! pgsetup: one static binary that turns manifests into an installed PostgreSQL.
//!
//! ```text
//! manifests --parse--> Manifest --resolve(target, selection)--> Resolved --build--> Plan --run--> receipt
//!                         every problem at once, file:line:column      printed by `plan`, run by `install`
//! ```
//!
//! # Code map
//!
//! | module | what it is | may not |
//! |---|---|---|
//! | `cli` | command line types | do anything |
//! | `manifest` | YAML as written, with places; one file for each kind | open files |
//! | `target`, `digest`, `layout`, `pattern`, `command` | small parsed types: machines, digests, paths, command lines | do IO |
//! | `resolve` | manifests + target + selection -> `Resolved`, or every problem | do IO, know the time |
//! | `artifact` | the key of what is built, and what it stands for in a cache | do IO |
//! | `plan` | `Resolved` -> `Plan`; recipes; text, JSON, dot | do IO, fail |
//! | `run` | walks a plan: lanes, priorities, drain on failure | know what a step does |
//! | `explain` | `plan --explain`: why a key is another one | change anything |
//! | `install`, `fetch`, `test` | the commands of these names, from arguments to the last line | know what a step does |
//! | `upkeep` | `update` and `new`: what an archive and upstream say, and what that means for a manifest's text | install or keep anything |
//! | `shell` | the directory of a build that failed, with its variables | build |
//! | `step` | what steps do, one file for each action | know of other steps |
//! | `store` | where artifacts are looked up and left | know of steps |
//! | `supply` | where a source comes from: vendor, cache, url, mirrors | unpack, or trust |
//! | `inventory`, `closure`, `control` | which path is whose; which library is needed by whom; what creates an extension | do IO |
//! | `outcome` | what came of a test; text, TAP, JUnit | do IO |
//! | `receipt`, `sbom`, `verify` | what was installed; the same for scanners; whether it still is | change anything |
//! | `timing`, `summary`, `trace` | what steps and commands took; the table of it; the same for Perfetto | know the clock |
//! | `trace_file` | the file of `--trace`, whole however the installation ends | know what is in it |
//! | `hint` | what the complaint of a failed build means | guess |
//! | `reapi` | an artifact's entry as caches of Bazel's kind keep it | do IO |
//! | `host` | the only door to processes, files, environment and network | print |
//! | `report`, `failure` | the only printer; why pgsetup ends, and its exit status | decide |
//!
//! The invariants are in ARCHITECTURE.md, with where to make the commonest changes.

mod artifact;
mod cli;
mod closure;
mod command;
mod control;
mod digest;
mod explain;
mod failure;
mod fetch;
mod hint;
mod host;
mod install;
mod inventory;
mod layout;
mod manifest;
mod outcome;
mod pattern;
mod plan;
mod reapi;
mod receipt;
mod report;
mod resolve;
mod run;
mod sbom;
mod shell;
mod step;
mod store;
mod summary;
mod supply;
mod target;
mod test;
mod timing;
mod trace;
mod trace_file;
mod upkeep;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command, ManifestArgs, PlanArgs, PlanFormat, SchemaOf, VerifyArgs, VerifyFormat};
use failure::{Because, Cause, Failure};
use plan::Plan;
use report::Reporter;
use resolve::{Purpose, Resolved, Selection};
use target::Target;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let reporter = Reporter::default();
    let result = match &cli.command {
        Command::Plan(args) => plan(args, &reporter),
        Command::Install(args) => install::install(args, &reporter),
        Command::Fetch(args) => fetch::fetch(args, &reporter),
        Command::Cache(args) => fetch::cache(args, &reporter),
        Command::Shell(args) => shell::shell(args, &reporter),
        Command::Test(args) => test::test(args, &reporter),
        Command::Update(args) => upkeep::update(args, &reporter),
        Command::New(args) => upkeep::new(args, &reporter),
        Command::Verify(args) => verify(args, &reporter),
        Command::Schema { document } => schema(*document, &reporter),
        Command::Completions { shell } => completions(*shell, &reporter),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            reporter.failure(&failure);
            ExitCode::from(failure.cause.exit_status())
        }
    }
}

/// `pgsetup plan`.
fn plan(args: &PlanArgs, reporter: &Reporter) -> Result<(), Failure> {
    let resolved = resolved(&args.manifests, args.target.clone(), reporter)?;
    let plan: Plan = plan::build(&resolved);
    if let Some(name) = &args.explain {
        return print(reporter, &explain::explain(&plan, name, &args.against)?);
    }
    print(
        reporter,
        &match args.format {
            PlanFormat::Text => plan::text::render(&plan, args.verbose),
            PlanFormat::Json => plan::json::render(&plan),
            PlanFormat::Dot => plan::dot::render(&plan),
        },
    )
}

/// `pgsetup verify`.
fn verify(args: &VerifyArgs, reporter: &Reporter) -> Result<(), Failure> {
    let found = verify::verify(&host::Host::new(&args.root))?;
    let text = match args.format {
        VerifyFormat::Text => verify::text(&found),
        VerifyFormat::Json => verify::json(&found)?,
    };
    print(reporter, &text)?;
    match found.differences.len() {
        0 => Ok(()),
        1 => Err(Failure::new(Cause::Test, "1 difference from the receipt")),
        count => Err(Failure::new(
            Cause::Test,
            format_args!("{count} differences from the receipt"),
        )),
    }
}

/// `pgsetup schema`.
fn schema(document: SchemaOf, reporter: &Reporter) -> Result<(), Failure> {
    let schema = match document {
        SchemaOf::Manifest => manifest::schema(),
        SchemaOf::Plan => schemars::schema_for!(plan::json::Document).to_value(),
        SchemaOf::Receipt => schemars::schema_for!(receipt::Receipt).to_value(),
        SchemaOf::Verification => schemars::schema_for!(verify::Verification).to_value(),
    };
    print(reporter, &format!("{schema:#}\n"))
}

/// `pgsetup completions`.
fn completions(shell: clap_complete::Shell, reporter: &Reporter) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pgsetup", &mut script);
    print(reporter, &String::from_utf8_lossy(&script))
}

fn print(reporter: &Reporter, text: &str) -> Result<(), Failure> {
    reporter.result(text).because(Cause::Internal)
}

/// The image that the manifests and the command line select.
fn resolved(args: &ManifestArgs, target: Option<Target>, reporter: &Reporter) -> Result<Resolved, Failure> {
    resolved_by(&args.manifests, &selection(args, target), reporter)
}

/// What the manifests in these places and a selection come to.
fn resolved_by(
    places: &[std::path::PathBuf],
    selection: &Selection,
    reporter: &Reporter,
) -> Result<Resolved, Failure> {
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

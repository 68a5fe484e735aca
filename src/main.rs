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
//! | `catalogue` | the manifests that the binary carries | know what they mean |
//! | `locked` | the lock of an image, and what has moved since it was written | do IO |
//! | `manifest` | YAML as written, with places; one file for each kind; patterns of paths | open files |
//! | `crates` | what a `Cargo.lock` names; what is recorded of crates | do IO |
//! | `target`, `digest`, `layout`, `command`, `timing`, `lock` | small values: machines, digests, paths, command lines, times | do IO |
//! | `resolve` | manifests + target + selection -> `Resolved`, or every problem | do IO, know the time |
//! | `artifact` | the key of what is built, and what it stands for in a cache | do IO |
//! | `plan` | `Resolved` -> `Plan`; recipes; text, JSON, dot | do IO, fail |
//! | `run` | walks a plan: lanes, priorities, drain on failure; what its steps took | know what a step does |
//! | `commands` | one file for each command, from arguments to the last line; what several begin with | know what a step does |
//! | `upstream` | what an archive and upstream say, and what that means for a manifest's text | do IO |
//! | `step` | what steps do: build, install, clean, prove, recover; one file for each action | know of other steps |
//! | `store` | what is kept: the cache of files and artifacts, here and on another machine | know of steps |
//! | `source` | where a source comes from: vendor, cache, url, mirrors | unpack, or trust |
//! | `control` | what creates an extension | do IO |
//! | `record` | the documents of an image: inventory, receipt, bills of materials | do IO |
//! | `image` | facts about a root: packages, libraries, scripts, rights; what needs what | change anything |
//! | `verify` | compares an image with its receipt | change anything |
//! | `archive` | unpacks sources and stages, packs stages | know what is in them |
//! | `output` | the errors in what commands print, by the forms of programs | do IO |
//! | `debian` | dpkg's and apt's databases and formats | write them |
//! | `host` | the only door to processes, files, environment and network | print |
//! | `reference` | the pages of `docs/reference`, compiled for tests only | be needed by anything |
//! | `report` | all that is printed: the printer, the summary, the trace, results of tests | decide |
//! | `failure` | why pgsetup ends, and its exit status | print |
//!
//! The invariants are in ARCHITECTURE.md, with where to make the commonest changes.

// What the doors are for (`clippy.toml`). Unit tests open what they like.
#![cfg_attr(
    not(test),
    warn(
        clippy::dbg_macro,
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::print_stderr,
        clippy::print_stdout
    )
)]

mod archive;
mod artifact;
mod catalogue;
mod cli;
mod command;
mod commands;
mod control;
mod crates;
mod debian;
mod digest;
mod failure;
mod host;
mod image;
mod layout;
mod lock;
mod locked;
mod manifest;
mod output;
mod plan;
mod record;
#[cfg(test)]
mod reference;
mod report;
mod resolve;
mod run;
mod source;
mod step;
mod store;
mod target;
mod timing;
mod upstream;
mod verify;

use std::process::ExitCode;

use report::Reporter;

fn main() -> ExitCode {
    let cli = commands::parse().unwrap_or_else(|error| error.exit());
    let reporter = Reporter::default();
    match commands::run(&cli.command, &reporter) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            reporter.failure(&failure);
            ExitCode::from(failure.cause.exit_status())
        }
    }
}

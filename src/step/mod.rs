//! The actions of steps: one file for each kind.
//!
//! An action knows its own data and the [`Context`], and nothing of other steps. To add one, add a variant to
//! `plan::Action`, insert it in `plan::build`, and write a file here.

pub mod build;
pub mod clean;
pub mod context;
pub mod fetch;
pub mod install;
pub mod prove;
pub mod receipt;
pub mod recover;

use std::sync::PoisonError;
use std::time::Duration;

use crate::failure::{Cause, Failure, WithCause};
use crate::host::{Log, usage};
use crate::image::base::{FilesBefore, PackagesBefore};
use crate::layout;
use crate::lock::lock;
use crate::plan::{Action, Build, Part, Step};
use crate::record::inventory::{Content, InstalledFile};
use build::artifacts;
use context::{Context, Done, Spent};
use install::{files, merge, packages, program, user};
use recover::unfinished::Note;

/// Performs one step. Returns `None` if the step has to wait for another process and is to be tried again.
///
/// # Errors
/// The action failed, or the step's log cannot be written.
pub fn perform(step: &Step, context: &Context<'_>) -> Result<Option<Done>, Failure> {
    let path = context
        .host
        .reach(layout::log(&context.test_options.logs, &step.name))?;
    let log =
        Log::open(&path).map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))?;
    let before = usage::of_this_thread();
    let _changing = changes_root(&step.action)
        .then(|| context.state.root.write().unwrap_or_else(PoisonError::into_inner));
    let result = act(step, context, &log);
    let commands = log.take_ran();
    let own = usage::of_this_thread().saturating_sub(before);
    let cpu = own + commands.iter().map(|ran| ran.cpu).sum::<Duration>();
    lock(&context.state.spent).insert(step.name.clone(), Spent { cpu, commands });
    result
}

/// Whether an action changes what is installed. Builds and tests have directories of their own.
fn changes_root(action: &Action) -> bool {
    match action {
        Action::Fetch { .. }
        | Action::FetchDistributions(_)
        | Action::FetchCrates(_)
        | Action::Unpack { .. }
        | Action::Build(_)
        | Action::TryOut(_)
        | Action::InitialiseTemplate(_) => false,
        action => !action.is_test() && !matches!(action, Action::PrepareUpgrade(_)),
    }
}

fn act(step: &Step, context: &Context<'_>, log: &Log) -> Result<Option<Done>, Failure> {
    let (host, state) = (context.host, &context.state);
    let done = |()| String::new();
    let reject = |failure| artifacts::reject_named(context, failure);
    let note = match &step.action {
        Action::RecordBase => {
            let take = || PackagesBefore::take(host, state.earlier.get());
            let before = match state.unfinished.get() {
                Some(unfinished) => unfinished.base(host, take)?,
                None => take()?,
            };
            let note = format!("{} packages", before.packages.len());
            // A plan has one such step, so the cell is empty.
            let _ = state.packages_before.set(before);
            note
        }
        Action::RecordBaseFiles => {
            let take = || FilesBefore::take(host, state.earlier.get());
            let before = match state.unfinished.get() {
                Some(unfinished) => unfinished.files(host, take)?,
                None => take()?,
            };
            let _ = state.files_before.set(before);
            String::new()
        }
        Action::CreateUser(user) => {
            let note = user::create(host, user, &step.action.commands(), log)?;
            state.note(host, &Note::UserMade)?;
            note
        }
        Action::CreateDirectories { directories, user } => {
            state.note_new(host, directories.iter().map(|directory| directory.path.as_str()))?;
            files::directories(host, directories, user)?
        }
        Action::WriteFile { path, text } => {
            state.note_new(host, [path.as_str()])?;
            host.write(path, text, files::ROOT_FILE).map(done)?
        }
        Action::Run(commands) => {
            commands.iter().try_for_each(|command| host.run(command, log))?;
            String::new()
        }
        Action::LookUpArtifacts { recipes, simulation } => {
            artifacts::look_up(recipes, simulation, context, log)?
        }
        Action::IndexLockedPackages(lock) => packages::index(lock, context)?,
        Action::InstallPackages(installation) => packages::install(installation, context, log)?,
        Action::Fetch { component, .. } if state.artifacts().is_at_hand(component) => {
            return Ok(Some(Done::cached(NOT_NEEDED.to_owned())));
        }
        Action::Fetch { source, .. } => return fetch::source(source, &step.name, context).map(Some),
        Action::FetchDistributions(fetch) if state.artifacts().is_at_hand(&fetch.component) => {
            return Ok(Some(Done::cached(NOT_NEEDED.to_owned())));
        }
        Action::FetchDistributions(fetch) => {
            return fetch::distributions(fetch, &step.name, context).map(Some);
        }
        Action::FetchCrates(fetch) if state.artifacts().is_at_hand(&fetch.component) => {
            return Ok(Some(Done::cached(NOT_NEEDED.to_owned())));
        }
        Action::FetchCrates(fetch) => return fetch::crates(fetch, &step.name, context).map(Some),
        Action::Unpack { component, .. } | Action::Build(Build { component, .. })
            if state.artifacts().unneeded.contains(component) =>
        {
            return Ok(Some(Done::cached(
                "not needed: nothing is built with it".to_owned(),
            )));
        }
        Action::Unpack { component, sources } => {
            return build::begin(component, sources, context)
                .map(Some)
                .map_err(reject);
        }
        Action::Build(build) => return build::build(build, context, log).map_err(reject),
        Action::Install { component, part } => install(component, *part, context).map_err(reject)?,
        Action::Prune(policy) => clean::prune(policy, context)?,
        Action::RemoveBuildPackages { keep, declared } => {
            clean::remove_build_packages(keep, declared, context, log).map_err(reject)?
        }
        Action::RemoveLeftovers(policy) => clean::remove_leftovers(policy, context)?,
        Action::CheckLibraries { declared } => clean::check_libraries(declared, context).map_err(reject)?,
        Action::KeepProgram => program::install(context)?,
        Action::Uninstall { component } => uninstall(component, context)?,
        Action::TryOut(try_out) => prove::image(try_out, context, log).map_err(reject)?,
        Action::RemoveCluster => host.remove(&context.test_options.directory).map(done)?,
        Action::InitialiseTemplate(server) => prove::template(server, context, log)?,
        Action::TestExtension(test) => prove::extension(test, context, log)?,
        Action::PrepareUpgrade(test) => prove::prepare_upgrade(test, context, log)?,
        Action::TestUpgrade(test) => prove::finish_upgrade(test, context, log)?,
        Action::TestUpstream(test) => prove::upstream(test, context, log)?,
        Action::TakeStock(resolved) => receipt::stock::take(resolved, context).map_err(reject)?,
        Action::WriteReceipt(resolved) => receipt::write(resolved, context).map_err(reject)?,
    };
    Ok(Some(note.into()))
}

/// The note of a step that an artifact makes unnecessary.
const NOT_NEEDED: &str = "not needed: the artifact is at hand";

/// Removes the files of a component, so that none of them remains beside those of its next version.
fn uninstall(component: &str, context: &Context<'_>) -> Result<String, Failure> {
    let mut inventory = context.state.inventory();
    let is_its = |file: &&InstalledFile| file.component == component;
    // Children before their directories.
    let files: Vec<InstalledFile> = inventory.iter().rev().filter(is_its).cloned().collect();
    for file in &files {
        if file.content == Content::Directory {
            context.host.remove_empty_directory(&file.path)?;
        } else {
            context.host.remove(&file.path)?;
        }
        inventory.remove(&file.path);
    }
    Ok(format!("{} files", files.len()))
}

/// Moves the stage of a component into the root.
fn install(component: &str, part: Part, context: &Context<'_>) -> Result<String, Failure> {
    let stage = layout::stage(component);
    if part == Part::Second && !context.host.exists(&stage) {
        return Ok("was installed with the first part".to_owned());
    }
    let files = merge::merge(
        context.host,
        &stage,
        component,
        &mut context.state.inventory(),
        &|paths| {
            context
                .state
                .note_new(context.host, paths.iter().map(String::as_str))
        },
    )
    .map_err(|error| artifacts::reject(component, context, error))
    .cause(Cause::Build)?;
    context.host.remove(&stage)?;
    if part != Part::First {
        context.host.remove(layout::source(component))?;
        context.host.remove(layout::crates(component))?;
    }
    Ok(format!("{} files", files.len()))
}

//! What steps do: one file for each kind of action.
//!
//! An action knows its own data and the [`Context`]; it knows nothing of other steps. To add one: a variant in
//! `plan::Action`, a place for it in `plan::build`, and a file here.

pub mod artifacts;
mod build;
mod chance;
mod clean;
pub mod cluster;
pub mod earlier;
pub mod failed;
pub mod fetch;
mod files;
mod licence;
pub mod merge;
mod packages;
pub mod program;
pub mod prove;
pub mod prune;
pub mod purge;
pub mod receipt;
pub mod repair;
pub mod strip;
pub mod times;
pub mod tokens;
pub mod unfinished;
pub mod user;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::archive::symbols::Archive;
use crate::digest::Sha256;
use crate::failure::{Because, Cause, Failure};
use crate::host::{Host, Log, usage};
use crate::image::base::{PackagesBefore, Purged};
use crate::image::needs::Needs;
use crate::layout;
use crate::lock::lock;
use crate::outcome::Outcome;
use crate::plan::{Action, Part, Step};
use crate::record::inventory::{Content, InstalledFile, Inventory};
use crate::record::receipt::Receipt;
use crate::report::Reporter;
use crate::source::Supply;
use crate::store::Store;
use crate::timing::{Origin, Ran};
use artifacts::Artifacts;
use tokens::Tokens;
use unfinished::{Note, Unfinished};

/// What actions work with, and what they leave for the receipt.
#[derive(Debug)]
pub struct Context<'a> {
    /// The machine.
    pub host: &'a Host,
    /// The printer.
    pub reporter: &'a Reporter,
    /// Where sources and artifacts come from; none where nothing is installed.
    pub origins: Option<Origins<'a>>,
    /// The tokens that all builds share.
    pub tokens: &'a Tokens,
    /// The directory of this machine for the archive with symbols for debuggers.
    pub debug_symbols: &'a Path,
    /// How things are proved.
    pub manner: prove::Manner,
    /// What has come of the steps so far.
    pub state: State<'a>,
}

/// Where what is installed comes from.
#[derive(Debug)]
pub struct Origins<'a> {
    /// Where sources come from.
    pub supply: &'a Supply,
    /// Where artifacts are looked up and left.
    pub store: Store<'a>,
}

impl<'a> Context<'a> {
    fn origins(&self) -> anyhow::Result<&Origins<'a>> {
        let origins = self.origins.as_ref();
        origins.ok_or_else(|| anyhow::anyhow!("nothing is installed here, so nothing can be obtained"))
    }

    /// Where sources come from.
    ///
    /// # Errors
    /// Nothing is installed.
    pub fn supply(&self) -> anyhow::Result<&'a Supply> {
        Ok(self.origins()?.supply)
    }

    /// Where artifacts are looked up and left.
    ///
    /// # Errors
    /// Nothing is installed.
    pub fn store(&self) -> anyhow::Result<&Store<'a>> {
        Ok(&self.origins()?.store)
    }
}

/// What steps have found out and done.
#[derive(Debug, Default)]
pub struct State<'a> {
    artifacts: OnceLock<Artifacts<'a>>,
    archives: Mutex<BTreeMap<Sha256, PathBuf>>,
    inventory: Mutex<Inventory>,
    packages_before: OnceLock<PackagesBefore>,
    needs_before: OnceLock<Needs>,
    purged: OnceLock<Purged>,
    /// The archive with symbols for debuggers.
    debug_symbols: OnceLock<Archive>,
    /// The receipt of an installation that was here before.
    earlier: OnceLock<Receipt>,
    /// What another run needs to know if this one does not come to its end; a test of extensions keeps no such record.
    unfinished: OnceLock<Unfinished>,
    spent: Mutex<BTreeMap<String, Spent>>,
    outcomes: Mutex<Vec<Outcome>>,
    /// Of each server, by its program: the symbols that it brings.
    server_symbols: Mutex<BTreeMap<String, Arc<BTreeSet<String>>>>,
}

/// What a step has used, whether it failed or not.
#[derive(Debug, Default)]
pub struct Spent {
    /// Processor time: of its own thread, and of its commands.
    pub cpu: Duration,
    /// The commands it ran.
    pub commands: Vec<Ran>,
}

impl State<'_> {
    /// What the step of this name has used.
    pub fn take_spent(&self, step: &str) -> Spent {
        lock(&self.spent).remove(step).unwrap_or_default()
    }

    /// What came of the tests so far, in the order in which they ended.
    pub fn take_outcomes(&self) -> Vec<Outcome> {
        std::mem::take(&mut lock(&self.outcomes))
    }
}

/// What came of a step.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Where its result comes from.
    pub origin: Origin,
    /// A line on it; may be empty.
    pub note: String,
}

impl Done {
    /// Something that was built.
    pub fn built(note: String) -> Self {
        let origin = Origin::Built;
        Self { origin, note }
    }

    /// Something that was taken from a cache.
    pub fn cached(note: String) -> Self {
        let origin = Origin::Cached;
        Self { origin, note }
    }

    /// Something that was downloaded.
    pub fn fetched(note: String) -> Self {
        let origin = Origin::Fetched;
        Self { origin, note }
    }
}

/// Something that no cache knows of.
impl From<String> for Done {
    fn from(note: String) -> Self {
        let origin = Origin::Done;
        Self { origin, note }
    }
}

impl<'a> State<'a> {
    /// What need not be built.
    fn artifacts(&self) -> &Artifacts<'a> {
        // Every plan looks them up before any step asks.
        self.artifacts.get_or_init(Artifacts::default)
    }
}

/// Performs one step; returns what came of it, or `None` where it cannot be done yet.
pub fn perform(step: &Step, context: &Context<'_>) -> Result<Option<Done>, Failure> {
    let path = context
        .host
        .reach(layout::log(&context.manner.logs, &step.name))?;
    let log =
        Log::open(&path).map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))?;
    let before = usage::of_this_thread();
    let result = act(step, context, &log);
    let commands = log.take_ran();
    let own = usage::of_this_thread().saturating_sub(before);
    let cpu = own + commands.iter().map(|ran| ran.cpu).sum::<Duration>();
    lock(&context.state.spent).insert(step.name.clone(), Spent { cpu, commands });
    result
}

fn act(step: &Step, context: &Context<'_>, log: &Log) -> Result<Option<Done>, Failure> {
    let (host, state) = (context.host, &context.state);
    let done = |()| String::new();
    let suspected = |failure| artifacts::suspected(context, failure);
    let note = match &step.action {
        Action::RecordBase => {
            let take = || PackagesBefore::take(host, state.earlier.get());
            let before = match state.unfinished.get() {
                Some(unfinished) => unfinished.base(host, take)?,
                None => take()?,
            };
            let note = format!("{} packages", before.packages.len());
            // Performed once: the plan has one such step.
            let _ = state.packages_before.set(before);
            note
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
        Action::Unpack { component, .. } if state.artifacts().is_at_hand(component) => {
            return Ok(Some(Done::cached(NOT_NEEDED.to_owned())));
        }
        Action::Unpack { component, sources } => {
            let _token = context.tokens.of_build().because(Cause::Internal)?;
            build::unpack(&layout::source(component), sources, context)?;
            String::new()
        }
        Action::Build(build) => return build::build(build, context, log).map_err(suspected),
        Action::Install { component, part } => install(component, *part, context).map_err(suspected)?,
        Action::Prune(policy) => clean::prune(policy, context)?,
        Action::RemoveBuildPackages { keep, declared } => {
            clean::remove_build_packages(keep, declared, context, log).map_err(suspected)?
        }
        Action::RemoveLeftovers(policy) => clean::remove_leftovers(policy, context)?,
        Action::CheckLibraries { declared } => {
            clean::check_libraries(declared, context).map_err(suspected)?
        }
        Action::KeepProgram => program::install(context)?,
        Action::Uninstall { component } => uninstall(component, context)?,
        Action::TryOut(try_out) => prove::image(try_out, context, log).map_err(suspected)?,
        Action::InitialiseTemplate(server) => prove::template(server, context, log)?,
        Action::TestExtension(test) => prove::extension(test, context, log)?,
        Action::PrepareUpgrade(test) => prove::prepare_upgrade(test, context, log)?,
        Action::TestUpgrade(test) => prove::finish_upgrade(test, context, log)?,
        Action::TestUpstream(test) => prove::upstream(test, context, log)?,
        Action::WriteReceipt(resolved) => receipt::write(resolved, context).map_err(suspected)?,
    };
    Ok(Some(note.into()))
}

/// What is said of a step that an artifact makes superfluous.
const NOT_NEEDED: &str = "not needed: the artifact is at hand";

/// Removes what a component has installed, so that nothing of it is left beside what comes after it.
fn uninstall(component: &str, context: &Context<'_>) -> Result<String, Failure> {
    let mut inventory = lock(&context.state.inventory);
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
        &mut lock(&context.state.inventory),
        &|paths| {
            context
                .state
                .note_new(context.host, paths.iter().map(String::as_str))
        },
    )
    .map_err(|error| artifacts::refused(component, context, error))
    .because(Cause::Build)?;
    context.host.remove(&stage)?;
    if part != Part::First {
        context.host.remove(layout::source(component))?;
    }
    Ok(format!("{} files", files.len()))
}

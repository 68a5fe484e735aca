//! Looks up which components are built already. It completes the key of every recipe with the versions of the packages
//! that its build would see on this machine, and looks each key up.
//!
//! Nothing is installed for that. apt simulates the installation, and dpkg's database and apt's lists have the
//! dependencies. From these the closure of each recipe's packages is computed. So a new version of a development package
//! changes only the keys of components that see it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, anyhow, bail};

use super::known::{Artifacts, Known, State};
use super::unknown;
use crate::artifact::{Inputs, Key, Recipe};
use crate::command::Command;
use crate::debian::dpkg::{self, Dpkg};
use crate::failure::{Cause, Failure};
use crate::host::{Host, Log};
use crate::layout;
use crate::step::context::Context;
use crate::step::install::merge;
use crate::store::{self, ArtifactRequest};

/// Removes the artifact of a component that cannot be installed, so that the next run builds it. Returns `error` with a
/// line about that.
pub fn reject(component: &str, context: &Context<'_>, error: anyhow::Error) -> anyhow::Error {
    let known = context.state.artifacts().of(component);
    match known.filter(|known| known.at_hand().is_some()) {
        Some(known) => anyhow!("{error:#}{}", evict(known, context, &format!("{error:#}"))),
        None => error,
    }
}

/// Removes every artifact from a remote cache that a failure names, or a file of which it names. Such an artifact may be
/// the cause, and building it here settles that.
pub fn reject_named(context: &Context<'_>, failure: Failure) -> Failure {
    if failure.cause == Cause::Interrupted {
        return failure;
    }
    let message = failure.to_string();
    let inventory = context.state.inventory();
    let is_named = |slug: &str, known: &Known<'_>| {
        let mut files = inventory.iter().filter(|file| file.component == slug);
        names(&message, &known.inputs.component) || files.any(|file| names(&message, &file.path))
    };
    let artifacts = context.state.artifacts();
    let named = artifacts
        .known
        .iter()
        .filter(|(_, known)| known.at_hand().is_some_and(|artifact| artifact.entry.fetched))
        .filter(|(slug, known)| is_named(slug, known));
    // Artifacts that were compiled against a suspect are suspects, too.
    let suspects: BTreeMap<Key, &Known<'_>> = named
        .flat_map(|(_, known)| with_dependents(known, artifacts))
        .map(|known| (known.key, known))
        .collect();
    let is_new = |known: &&&Known<'_>| !message.contains(&eviction(known));
    let notes: String = suspects
        .values()
        .filter(is_new)
        .map(|known| evict(known, context, &message))
        .collect();
    Failure::new(failure.cause, format_args!("{message}{notes}"))
}

/// An artifact, and those that were compiled against it.
fn with_dependents<'k, 'a>(known: &'k Known<'a>, artifacts: &'k Artifacts<'a>) -> Vec<&'k Known<'a>> {
    let all = artifacts.known.values();
    let is_dependent = |other: &&Known<'_>| other.inputs.postgresql == Some(known.key);
    std::iter::once(known).chain(all.filter(is_dependent)).collect()
}

/// Removes an artifact from the cache. Returns a line about that for the message, with the line end before it.
fn evict(known: &Known<'_>, context: &Context<'_>, why: &str) -> String {
    let component = &known.inputs.component;
    let rejected = context.store().and_then(|store| store.reject(known.key, why));
    match rejected {
        Ok(()) => format!("\n  {}", eviction(known)),
        Err(error) => format!("\n  the artifact of {component} cannot be read from the cache: {error:#}"),
    }
}

/// The line about an artifact that was removed.
fn eviction(known: &Known<'_>) -> String {
    let component = &known.inputs.component;
    format!("the artifact of {component} was removed from the cache; run again to build it")
}

/// Whether a text contains `name` as a whole word.
fn names(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part))
}

/// Validates a packed tree: unpacks it to the stage of its component and looks for what `merge` would reject.
fn validate(packed: &Path, component: &str, context: &Context<'_>) -> Result<()> {
    let (host, stage) = (context.host, layout::stage(component));
    host.remove(&stage)?;
    store::unpack(packed, &host.reach(&stage)?)?;
    let findings = merge::validate(host, &stage, component, &context.state.inventory())?;
    host.remove(&stage)?;
    match findings.as_slice() {
        [] => Ok(()),
        [first] => bail!("{first}"),
        [first, more @ ..] => bail!("{first}; {} more", more.len()),
    }
}

/// Looks up the artifact of every recipe. `simulation` is the command that asks apt what it would install.
///
/// # Errors
/// apt does not know a package, or cannot be run; or the cache has a fault that is not about one artifact.
pub fn look_up(
    recipes: &[Recipe],
    simulation: &Command,
    context: &Context<'_>,
    log: &Log,
) -> Result<String, Failure> {
    let future = unknown::ask(simulation, context, log)?;
    let mut artifacts = Artifacts {
        upgraded: future.upgraded.clone(),
        ..Artifacts::default()
    };
    let mut complete = future.complete(recipes);
    // Tools come last, because those that nothing is built with are not looked up.
    complete.sort_by_key(|(recipe, _)| recipe.is_tool);
    for (recipe, inputs) in complete {
        let is_user = |other: &&Recipe| other.tool.as_ref() == Some(&recipe.slug);
        let is_needed = |user: &Recipe| !artifacts.is_at_hand(&user.slug);
        if recipe.is_tool && !recipes.iter().filter(is_user).any(is_needed) {
            artifacts.unneeded.insert(recipe.slug.clone());
            continue;
        }
        let key = inputs.key();
        let component = &inputs.component;
        let damaged = |why: &str| {
            let line = format!("       the artifact of {component} is not used and is built again: {why}");
            context.reporter.line(&line);
        };
        let wanted = ArtifactRequest { key, inputs: &inputs };
        let validate = |packed: &Path| validate(packed, &recipe.slug, context);
        let state = match context.store()?.obtain(wanted, &validate, damaged) {
            Some(artifact) => State::AtHand(artifact),
            None => State::Missing,
        };
        let known = Known {
            key,
            state: Mutex::new(state),
            waited: AtomicBool::new(false),
            restored: AtomicBool::new(false),
            inputs,
        };
        artifacts.known.insert(recipe.slug.clone(), known);
    }
    let at_hand = recipes.iter().filter(|recipe| artifacts.is_at_hand(&recipe.slug));
    for note in context.store()?.take_notes() {
        context.reporter.line(&format!("       {note}"));
    }
    let note = format!("{} of {} at hand", at_hand.count(), recipes.len());
    // A plan has one such step, so the cell is empty.
    let _ = context.state.artifacts.set(artifacts);
    Ok(note)
}

/// The command that prints the records of these packages, from the archive that `simulation` asks.
pub fn show(simulation: &Command, names: impl Iterator<Item = String>) -> Command {
    let archive = simulation
        .args
        .iter()
        .filter(|word| word.starts_with("--config-file="));
    Command::new("apt-cache", archive.cloned())
        .args(["show", "--quiet", "--no-all-versions"])
        .args(names)
}

/// The packages of the machine as they would be with every build package installed.
pub struct Future {
    dpkg: Dpkg,
    upgraded: BTreeSet<String>,
}

impl Future {
    /// Asks apt and dpkg. It changes nothing.
    ///
    /// # Errors
    /// apt does not know a package, or cannot be run.
    pub fn ask(host: &Host, simulation: &Command, log: &Log) -> Result<Self, Failure> {
        let mut dpkg = (*host.dpkg()?).clone();
        let coming = dpkg::parse_simulation(&host.capture(simulation, log)?);
        let upgraded = coming.keys().filter(|name| dpkg.packages.contains_key(*name));
        let upgraded = upgraded.cloned().collect();
        if !coming.is_empty() {
            let names = coming.iter().map(|(name, version)| format!("{name}={version}"));
            let records = host.capture(&show(simulation, names), log)?;
            dpkg.packages
                .extend(dpkg::parse_records(&records, dpkg.architecture.as_deref()));
        }
        Ok(Self { dpkg, upgraded })
    }

    /// Whether a package of this name is installed then, or one provides it.
    pub fn has(&self, name: &str) -> bool {
        let packages = &self.dpkg.packages;
        packages.contains_key(name)
            || packages
                .values()
                .any(|package| package.provides.iter().any(|one| one == name))
    }

    /// Every recipe with its complete inputs. A recipe has to come before those that are compiled against it.
    pub fn complete<'r>(&self, recipes: &'r [Recipe]) -> Vec<(&'r Recipe, Inputs)> {
        let mut keys: BTreeMap<&str, Key> = BTreeMap::new();
        let mut complete = Vec::new();
        for recipe in recipes {
            let inputs = Inputs {
                packages: self.seen(&recipe.packages),
                postgresql: recipe.against.as_deref().and_then(|slug| keys.get(slug).copied()),
                tool: recipe.tool.as_deref().and_then(|slug| keys.get(slug).copied()),
                ..recipe.inputs.clone()
            };
            keys.insert(&recipe.slug, inputs.key());
            complete.push((recipe, inputs));
        }
        complete
    }

    /// The packages that a build sees, with their versions: those that it names, the essential ones, and their dependencies.
    /// Essential packages count because a recipe may run a program such as `sed` without naming its package.
    fn seen(&self, names: &[String]) -> BTreeMap<String, String> {
        let packages = &self.dpkg.packages;
        let essential = packages.values().filter(|package| package.essential);
        let essential = essential.map(|package| package.name.as_str());
        let needed = self
            .dpkg
            .needed(names.iter().map(String::as_str).chain(essential));
        let version = |name: String| {
            let version = packages[&name].version.clone();
            (name, version)
        };
        needed.into_keys().map(version).collect()
    }
}

//! What actions work with, and what they leave for the receipt.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use anyhow::Result;

use super::build::known::Artifacts;
use super::build::tokens::Tokens;
use super::recover::unfinished::{self, Note, Unfinished};
use crate::archive::symbols::Archive;
use crate::debian::dpkg::Package;
use crate::digest::Sha256;
use crate::host::Host;
use crate::image::base::{PackagesBefore, Purged};
use crate::image::needs::Needs;
use crate::layout;
use crate::lock::lock;
use crate::record::inventory::Inventory;
use crate::record::receipt::Receipt;
use crate::report::Reporter;
use crate::report::outcome::Outcome;
use crate::run::timing::ResultOrigin;
use crate::source::Sources;
use crate::store::Store;
use crate::timing::Ran;

/// What actions work with, and what they leave for the receipt.
#[derive(Debug)]
pub struct Context<'a> {
    /// The machine.
    pub host: &'a Host,
    /// The printer.
    pub reporter: &'a Reporter,
    /// Where sources and artifacts come from; none where nothing is installed.
    pub providers: Option<Providers<'a>>,
    /// The tokens that all builds share.
    pub tokens: &'a Tokens,
    /// The directory of this machine for the archive with symbols for debuggers.
    pub debug_symbols: &'a Path,
    /// How things are proved.
    pub test_options: TestOptions,
    /// What has come of the steps so far.
    pub state: State<'a>,
}

/// Where what is installed comes from.
#[derive(Debug)]
pub struct Providers<'a> {
    /// Where sources come from.
    pub sources: &'a Sources,
    /// Where artifacts are looked up and left.
    pub store: Store<'a>,
}

impl<'a> Context<'a> {
    fn providers(&self) -> Result<&Providers<'a>> {
        let providers = self.providers.as_ref();
        providers.ok_or_else(|| anyhow::anyhow!("nothing is installed here, so nothing can be obtained"))
    }

    /// Where sources come from.
    ///
    /// # Errors
    /// Nothing is installed.
    pub fn sources(&self) -> Result<&'a Sources> {
        Ok(self.providers()?.sources)
    }

    /// Where artifacts are looked up and left.
    ///
    /// # Errors
    /// Nothing is installed.
    pub fn store(&self) -> Result<&Store<'a>> {
        Ok(&self.providers()?.store)
    }
}

/// What steps have found out and done.
#[derive(Debug, Default)]
pub struct State<'a> {
    pub(super) artifacts: OnceLock<Artifacts<'a>>,
    pub(super) archives: Mutex<BTreeMap<Sha256, PathBuf>>,
    pub(super) inventory: Mutex<Inventory>,
    pub(super) packages_before: OnceLock<PackagesBefore>,
    pub(super) needs_before: OnceLock<Needs>,
    pub(super) purged: OnceLock<Purged>,
    /// The archive with symbols for debuggers.
    pub(super) debug_symbols: OnceLock<Archive>,
    /// The receipt of an installation that was here before.
    pub(super) earlier: OnceLock<Receipt>,
    /// What another run needs to know if this one does not come to its end; a test of extensions keeps no such record.
    pub(super) unfinished: OnceLock<Unfinished>,
    pub(super) spent: Mutex<BTreeMap<String, Spent>>,
    pub(super) outcomes: Mutex<Vec<Outcome>>,
    /// Of each server, by its program: the symbols that it brings.
    pub(super) server_symbols: Mutex<BTreeMap<String, Arc<BTreeSet<String>>>>,
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
    /// Every path that is installed so far.
    pub fn inventory(&self) -> MutexGuard<'_, Inventory> {
        lock(&self.inventory)
    }

    /// What the step of this name has used.
    pub fn take_spent(&self, step: &str) -> Spent {
        lock(&self.spent).remove(step).unwrap_or_default()
    }

    /// What came of the tests so far, in the order in which they ended.
    pub fn take_outcomes(&self) -> Vec<Outcome> {
        std::mem::take(&mut lock(&self.outcomes))
    }
}

impl State<'_> {
    /// Takes down what the installation comes to.
    pub fn note(&self, host: &Host, note: &Note) -> Result<()> {
        match self.unfinished.get() {
            Some(_) => unfinished::note(host, note),
            None => Ok(()),
        }
    }

    /// Takes down those of `paths`, and of the directories above them, that are not there yet.
    pub fn note_new<'p>(&self, host: &Host, paths: impl IntoIterator<Item = &'p str>) -> Result<()> {
        let mut new = BTreeSet::new();
        for path in paths {
            let mut path = path;
            while !path.is_empty() && !new.contains(path) && host.look(path)?.is_none() {
                new.insert(path.to_owned());
                path = path.rsplit_once('/').map_or("", |(above, _)| above);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        self.note(host, &Note::New(new.into_iter().collect()))
    }

    /// Takes down those of `paths` that are not there yet, and the directories above them. What somebody else makes at such
    /// a path, by a command, is of the installation with all that is in it.
    pub fn note_trees(&self, host: &Host, paths: &[String]) -> Result<()> {
        let mut new = Vec::new();
        for path in paths {
            if host.look(path)?.is_none() {
                new.push(path.clone());
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        self.note_new(host, new.iter().map(String::as_str))?;
        self.note(host, &Note::NewTrees(new))
    }

    /// Packages that a run which did not come to its end has removed.
    pub fn removed_earlier(&self) -> BTreeMap<String, Package> {
        let unfinished = self.unfinished.get();
        unfinished
            .map(|unfinished| unfinished.removed.clone())
            .unwrap_or_default()
    }
}

/// What came of a step.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Where its result comes from.
    pub origin: ResultOrigin,
    /// A line on it; may be empty.
    pub note: String,
}

impl Done {
    /// Something that was built.
    pub fn built(note: String) -> Self {
        let origin = ResultOrigin::Built;
        Self { origin, note }
    }

    /// Something that was taken from a cache.
    pub fn cached(note: String) -> Self {
        let origin = ResultOrigin::Cached;
        Self { origin, note }
    }

    /// Something that was downloaded.
    pub fn fetched(note: String) -> Self {
        let origin = ResultOrigin::Fetched;
        Self { origin, note }
    }
}

/// Something that no cache knows of.
impl From<String> for Done {
    fn from(note: String) -> Self {
        let origin = ResultOrigin::Done;
        Self { origin, note }
    }
}

impl<'a> State<'a> {
    /// What need not be built.
    pub fn artifacts(&self) -> &Artifacts<'a> {
        // Every plan looks them up before any step asks.
        self.artifacts.get_or_init(Artifacts::default)
    }
}

/// How long one script of SQL may take where nobody says otherwise.
pub const MAX_SCRIPT_TIME: Duration = Duration::from_secs(120);

/// How a caller wants things proved.
#[derive(Debug, Clone)]
pub struct TestOptions {
    /// The directory of throw-away clusters.
    pub directory: String,
    /// The directory of the logs of steps.
    pub logs: String,
    /// Whether the clusters of failed tests are kept.
    pub keep: bool,
    /// How long one script of SQL may take.
    pub limit: Duration,
    /// Whether each outcome is printed as soon as it is known.
    pub is_live: bool,
}

impl Default for TestOptions {
    fn default() -> Self {
        Self {
            directory: format!("{}/try", layout::WORK),
            logs: layout::logs(),
            keep: false,
            limit: MAX_SCRIPT_TIME,
            is_live: false,
        }
    }
}

impl TestOptions {
    /// The directory of the cluster that others are copies of.
    pub fn template(&self) -> String {
        format!("{}/template", self.directory)
    }
}

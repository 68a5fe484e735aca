//! The input of actions, and the state that they leave for the receipt.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, RwLock};
use std::time::Duration;

use anyhow::Result;

use super::build::known::Artifacts;
use super::build::tokens::Tokens;
use super::recover::unfinished::{self, Note, Unfinished};
use crate::archive::symbols::Archive;
use crate::debian::dpkg::Package;
use crate::digest::Sha256;
use crate::host::Host;
use crate::host::sandbox::Sandbox;
use crate::image::base::{FilesBefore, PackagesBefore, Purged};
use crate::image::needs::Needs;
use crate::image::stock::Stock;
use crate::layout;
use crate::lock::lock;
use crate::record::inventory::Inventory;
use crate::record::receipt::Receipt;
use crate::report::Reporter;
use crate::report::outcome::Outcome;
use crate::resolve::NamedPackage;
use crate::run::timing::ResultOrigin;
use crate::source::Sources;
use crate::store::Store;
use crate::timing::Ran;

/// The input of every action, and the state that actions share.
#[derive(Debug)]
pub struct Context<'a> {
    /// The machine.
    pub host: &'a Host,
    /// The printer.
    pub reporter: &'a Reporter,
    /// Where sources and artifacts come from; `None` if the command installs nothing.
    pub providers: Option<Providers<'a>>,
    /// The job tokens that all builds share.
    pub tokens: &'a Tokens,
    /// The Debian packages that manifests name, with their places.
    pub named_packages: &'a [NamedPackage],
    /// Whether what does not need a failed step goes on.
    pub keep_going: bool,
    /// A file in the root with the certificates that are trusted, for programs that a build calls.
    pub ca_bundle: Option<String>,
    /// The directory outside the root for the archive of debug symbols.
    pub debug_symbols: &'a Path,
    /// What the kernel enforces on builds; `None` if the command line turned it off.
    pub sandbox: Option<&'a Sandbox>,
    /// How tests are run.
    pub test_options: TestOptions,
    /// The results of the steps so far.
    pub state: State<'a>,
}

/// Where sources and artifacts come from.
#[derive(Debug)]
pub struct Providers<'a> {
    /// Where sources come from.
    pub sources: &'a Sources,
    /// The store of artifacts.
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
    /// The command installs nothing.
    pub fn sources(&self) -> Result<&'a Sources> {
        Ok(self.providers()?.sources)
    }

    /// The store of artifacts.
    ///
    /// # Errors
    /// The command installs nothing.
    pub fn store(&self) -> Result<&Store<'a>> {
        Ok(&self.providers()?.store)
    }
}

/// The results of steps.
#[derive(Debug, Default)]
pub struct State<'a> {
    pub(super) artifacts: OnceLock<Artifacts<'a>>,
    pub(super) archives: Mutex<BTreeMap<Sha256, PathBuf>>,
    pub(super) inventory: Mutex<Inventory>,
    pub(super) packages_before: OnceLock<PackagesBefore>,
    pub(super) files_before: OnceLock<FilesBefore>,
    pub(super) stock: OnceLock<Stock>,
    pub(super) needs_before: OnceLock<Needs>,
    pub(super) purged: OnceLock<Purged>,
    /// The archive of debug symbols.
    pub(super) debug_symbols: OnceLock<Archive>,
    /// The receipt of an earlier installation into this root.
    pub(super) earlier: OnceLock<Receipt>,
    /// The record that lets another run recover if this one is killed. A test of extensions keeps none.
    pub(super) unfinished: OnceLock<Unfinished>,
    /// Held by whatever changes the root, and shared by the builds that are compared with it.
    pub(super) root: RwLock<()>,
    /// The slugs of the components that were built, whose places here are numbers of users.
    builds: Mutex<Vec<String>>,
    pub(super) spent: Mutex<BTreeMap<String, Spent>>,
    pub(super) outcomes: Mutex<Vec<Outcome>>,
    /// Packages that apt does not know, and the extensions that want them, with what is wrong with their manifests.
    pub(super) unknown_packages: OnceLock<UnknownPackages>,
    /// The symbols that each server defines, by the path of its program.
    pub(super) server_symbols: Mutex<BTreeMap<String, Arc<BTreeSet<String>>>>,
}

/// Debian packages that apt does not know.
#[derive(Debug, Default)]
pub struct UnknownPackages {
    /// Their names.
    pub names: BTreeSet<String>,
    /// The problems of the extensions that want them, by slug.
    pub problems: BTreeMap<String, String>,
}

/// The resources that a step used, whether it failed or not.
#[derive(Debug, Default)]
pub struct Spent {
    /// Processor time of its thread and of its commands.
    pub cpu: Duration,
    /// The commands it ran.
    pub commands: Vec<Ran>,
}

impl State<'_> {
    /// Every path installed so far.
    pub fn inventory(&self) -> MutexGuard<'_, Inventory> {
        lock(&self.inventory)
    }

    /// The number of a component's build, which is the same for all of its parts.
    pub(super) fn number_of_build(&self, slug: &str) -> usize {
        let mut builds = lock(&self.builds);
        builds.iter().position(|one| one == slug).unwrap_or_else(|| {
            builds.push(slug.to_owned());
            builds.len() - 1
        })
    }

    /// Removes and returns the resources that the named step used.
    pub fn take_spent(&self, step: &str) -> Spent {
        lock(&self.spent).remove(step).unwrap_or_default()
    }

    /// Removes and returns the outcomes of the tests so far, in the order in which they ended.
    pub fn take_outcomes(&self) -> Vec<Outcome> {
        std::mem::take(&mut lock(&self.outcomes))
    }
}

impl State<'_> {
    /// Records a change of the root, so that another run can undo it. Does nothing if the command keeps no record.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn note(&self, host: &Host, note: &Note) -> Result<()> {
        match self.unfinished.get() {
            Some(_) => unfinished::note(host, note),
            None => Ok(()),
        }
    }

    /// Records those of `paths`, and of their parent directories, that do not exist yet.
    ///
    /// # Errors
    /// A path cannot be read, or the record cannot be written.
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

    /// Records those of `paths` that do not exist yet, and their parent directories. Everything that a command creates
    /// below such a path belongs to the installation.
    ///
    /// # Errors
    /// A path cannot be read, or the record cannot be written.
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

    /// The packages that an unfinished run removed.
    pub fn removed_earlier(&self) -> BTreeMap<String, Package> {
        let unfinished = self.unfinished.get();
        unfinished
            .map(|unfinished| unfinished.removed.clone())
            .unwrap_or_default()
    }
}

/// The result of a step.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// How the result was obtained.
    pub origin: ResultOrigin,
    /// One line about the result; may be empty.
    pub note: String,
}

impl Done {
    /// A result that was built.
    pub fn built(note: String) -> Self {
        let origin = ResultOrigin::Built;
        Self { origin, note }
    }

    /// A result that came from a cache.
    pub fn cached(note: String) -> Self {
        let origin = ResultOrigin::Cached;
        Self { origin, note }
    }

    /// A result that was downloaded.
    pub fn fetched(note: String) -> Self {
        let origin = ResultOrigin::Fetched;
        Self { origin, note }
    }
}

/// A result that has nothing to do with caches.
impl From<String> for Done {
    fn from(note: String) -> Self {
        let origin = ResultOrigin::Done;
        Self { origin, note }
    }
}

impl<'a> State<'a> {
    /// The artifacts of the installation; empty until they were looked up.
    pub fn artifacts(&self) -> &Artifacts<'a> {
        self.artifacts.get_or_init(Artifacts::default)
    }
}

/// The default time limit of one SQL script.
pub const MAX_SCRIPT_TIME: Duration = Duration::from_secs(120);

/// How tests are run.
#[derive(Debug, Clone)]
pub struct TestOptions {
    /// The directory of throw-away clusters.
    pub directory: String,
    /// The directory of step logs.
    pub logs: String,
    /// Whether the clusters of failed tests are kept.
    pub keep: bool,
    /// The time limit of one SQL script.
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
    /// The directory of the template cluster, which other clusters are copied from.
    pub fn template(&self) -> String {
        format!("{}/template", self.directory)
    }
}

//! The plan: everything that an installation does, as ordered steps with edges between them.
//!
//! A plan is a value. Building it does no IO and cannot fail. The same manifests give the same plan on every machine.
//! `pgsetup plan` prints this value, and `pgsetup install` runs it.

pub mod apt;
mod artifact;
mod builder;
mod cluster;
pub mod dot;
mod install;
pub mod json;
pub mod locale;
mod python;
mod recipe;
mod rust;
mod test;
pub mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::artifact::Recipe;
use crate::command::Command;
use crate::digest::Sha256;
use crate::locked::TargetLock;
use crate::manifest::extension::{KnownFailure, Required};
use crate::manifest::image::{Prune, User};
use crate::resolve::{
    CatalogueUse, Component, Declared, Directory, Distribution, Extension, Resolved, Source,
};
use crate::target::{Architecture, Target};

pub use install::{build, leaves};
pub use rust::locks;
pub use test::{Tests, tests};

/// Steps in an order in which each comes after those it needs.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The distribution and architecture.
    pub target: Target,
    /// The image's name.
    pub image: String,
    /// The steps. Edges are positions in this list, always smaller than the step's own.
    pub steps: Vec<Step>,
    /// Debian packages with the components that want them.
    pub packages: Vec<WantedPackage>,
    /// The recipes of everything that is built.
    pub recipes: Vec<Recipe>,
    /// What the finished image contains, one line each.
    pub leaves: Vec<String>,
    /// What of it the catalogue's manifests say.
    pub catalogue: Option<CatalogueUse>,
    /// The lock whose packages it installs.
    pub locked: Option<Arc<TargetLock>>,
}

impl Plan {
    /// Every archive that is downloaded, in the order of steps.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::Fetch { source, .. } => Some(source),
            _ => None,
        })
    }

    /// Every lock whose crates are downloaded.
    pub fn locks(&self) -> impl Iterator<Item = &CrateFetch> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::FetchCrates(fetch) => Some(fetch),
            _ => None,
        })
    }

    /// Every Python distribution that is downloaded.
    pub fn distributions(&self) -> impl Iterator<Item = &Distribution> {
        self.steps.iter().flat_map(|step| match &step.action {
            Action::FetchDistributions(fetch) => fetch.distributions.as_slice(),
            _ => &[],
        })
    }
}

/// A node of the plan.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name, as a user would say it: `build citus 14.0.1`.
    pub name: String,
    /// What it competes for.
    pub lane: Lane,
    /// Positions of the steps that must succeed before.
    pub needs: Vec<usize>,
    /// Positions of the steps that must end before, whether they succeed or not.
    pub after: Vec<usize>,
    /// Reasons for the step.
    pub why: Vec<String>,
    /// Rough duration in seconds on two cores. It only decides what starts first.
    pub weight: u32,
    /// What it does.
    pub action: Action,
}

/// What steps compete for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// The package manager: one step at a time.
    Dpkg,
    /// Connections: a few steps at a time.
    Net,
    /// Processors: as many steps as there are processors.
    Cpu,
    /// Files of the image: short steps, one at a time.
    Files,
}

impl Lane {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dpkg => "dpkg",
            Self::Net => "net",
            Self::Cpu => "cpu",
            Self::Files => "files",
        }
    }
}

/// When a Debian package is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// In the finished image.
    Runtime,
    /// Only while something is compiled.
    Build,
}

/// A Debian package and the components that want it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedPackage {
    /// Its name.
    pub name: String,
    /// When it is needed.
    pub phase: Phase,
    /// The components that want it.
    pub wanted_by: Vec<String>,
}

/// The work of a step.
#[derive(Debug, Clone)]
pub enum Action {
    /// Records which packages the base has, so that they are kept at the end.
    RecordBase,
    /// Records which files of the base are not what its packages say.
    RecordBaseFiles,
    /// Creates the system user and its group.
    CreateUser(User),
    /// Creates directories with their owners and modes.
    CreateDirectories { directories: Vec<Directory>, user: User },
    /// Writes a file that root owns.
    WriteFile { path: String, text: String },
    /// Runs commands as they are.
    Run(Vec<Command>),
    /// Completes the keys of all recipes and looks up what need not be built. The command asks apt what it would
    /// install.
    LookUpArtifacts {
        recipes: Vec<Recipe>,
        simulation: Command,
    },
    /// Writes the index of an archive that has the locked packages, and apt's configuration for it.
    IndexLockedPackages(Arc<TargetLock>),
    /// Installs Debian packages.
    InstallPackages(PackageInstallation),
    /// Downloads and verifies an archive of a component, unless the component need not be built.
    Fetch { source: Source, component: String },
    /// Downloads and verifies Python distributions.
    FetchDistributions(DistributionFetch),
    /// Downloads and verifies the crates of a lock, and unpacks them for Cargo.
    FetchCrates(CrateFetch),
    /// Unpacks what the build of a component begins with: its artifact into its stage if that is at hand, and its archives into
    /// the tree of its build otherwise. The first archive is the tree that is built; the others are unpacked into it.
    Unpack { component: String, sources: Vec<Source> },
    /// Compiles a component and installs it into its stage.
    Build(Build),
    /// Moves the stage of a component into the image.
    Install { component: String, part: Part },
    /// Keeps pgsetup itself in the image.
    KeepProgram,
    /// Removes every file that a component installed.
    Uninstall { component: String },
    /// Removes the installed packages except those that must stay.
    RemoveBuildPackages {
        keep: Vec<WantedPackage>,
        declared: Declared,
    },
    /// Removes compiled files by kind, according to the image's policy.
    Prune(Prune),
    /// Removes caches, lists and logs of package tools.
    RemoveLeftovers(Prune),
    /// Resolves every shared library and every declared program again.
    CheckLibraries { declared: Declared },
    /// Starts a throw-away cluster, and creates and tests every extension in it.
    TryOut(Box<TryOut>),
    /// Removes the throw-away cluster.
    RemoveCluster,
    /// Initialises the throw-away cluster that others are copied from.
    InitialiseTemplate(Server),
    /// Tests one extension in a throw-away cluster of its own.
    TestExtension(Box<ExtensionTest>),
    /// Fills a database with an older version of an extension.
    PrepareUpgrade(Box<UpgradeTest>),
    /// Updates that database.
    TestUpgrade(Box<UpgradeTest>),
    /// Runs upstream's own tests against a throw-away cluster.
    TestUpstream(Box<UpstreamTest>),
    /// Gathers what the receipt says of the machine.
    TakeStock(Box<Resolved>),
    /// Writes the receipt.
    WriteReceipt(Box<Resolved>),
}

/// An installation of packages. When it runs, it leaves out those that no build needs.
#[derive(Debug, Clone)]
pub struct PackageInstallation {
    /// Packages that are always installed.
    pub always: Vec<String>,
    /// Packages that are installed if their component has to be built, by its slug.
    pub of_builds: Vec<(String, Vec<String>)>,
    /// Whether the run-time libraries of cached components are installed.
    pub libraries: bool,
    /// The lock that has the packages. They are fetched when it is known which of them are needed.
    pub locked: Option<Arc<TargetLock>>,
}

impl PackageInstallation {
    /// The command that installs some of its packages.
    pub fn command_for(&self, names: &[String]) -> Command {
        self.with_lock(apt::install_packages(names))
    }

    /// The command that asks apt what that would install.
    pub fn simulation_for(&self, names: &[String]) -> Command {
        self.with_lock(apt::simulated_installation(names.iter().map(String::as_str)))
    }

    fn with_lock(&self, command: Command) -> Command {
        match self.locked {
            Some(_) => apt::with_locked(command),
            None => command,
        }
    }

    /// Every package that it may install by name.
    fn names(&self) -> Vec<String> {
        let of_builds = self.of_builds.iter().flat_map(|(_, names)| names);
        let names: BTreeSet<&String> = self.always.iter().chain(of_builds).collect();
        names.into_iter().cloned().collect()
    }
}

/// The part of a component's build that a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The whole build.
    Whole,
    /// What can be built early, or what others are compiled against.
    First,
    /// The rest, in the same tree. The first part may have been installed from the stage already.
    Second,
}

/// A build.
#[derive(Debug, Clone)]
pub struct Build {
    /// The component's slug, which names its directories.
    pub component: String,
    /// The component's name, under which its licence is kept.
    pub name: String,
    /// Which part of it.
    pub part: Part,
    /// Files that are written for the commands: path and text.
    pub files: Vec<(String, String)>,
    /// Directories of a real root that the stage begins with. Those in which nothing was installed are removed again.
    pub directories: Vec<String>,
    /// Paths outside of the stage that the commands create and remove again.
    pub places: Vec<String>,
    /// Directories that the commands write to, besides the source tree, the stage and the directory of temporary files.
    pub writable: Vec<String>,
    /// Whether the commands run as root.
    pub needs_root: bool,
    /// Compiler flags beyond the architecture's baseline that its manifest declares.
    pub cpu_flags: Vec<String>,
    /// The architecture that it is compiled for.
    pub architecture: Architecture,
    /// Whether Cargo builds it, with the crates that were unpacked for it.
    pub has_crates: bool,
    /// The commands.
    pub commands: Vec<Command>,
    /// Kinds of files to strip from the stage.
    pub prune: Prune,
}

/// A download of Python distributions.
#[derive(Debug, Clone)]
pub struct DistributionFetch {
    /// The slug of the component that wants them. If it need not be built, nothing is downloaded.
    pub component: String,
    /// The distributions.
    pub distributions: Vec<Distribution>,
    /// The directory that they are stored in.
    pub directory: String,
}

/// A download of the crates of a lock.
#[derive(Debug, Clone)]
pub struct CrateFetch {
    /// The slug of the component that they are for. If it need not be built, nothing is downloaded.
    pub component: String,
    /// Its name and version.
    pub title: String,
    /// The directory of the lock below the source tree; empty for the tree itself.
    pub directory: String,
    /// The digest of the lock.
    pub lock: Sha256,
    /// The version that the crate `pgrx` has in the lock.
    pub pgrx: Option<String>,
}

/// Settings of a server, by name.
pub type Settings = BTreeMap<String, String>;

/// The server of a throw-away cluster.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its name and version, for people.
    pub title: String,
    /// Directory of PostgreSQL's programs.
    pub programs: String,
    /// Directory of its loadable libraries.
    pub libraries: String,
    /// Directory of its architecture-independent files.
    pub share: String,
    /// User and group it runs as.
    pub user: User,
    /// Its locale.
    pub locale: String,
}

/// The final test of an installation.
#[derive(Debug, Clone)]
pub struct TryOut {
    /// The cluster.
    pub server: Server,
    /// The image's settings file that the cluster includes, if there is one.
    pub configuration: Option<String>,
    /// Settings that come after those of the file.
    pub settings: Settings,
    /// The extensions with their tests.
    pub extensions: Vec<Extension>,
    /// What their files are compared with.
    pub gate: Gate,
    /// The starts without the libraries of some of the extensions.
    pub unloaded: Vec<WithoutLibraries>,
}

/// A start of the server without the libraries of some extensions, each of which fails with the error of its manifest.
#[derive(Debug, Clone)]
pub struct WithoutLibraries {
    /// The settings.
    pub settings: Settings,
    /// The names of the extensions.
    pub extensions: Vec<String>,
}

/// What the files of an extension may need.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    /// Whether the build packages are still there, and an image with this extension alone would have none of them.
    pub removes: bool,
    /// What manifests declare.
    pub declared: Declared,
    /// The packages that such an image keeps, whatever its files need.
    pub keep: Vec<WantedPackage>,
    /// The components that such an image has besides the extension.
    pub beside: Vec<Component>,
    /// The image's policy, which removes files before anything is looked for.
    pub prune: Prune,
}

/// The test of one extension.
#[derive(Debug, Clone)]
pub struct ExtensionTest {
    /// The cluster.
    pub server: Server,
    /// Its settings.
    pub settings: Settings,
    /// The extension.
    pub extension: Extension,
    /// Its requirements, and theirs.
    pub requires: Vec<Extension>,
    /// What its files may need.
    pub gate: Gate,
    /// The test without preloaded libraries, if the extension requires them.
    pub unloaded: Option<Unloaded>,
}

/// The test of an update to a release.
#[derive(Debug, Clone)]
pub struct UpgradeTest {
    /// The cluster.
    pub server: Server,
    /// Its settings.
    pub settings: Settings,
    /// The older version, with the tests of the update.
    pub from: Extension,
    /// The release.
    pub to: Extension,
}

/// Upstream's own tests.
#[derive(Debug, Clone)]
pub struct UpstreamTest {
    /// The title of the component: `pgvector 0.8.6`.
    pub subject: String,
    /// The component's slug, for file names.
    pub slug: String,
    /// The cluster.
    pub server: Server,
    /// Its settings.
    pub settings: Settings,
    /// The directory that the archives are unpacked into.
    pub directory: String,
    /// The archives.
    pub sources: Vec<Source>,
    /// The commands, in order, which run as the image's user.
    pub commands: Vec<Command>,
    /// The time limit for all commands, in seconds.
    pub time_limit: u32,
    /// Tests that are known to fail with this server.
    pub known_failures: Vec<KnownFailure>,
}

/// A start without the libraries of an extension.
#[derive(Debug, Clone)]
pub struct Unloaded {
    /// The cluster's settings.
    pub settings: Settings,
    /// The expected behaviour.
    pub required: Required,
}

impl Action {
    /// Whether the action is a test.
    pub fn is_test(&self) -> bool {
        matches!(
            self,
            Self::TestExtension(_) | Self::TestUpgrade(_) | Self::TestUpstream(_)
        )
    }

    /// The command lines, as they are printed.
    pub fn commands(&self) -> Vec<Command> {
        match self {
            Self::CreateUser(user) => recipe::user(user),
            Self::Run(commands) => commands.clone(),
            Self::Build(build) => build.commands.clone(),
            Self::TestUpstream(test) => test.commands.clone(),
            Self::LookUpArtifacts { simulation, .. } => vec![simulation.clone()],
            Self::InstallPackages(installation) => {
                vec![installation.command_for(&installation.names())]
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Selection;

    #[test]
    fn headers_are_precompiled_but_where_what_is_compiled_names_them() {
        let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
        let (mut manifests, _) = crate::manifest::parse(&crate::host::local::manifests(&place).unwrap());
        let selection = Selection {
            target: Some("debian:bookworm/amd64".parse().unwrap()),
            ..Selection::default()
        };
        for (keeps, expected) in [(false, 1), (true, 0)] {
            manifests.images[0].value.prune.keep_debug_symbols = keeps;
            let plan = build(&crate::resolve::resolve(&manifests, &selection).unwrap());
            let commands = plan.steps.iter().flat_map(|step| step.action.commands());
            let is_it = |command: &Command| command.to_string().contains("postgres.h.gch");
            assert_eq!(commands.filter(is_it).count(), expected, "symbols kept: {keeps}");
        }
    }

    #[test]
    fn what_commands_make_outside_of_a_stage_is_said_in_the_plan() {
        let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
        let (manifests, problems) = crate::manifest::parse(&crate::host::local::manifests(&place).unwrap());
        assert!(problems.is_empty());
        let selection = Selection {
            target: Some("debian:bookworm/amd64".parse().unwrap()),
            ..Selection::default()
        };
        let resolved = crate::resolve::resolve(&manifests, &selection).unwrap();
        let plan = build(&resolved);
        let builds = plan.steps.iter().filter_map(|step| match &step.action {
            Action::Build(build) => Some(build),
            _ => None,
        });
        let patroni = resolved.patroni.as_ref().unwrap();
        for build in builds {
            let expected: &[String] = if build.component == patroni.component.slug() {
                std::slice::from_ref(&patroni.directory)
            } else {
                &[]
            };
            assert_eq!(build.places, expected, "{}", build.name);
        }
    }
}

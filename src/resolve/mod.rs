//! Resolves manifests, a target and a selection to a [`Resolved`] image, in which nothing is left to decide, or to every
//! [`Problem`] there is.
//!
//! Every fault of a manifest is found here, before anything is downloaded. Manifests that are not selected are checked
//! too. Nothing here does IO or reads the time.

mod assemble;
mod check;
mod completed;
mod interpolate;
mod jobs;
mod packages;
mod preload;
mod rust;
mod select;
mod value;
mod variant;
mod wheel;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalogue::Edition;
use crate::digest::{Sha256, Sha512};
use crate::locked::TargetLock;
use crate::manifest::Manifests;
use crate::manifest::build::Build;
use crate::manifest::extension::{KnownCheck, Preload, ProgramTest, SqlExtension, Test, Upstream};
use crate::manifest::image::{Prune, User};
use crate::manifest::postgresql::ServerSource;
use crate::manifest::problem::{Problem, SourceText};
use crate::manifest::source::Packages;
use crate::target::Target;

pub use assemble::source;
pub use check::MAJORS;
pub use packages::NamedPackage;
pub use rust::{Rust, Tool};
pub use value::name;

/// What the command line chooses instead of the image manifest.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The machine that is planned for.
    pub target: Option<Target>,
    /// The distribution to build on, and what chooses it.
    pub base: Option<ChosenBase>,
    /// `--pg`: the name of a PostgreSQL manifest.
    pub postgresql: Option<String>,
    /// `--previous`: names of PostgreSQL manifests of older majors.
    pub previous: Option<Vec<String>>,
    /// `--extensions`: these and no others, programs included.
    pub extensions: Option<Vec<String>>,
    /// `--with`: these too.
    pub with: Vec<String>,
    /// `--without`: all but these; `NAME-pg17` is the one that is for the older major 17.
    pub without: Vec<String>,
    /// `--jit`.
    pub jit: bool,
    /// `--keep-build-deps`.
    pub keep_build_packages: bool,
    /// What it is selected for.
    pub purpose: Purpose,
}

/// A distribution that the command line chooses.
#[derive(Debug, Clone)]
pub struct ChosenBase {
    /// `debian:trixie`.
    pub distribution: String,
    /// `--base` or `--target`.
    pub option: &'static str,
    /// The word of that option.
    pub word: String,
}

impl ChosenBase {
    /// By `--base` or, where that is not given, by `--target`.
    pub fn by(base: Option<&String>, target: Option<&Target>) -> Option<Self> {
        let by_base = base.map(|base| Self {
            distribution: base.clone(),
            option: "--base",
            word: base.clone(),
        });
        by_base.or_else(|| {
            target.map(|target| Self {
                distribution: target.distribution.clone(),
                option: "--target",
                word: target.to_string(),
            })
        })
    }
}

/// What extensions are selected for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    /// For one image: conflicting or missing extensions are a problem.
    #[default]
    Image,
    /// For separate tests: required extensions are added, and conflicts are allowed.
    Test {
        /// By upstream's own tests, too.
        upstream: bool,
        /// Every extension. Those that do not support the selected server are left out.
        all: bool,
    },
}

/// An image with nothing left to decide.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The machine it is for.
    pub target: Target,
    /// The image's name.
    pub name: String,
    /// The system user.
    pub user: User,
    /// Directories to make.
    pub directories: Vec<Directory>,
    /// Locale of new clusters.
    pub locale: String,
    /// Further locales of the image; a test needs none.
    pub locales: Vec<String>,
    /// Path of the file with the settings.
    pub configuration: String,
    /// Libraries loaded when the server starts, in order.
    pub preload: Vec<String>,
    /// Libraries that data need preloaded if they hold the extension, sorted.
    pub required_preload: Vec<String>,
    /// PostgreSQL settings, with the origin of each.
    pub settings: Vec<Setting>,
    /// Debian packages of the image itself.
    pub packages: Packages,
    /// The server.
    pub postgresql: Postgresql,
    /// The extensions, each after those it requires, and the programs beside the server.
    pub extensions: Vec<Extension>,
    /// Servers of older majors with their extensions, the newest first, from which data is upgraded.
    pub previous: Vec<Previous>,
    /// The names of those that were selected by name, and not only because another one requires them.
    pub selected: Vec<String>,
    /// Patroni.
    pub patroni: Option<Patroni>,
    /// What is removed at the end.
    pub prune: Prune,
    /// Extensions that were selected and are not installed, because their sources could not be fetched, with the reason.
    pub left_out: BTreeMap<String, String>,
    /// Whether compilers, headers and other build packages are kept.
    pub keep_build_packages: bool,
    /// The Debian packages that the selected manifests name, with their places.
    pub named_packages: Vec<NamedPackage>,
    /// What the catalogue has to do with it; `None` where everything is the user's own and the same as there.
    pub catalogue: Option<CatalogueUse>,
    /// Dated copies of Debian's archive.
    pub snapshots: Vec<String>,
    /// The lock of the target, if the installation is to use exactly its files.
    pub locked: Option<Arc<TargetLock>>,
}

/// What of an image comes from the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueUse {
    /// Which catalogue.
    pub edition: Edition,
    /// What is selected from it.
    pub taken: Vec<String>,
    /// What is selected from a manifest of the user's that replaces one of the catalogue's: name and file.
    pub replaced: BTreeMap<String, String>,
}

/// What manifests say that is used at run time and that no ELF file tells: each name with the components that want
/// it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Libraries that are opened with `dlopen`.
    pub libraries: BTreeMap<String, Vec<String>>,
    /// Those of them that may be missing.
    pub optional_libraries: BTreeMap<String, Vec<String>>,
    /// Programs that are called.
    pub programs: BTreeMap<String, Vec<String>>,
}

impl Declared {
    /// Everything that the packages of these components declare.
    pub fn by<'a>(components: impl IntoIterator<Item = (String, &'a Packages)>) -> Self {
        let mut declared = Self::default();
        for (who, packages) in components {
            let lists = [
                (&mut declared.libraries, &packages.dlopen),
                (&mut declared.optional_libraries, &packages.dlopen_optional),
                (&mut declared.programs, &packages.programs),
            ];
            for (map, names) in lists {
                for name in names {
                    let wanted_by = map.entry(name.clone()).or_default();
                    if !wanted_by.contains(&who) {
                        wanted_by.push(who.clone());
                    }
                }
            }
        }
        declared
    }
}

impl Resolved {
    /// Everything that has Debian packages, by the name under which it wants them.
    pub fn packages(&self) -> impl Iterator<Item = (String, &Packages)> {
        let servers = self.servers().flat_map(|(server, extensions)| {
            let extensions = extensions.iter().map(|one| (&one.component, &one.packages));
            std::iter::once((&server.component, &server.packages)).chain(extensions)
        });
        let servers = servers.map(|(component, packages)| (component.id(), packages));
        let patroni = self
            .patroni
            .iter()
            .map(|patroni| ("patroni".to_owned(), &patroni.packages));
        std::iter::once(("image".to_owned(), &self.packages))
            .chain(servers)
            .chain(patroni)
    }

    /// Each server with the extensions that are compiled against it, the image's own first.
    pub fn servers(&self) -> impl Iterator<Item = (&Postgresql, &[Extension])> {
        let previous = self.previous.iter();
        let previous = previous.map(|one| (&one.postgresql, one.extensions.as_slice()));
        std::iter::once((&self.postgresql, self.extensions.as_slice())).chain(previous)
    }

    /// Everything that is installed besides Debian packages.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        let servers = self.servers().flat_map(|(server, extensions)| {
            std::iter::once(&server.component).chain(extensions.iter().map(|one| &one.component))
        });
        servers.chain(self.patroni.iter().map(|patroni| &patroni.component))
    }

    /// The extensions that require this one, if it is not selected by its own name.
    pub fn required_by(&self, name: &str) -> Vec<String> {
        if self.selected.iter().any(|one| one == name) {
            return Vec::new();
        }
        let others = self.extensions.iter();
        let others = others.filter(|other| other.requires.iter().any(|one| one == name));
        others.map(|other| other.component.name.clone()).collect()
    }

    /// What is used at run time and told by manifests only.
    pub fn declared(&self) -> Declared {
        Declared::by(self.packages())
    }

    /// The tools that extensions are built with, each once.
    pub fn tools(&self) -> BTreeMap<String, &Tool> {
        let extensions = self.servers().flat_map(|(_, extensions)| extensions);
        let tools = extensions.filter_map(|one| one.rust.as_ref()?.tool.as_ref());
        tools.map(|tool| (tool.slug(), tool)).collect()
    }

    /// Every archive that is unpacked, of each component, a server's before those of its extensions.
    pub fn sources(&self) -> impl Iterator<Item = (&Component, &[Source])> {
        self.servers().flat_map(|(server, extensions)| {
            let compiled = extensions.iter().filter(|one| !one.comes_with_postgresql());
            let extensions = compiled.map(|one| (&one.component, one.sources.as_slice()));
            std::iter::once((&server.component, server.source.as_slice())).chain(extensions)
        })
    }
}

/// What all components have.
#[derive(Debug, Clone)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its release.
    pub version: String,
    /// The major that it is for, where that is an older one than the image's own.
    pub older_major: Option<u16>,
    /// SPDX licence expression.
    pub license: String,
    /// Its home page.
    pub homepage: String,
}

impl Component {
    /// What it is called in this image, where nothing else is: `citus`, or `citus-pg17` of an older major.
    pub fn id(&self) -> String {
        id(&self.name, self.older_major)
    }

    /// Name and version: `citus 14.0.1`.
    pub fn title(&self) -> String {
        format!("{} {}", self.id(), self.version)
    }

    /// For file names: `citus-14.0.1`.
    pub fn slug(&self) -> String {
        format!("{}-{}", self.id(), self.version)
    }
}

/// The name that nothing else in an image has: a component's own, or with the older major that it is for.
pub fn id(name: &str, older_major: Option<u16>) -> String {
    match older_major {
        None => name.to_owned(),
        Some(major) => format!("{name}-pg{major}"),
    }
}

/// A directory of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Whether it belongs to the image's user; else to root.
    pub of_user: bool,
}

/// A PostgreSQL setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value, unquoted.
    pub value: String,
    /// Which one sets it: `image`, or an extension.
    pub wanted_by: String,
}

/// Where a source may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An address: https, unless the source is `insecure`.
    Url(String),
    /// A path below the Debian archive that apt uses.
    Debian(String),
    /// A crate in the index that Cargo is configured to use, by its name and version.
    Crate(String, String),
}

/// A source archive.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is: `citus 14.0.1`.
    pub title: String,
    /// Places of the same bytes, in the order they are tried; the first is upstream's.
    pub places: Vec<Place>,
    /// Digests it may have; the first is the usual one.
    pub accepted: Vec<Sha256>,
    /// For some of them, the SHA-512 that the file has as well.
    pub sha512: BTreeMap<Sha256, Sha512>,
    /// Digest of its tar, if any compression is accepted.
    pub tar_sha256: Option<Sha256>,
    /// The reason for plain http, if it is allowed.
    pub insecure: Option<String>,
    /// Largest size in bytes, if it is limited.
    pub max_bytes: Option<u64>,
    /// Number of leading path components to remove.
    pub strip: u8,
    /// Directory below the tree that it is unpacked into; empty for the tree itself.
    pub into: String,
}

/// The server.
#[derive(Debug, Clone)]
pub struct Postgresql {
    /// Name, version and so on. The name is `postgresql`.
    pub component: Component,
    /// Major version.
    pub major: u16,
    /// Where it comes from.
    pub origin: ServerSource,
    /// The archive, when it is compiled.
    pub source: Option<Source>,
    /// Arguments of `./configure` besides the directories.
    pub configure: Vec<String>,
    /// Directories of the archive that are neither compiled nor installed.
    pub leave_out: Vec<String>,
    /// Environment of the build.
    pub environment: BTreeMap<String, String>,
    /// Compiler flags beyond the baseline of the target's architecture.
    pub cpu_flags: Vec<String>,
    /// Its own regression tests.
    pub upstream: Option<Upstream>,
    /// Debian packages it needs.
    pub packages: Packages,
    /// Debian packages that compiling against it needs.
    pub development: Vec<String>,
}

impl Postgresql {
    /// The installation prefix, Debian's own for this major.
    pub fn prefix(&self) -> String {
        format!("/usr/lib/postgresql/{}", self.major)
    }

    /// The directory of architecture-independent files (`pg_config --sharedir`).
    pub fn share(&self) -> String {
        format!("/usr/share/postgresql/{}", self.major)
    }

    /// The directory of loadable libraries (`pg_config --pkglibdir`).
    pub fn library_directory(&self) -> String {
        format!("{}/lib", self.prefix())
    }

    /// The directories that this server's own files are in, and that a makefile of an extension may copy into without
    /// making them: bindir, pkglibdir, the directories of extensions and of text search, and `pg_config --docdir`.
    pub fn directories(&self) -> Vec<String> {
        let share = self.share();
        // Debian's packages are configured with another directory of documentation than what is compiled here.
        let documentation = match self.origin {
            ServerSource::Archive => format!("{}/share/doc", self.prefix()),
            ServerSource::Apt => format!("/usr/share/doc/postgresql-doc-{}", self.major),
        };
        vec![
            format!("{}/bin", self.prefix()),
            self.library_directory(),
            format!("{share}/extension"),
            format!("{share}/tsearch_data"),
            format!("{documentation}/extension"),
        ]
    }

    /// The path of a program.
    pub fn program(&self, name: &str) -> String {
        format!("{}/bin/{name}", self.prefix())
    }
}

/// A server of an older major with the extensions of the image that are for it: what `pg_upgrade` reads data with.
#[derive(Debug, Clone)]
pub struct Previous {
    /// The server.
    pub postgresql: Postgresql,
    /// The extensions, each after those it requires.
    pub extensions: Vec<Extension>,
    /// The image's extensions that are not for it, with the reason.
    pub left_out: BTreeMap<String, String>,
}

/// An extension, or a program beside the server.
#[derive(Debug, Clone)]
pub struct Extension {
    /// Name, version and so on.
    pub component: Component,
    /// Archives; the first is the one that is built. None of a module that PostgreSQL's own archive brings.
    pub sources: Vec<Source>,
    /// How.
    pub build: Build,
    /// What Cargo needs, if that builds it.
    pub rust: Option<Rust>,
    /// Compiler flags beyond the baseline of the target's architecture.
    pub cpu_flags: Vec<String>,
    /// Whether the build runs as root.
    pub needs_root: bool,
    /// Debian packages it needs.
    pub packages: Packages,
    /// SQL extensions it brings.
    pub provides: Vec<SqlExtension>,
    /// Names of other manifests that it requires.
    pub requires: Vec<String>,
    /// What must be loaded before it works; whether it is is the image's choice.
    pub preload: Option<Preload>,
    /// Settings that it wants.
    pub settings: BTreeMap<String, String>,
    /// Settings for its tests.
    pub test_settings: BTreeMap<String, String>,
    /// Its tests.
    pub tests: Vec<Test>,
    /// Built-in checks that are known to fail on this major.
    pub known_failures: Vec<KnownCheck>,
    /// Older versions from which it is updated: what was then, with the tests of the update.
    pub upgrades: Vec<Extension>,
    /// Upstream's own tests.
    pub upstream: Option<Upstream>,
    /// Whether it is a program, which no server loads.
    pub is_program: bool,
    /// The commands that prove a program works.
    pub runs: Vec<ProgramTest>,
}

impl Extension {
    /// True of a module that is part of PostgreSQL and installed with it.
    pub fn comes_with_postgresql(&self) -> bool {
        self.sources.is_empty()
    }
}

/// Patroni with the Python it runs on.
#[derive(Debug, Clone)]
pub struct Patroni {
    /// Name, version and so on.
    pub component: Component,
    /// Directory of its environment.
    pub directory: String,
    /// The interpreter's path.
    pub interpreter: String,
    /// Debian packages of Python and of Patroni.
    pub packages: Packages,
    /// What is installed.
    pub distributions: Vec<Distribution>,
    /// Modules that are imported to test it.
    pub imports: Vec<String>,
}

/// A Python distribution: one file.
#[derive(Debug, Clone)]
pub struct Distribution {
    /// Its name in the package index.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SPDX licence expression.
    pub license: String,
    /// File name in the package index.
    pub file: String,
    /// Digest of the file.
    pub sha256: Sha256,
}

/// Resolves `manifests`.
///
/// # Errors
/// Everything that is wrong with the manifests and with the selection.
pub fn resolve(manifests: &Manifests, selection: &Selection) -> Result<Resolved, Vec<Problem>> {
    let mut problems = check::manifests(manifests);
    let resolved = select::select(manifests, selection, &mut problems);
    match resolved {
        Some(resolved) if problems.is_empty() => Ok(resolved),
        _ => {
            deduplicate(&mut problems);
            Err(problems)
        }
    }
}

/// The same fault can be seen once for each release or target that it concerns; it is reported once.
fn deduplicate(problems: &mut Vec<Problem>) {
    let mut seen = std::collections::BTreeSet::new();
    problems.retain(|p| seen.insert((p.source.file.clone(), p.span.start, p.span.end, p.message.clone())));
}

/// The most names that a list of what there is has.
const MAX_NAMES: usize = 20;

/// What there is in place of something that there is not.
fn there_are(known: &[&str]) -> String {
    if known.len() > MAX_NAMES {
        return "`pgsetup list` shows what there is".to_owned();
    }
    format!("there are: {}", known.join(", "))
}

/// A problem with a word of the command line, shown like one in a file.
fn command_line_problem(option: &str, word: &str, message: impl Into<String>) -> Problem {
    let text = ["pgsetup …", option, word].join(" ").replace("  ", " ");
    let span = text.len() - word.len()..text.len();
    let source = Arc::new(SourceText {
        file: "command line".to_owned(),
        text,
    });
    Problem {
        source,
        span,
        message: message.into(),
        help: None,
    }
}

//! Manifests, a target and a selection become a [`Resolved`] image, in which nothing is left to decide, or every
//! [`Problem`] there is.
//!
//! Everything that can be wrong with a manifest is found here, before anything is downloaded; manifests that are
//! not selected are checked as well. Nothing here does IO or knows the time.

mod assemble;
mod check;
mod interpolate;
mod jobs;
mod preload;
mod select;
mod value;

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::digest::{Sha256, Sha512};
use crate::manifest::Manifests;
use crate::manifest::build::Build;
use crate::manifest::extension::{Preload, SqlExtension, Test, Upstream};
use crate::manifest::image::{Prune, User};
use crate::manifest::postgresql::ServerSource;
use crate::manifest::problem::{Problem, SourceText};
use crate::manifest::source::Packages;
use crate::target::Target;

pub use check::MAJORS;
pub use value::name;

/// What the command line chooses instead of the image manifest.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// `--target`.
    pub target: Option<Target>,
    /// `--pg`: the name of a PostgreSQL manifest.
    pub postgresql: Option<String>,
    /// `--previous`: names of PostgreSQL manifests of older majors.
    pub previous: Option<Vec<String>>,
    /// `--extensions`: these and no others.
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

/// What extensions are selected for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    /// To be one image: what cannot be together, or is missing, is a problem.
    #[default]
    Image,
    /// To be tested one by one: what they require is added, and they need not get on with each other.
    Test {
        /// By upstream's own tests, too.
        upstream: bool,
        /// Every extension there is; those that are not for the selected server are left out.
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
    /// PostgreSQL settings, with what wants each.
    pub settings: Vec<Setting>,
    /// Debian packages the image has for its own sake.
    pub packages: Packages,
    /// The server.
    pub postgresql: Postgresql,
    /// The extensions, each after those it requires.
    pub extensions: Vec<Extension>,
    /// Servers of older majors with their extensions, the newest first, from which data is upgraded.
    pub previous: Vec<Previous>,
    /// The names of those that were selected, and not only added because another one requires them.
    pub selected: Vec<String>,
    /// Patroni.
    pub patroni: Option<Patroni>,
    /// What is removed at the end.
    pub prune: Prune,
    /// Extensions that were selected and are not installed, because their sources cannot be had, with the reason.
    pub left_out: BTreeMap<String, String>,
    /// Whether compilers, headers and everything else that builds stay.
    pub keep_build_packages: bool,
}

/// What manifests say that is used at run time and that no ELF file tells: each name with the components that want
/// it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Libraries that are opened with `dlopen`.
    pub libraries: BTreeMap<String, Vec<String>>,
    /// Those of them that nobody misses.
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

    /// What is used at run time and told by manifests only.
    pub fn declared(&self) -> Declared {
        Declared::by(self.packages())
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

/// What every installed thing has.
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
    /// Its page.
    pub homepage: String,
}

impl Component {
    /// What it is called in this image, where nothing else is: `citus`, or `citus-pg17` of an older major.
    pub fn id(&self) -> String {
        id(&self.name, self.older_major)
    }

    /// As a user would say it: `citus 14.0.1`.
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
    /// What wants it: `image`, or an extension.
    pub wanted_by: String,
}

/// Where a source may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An address: https, unless the source is `insecure`.
    Url(String),
    /// A path below the Debian archive that apt uses.
    Debian(String),
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
    /// Digest of its tar, where it is right however it is compressed.
    pub tar_sha256: Option<Sha256>,
    /// Why plain http is good enough, where it is.
    pub insecure: Option<String>,
    /// Bytes it may have at most, where that is given.
    pub max_bytes: Option<u64>,
    /// Leading path components to leave off.
    pub strip: u8,
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

/// An extension.
#[derive(Debug, Clone)]
pub struct Extension {
    /// Name, version and so on.
    pub component: Component,
    /// Archives; the first is the one that is built. None of a module that PostgreSQL's own archive brings.
    pub sources: Vec<Source>,
    /// How.
    pub build: Build,
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
    /// Older versions from which it is updated: what was then, with the tests of the update.
    pub upgrades: Vec<Extension>,
    /// Upstream's own tests.
    pub upstream: Option<Upstream>,
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
    /// Modules whose import proves it.
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

/// Resolves `manifests`, or says everything that is wrong with them and with the selection.
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

/// A problem with a word of the command line, shown like one in a file.
fn command_line_problem(option: &str, word: &str, message: impl Into<String>) -> Problem {
    let text = ["pgsetup …", option, word].join(" ").replace("  ", " ");
    let span = text.len() - word.len()..text.len();
    let source = Rc::new(SourceText {
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

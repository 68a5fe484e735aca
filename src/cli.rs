//! The command line: types only.
//!
//! One grammar holds for every command that reads all manifests: `pgsetup COMMAND [MANIFESTS] [NAME...] [OPTIONS]`. MANIFESTS
//! is one word and always the first. Commands whose words are only names take it by `--manifests`. What an option reads from the environment, clap says in its help.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::target::{Target, parse_distribution};

/// Installs PostgreSQL, Patroni and extensions from manifests: verified, and in one step
#[derive(Debug, Parser)]
#[command(name = "pgsetup", version, max_term_width = 100)]
pub struct Cli {
    /// The command
    #[command(subcommand)]
    pub command: Command,
}

/// The command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the files of a new image: image.yaml, a Dockerfile, .dockerignore and the schema for editors
    Init(InitArgs),
    /// List what can be selected: PostgreSQL, extensions, what was tested on which major
    List(ListArgs),
    /// List the extensions that have a word in their names or summaries
    Search(SearchArgs),
    /// Print what is known of an extension, and its manifest
    Info(InfoArgs),
    /// Add extensions to the image's manifest; comments and order stay
    Add(NamesArgs),
    /// Remove extensions from the image's manifest; comments and order stay
    Remove(NamesArgs),
    /// Write a manifest of the catalogue beside your own, to change it
    Export(ExportArgs),
    /// Report what this machine lacks, and for which commands
    Doctor(DoctorArgs),
    /// Print what `install` would do, and why; changes nothing
    Plan(PlanArgs),
    /// Write pgsetup.lock: every source, the catalogue, and the Debian packages that apt has now; run it in the image's base
    Lock(LockArgs),
    /// Install what the manifests select, and remove what only building needs
    Install(InstallArgs),
    /// Write what starts PostgreSQL in a container: /entrypoint.sh, its scripts and its program
    Entrypoint {
        /// Write below this directory instead of into the running system
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
    /// Download and verify what the manifests select, for `install --vendor DIR --offline`; with a pgsetup.lock, its Debian
    /// packages as well
    Fetch(FetchArgs),
    /// List or prune the cache of downloads and artifacts
    Cache(CacheArgs),
    /// Open the directory of a failed build, with its environment, or run one command there
    Shell(ShellArgs),
    /// Test each extension in a temporary cluster; installs it first, so run it in a throw-away container
    Test(TestArgs),
    /// Write a newer version into a manifest, and report what else changed upstream
    Update(UpdateArgs),
    /// Write a first manifest for an extension from its archive
    New(NewArgs),
    /// Compare a finished image with its receipt: files, packages, libraries, permissions, extensions
    Verify(VerifyArgs),
    /// Print why a package, file, library, program or extension is in an image
    Why(WhyArgs),
    /// Print what changed between two images: versions, packages, settings, sizes
    Diff(DiffArgs),
    /// Print the JSON schema of manifests or of a document that pgsetup writes
    Schema {
        /// The document
        #[arg(value_enum, default_value = "manifest")]
        document: DocumentName,
    },
    /// Print a completion script
    Completions {
        /// The shell it is for
        shell: clap_complete::Shell,
    },
}

/// Where the manifests are.
#[derive(Debug, Clone, Args)]
pub struct PlaceArgs {
    /// A directory of manifests, or the manifest of an image in such a directory [default: `manifests`, or `image.yaml`
    /// where there is no `manifests`]
    #[arg(value_name = "MANIFESTS")]
    pub manifests: Option<PathBuf>,

    #[command(flatten)]
    pub catalogue: CatalogueArgs,
}

/// What completes the manifests.
#[derive(Debug, Clone, Default, Args)]
pub struct CatalogueArgs {
    /// Complete the manifests from this directory of manifests [default: the catalogue that pgsetup carries]
    #[arg(long, value_name = "DIR")]
    pub catalogue: Option<PathBuf>,

    /// Complete the manifests from nothing: they are all there is
    #[arg(long, conflicts_with = "catalogue")]
    pub no_catalogue: bool,
}

/// Where the manifests are, and what is selected instead of what they select.
#[derive(Debug, Clone, Args)]
pub struct ManifestArgs {
    #[command(flatten)]
    pub place: PlaceArgs,

    /// Install the PostgreSQL manifest of this name [default: as in the image manifest]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub pg: Option<String>,

    /// Build on this distribution [default: as in the image manifest]
    #[arg(long, value_name = "DISTRIBUTION", value_parser = parse_distribution)]
    pub base: Option<String>,

    /// Install servers of these older majors as well, to upgrade data from: names of PostgreSQL manifests, separated by
    /// commas or spaces [default: as in the image manifest]
    #[arg(long, value_name = "NAMES")]
    pub previous: Option<String>,

    /// Build with just-in-time compilation, even if the image manifest does not
    #[arg(long)]
    pub jit: bool,

    /// Install only these extensions; names, separated by commas or spaces
    #[arg(long, value_name = "NAMES")]
    pub extensions: Option<String>,

    /// Install this extension as well
    #[arg(long, value_name = "NAME")]
    pub with: Vec<String>,

    /// Leave this extension out; `NAME-pg17` leaves it out for the older major 17 only
    #[arg(long, value_name = "NAME")]
    pub without: Vec<String>,

    /// Keep compilers and headers, for an image in which others build
    #[arg(long)]
    pub keep_build_deps: bool,
}

/// Arguments of `init`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "On a terminal, and without options, it asks. It overwrites no file.")]
pub struct InitArgs {
    /// The directory to write into; it is created
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,

    /// The PostgreSQL manifest to install [default: the newest major]
    #[arg(long, value_name = "NAME")]
    pub pg: Option<String>,

    /// Install these extensions; names, separated by commas or spaces
    #[arg(long = "extension", value_name = "NAMES")]
    pub extensions: Vec<String>,

    /// The distribution to build on
    #[arg(long, value_name = "DISTRIBUTION", default_value = "debian:bookworm")]
    pub base: String,

    /// Install Patroni as well
    #[arg(long)]
    pub patroni: bool,

    /// The name of the image [default: the directory's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Take pgsetup from this image, with its digest, instead of from a file beside the Dockerfile:
    /// `registry/pgsetup:0.2.0@sha256:…`
    #[arg(long = "from", value_name = "IMAGE")]
    pub pgsetup: Option<String>,
}

/// Where the manifests are, of commands whose words are names.
#[derive(Debug, Clone, Args)]
pub struct NamePlaceArgs {
    /// A directory of manifests, or the manifest of an image in such a directory [default: `manifests`, or `image.yaml`
    /// where there is no `manifests`]
    #[arg(long, value_name = "MANIFESTS")]
    pub manifests: Option<PathBuf>,

    #[command(flatten)]
    pub catalogue: CatalogueArgs,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub place: PlaceArgs,

    /// The format of the list; `pgsetup schema available` describes the JSON document
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// Arguments of `search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// A part of a name or of a summary
    pub word: String,

    #[command(flatten)]
    pub place: NamePlaceArgs,

    /// The format of the list; `pgsetup schema available` describes the JSON document
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// Arguments of `info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// An extension; or `postgresql-18` or `patroni`, for the manifest alone
    pub name: String,

    #[command(flatten)]
    pub place: NamePlaceArgs,

    /// The format; `pgsetup schema info` describes the JSON document
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,

    /// The cache of artifacts, for the size
    #[arg(
        long,
        value_name = "DIR",
        env = "PGSETUP_CACHE",
        hide_env_values = true,
        default_value = "/var/cache/pgsetup"
    )]
    pub cache: PathBuf,
}

/// Arguments of `add` and `remove`.
#[derive(Debug, Args)]
pub struct NamesArgs {
    /// Extensions
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,

    #[command(flatten)]
    pub place: NamePlaceArgs,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Extensions, or `postgresql-18`, `patroni`; a module of PostgreSQL is exported with all others
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,

    /// The directory to write below [default: that of the manifests]
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,

    #[command(flatten)]
    pub place: NamePlaceArgs,
}

/// Whether the lock counts.
#[derive(Debug, Clone, Copy, Args)]
pub struct LockedArgs {
    /// Use exactly the files that pgsetup.lock, beside the manifests, names, or list what has moved since it was written
    #[arg(long)]
    pub locked: bool,
}

/// Arguments of `lock`.
#[derive(Debug, Args)]
#[command(
    after_help = "It asks apt, so run it as root in a container of the image's base, once for each architecture:\n    \
                        docker run --rm --volume \"$PWD:/image\" --workdir /image debian:bookworm ./pgsetup lock"
)]
pub struct LockArgs {
    #[command(flatten)]
    pub manifests: ManifestArgs,

    /// The digest of the base image, for the record [default: the one in the lock]
    #[arg(long, value_name = "sha256:DIGEST", value_parser = image_digest)]
    pub base_digest: Option<String>,

    /// The root directory of the base
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
}

/// The digest of an image.
fn image_digest(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    if digits.len() == 64 && digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return Ok(text.to_owned());
    }
    Err("write it as sha256: and 64 hexadecimal digits".to_owned())
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub manifests: ManifestArgs,

    #[command(flatten)]
    pub lock: LockedArgs,

    /// Plan for this machine [default: the image manifest's base and this machine's architecture]
    #[arg(long, value_name = "DISTRIBUTION/ARCHITECTURE")]
    pub target: Option<Target>,

    /// The format of the plan
    #[arg(long, value_enum, default_value = "text")]
    pub format: PlanFormat,

    /// Print every command line as well
    #[arg(long, short)]
    pub verbose: bool,

    /// Print why the artifact key of this component differs from the receipt's, instead of the plan
    #[arg(long, value_name = "NAME", conflicts_with_all = ["format", "verbose"])]
    pub explain: Option<String>,

    #[command(flatten)]
    pub against: ExplainArgs,
}

/// What `--explain` compares with.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The receipt that `--explain` compares with [default: the one in --root]
    #[arg(long, value_name = "FILE", requires = "explain")]
    pub receipt: Option<PathBuf>,

    /// The root directory that `--explain` compares with, and whose package versions it reads
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        requires = "explain",
        conflicts_with = "receipt"
    )]
    pub root: PathBuf,
}

/// Arguments of `test`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct TestArgs {
    #[command(flatten)]
    pub place: PlaceArgs,

    /// The extensions to test [default: as in the image manifest]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    /// Test with the PostgreSQL manifest of this name [default: as in the image manifest]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub pg: Option<String>,

    /// Test for this distribution, which is that of the machine [default: as in the image manifest]
    #[arg(long, value_name = "DISTRIBUTION", value_parser = parse_distribution)]
    pub base: Option<String>,

    /// Test every extension that supports this PostgreSQL
    #[arg(long)]
    pub all: bool,

    /// Install nothing: test what this machine has, as root or as the image's user
    #[arg(long)]
    pub installed: bool,

    /// Run upstream's own tests as well; the name `postgresql` selects the server's
    #[arg(long, conflicts_with = "installed")]
    pub upstream: bool,

    /// The format of the results
    #[arg(long, value_enum, default_value = "text")]
    pub format: OutcomeFormat,

    /// Write the results to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Keep the cluster of each extension that fails a test
    #[arg(long)]
    pub keep: bool,

    /// The time limit of one test, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u16).range(1..))]
    pub timeout: u16,

    #[command(flatten)]
    pub sources: SourceArgs,

    #[command(flatten)]
    pub cache: CacheDirArgs,

    /// Install and test below this directory instead of in the running system
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    #[command(flatten)]
    pub jobs: JobArgs,

    #[command(flatten)]
    pub sandbox: SandboxArgs,

    /// Skip each extension whose sources are not available
    #[arg(long)]
    pub skip_unavailable: bool,
}

/// How builds are confined.
#[derive(Debug, Clone, Copy, Args)]
pub struct SandboxArgs {
    /// Confine the commands of builds to their own directories, without a network and without root's rights
    #[arg(
        id = "sandbox",
        long = "sandbox",
        value_enum,
        value_name = "MODE",
        env = "PGSETUP_SANDBOX",
        hide_env_values = true,
        default_value = "auto"
    )]
    pub mode: SandboxMode,
}

/// What is done where the kernel cannot confine builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SandboxMode {
    /// Confine them as far as the kernel can, and compare the root before and after a build for the rest
    Auto,
    /// Refuse to run where the kernel cannot enforce all of it
    Require,
    /// Run them as root, unconfined
    Off,
}

/// The format of test results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutcomeFormat {
    /// For people: one line for each test as soon as it ends
    Text,
    /// For programs; `pgsetup schema tests` describes it
    Json,
    /// The Test Anything Protocol, version 14
    Tap,
    /// JUnit XML
    Junit,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Verify the image below this directory instead of the running system
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    /// The format of the result; `pgsetup schema verification` describes the JSON document
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 if nothing is missing, 1 if something is.")]
pub struct DoctorArgs {
    /// The cache whose disk is looked at
    #[arg(
        long,
        value_name = "DIR",
        env = "PGSETUP_CACHE",
        hide_env_values = true,
        default_value = "/var/cache/pgsetup"
    )]
    pub cache: PathBuf,

    #[command(flatten)]
    pub sources: SourceArgs,

    /// The format; `pgsetup schema doctor` describes the JSON document
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// Arguments of `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// A Debian package, an absolute path, a library such as libicuuc.so.72, a program, or an extension
    #[arg(value_name = "NAME")]
    pub what: String,

    /// The root directory of the image
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    /// The image's receipt, instead of the image itself
    #[arg(long, value_name = "FILE", conflicts_with = "root")]
    pub receipt: Option<PathBuf>,

    /// Explain what `plan` plans instead of what is installed
    #[arg(long, conflicts_with_all = ["receipt", "root"])]
    pub plan: bool,

    #[command(flatten)]
    pub place: NamePlaceArgs,

    /// The format; `pgsetup schema why` describes the JSON document
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// A receipt, the root directory of an image, or an image of docker or podman
    #[arg(value_name = "FROM")]
    pub from: String,

    /// The one to compare it with
    #[arg(value_name = "TO")]
    pub to: String,

    /// The format; `pgsetup schema diff` describes the JSON document
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// The format of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// The format of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people
    Text,
    /// For programs; `pgsetup schema plan` describes it
    Json,
    /// A graph for Graphviz
    Dot,
}

/// A document that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DocumentName {
    /// Manifests
    Manifest,
    /// What `plan --format json` prints
    Plan,
    /// The record of an installation, /usr/share/pgsetup/receipt.json
    Receipt,
    /// What `verify --format json` prints
    Verification,
    /// What `test --format json` prints
    Tests,
    /// What `fetch --format json` prints
    Downloads,
    /// What `cache list --format json` prints
    Cache,
    /// What `update --check --format json` prints
    Updates,
    /// What `lock` writes, pgsetup.lock
    Lock,
    /// What `list --format json` and `search --format json` print
    Available,
    /// What `info --format json` prints
    Info,
    /// What `why --format json` prints
    Why,
    /// What `diff --format json` prints
    Diff,
    /// What `doctor --format json` prints
    Doctor,
}

/// Arguments of `install`.
#[derive(Debug, Args)]
pub struct InstallArgs {
    #[command(flatten)]
    pub manifests: ManifestArgs,

    #[command(flatten)]
    pub sources: SourceArgs,

    #[command(flatten)]
    pub artifact_cache: ArtifactCacheArgs,

    #[command(flatten)]
    pub cache: CacheDirArgs,

    /// Install below this directory instead of into the running system
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    /// Where the archive of debug symbols is written, if the image manifest keeps them [default: `debug-symbols` in
    /// the cache]
    #[arg(long, value_name = "DIR")]
    pub debug_symbols: Option<PathBuf>,

    #[command(flatten)]
    pub jobs: JobArgs,

    #[command(flatten)]
    pub sandbox: SandboxArgs,

    #[command(flatten)]
    pub lock: LockedArgs,

    /// Leave out each extension whose sources are not available, and list them at the end
    #[arg(long, conflicts_with = "locked")]
    pub skip_unavailable: bool,

    /// After a failed step, continue with every step that does not need it, to see all failures at once
    #[arg(long)]
    pub keep_going: bool,

    /// Write when each step ran to this file, in Chrome's trace format, which Perfetto opens
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

/// Where downloads and artifacts are kept.
#[derive(Debug, Clone, Args)]
pub struct CacheDirArgs {
    /// The cache of downloads and artifacts
    #[arg(
        id = "cache",
        long = "cache",
        value_name = "DIR",
        env = "PGSETUP_CACHE",
        hide_env_values = true,
        default_value = "/var/cache/pgsetup"
    )]
    pub dir: PathBuf,
}

/// How much runs at the same time.
#[derive(Debug, Clone, Args)]
pub struct JobArgs {
    /// How many jobs run at the same time [default: one for each processor]
    #[arg(id = "jobs", long = "jobs", value_name = "N", env = "PGSETUP_JOBS", hide_env_values = true,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub count: Option<u16>,
}

/// A cache of artifacts on another machine.
#[derive(Debug, Clone, Args)]
pub struct ArtifactCacheArgs {
    /// A cache in which machines share artifacts: Bazel's remote cache over HTTP, which bazel-remote, nginx with WebDAV and
    /// object stores provide. Anyone who can write to it decides what its readers install
    #[arg(
        long = "artifact-cache",
        id = "artifact-cache",
        value_name = "URL",
        conflicts_with = "offline"
    )]
    pub url: Option<String>,

    /// Read artifacts from that cache, but upload none
    #[arg(long = "artifact-cache-readonly", requires = "artifact-cache")]
    pub is_read_only: bool,

    /// A file with the secret of that cache: a bearer token, or `user:password`
    #[arg(
        long = "artifact-cache-auth",
        value_name = "FILE",
        requires = "artifact-cache"
    )]
    pub secret: Option<PathBuf>,

    /// How long the installation may wait for that cache in total, in seconds
    #[arg(long = "artifact-cache-timeout", value_name = "SECONDS", default_value = "30", requires = "artifact-cache",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub seconds: u16,
}

/// Where sources come from.
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    /// A directory of archives, which are found by their digest whatever their names are
    #[arg(long, value_name = "DIR", env = "PGSETUP_VENDOR", hide_env_values = true)]
    pub vendor: Vec<PathBuf>,

    /// Connect to nothing but apt's archive: take sources from vendor directories and the cache; with a lock, Debian packages
    /// as well
    #[arg(long)]
    pub offline: bool,

    /// A file of additional CA certificates (PEM), for downloads
    #[arg(long, value_name = "FILE", env = "SSL_CERT_FILE", hide_env_values = true)]
    pub ca_bundle: Option<PathBuf>,

    /// A server that has archives by their digest, below `sha256/`
    #[arg(long, value_name = "URL", env = "PGSETUP_MIRROR", hide_env_values = true)]
    pub mirror: Vec<String>,
}

/// Arguments of `fetch`.
#[derive(Debug, Args)]
pub struct FetchArgs {
    #[command(flatten)]
    pub manifests: ManifestArgs,

    /// The directory to fill; files that it already has are verified and kept
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,

    /// Fetch for this machine [default: the image manifest's base and this machine's architecture]
    #[arg(
        long,
        value_name = "DISTRIBUTION/ARCHITECTURE",
        conflicts_with = "all_targets"
    )]
    pub target: Option<Target>,

    /// Fetch for every PostgreSQL manifest and every architecture
    #[arg(long)]
    pub all_targets: bool,

    /// Unpack the archives below this directory as well, to read them or to make patches
    #[arg(long, value_name = "DIR")]
    pub unpack: Option<PathBuf>,

    /// The format of the list of files; `pgsetup schema downloads` describes the JSON document
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,

    #[command(flatten)]
    pub sources: SourceArgs,

    /// A cache to read from and to keep downloads in, besides the directory that is filled
    #[arg(long, value_name = "DIR", env = "PGSETUP_CACHE", hide_env_values = true)]
    pub cache: Option<PathBuf>,
}

/// Arguments of `shell`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: that of the shell, or of the command.")]
pub struct ShellArgs {
    /// What failed to build: `citus`, or `citus-14.0.1`
    pub name: String,

    /// The root directory of the installation
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    /// A command to run there instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Arguments of `update`.
#[derive(Debug, Args)]
#[command(after_help = UPDATE_STATUS)]
pub struct UpdateArgs {
    #[command(flatten)]
    pub place: PlaceArgs,

    /// The manifest to update: the name of an extension, or `postgresql-18` for that server
    pub name: Option<String>,

    /// The version to write [default: the newest that upstream has]
    #[arg(conflicts_with = "check")]
    pub version: Option<String>,

    /// List which versions are outdated, and change nothing
    #[arg(long)]
    pub check: bool,

    /// The format of the list of `--check`; `pgsetup schema updates` describes the JSON document
    #[arg(long, value_enum, default_value = "text", requires = "check")]
    pub format: Format,

    /// The version to replace, if the manifest has several
    #[arg(long, value_name = "VERSION", conflicts_with = "check")]
    pub release: Option<String>,

    /// Read the new version from this file instead of downloading it
    #[arg(long, value_name = "FILE", requires = "version", conflicts_with = "check")]
    pub archive: Option<PathBuf>,

    #[command(flatten)]
    pub sources: SourceArgs,

    /// A cache to read the old version from, to compare it with the new one
    #[arg(long, value_name = "DIR", env = "PGSETUP_CACHE", hide_env_values = true)]
    pub cache: Option<PathBuf>,
}

const UPDATE_STATUS: &str = "Exit status of --check:
    0  every version is the newest
    4  no version is known to be outdated, but some could not be looked up
    7  a version is outdated";

/// Arguments of `new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The directory of manifests to write into
    pub manifests: PathBuf,

    /// The name of the manifest
    pub name: String,

    /// The archive: a URL or a file
    #[arg(value_name = "ARCHIVE")]
    pub archive: String,

    /// Further archives, which are unpacked into the first one: those of its git submodules
    #[arg(value_name = "FURTHER")]
    pub further: Vec<String>,

    #[command(flatten)]
    pub sources: SourceArgs,
}

/// Arguments of `cache`.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// The cache of downloads and artifacts
    #[arg(
        long,
        value_name = "DIR",
        env = "PGSETUP_CACHE",
        hide_env_values = true,
        default_value = "/var/cache/pgsetup",
        global = true
    )]
    pub cache: PathBuf,

    /// What to do
    #[command(subcommand)]
    pub command: CacheCommand,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// List the files, the most recently used first
    List {
        /// The format of the list; `pgsetup schema cache` describes the JSON document
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Remove files that are too old or too many, and every unfinished download
    Prune {
        /// Keep files that were used within this many days
        #[arg(long, value_name = "DAYS", required_unless_present = "size")]
        days: Option<u16>,

        /// Keep at most this many bytes, the most recently used first; 500M, 2G
        #[arg(long, value_name = "BYTES", value_parser = size)]
        size: Option<u64>,
    },
}

/// A number of bytes; `k`, `M` and `G` are powers of 1000.
fn size(text: &str) -> Result<u64, String> {
    let not_a_size = || format!("`{text}` is not a size; write 500M or 2G");
    let digits = text.trim_end_matches(['k', 'K', 'M', 'G', 'B']);
    let factor = match text[digits.len()..].trim_end_matches('B') {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        _ => return Err(not_a_size()),
    };
    let number: u64 = digits.parse().map_err(|_| not_a_size())?;
    number
        .checked_mul(factor)
        .ok_or_else(|| format!("`{text}` is too large"))
}

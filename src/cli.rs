//! The command line: types only.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::target::Target;

const EXIT_STATUS: &str = "Exit status:
    0  done
    1  a fault of pgsetup or of the machine
    2  the command line is wrong
    3  something is wrong in a manifest
    4  something could not be downloaded
    5  a download is not what the manifest names
    6  a command failed: a build, a package installation
    7  a test failed, or a finished image is not what its receipt says
    8  not permitted
  130  told to stop";

/// Installs PostgreSQL, Patroni and extensions from manifests, verified and in one go.
#[derive(Debug, Parser)]
#[command(name = "pgsetup", version, after_help = EXIT_STATUS, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print what `install` would do, and why; touches nothing
    Plan(PlanArgs),
    /// Install everything the manifests select, and remove what was only needed to build it
    Install(InstallArgs),
    /// Download and verify everything the manifests select into a directory, for `install --vendor DIR --offline`
    Fetch(FetchArgs),
    /// Show or prune what downloads have left in the cache
    Cache(CacheArgs),
    /// Open the directory of a build that failed, with its variables, or run one command there
    Shell(ShellArgs),
    /// Test each extension in a throw-away cluster: installs it first, so best in a throw-away container
    Test(TestArgs),
    /// Write a newer version into a manifest, and say what else changed upstream
    Update(UpdateArgs),
    /// Write a first manifest of an extension from what its archive says
    New(NewArgs),
    /// Compare a finished image with its receipt: files, packages, libraries, rights, extensions
    Verify(VerifyArgs),
    /// Print the JSON schema of manifests, or of a document that pgsetup writes
    Schema {
        /// Which document
        #[arg(value_enum, default_value = "manifest")]
        document: SchemaOf,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What the manifests say, and what the command line chooses instead.
#[derive(Debug, Clone, Args)]
pub struct ManifestArgs {
    /// Directories of manifests, or single files
    #[arg(required = true, value_name = "DIR")]
    pub manifests: Vec<PathBuf>,

    /// The PostgreSQL manifest to install, by name [default: the image manifest's]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub pg: Option<String>,

    /// Install the servers of these PostgreSQL manifests of older majors as well, to upgrade data from; names, separated
    /// by commas or spaces [default: the image manifest's]
    #[arg(long, value_name = "NAMES")]
    pub previous: Option<String>,

    /// With just-in-time compilation, also where the image manifest is without
    #[arg(long)]
    pub jit: bool,

    /// Install these extensions and no others; names, separated by commas or spaces
    #[arg(long, value_name = "NAMES")]
    pub extensions: Option<String>,

    /// Install this extension too
    #[arg(long, value_name = "NAME")]
    pub with: Vec<String>,

    /// Leave this extension out; `NAME-pg17`: only for the older major 17
    #[arg(long, value_name = "NAME")]
    pub without: Vec<String>,

    /// Keep compilers and headers, for an image in which others build
    #[arg(long)]
    pub keep_build_deps: bool,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub manifests: ManifestArgs,

    /// The machine to plan for [default: the image manifest's base, this machine's architecture]
    #[arg(long, value_name = "DISTRIBUTION/ARCHITECTURE")]
    pub target: Option<Target>,

    /// The form of the plan
    #[arg(long, value_enum, default_value = "text")]
    pub format: PlanFormat,

    /// Print every command line too
    #[arg(long, short)]
    pub verbose: bool,

    /// Print instead why the key of this component is another one than the receipt's
    #[arg(long, value_name = "NAME", conflicts_with_all = ["format", "verbose"])]
    pub explain: Option<String>,

    #[command(flatten)]
    pub against: ExplainArgs,
}

/// What `--explain` compares with.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The receipt that `--explain` compares with [default: that of --root]
    #[arg(long, value_name = "FILE", requires = "explain")]
    pub receipt: Option<PathBuf>,

    /// The machine that `--explain` compares with, and asks for the versions of packages
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
    /// Directories of manifests, or single files; then names of extensions [default: those of the image manifest]. The
    /// first word is a directory or file, and so is each that has a slash in it
    #[arg(required = true, value_name = "DIR... [NAME]")]
    pub words: Vec<String>,

    /// The PostgreSQL manifest to test with, by name [default: the image manifest's]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub pg: Option<String>,

    /// Test every extension there is, but those that are not for this PostgreSQL
    #[arg(long)]
    pub all: bool,

    /// Build and install nothing: test what is in this machine, as root or as the image's user
    #[arg(long)]
    pub installed: bool,

    /// Run upstream's own tests as well; the name `postgresql` stands for the server's
    #[arg(long, conflicts_with = "installed")]
    pub upstream: bool,

    /// The form of the results
    #[arg(long, value_enum, default_value = "text")]
    pub format: OutcomeFormat,

    /// Write the results to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Keep the cluster of each extension of which a test failed
    #[arg(long)]
    pub keep: bool,

    /// Seconds that one test may take
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u16).range(1..))]
    pub timeout: u16,

    #[command(flatten)]
    pub sources: SourceArgs,

    /// Where downloads are kept
    #[arg(long, value_name = "DIR", default_value = "/var/cache/pgsetup")]
    pub cache: PathBuf,

    /// Install and test below this directory instead of in the running system
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    /// How many jobs run at the same time [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,

    /// Skip each extension whose sources cannot be had
    #[arg(long)]
    pub skip_unavailable: bool,
}

/// The form of test results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutcomeFormat {
    /// For people: a line for each test as soon as it ends
    Text,
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

    /// The form of the result
    #[arg(long, value_enum, default_value = "text")]
    pub format: VerifyFormat,
}

/// The form of a verification's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VerifyFormat {
    /// For people: a line for each difference
    Text,
    /// For programs; `pgsetup schema verification` describes it
    Json,
}

/// The form of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people
    Text,
    /// For programs; `pgsetup schema plan` describes it
    Json,
    /// The graph, for Graphviz
    Dot,
}

/// A document that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// Manifests
    Manifest,
    /// What `plan --format json` prints
    Plan,
    /// The record of what was installed, /usr/share/pgsetup/receipt.json
    Receipt,
    /// What `verify --format json` prints
    Verification,
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

    /// Where downloads are kept
    #[arg(long, value_name = "DIR", default_value = "/var/cache/pgsetup")]
    pub cache: PathBuf,

    /// Install below this directory instead of into the running system
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    /// Where the archive with symbols for debuggers goes, if the image manifest keeps them [default: `debug-symbols` in
    /// the cache]
    #[arg(long, value_name = "DIR")]
    pub debug_symbols: Option<PathBuf>,

    /// How many jobs run at the same time [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,

    /// Leave out, with a note at the end, each extension whose sources cannot be had
    #[arg(long)]
    pub skip_unavailable: bool,

    /// After a failed step go on with all that does not need it, to see every failure at once
    #[arg(long)]
    pub keep_going: bool,

    /// Write what ran when to this file, in Chrome's trace format, which Perfetto opens
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

/// A cache of artifacts on another machine.
#[derive(Debug, Clone, Args)]
pub struct ArtifactCacheArgs {
    /// A cache that machines share what they have compiled through: Bazel's remote cache over HTTP, which bazel-remote,
    /// nginx with WebDAV and object stores speak. Whoever may write to it decides what its readers install
    #[arg(
        long = "artifact-cache",
        id = "artifact-cache",
        value_name = "URL",
        conflicts_with = "offline"
    )]
    pub url: Option<String>,

    /// Take artifacts from that cache and upload none
    #[arg(long = "artifact-cache-readonly", requires = "artifact-cache")]
    pub is_read_only: bool,

    /// A file with its secret: a bearer token, or `user:password`
    #[arg(
        long = "artifact-cache-auth",
        value_name = "FILE",
        requires = "artifact-cache"
    )]
    pub secret: Option<PathBuf>,

    /// How long the installation may wait for it in all
    #[arg(long = "artifact-cache-timeout", value_name = "SECONDS", default_value = "30", requires = "artifact-cache",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub seconds: u16,
}

/// Where sources come from.
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    /// A directory of archives, found by their digest whatever they are called
    #[arg(long, value_name = "DIR")]
    pub vendor: Vec<PathBuf>,

    /// Connect to nothing but apt's archive: take sources from the vendor directories and the cache
    #[arg(long)]
    pub offline: bool,

    /// A file of further CA certificates (PEM), for downloads [env: `SSL_CERT_FILE`]
    #[arg(long, value_name = "FILE")]
    pub ca_bundle: Option<PathBuf>,

    /// A server that has archives by digest, below `sha256/`
    #[arg(long, value_name = "URL")]
    pub mirror: Vec<String>,
}

/// Arguments of `fetch`.
#[derive(Debug, Args)]
pub struct FetchArgs {
    #[command(flatten)]
    pub manifests: ManifestArgs,

    /// The directory that is filled; what is there already is verified and kept
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,

    /// The machine to fetch for [default: the image manifest's base, this machine's architecture]
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

    #[command(flatten)]
    pub sources: SourceArgs,

    /// A cache to take from and to keep downloads in, besides the directory that is filled
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// Arguments of `shell`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: that of the shell, or of the command.")]
pub struct ShellArgs {
    /// What failed to build: `citus`, or `citus-14.0.1`
    pub name: String,

    /// Where it was installed
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
    /// The extension's manifest, by name, or `postgresql-18` for the server's
    #[arg(required_unless_present = "check")]
    pub name: Option<String>,

    /// The version to write [default: the newest that upstream names]
    #[arg(conflicts_with = "check")]
    pub version: Option<String>,

    /// List what is outdated, and change nothing
    #[arg(long)]
    pub check: bool,

    /// Directories of manifests, or single files
    #[arg(long, value_name = "DIR", default_value = "manifests")]
    pub manifests: Vec<PathBuf>,

    /// The version to replace, where the manifest has several
    #[arg(long, value_name = "VERSION", conflicts_with = "check")]
    pub release: Option<String>,

    /// Take the new version from this file instead of downloading it
    #[arg(long, value_name = "FILE", requires = "version", conflicts_with = "check")]
    pub archive: Option<PathBuf>,

    #[command(flatten)]
    pub sources: SourceArgs,

    /// A cache to take the old version from, for comparing
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

const UPDATE_STATUS: &str = "Exit status of --check:
    0  everything is the newest
    4  nothing is outdated, but something could not be asked for
    7  something is outdated";

/// Arguments of `new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The manifest's name
    pub name: String,

    /// The archive: its address, or a file
    #[arg(value_name = "URL")]
    pub archive: String,

    /// The directory of manifests it is written into
    #[arg(long, value_name = "DIR", default_value = "manifests")]
    pub manifests: PathBuf,

    #[command(flatten)]
    pub sources: SourceArgs,
}

/// Arguments of `cache`.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// Where downloads are kept
    #[arg(long, value_name = "DIR", default_value = "/var/cache/pgsetup", global = true)]
    pub cache: PathBuf,

    /// What to do
    #[command(subcommand)]
    pub command: CacheCommand,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// List the files, those used last first
    List,
    /// Remove what is too old or too much, and every unfinished download
    Prune {
        /// Keep files that were used in the last so many days
        #[arg(long, value_name = "DAYS", required_unless_present = "size")]
        days: Option<u16>,

        /// Keep at most so many bytes, those used last first; 500M, 2G
        #[arg(long, value_name = "BYTES", value_parser = size)]
        size: Option<u64>,
    },
}

/// A number of bytes with `k`, `M` or `G` for thousands of them.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(['k', 'K', 'M', 'G', 'B']);
    let factor = match text[digits.len()..].trim_end_matches('B') {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        _ => return Err(format!("`{text}` is no size: 500M, 2G")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("`{text}` is no size: 500M, 2G"))?;
    number
        .checked_mul(factor)
        .ok_or_else(|| format!("`{text}` is too much"))
}

//! The manifest of an extension: its releases, how it is built, what it needs, and how it proves that it works.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::build::{Build, CpuFlags, NamedStep};
use super::source::{Packages, Source};

/// A PostgreSQL extension, or a library to load.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// `extension`.
    pub kind: String,
    /// The name it is selected by, which may differ from its SQL names: pgvector, whose SQL name is `vector`.
    pub name: String,
    /// What it is for, in one line.
    pub summary: String,
    /// SPDX licence expression.
    pub license: String,
    /// The project's page.
    pub homepage: String,
    /// One entry for each version, with the PostgreSQL majors it is for. No major may be in two entries.
    #[schemars(length(min = 1))]
    pub releases: Vec<Release>,
    /// PostgreSQL majors and bases that this project supports and the extension does not, with the reason.
    #[serde(default)]
    pub unsupported: Vec<Unsupported>,
    /// How it is compiled.
    pub build: Build,
    /// Compiler flags beyond the baseline of an architecture.
    #[serde(default)]
    pub cpu_flags: Vec<CpuFlags>,
    /// Why its build has to run as root, if it has to. Builds have a user of their own.
    #[schemars(length(min = 1))]
    pub root: Option<String>,
    /// Debian packages it needs.
    #[serde(default)]
    pub packages: Packages,
    /// Debian architectures it works on; every one where none is given.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Other extension manifests that must be selected too.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Extension manifests that cannot be in the same image.
    #[serde(default)]
    pub conflicts: Vec<Conflict>,
    /// What has to be loaded before it works.
    pub preload: Option<Preload>,
    /// PostgreSQL settings that an image with this extension has.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// Settings that only its tests need.
    #[serde(default)]
    pub test_settings: BTreeMap<String, String>,
    /// SQL that proves it does what it is for; run in a throw-away cluster.
    #[serde(default)]
    pub tests: Vec<Test>,
    /// Built-in checks that fail here, each with the reason why that is right.
    #[serde(default)]
    pub known_failures: Vec<KnownCheck>,
    /// Older versions from which a database is updated, to prove that this works.
    #[serde(default)]
    pub upgrades: Vec<Upgrade>,
    /// How upstream's own tests are run, and which of them are known to fail.
    pub upstream: Option<Upstream>,
    /// Values that count on some bases or architectures only, besides those above. A value that one base has must be
    /// given for every other that is built on, if only as an empty list.
    #[serde(default)]
    pub variants: Vec<ExtensionVariant>,
    /// Commands that prove a program works. Only the manifest of a program has them.
    #[serde(default)]
    #[schemars(skip)]
    pub runs: Vec<ProgramTest>,
}

/// Values of an extension on some bases or architectures.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtensionVariant {
    /// The distributions it is for, `debian:trixie`; every one where none is given.
    #[serde(default)]
    pub bases: Vec<String>,
    /// The Debian architectures it is for; every one where none is given.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Further arguments and environment of the same build system; a variable of the same name is replaced.
    pub build: Option<Build>,
    /// Further Debian packages that it needs.
    #[serde(default)]
    pub packages: Packages,
}

impl Extension {
    /// The kind of a program's manifest.
    pub const PROGRAM: &str = "program";

    /// One of this kind and name that says nothing else.
    pub fn new(kind: &str, name: String) -> Self {
        Self {
            kind: kind.to_owned(),
            name,
            summary: String::new(),
            license: String::new(),
            homepage: String::new(),
            releases: Vec::new(),
            unsupported: Vec::new(),
            build: Build::default(),
            cpu_flags: Vec::new(),
            root: None,
            packages: Packages::default(),
            architectures: Vec::new(),
            requires: Vec::new(),
            conflicts: Vec::new(),
            preload: None,
            settings: BTreeMap::new(),
            test_settings: BTreeMap::new(),
            tests: Vec::new(),
            known_failures: Vec::new(),
            upgrades: Vec::new(),
            upstream: None,
            variants: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// True of a program, which no server loads.
    pub fn is_program(&self) -> bool {
        self.kind == Self::PROGRAM
    }

    /// True of a module that is part of PostgreSQL: it has no archive of its own, and its version is the server's.
    pub fn comes_with_postgresql(&self) -> bool {
        self.releases.iter().all(|release| release.sources.is_empty())
    }
}

/// A version of an extension for some PostgreSQL majors.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The release as upstream numbers it.
    pub version: String,
    /// PostgreSQL majors it is for.
    #[schemars(length(min = 1))]
    pub postgresql: Vec<u16>,
    /// The archive; where there are several, the first is built and the others are unpacked below it.
    #[schemars(length(min = 1))]
    pub sources: Vec<Source>,
    /// The crates, of an extension in Rust.
    pub crates: Option<Crates>,
    /// The SQL extensions it brings; none for a library that is only loaded.
    #[serde(default)]
    pub provides: Vec<SqlExtension>,
}

/// The crates of a release in Rust: those of its `Cargo.lock`, each with the digest that is there.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crates {
    /// SHA-256 of the `Cargo.lock` in the source tree, or in the directory of the build.
    pub lock: String,
    /// The `cargo-pgrx` that builds it. Its version is that of the crate `pgrx` in the lock.
    pub cargo_pgrx: Option<CargoPgrx>,
}

/// A release of `cargo-pgrx`, which is compiled for the builds that need it and is in no image.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CargoPgrx {
    /// Its version.
    pub version: String,
    /// SHA-256 of its crate.
    pub sha256: String,
    /// SHA-256 of the `Cargo.lock` in its crate.
    pub lock: String,
}

/// PostgreSQL majors for which there is no release, or bases that it does not work on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unsupported {
    /// The majors; with `bases`, every one where none is given.
    #[serde(default)]
    pub postgresql: Vec<u16>,
    /// The distributions, `debian:trixie`; every one where none is given.
    #[serde(default)]
    pub bases: Vec<String>,
    /// Why not: what upstream says of it, or what goes wrong.
    #[schemars(length(min = 1))]
    pub reason: String,
}

/// An extension as `CREATE EXTENSION` knows it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlExtension {
    /// The name in SQL.
    pub name: String,
    /// `default_version` of its control file, which often is not the release.
    pub default_version: String,
    /// The schema it has to be created in, where its control file leaves that open and its documentation does not.
    pub schema: Option<String>,
}

/// An extension that cannot be beside this one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conflict {
    /// The manifest's name.
    pub extension: String,
    /// What goes wrong.
    pub reason: String,
}

/// What has to be loaded before an extension works.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preload {
    /// Libraries, as they are written in `shared_preload_libraries`.
    #[schemars(length(min = 1))]
    pub libraries: Vec<String>,
    /// When they are loaded.
    #[serde(default)]
    pub scope: PreloadScope,
    /// True when it insists on the first place, as Citus does.
    #[serde(default)]
    pub first: bool,
    /// Extension manifests whose libraries come before these, when they are preloaded too.
    #[serde(default)]
    pub after: Vec<String>,
    /// What the server answers where they are not loaded, of an extension that does not work without them. It is
    /// provoked, to prove that this is what a user will be told.
    pub required: Option<Required>,
}

/// What happens where a library is needed and not loaded beforehand.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Required {
    /// A part of the error message, for example `must be loaded via shared_preload_libraries`.
    #[schemars(length(min = 1))]
    pub error: String,
    /// SQL that fails with it when the extension has been created; where none is given, creating it fails.
    pub query: Option<String>,
}

/// When a library is loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PreloadScope {
    /// When the server starts (`shared_preload_libraries`).
    #[default]
    Server,
    /// When a session starts (`session_preload_libraries`).
    Session,
}

/// A built-in check that is known to fail. It is run nevertheless, and a failure does not count.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownCheck {
    /// The check.
    pub name: Check,
    /// PostgreSQL majors on which it fails; every one where none is given.
    #[serde(default)]
    pub postgresql: Vec<u16>,
    /// Why the failure is not a fault of the extension or of its manifest.
    #[schemars(length(min = 1))]
    pub reason: String,
}

/// The built-in checks that a manifest can excuse. Whether files exist, and whether what they need is there, cannot be
/// excused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The server, the extension or a library that it links defines every symbol of its libraries.
    Symbols,
    /// Its licence texts are those of the licences in `license`.
    License,
    /// Its libraries can be loaded, of an extension that provides no SQL.
    Load,
    /// What it provides is created, with the version of the manifest.
    Create,
    /// What it provides is dropped.
    Drop,
    /// What was dropped is created again.
    Recreate,
}

impl Check {
    /// Its name in a manifest and in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Symbols => "symbols",
            Self::License => "license",
            Self::Load => "load",
            Self::Create => "create",
            Self::Drop => "drop",
            Self::Recreate => "recreate",
        }
    }
}

/// A statement with its expected answer, or the error that it must give.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// What is proved, as a sentence.
    pub description: String,
    /// PostgreSQL majors it is for; every one where none is given.
    #[serde(default)]
    pub postgresql: Vec<u16>,
    /// SQL that makes what the query looks at, in psql's language; an error fails the test. The tests of an extension
    /// share a database and run in the order in which they are written.
    pub setup: Option<String>,
    /// SQL that prepares the query's session, after `setup`: `SET enable_seqscan = off`. After an upgrade the query is
    /// asked again, with this and without `setup`.
    pub session: Option<String>,
    /// The query. Its answer is compared as `psql --no-align --tuples-only` prints it.
    pub query: String,
    /// The expected answer. Either this or `error`.
    pub expected: Option<String>,
    /// A part of the message of the error that the query must end with. Either this or `expected`.
    #[schemars(length(min = 1))]
    pub error: Option<String>,
}

/// A command of a program with its expected output.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgramTest {
    /// What is proved, as a sentence.
    pub description: String,
    /// The program and its arguments; no shell is between.
    #[schemars(length(min = 1))]
    pub run: Vec<String>,
    /// What it prints on its standard output, without white space at the end. `${version}` is replaced.
    pub prints: String,
}

/// An older version, from which a database is updated to the release of the same PostgreSQL major.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// The older release as upstream numbers it; `${version}` in what follows.
    pub from: String,
    /// PostgreSQL majors on which the older release compiles.
    #[schemars(length(min = 1))]
    pub postgresql: Vec<u16>,
    /// Its archives, as those of a release.
    #[schemars(length(min = 1))]
    pub sources: Vec<Source>,
    /// Its crates, as those of a release.
    pub crates: Option<Crates>,
    /// The SQL extensions that it brought.
    #[schemars(length(min = 1))]
    pub provides: Vec<SqlExtension>,
    /// How it is compiled, where that is not as today.
    pub build: Option<Build>,
    /// Tests that are run with the older version, and again, without their `setup`, after the update; the extension's
    /// own where none are given.
    #[serde(default)]
    pub tests: Vec<Test>,
}

/// Upstream's own tests, run against a throw-away cluster: `make installcheck` in the directory of the build, unless
/// it says otherwise.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Targets of `make`; `installcheck` where none is given.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Variables for `make` besides those of the build.
    #[serde(default)]
    pub make: Vec<String>,
    /// Directory below the source tree; the build's where none is given.
    pub directory: Option<String>,
    /// Commands instead of `make`, run in order, as the image's user.
    #[serde(default)]
    pub steps: Vec<NamedStep>,
    /// Environment variables.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Debian packages that only these tests need.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Extension manifests that only these tests need.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Settings that only these tests need, besides `settings` and `test_settings`.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// Seconds they may take; 900 where none are given.
    #[schemars(range(min = 1))]
    pub time_limit: Option<u32>,
    /// Tests that are known to fail here.
    #[serde(default)]
    pub known_failures: Vec<KnownFailure>,
}

/// A test of upstream's that is known to fail.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownFailure {
    /// Its name, as the test's output has it.
    pub name: String,
    /// PostgreSQL majors on which it fails; every one where none is given.
    #[serde(default)]
    pub postgresql: Vec<u16>,
    /// Why the failure is not a fault of the build.
    #[schemars(length(min = 1))]
    pub reason: String,
}

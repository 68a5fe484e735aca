//! The manifest of an extension: its releases, how it is built, what it needs, and how it proves that it works.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::build::Build;
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
    /// One entry for each version, with the PostgreSQL majors it is for. No major may stand in two entries.
    #[schemars(length(min = 1))]
    pub releases: Vec<Release>,
    /// How it is compiled.
    pub build: Build,
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
    /// The SQL extensions it brings; none for a library that is only loaded.
    #[serde(default)]
    pub provides: Vec<SqlExtension>,
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

/// A statement with its expected answer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// What is proved, as a sentence.
    pub description: String,
    /// SQL that prepares it, in psql's language; an error fails the test.
    pub setup: Option<String>,
    /// The query. Its answer is compared as `psql --no-align --tuples-only` prints it.
    pub query: String,
    /// The expected answer.
    pub expected: String,
}

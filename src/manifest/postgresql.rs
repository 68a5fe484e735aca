//! The manifest of a PostgreSQL server: one file for each major version.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::build::CpuFlags;
use super::extension::{Conflict, Upstream};
use super::source::{Packages, Source};

/// A PostgreSQL server, compiled or taken from the distribution.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Postgresql {
    /// `postgresql`.
    pub kind: String,
    /// The name the image selects it by: `18`, or `15-apt`.
    pub name: String,
    /// The major version.
    pub major: u16,
    /// The full version, `18.6`; for `source: apt` the version that is expected.
    pub version: String,
    /// SPDX licence expression.
    pub license: String,
    /// The project's page.
    pub homepage: String,
    /// Where it comes from.
    pub source: ServerSource,
    /// The archive, for `source: archive`.
    pub archive: Option<Source>,
    /// Arguments of `./configure` besides the directories, for `source: archive`.
    #[serde(default)]
    pub configure: Vec<String>,
    /// Directories of the archive that are neither compiled nor installed, for `source: archive`: what no image keeps.
    #[serde(default)]
    pub leave_out: Vec<String>,
    /// Arguments and Debian packages that are added when the image asks for just-in-time compilation.
    #[serde(default)]
    pub jit: Jit,
    /// Environment variables of the build.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Compiler flags beyond the baseline of an architecture, for `source: archive`.
    #[serde(default)]
    pub cpu_flags: Vec<CpuFlags>,
    /// Extension manifests that do not work with it, though they support its major.
    #[serde(default)]
    pub conflicts: Vec<Conflict>,
    /// Debian packages it needs. For `source: apt`, `runtime` names the server and `build` its headers.
    #[serde(default)]
    pub packages: Packages,
    /// How its own regression tests are run, and which of them are known to fail.
    pub upstream: Option<Upstream>,
    /// Debian packages that compiling an extension against it needs: compiler, `make`, and what its own headers
    /// include. All of its build packages where none is given.
    #[serde(default)]
    pub development: Vec<String>,
    /// The distributions it can be installed on, `debian:bookworm`; every one where none is given.
    #[serde(default)]
    pub bases: Vec<String>,
    /// Values that count on some bases or architectures only, besides those above. A value that one base has must be
    /// given for every other that is built on, if only as an empty list.
    #[serde(default)]
    pub variants: Vec<ServerVariant>,
}

/// Where the server comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Origin")]
pub enum ServerSource {
    /// Compiled from `archive`.
    Archive,
    /// Debian packages, named in `packages.runtime`.
    Apt,
}

/// What just-in-time compilation adds.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jit {
    /// Arguments of `./configure`.
    #[serde(default)]
    pub configure: Vec<String>,
    /// Debian packages.
    #[serde(default)]
    pub packages: Packages,
    /// Debian packages that compiling an extension needs as well.
    #[serde(default)]
    pub development: Vec<String>,
}

/// Values of a server on some bases or architectures.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerVariant {
    /// The distributions it is for, `debian:trixie`; every one where none is given.
    #[serde(default)]
    pub bases: Vec<String>,
    /// The Debian architectures it is for; every one where none is given.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Further arguments of `./configure`.
    #[serde(default)]
    pub configure: Vec<String>,
    /// What just-in-time compilation adds besides.
    #[serde(default)]
    pub jit: Jit,
    /// Further environment variables of the build; one of the same name is replaced.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Further Debian packages that it needs.
    #[serde(default)]
    pub packages: Packages,
    /// Further Debian packages that compiling an extension against it needs.
    #[serde(default)]
    pub development: Vec<String>,
}

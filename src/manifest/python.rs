//! The manifests of Python and of Patroni, which is installed with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::source::Packages;
use super::variant::PackageVariant;

/// The Python that Patroni runs on: the distribution's own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Python {
    /// `python`.
    pub kind: String,
    /// The name, `python3`.
    pub name: String,
    /// The interpreter's path.
    pub interpreter: String,
    /// Its version, `3.13`, which decides the wheels that fit it.
    pub version: Option<String>,
    /// The version of the distribution's C library, `2.41`, which decides the `manylinux` wheels that fit it.
    pub glibc: Option<String>,
    /// Debian packages: `runtime` holds the interpreter, `build` what makes environments and compiles modules.
    pub packages: Packages,
    /// Values that count on some bases or architectures only, besides those above. A value that one base has must be
    /// given for every other that is built on, if only as an empty list.
    #[serde(default)]
    pub variants: Vec<PythonVariant>,
}

/// Values of Python on some bases or architectures.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PythonVariant {
    /// The distributions it is for, `debian:trixie`; every one where none is given.
    #[serde(default)]
    pub bases: Vec<String>,
    /// The Debian architectures it is for; every one where none is given.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Its version there.
    pub version: Option<String>,
    /// The version of the C library there.
    pub glibc: Option<String>,
    /// Further Debian packages.
    #[serde(default)]
    pub packages: Packages,
}

/// Patroni in an environment of its own, every distribution pinned by digest.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Patroni {
    /// `patroni`.
    pub kind: String,
    /// The name, `patroni`.
    pub name: String,
    /// The release.
    pub version: String,
    /// SPDX licence expression.
    pub license: String,
    /// The project's page.
    pub homepage: String,
    /// Directory of the environment.
    pub directory: String,
    /// The Python manifest it runs on.
    pub python: String,
    /// Debian packages it needs.
    #[serde(default)]
    pub packages: Packages,
    /// Everything that is installed, Patroni itself first; nothing else is, whatever their metadata say.
    #[schemars(length(min = 1))]
    pub distributions: Vec<Distribution>,
    /// Module names whose import proves the installation.
    #[serde(default)]
    pub imports: Vec<String>,
    /// Values that count on some bases or architectures only, besides those above. A value that one base has must be
    /// given for every other that is built on, if only as an empty list.
    #[serde(default)]
    pub variants: Vec<PackageVariant>,
}

/// A Python distribution at one version.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// Its name in the package index.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SPDX licence expression.
    pub license: String,
    /// Its files. Of several wheels the one is taken whose tags (PEP 425) fit the Python and the machine; an archive, where
    /// no wheel does.
    #[schemars(length(min = 1))]
    pub files: Vec<DistributionFile>,
}

/// A wheel, or an archive that is compiled.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DistributionFile {
    /// The file's name in the package index: pip reads the version and the platform from it.
    pub file: String,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
}

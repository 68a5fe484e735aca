//! The manifest of a program that is beside the server: a tool for backups, a connection pooler.
//!
//! A program is an extension without SQL. Everywhere else it is fetched, compiled, cached, recorded and updated as any other;
//! only its proof differs: commands, and not queries.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::build::{Build, CpuFlags};
use super::extension::{Extension, KnownCheck, ProgramTest, Release};
use super::source::{Packages, Source};

/// A program that is compiled against PostgreSQL's client library and loaded by no server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// `program`.
    pub kind: String,
    /// The name it is selected by.
    pub name: String,
    /// What it is for, in one line.
    pub summary: String,
    /// SPDX licence expression.
    pub license: String,
    /// The project's page.
    pub homepage: String,
    /// One entry for each version, with the PostgreSQL majors it works with. No major may be in two entries.
    #[schemars(length(min = 1))]
    pub releases: Vec<ProgramRelease>,
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
    /// Commands that prove it works, run in the finished root as the image's user.
    #[schemars(length(min = 1))]
    pub runs: Vec<ProgramTest>,
    /// Built-in checks that fail here, each with the reason why that is right.
    #[serde(default)]
    pub known_failures: Vec<KnownCheck>,
}

/// A version of a program for some PostgreSQL majors.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgramRelease {
    /// The release as upstream numbers it.
    pub version: String,
    /// PostgreSQL majors it works with.
    #[schemars(length(min = 1))]
    pub postgresql: Vec<u16>,
    /// The archive; where there are several, the first is built and the others are unpacked below it.
    #[schemars(length(min = 1))]
    pub sources: Vec<Source>,
}

impl Program {
    /// The program as an extension that provides no SQL. Paths below it are those below the extension.
    pub fn into_extension(self) -> Extension {
        let releases = self.releases.into_iter().map(|release| Release {
            version: release.version,
            postgresql: release.postgresql,
            sources: release.sources,
            provides: Vec::new(),
            crates: None,
        });
        Extension {
            summary: self.summary,
            license: self.license,
            homepage: self.homepage,
            releases: releases.collect(),
            build: self.build,
            cpu_flags: self.cpu_flags,
            root: self.root,
            packages: self.packages,
            architectures: self.architectures,
            runs: self.runs,
            known_failures: self.known_failures,
            ..Extension::new(Extension::PROGRAM, self.name)
        }
    }
}

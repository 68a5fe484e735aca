//! The manifest of what comes with PostgreSQL itself: its contrib modules, all in one file.
//!
//! A module is an extension that has no archive and is not compiled by itself. Everywhere else it is selected,
//! preloaded, required and tested as any other.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extension::{Conflict, Extension, KnownCheck, Preload, Release, SqlExtension, Test, Unsupported};

/// The modules that PostgreSQL's own archive brings.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contrib {
    /// `contrib`.
    pub kind: String,
    /// A name for the file.
    pub name: String,
    /// SPDX licence expression of all modules.
    pub license: String,
    /// The page that documents them.
    pub homepage: String,
    /// The modules.
    #[schemars(length(min = 1))]
    pub modules: Vec<Module>,
}

/// One module.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// The name it is selected by.
    pub name: String,
    /// What it is for, in one line.
    pub summary: String,
    /// The PostgreSQL majors that have it, with the SQL extensions it is there. No major may be in two entries.
    #[schemars(length(min = 1))]
    pub releases: Vec<ModuleRelease>,
    /// PostgreSQL majors that do not have it, with the reason.
    #[serde(default)]
    pub unsupported: Vec<Unsupported>,
    /// Other modules or extension manifests that must be selected too.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Extension manifests that cannot be in the same image.
    #[serde(default)]
    pub conflicts: Vec<Conflict>,
    /// What has to be loaded before it works.
    pub preload: Option<Preload>,
    /// PostgreSQL settings that an image with this module has.
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
}

/// A module in some PostgreSQL majors.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModuleRelease {
    /// PostgreSQL majors it is for.
    #[schemars(length(min = 1))]
    pub postgresql: Vec<u16>,
    /// The SQL extensions it brings; none for a library that is only loaded.
    #[serde(default)]
    pub provides: Vec<SqlExtension>,
}

impl Contrib {
    /// Each module as an extension without archives. Paths below a module are those below the extension.
    pub fn into_extensions(self) -> Vec<Extension> {
        let (license, homepage) = (self.license, self.homepage);
        let modules = self.modules.into_iter();
        modules
            .map(|module| module.into_extension(&license, &homepage))
            .collect()
    }
}

impl Module {
    fn into_extension(self, license: &str, homepage: &str) -> Extension {
        let releases = self.releases.into_iter().map(|release| Release {
            // That of the server, which is not known before one is selected.
            version: String::new(),
            postgresql: release.postgresql,
            sources: Vec::new(),
            crates: None,
            provides: release.provides,
        });
        Extension {
            summary: self.summary,
            license: license.to_owned(),
            homepage: homepage.to_owned(),
            releases: releases.collect(),
            unsupported: self.unsupported,
            requires: self.requires,
            conflicts: self.conflicts,
            preload: self.preload,
            settings: self.settings,
            test_settings: self.test_settings,
            tests: self.tests,
            known_failures: self.known_failures,
            ..Extension::new("extension", self.name)
        }
    }
}

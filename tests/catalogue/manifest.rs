//! The parts of a manifest that the tests of the catalogue read. pgsetup validates manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_yaml::Value;

use crate::project;

/// Every extension manifest of the project.
pub struct Catalogue {
    /// One for each file, by name.
    pub extensions: Vec<Extension>,
    /// The modules that come with PostgreSQL, all in one file.
    pub modules: Vec<Extension>,
    /// One for each program beside the server, by name.
    pub programs: Vec<Extension>,
    /// Files that are not extension manifests, with the reason.
    pub unreadable: Vec<String>,
    /// Majors with a PostgreSQL manifest.
    pub majors: BTreeSet<u16>,
}

/// An extension's manifest.
#[derive(Debug, Deserialize)]
pub struct Extension {
    pub kind: String,
    pub name: String,
    pub license: String,
    #[serde(default)]
    pub homepage: String,
    #[serde(default)]
    pub releases: Vec<Release>,
    #[serde(default)]
    pub unsupported: Vec<Unsupported>,
    #[serde(default)]
    pub requires: Vec<String>,
    #[serde(default)]
    pub conflicts: Vec<Conflict>,
    pub preload: Option<Preload>,
    #[serde(default)]
    pub tests: Vec<Test>,
    #[serde(default)]
    pub runs: Vec<ProgramTest>,
    #[serde(default)]
    pub upgrades: Vec<Upgrade>,
    pub upstream: Option<Upstream>,
    /// Its tests as text, without comments.
    #[serde(skip)]
    pub proof: String,
    /// The file it is in.
    #[serde(skip)]
    pub file: PathBuf,
}

/// A command of a program.
#[derive(Debug, Deserialize)]
pub struct ProgramTest {
    pub description: String,
    pub run: Vec<String>,
    pub prints: String,
}

/// How upstream's tests run.
#[derive(Debug, Deserialize)]
pub struct Upstream {
    #[serde(default)]
    pub requires: Vec<String>,
}

/// An older version to update from.
#[derive(Debug, Deserialize)]
pub struct Upgrade {
    pub from: String,
    pub sources: Vec<Source>,
}

#[derive(Debug, Deserialize)]
pub struct Release {
    pub version: String,
    pub postgresql: Vec<u16>,
    #[serde(default)]
    pub sources: Vec<Source>,
}

#[derive(Debug, Deserialize)]
pub struct Source {
    pub url: String,
    pub sha256: String,
    pub insecure: Option<String>,
    #[serde(default)]
    pub accepted: Vec<Accepted>,
}

#[derive(Debug, Deserialize)]
pub struct Accepted {
    pub sha256: String,
}

/// Majors or bases that it does not support.
#[derive(Debug, Deserialize)]
pub struct Unsupported {
    #[serde(default)]
    pub postgresql: Vec<u16>,
    #[serde(default)]
    pub bases: Vec<String>,
    pub reason: String,
}

#[derive(Debug, Deserialize)]
pub struct Conflict {
    pub extension: String,
}

#[derive(Debug, Deserialize)]
pub struct Preload {
    #[serde(default)]
    pub after: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct Test {
    pub description: String,
    pub query: String,
    pub expected: Option<String>,
    pub error: Option<String>,
}

/// The manifest of kind `contrib`.
#[derive(Debug, Deserialize)]
struct Contrib {
    license: String,
    homepage: String,
    modules: Vec<Module>,
}

#[derive(Debug, Deserialize)]
struct Module {
    name: String,
    releases: Vec<ModuleRelease>,
    #[serde(default)]
    unsupported: Vec<Unsupported>,
    #[serde(default)]
    requires: Vec<String>,
    preload: Option<Preload>,
    #[serde(default)]
    tests: Vec<Test>,
}

#[derive(Debug, Deserialize)]
struct ModuleRelease {
    postgresql: Vec<u16>,
}

impl Catalogue {
    /// Reads `manifests/extensions` and what is beside it.
    pub fn read() -> Self {
        let mut catalogue = Self {
            extensions: Vec::new(),
            modules: Vec::new(),
            programs: Vec::new(),
            unreadable: Vec::new(),
            majors: yaml_files(&project().join("manifests/postgresql"))
                .iter()
                .filter_map(|file| file.file_stem()?.to_str()?.parse().ok())
                .collect(),
        };
        let (extensions, programs) = (&mut catalogue.extensions, &mut catalogue.programs);
        for (kind, list) in [("extension", extensions), ("program", programs)] {
            for file in yaml_files(&project().join(format!("manifests/{kind}s"))) {
                match read(&file, kind) {
                    Ok(extension) => list.push(extension),
                    Err(why) => catalogue.unreadable.push(format!("{}: {why}", file.display())),
                }
            }
        }
        let contrib = project().join("manifests/contrib.yaml");
        match read_modules(&contrib) {
            Ok(modules) => catalogue.modules = modules,
            Err(why) => catalogue.unreadable.push(format!("{}: {why}", contrib.display())),
        }
        catalogue
    }

    /// Every extension that can be selected, modules last.
    pub fn all(&self) -> impl Iterator<Item = &Extension> {
        self.extensions.iter().chain(&self.modules)
    }

    /// The manifest, the module, or the program of this name.
    pub fn extension(&self, name: &str) -> Option<&Extension> {
        let mut all = self.all().chain(&self.programs);
        all.find(|extension| extension.name == name)
    }
}

impl Extension {
    /// Whether it is a module of PostgreSQL.
    pub fn is_module(&self) -> bool {
        self.kind == "contrib"
    }

    /// Whether it is a program beside the server.
    pub fn is_program(&self) -> bool {
        self.kind == "program"
    }

    /// Why it does not support a major on a base, if its manifest says so.
    pub fn why_not(&self, major: u16, base: &str) -> Option<&str> {
        let mut all = self.unsupported.iter();
        let found = all.find(|one| {
            let is_of_major = one.postgresql.contains(&major);
            match one.bases.as_slice() {
                [] => is_of_major,
                bases => bases.iter().any(|one| one == base) && (is_of_major || one.postgresql.is_empty()),
            }
        })?;
        Some(&found.reason)
    }

    /// Its version on a major; empty for a module, which has that of the server.
    pub fn version(&self, major: u16) -> &str {
        let mut releases = self.releases.iter();
        let release = releases.find(|release| release.postgresql.contains(&major));
        release.map_or("", |release| release.version.as_str())
    }

    /// Every major that it supports, each once.
    pub fn majors(&self) -> BTreeSet<u16> {
        let majors = self.releases.iter().flat_map(|release| &release.postgresql);
        majors.copied().collect()
    }

    /// Whether it supports a major on a base.
    pub fn supports(&self, major: u16, base: &str) -> bool {
        self.majors().contains(&major) && self.why_not(major, base).is_none()
    }

    /// Every archive that it names, with its version.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &Source)> {
        let releases = self
            .releases
            .iter()
            .map(|release| (&release.version, &release.sources));
        let upgrades = self
            .upgrades
            .iter()
            .map(|upgrade| (&upgrade.from, &upgrade.sources));
        let all = releases.chain(upgrades);
        all.flat_map(|(version, sources)| sources.iter().map(move |source| (version.as_str(), source)))
    }
}

fn read(file: &Path, kind: &str) -> Result<Extension, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let extension: Extension = serde_yaml::from_str(&text).map_err(|error| error.to_string())?;
    let whole: Value = serde_yaml::from_str(&text).map_err(|error| error.to_string())?;
    if extension.kind == kind {
        Ok(Extension {
            file: file.to_owned(),
            proof: proof(&whole),
            ..extension
        })
    } else {
        Err(format!("its kind is `{}`, not `{kind}`", extension.kind))
    }
}

/// The tests of a manifest, without the rest.
fn proof(manifest: &Value) -> String {
    let keys = [
        "tests",
        "test_settings",
        "settings",
        "preload",
        "requires",
        "packages",
    ];
    let parts = keys.map(|key| manifest.get(key));
    serde_json::to_string(&parts).expect("a manifest's values are JSON's")
}

fn read_modules(file: &Path) -> Result<Vec<Extension>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let contrib: Contrib = serde_yaml::from_str(&text).map_err(|error| error.to_string())?;
    let whole: Value = serde_yaml::from_str(&text).map_err(|error| error.to_string())?;
    let values: BTreeMap<&str, &Value> = whole["modules"]
        .as_sequence()
        .into_iter()
        .flatten()
        .filter_map(|module| Some((module["name"].as_str()?, module)))
        .collect();
    let releases = |module: &Module| {
        let releases = module.releases.iter().map(|release| Release {
            version: String::new(),
            postgresql: release.postgresql.clone(),
            sources: Vec::new(),
        });
        releases.collect()
    };
    let modules = contrib.modules.into_iter().map(|module| Extension {
        kind: "contrib".to_owned(),
        releases: releases(&module),
        proof: proof(values[module.name.as_str()]),
        name: module.name,
        license: contrib.license.clone(),
        homepage: contrib.homepage.clone(),
        unsupported: module.unsupported,
        requires: module.requires,
        conflicts: Vec::new(),
        preload: module.preload,
        tests: module.tests,
        runs: Vec::new(),
        upgrades: Vec::new(),
        upstream: None,
        file: file.to_owned(),
    });
    Ok(modules.collect())
}

/// Every YAML file below `directory`, in the order of names.
pub fn yaml_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(directory).expect("the directory of manifests");
    for entry in entries {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            files.extend(yaml_files(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
        {
            files.push(path);
        }
    }
    files.sort();
    files
}

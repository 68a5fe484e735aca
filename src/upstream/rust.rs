//! What the archive of an extension in Rust says: its `Cargo.toml`, its `Cargo.lock`, its configuration of Cargo. Pure.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::crates::{Lock, flags};
use crate::digest::Sha256;

/// Digests of releases of cargo-pgrx.
const RELEASES: &str = include_str!("cargo_pgrx.tsv");

/// A project that Cargo builds.
#[derive(Debug, Default)]
pub struct Project {
    /// The directory of the extension's `Cargo.toml`; empty at the top.
    pub directory: String,
    /// The version in it.
    pub version: Option<String>,
    /// Whether it depends on pgrx.
    pub has_pgrx: bool,
    /// The PostgreSQL majors that it has features for.
    pub majors: BTreeSet<u16>,
    /// The digest of its lock, and what is in it.
    pub lock: Option<(Sha256, Lock)>,
    /// Flags of its configuration.
    pub flags: Vec<String>,
}

/// Whether the survey reads the file at `path`.
pub fn is_of_interest(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "Cargo.toml" || path == "Cargo.lock" || path == ".cargo/config.toml"
}

/// The project in `files`: paths below the top of the archive, with their texts.
pub fn project(files: &[(String, String)]) -> Option<Project> {
    let text = |wanted: &str| {
        let mut files = files.iter();
        files.find_map(|(path, text)| (path == wanted).then_some(text.as_str()))
    };
    text("Cargo.toml")?;
    let manifests = files.iter().filter_map(|(path, text)| {
        let directory = path.strip_suffix("Cargo.toml")?.trim_end_matches('/');
        let table: Table = toml::from_str(text).ok()?;
        Some((directory, table))
    });
    let mut manifests: Vec<(&str, Table)> = manifests.collect();
    manifests.sort_by_key(|(directory, _)| (directory.matches('/').count(), directory.len()));
    let majors = |table: &Table| -> BTreeSet<u16> {
        let features = table.get("features").and_then(Value::as_table);
        let names = features.into_iter().flat_map(Table::keys);
        names
            .filter_map(|name| name.strip_prefix("pg")?.parse().ok())
            .collect()
    };
    let has_pgrx = |table: &Table| {
        let dependencies = table.get("dependencies").and_then(Value::as_table);
        dependencies.is_some_and(|all| all.contains_key("pgrx"))
    };
    // Of several crates, the extension is the one with features for majors.
    let extension = manifests
        .iter()
        .find(|(_, table)| has_pgrx(table) && !majors(table).is_empty());
    let lock =
        text("Cargo.lock").and_then(|text| Some((Sha256::of(text.as_bytes()), Lock::parse(text).ok()?)));
    let mut project = Project {
        lock,
        flags: flags(text(".cargo/config.toml").unwrap_or_default(), "x86_64").unwrap_or_default(),
        ..Project::default()
    };
    if let Some((directory, table)) = extension {
        let package = table.get("package").and_then(Value::as_table);
        let version = package.and_then(|package| package.get("version")?.as_str());
        project.version = version.map(str::to_owned);
        (*directory).clone_into(&mut project.directory);
        project.has_pgrx = true;
        project.majors = majors(table);
    }
    Some(project)
}

impl Project {
    /// The version of pgrx in the lock.
    pub fn pgrx(&self) -> Option<&str> {
        self.lock
            .as_ref()
            .and_then(|(_, lock)| lock.versions("pgrx").next())
    }
}

/// The digests of a release of cargo-pgrx: of its crate, and of the lock in it.
pub fn cargo_pgrx(version: &str) -> Option<(&'static str, &'static str)> {
    RELEASES.lines().find_map(|row| {
        let mut columns = row.split('\t');
        (columns.next()? == version).then_some((columns.next()?, columns.next()?))
    })
}

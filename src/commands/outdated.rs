//! `pgsetup update --check`: compares versions in manifests with those that upstream has published.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::manifests::{self, Usage};
use super::workspace::Workspace;
use crate::cli::{Format, UpdateArgs};
use crate::failure::{Cause, Failure, WithCause};
use crate::manifest::python::Patroni;
use crate::manifest::{self, Manifests};
use crate::report::Reporter;
use crate::run::parallel;
use crate::upstream::subject::{Subject, subjects};
use crate::upstream::versions::{self, Upstream};

/// How many servers are asked at the same time.
const MAX_QUESTIONS: usize = 8;

/// A version in a manifest, and what upstream has.
struct Row {
    name: String,
    version: String,
    versions: Result<Vec<String>, String>,
    line: usize,
}

/// What `update --check` found, for programs (`pgsetup schema updates`).
#[derive(Debug, Serialize, JsonSchema)]
pub struct Updates {
    /// The version of this schema.
    pub schema_version: u32,
    /// Every version of the manifests.
    pub versions: Vec<LookUp>,
}

/// A version in a manifest, and what upstream has.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LookUp {
    /// The name of the manifest.
    pub name: String,
    /// The version in the manifest.
    pub version: String,
    /// What is known of it.
    pub state: Known,
    /// The newest version that upstream has, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<String>,
    /// Why upstream's versions are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What is known of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// Upstream has none that is newer.
    Newest,
    /// Upstream has a newer one.
    Outdated,
    /// Upstream could not be looked up.
    Unknown,
}

/// The version of the document.
const VERSION: u32 = 1;

/// Prints a line for each version in the manifests.
///
/// # Errors
/// A version is outdated, or upstream could not be asked.
pub fn outdated(args: &UpdateArgs, reporter: &Reporter) -> Result<(), Failure> {
    let usage = Usage {
        command: "update --check",
        option: None,
        words: args.name.as_slice(),
    };
    let files = manifests::read(args.place.manifests.as_deref(), usage)?;
    let (manifests, _) = manifest::parse(&files);
    let wanted = |name: &str| args.name.as_ref().is_none_or(|wanted| wanted == name);
    let subjects: Vec<Subject> = subjects(&manifests)
        .into_iter()
        .filter(|subject| wanted(&subject.name))
        .collect();
    let workspace = Workspace::new(&args.sources, args.cache.as_deref(), reporter)?;
    let mut rows = ask_all(&subjects, &workspace);
    rows.extend(
        patroni(&manifests, &workspace)
            .into_iter()
            .filter(|row| wanted(&row.name)),
    );
    if rows.is_empty() {
        let message = format!(
            "there is no manifest `{}` with an archive",
            args.name.as_deref().unwrap_or_default()
        );
        return Err(Failure::new(Cause::Usage, message));
    }
    let text = match args.format {
        Format::Text => table(&rows),
        Format::Json => super::json(&updates(&rows))?,
    };
    reporter.result(&text).cause(Cause::Internal)?;
    let is_outdated = |row: &&Row| newer(row).is_some();
    let (outdated, silent) = (
        rows.iter().filter(is_outdated).count(),
        rows.iter().filter(|row| row.versions.is_err()).count(),
    );
    match (outdated, silent) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::new(
            Cause::Network,
            format_args!("{silent} of {} could not be asked for", rows.len()),
        )),
        _ => Err(Failure::new(
            Cause::Test,
            format_args!(
                "{outdated} of {} are outdated, {silent} could not be asked for",
                rows.len()
            ),
        )),
    }
}

fn ask_all(subjects: &[Subject], workspace: &Workspace<'_>) -> Vec<Row> {
    // Releases of one manifest often share an upstream, which is asked once.
    let mut questions: BTreeMap<String, (Upstream, bool)> = BTreeMap::new();
    for subject in subjects {
        if let Ok(upstream) = subject.upstream() {
            questions
                .entry(upstream.url.clone())
                .or_insert((upstream, subject.is_insecure()));
        }
    }
    let questions: Vec<(Upstream, bool)> = questions.into_values().collect();
    let answers: BTreeMap<String, Result<Vec<u8>, String>> =
        parallel::each(&questions, MAX_QUESTIONS, |(upstream, insecure)| {
            (upstream.url.clone(), workspace.page(&upstream.url, *insecure))
        })
        .into_iter()
        .collect();
    let row = |subject: &Subject| Row {
        name: subject.name.clone(),
        version: subject.version.clone(),
        versions: subject.upstream().and_then(|upstream| {
            let answer = answers
                .get(&upstream.url)
                .cloned()
                .unwrap_or_else(|| Err("upstream was not asked".to_owned()));
            let of_what = |why| format!("{}: {why}", upstream.what);
            upstream
                .versions(&answer.map_err(of_what)?)
                .map_err(|why| format!("{}: {why}", upstream.what))
        }),
        line: subject.line,
    };
    subjects.iter().map(row).collect()
}

/// The versions of Patroni in the package index.
fn patroni(manifests: &Manifests, workspace: &Workspace<'_>) -> Vec<Row> {
    let manifests = manifests.patronis.iter().map(|manifest| &manifest.value);
    let row = |value: &Patroni| Row {
        name: value.name.clone(),
        version: value.version.clone(),
        versions: workspace.versions_in_index(&value.name).map(versions::released),
        line: 0,
    };
    manifests.map(row).collect()
}

fn newer(row: &Row) -> Option<&String> {
    let versions = row.versions.as_ref().ok()?;
    let newest = versions::newest(versions, &row.version, row.line)?;
    versions::compare(newest, &row.version).is_gt().then_some(newest)
}

fn updates(rows: &[Row]) -> Updates {
    let look_up = |row: &Row| {
        let newest = newer(row).cloned();
        LookUp {
            name: row.name.clone(),
            version: row.version.clone(),
            state: match (&row.versions, &newest) {
                (Err(_), _) => Known::Unknown,
                (Ok(_), Some(_)) => Known::Outdated,
                (Ok(_), None) => Known::Newest,
            },
            newest,
            reason: row.versions.as_ref().err().cloned(),
        }
    };
    Updates {
        schema_version: VERSION,
        versions: rows.iter().map(look_up).collect(),
    }
}

fn table(rows: &[Row]) -> String {
    let width = |column: fn(&Row) -> usize| rows.iter().map(column).max().unwrap_or(0);
    let (names, versions) = (width(|row| row.name.len()), width(|row| row.version.len()));
    let mut page = String::new();
    for row in rows {
        let state = match (&row.versions, newer(row)) {
            (Err(why), _) => format!("cannot be asked: {why}"),
            (Ok(_), Some(newer)) => format!("{newer} is out"),
            (Ok(_), None) => "is the newest".to_owned(),
        };
        let _ = writeln!(page, "{:names$}  {:versions$}  {state}", row.name, row.version);
    }
    page
}

//! `pgsetup update --check`: compares versions in manifests with those that upstream has published.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

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

/// How many names a line has of what fails for one reason.
const NAMES: usize = 12;
/// How many servers are asked at the same time.
const MAX_QUESTIONS: usize = 8;

/// A version in a manifest, and what upstream has.
struct Row {
    name: String,
    version: String,
    versions: Result<Vec<String>, Unknown>,
    line: usize,
}

/// Why upstream's versions are not known.
#[derive(Debug, Clone)]
struct Unknown {
    /// What was to be looked up: `the tags of …`. Empty where the manifest does not say.
    what: String,
    why: String,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what.as_str() {
            "" => f.write_str(&self.why),
            what => write!(f, "{what}: {}", self.why),
        }
    }
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
    pub state: VersionState,
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
#[schemars(rename = "Known")]
pub enum VersionState {
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
    let files = manifests::read(&args.place, usage)?.own;
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
            format_args!("{silent} of {} versions could not be looked up", rows.len()),
        )),
        _ => Err(Failure::new(
            Cause::Test,
            format_args!(
                "{outdated} of {} versions are outdated, {silent} could not be looked up",
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
        versions: look_up(subject, &answers),
        line: subject.line,
    };
    subjects.iter().map(row).collect()
}

/// What upstream answered for a subject.
fn look_up(
    subject: &Subject,
    answers: &BTreeMap<String, Result<Vec<u8>, String>>,
) -> Result<Vec<String>, Unknown> {
    let unknown = |what: &str, why: String| Unknown {
        what: what.to_owned(),
        why,
    };
    let upstream = subject.upstream().map_err(|why| unknown("", why))?;
    let answer = match answers.get(&upstream.url) {
        Some(answer) => answer.as_ref().map_err(Clone::clone),
        None => Err("it was not looked up".to_owned()),
    };
    answer
        .and_then(|answer| upstream.versions(answer))
        .map_err(|why| unknown(&upstream.what, why))
}

/// The versions of Patroni in the package index.
fn patroni(manifests: &Manifests, workspace: &Workspace<'_>) -> Vec<Row> {
    let manifests = manifests.patronis.iter().map(|manifest| &manifest.value);
    let row = |value: &Patroni| Row {
        name: value.name.clone(),
        version: value.version.clone(),
        versions: workspace
            .versions_in_index(&value.name)
            .map(versions::released)
            .map_err(|places| of_index(&places)),
        line: 0,
    };
    manifests.map(row).collect()
}

/// What the places of an index said.
fn of_index(places: &[(String, String)]) -> Unknown {
    let distinct = |texts: BTreeSet<&str>| texts.into_iter().collect::<Vec<_>>().join("; ");
    Unknown {
        what: distinct(places.iter().map(|(place, _)| place.as_str()).collect()),
        why: distinct(places.iter().map(|(_, why)| why.as_str()).collect()),
    }
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
                (Err(_), _) => VersionState::Unknown,
                (Ok(_), Some(_)) => VersionState::Outdated,
                (Ok(_), None) => VersionState::Newest,
            },
            newest,
            reason: row.versions.as_ref().err().map(ToString::to_string),
        }
    };
    Updates {
        schema_version: VERSION,
        versions: rows.iter().map(look_up).collect(),
    }
}

/// The first names, and how many more there are.
fn first_of(names: &[&str]) -> String {
    let shown = names.len().min(NAMES);
    match names.len() - shown {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..shown].join(", ")),
    }
}

fn table(rows: &[Row]) -> String {
    let width = |column: fn(&Row) -> usize| rows.iter().map(column).max().unwrap_or(0);
    let (names, versions) = (width(|row| row.name.len()), width(|row| row.version.len()));
    let mut page = String::new();
    let silent: Vec<(&Row, &Unknown)> = rows
        .iter()
        .filter_map(|row| Some((row, row.versions.as_ref().err()?)))
        .collect();
    let shares_reason = |why: &str| silent.iter().filter(|(_, other)| other.why == why).count() > 1;
    for row in rows {
        let state = match (&row.versions, newer(row)) {
            (Err(unknown), _) if shares_reason(&unknown.why) => continue,
            (Err(unknown), _) => format!("could not look up {unknown}"),
            (Ok(_), Some(newer)) => format!("{newer} is available"),
            (Ok(_), None) => "is the newest".to_owned(),
        };
        let _ = writeln!(page, "{:names$}  {:versions$}  {state}", row.name, row.version);
    }
    // What fails for one reason is one line, however much of it there is.
    let mut reasons = BTreeSet::new();
    for (_, Unknown { why, .. }) in silent.iter().filter(|(_, unknown)| shares_reason(&unknown.why)) {
        if reasons.insert(why) {
            let names = silent.iter().filter(|(_, unknown)| unknown.why == *why);
            let names: Vec<&str> = names.map(|(row, _)| row.name.as_str()).collect();
            let _ = writeln!(
                page,
                "could not look up {} versions: {why}: {}",
                names.len(),
                first_of(&names)
            );
        }
    }
    page
}

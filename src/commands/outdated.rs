//! `pgsetup update --check`: what upstream has newer versions of, where it can be asked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::workspace::{Desk, machine};
use crate::cli::UpdateArgs;
use crate::command::Command;
use crate::failure::{Because, Cause, Failure};
use crate::host::{self, Log, http};
use crate::manifest::{self, Manifests};
use crate::report::Reporter;
use crate::upstream::subject::{Subject, subjects};
use crate::upstream::versions::{self, Upstream, versions_of_pip};

/// Servers that are asked at the same time.
const QUESTIONS: usize = 8;

/// A version in a manifest, and what upstream has.
struct Row {
    name: String,
    version: String,
    versions: Result<Vec<String>, String>,
    line: usize,
}

/// Prints a line for each version in the manifests. Fails where one is outdated, or could not be asked for.
pub fn outdated(args: &UpdateArgs, reporter: &Reporter) -> Result<(), Failure> {
    let files = host::fs::manifests(&args.manifests).because(Cause::Manifest)?;
    let (manifests, _) = manifest::parse(&files);
    let wanted = |name: &str| args.name.as_ref().is_none_or(|wanted| wanted == name);
    let subjects: Vec<Subject> = subjects(&manifests)
        .into_iter()
        .filter(|subject| wanted(&subject.name))
        .collect();
    let desk = Desk::new(&args.sources, args.cache.as_deref(), reporter)?;
    let mut rows = ask_all(&subjects, &desk);
    rows.extend(
        patroni(&manifests, args)?
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
    reporter.result(&table(&rows)).because(Cause::Internal)?;
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

fn ask_all(subjects: &[Subject], desk: &Desk<'_>) -> Vec<Row> {
    // Several releases of one manifest have one upstream.
    let mut questions: BTreeMap<String, (Upstream, bool)> = BTreeMap::new();
    for subject in subjects {
        if let Ok(upstream) = subject.upstream() {
            questions
                .entry(upstream.url.clone())
                .or_insert((upstream, subject.is_insecure()));
        }
    }
    let questions: Vec<(Upstream, bool)> = questions.into_values().collect();
    let (next, answers) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..QUESTIONS.min(questions.len()) {
            scope.spawn(|| {
                while let Some((upstream, insecure)) = questions.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let answer = desk.page(&upstream.url, *insecure);
                    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                    answers.insert(upstream.url.clone(), answer);
                }
            });
        }
    });
    let answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    let row = |subject: &Subject| Row {
        name: subject.name.clone(),
        version: subject.version.clone(),
        versions: subject.upstream().and_then(|upstream| {
            let answer = answers
                .get(&upstream.url)
                .cloned()
                .unwrap_or_else(|| Err("nobody was asked".to_owned()));
            let of_what = |why| format!("{}: {why}", upstream.what);
            upstream
                .versions(&answer.map_err(of_what)?)
                .map_err(|why| format!("{}: {why}", upstream.what))
        }),
        line: subject.line,
    };
    subjects.iter().map(row).collect()
}

/// Patroni is asked for where pip has its packages from, by pip, which knows where that is.
fn patroni(manifests: &Manifests, args: &UpdateArgs) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for manifest in &manifests.patronis {
        let value = &manifest.value;
        let versions = if args.sources.offline {
            Err("not asked: --offline".to_owned())
        } else {
            versions_from_pip(&value.name, args)?
        };
        rows.push(Row {
            name: value.name.clone(),
            version: value.version.clone(),
            versions,
            line: 0,
        });
    }
    Ok(rows)
}

fn versions_from_pip(name: &str, args: &UpdateArgs) -> Result<Result<Vec<String>, String>, Failure> {
    let directory = tempfile::tempdir().because(Cause::Internal)?;
    let certificates = directory.path().join("certificates.pem");
    host::fs::write_text(
        &certificates,
        &http::certificates_pem(args.sources.ca_bundle.as_deref())?,
    )?;
    let mut command = Command::new("python3", ["-m", "pip", "index", "versions", "--no-input", name])
        .env("PIP_CERT", certificates.display().to_string());
    for name in ["PIP_CONFIG_FILE", "HOME"] {
        if let Some(value) = host::variable(name) {
            command = command.env(name, value);
        }
    }
    let log = Log::open(&directory.path().join("log")).because(Cause::Internal)?;
    Ok(match machine().capture(&command, &log) {
        Ok(output) => {
            let versions = versions_of_pip(&output);
            if versions.is_empty() {
                Err("pip names no version".to_owned())
            } else {
                Ok(versions)
            }
        }
        Err(error) => {
            let last = error.tail.last().cloned().unwrap_or_default();
            Err(format!("pip: {} {last}", error.outcome))
        }
    })
}

fn newer(row: &Row) -> Option<&String> {
    let versions = row.versions.as_ref().ok()?;
    let newest = versions::newest(versions, &row.version, row.line)?;
    versions::compare(newest, &row.version).is_gt().then_some(newest)
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
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{:names$}  {:versions$}  {state}", row.name, row.version);
    }
    page
}

//! Extensions built and tested by `pgsetup test` in a container.
//!
//! That takes minutes, so it runs on request: `PGSETUP_TEST_EXTENSIONS=all`, or names, and `PGSETUP_TEST_PG="17 18"`. One
//! container builds a batch of them, and each extension's trial reads its outcome; passed tests are recorded in
//! `docs/results/extensions.tsv` before the next batch begins. `RESUME=1` leaves out recorded tests that are up
//! to date. `PGSETUP_TEST_EXTENSIONS=image` tests two extensions in the finished image, which takes seconds and is not
//! recorded, because nothing is built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use libtest_mimic::{Completion, Failed, Trial};

use crate::manifest::{Catalogue, Extension};
use crate::{check, plan, project, record};

/// The extensions that are tested in the finished image.
const QUICK: [&str; 2] = ["pgvector", "topn"];
/// How many extensions one container builds and tests. Packages are installed once for all of them, and an interruption
/// loses the results of one batch at most; its builds stay in the cache.
const BATCH: usize = 10;
/// The exit status of pgsetup where something could not be downloaded.
const NO_SOURCE: i32 = 4;

/// Extensions to test on one major.
#[derive(Debug)]
struct Request {
    major: u16,
    names: Vec<String>,
    /// The image to test in; without one, they are built in the base.
    image: Option<String>,
    ran: OnceLock<Result<Ran, String>>,
}

/// What `pgsetup test` printed.
#[derive(Debug)]
struct Ran {
    /// By extension: the lines of its tests.
    lines: BTreeMap<String, Vec<Line>>,
    /// The subjects by extension, as of the start of the test.
    subjects: BTreeMap<String, plan::Subject>,
    /// Why nothing could be tested: the source of PostgreSQL is not available.
    unavailable: Option<String>,
    /// Standard error.
    log: String,
}

/// A line of TAP.
#[derive(Debug, Clone)]
struct Line {
    passed: bool,
    /// Why the test was skipped.
    skipped: Option<String>,
    /// The line, and the lines below it.
    text: String,
}

/// The requested trials.
pub fn trials(catalogue: &'static Catalogue) -> Vec<Trial> {
    let mut trials = Vec::new();
    for request in requests(catalogue) {
        let request: &'static Request = Box::leak(Box::new(request));
        for name in &request.names {
            let Some(extension) = catalogue.extension(name) else {
                continue;
            };
            let how = if request.image.is_some() {
                "works_in_the_image"
            } else {
                "builds_and_passes"
            };
            let name = format!("extension::{name}::{how}_on_{}", request.major);
            trials.push(Trial::ignorable_test(name, move || {
                trial(catalogue, extension, request)
            }));
        }
    }
    trials
}

fn requests(catalogue: &Catalogue) -> Vec<Request> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let new = |major, names, image| Request {
        major,
        names,
        image,
        ran: OnceLock::new(),
    };
    let Some(asked) = variable("PGSETUP_TEST_EXTENSIONS") else {
        return Vec::new();
    };
    if asked == "image" {
        let image = variable("PGSETUP_TEST_IMAGE").unwrap_or_else(|| "pgsetup/postgresql:18".to_owned());
        let found = in_image(&image).map(|(major, names)| new(major, names, Some(image)));
        return found.into_iter().collect();
    }
    let majors = variable("PGSETUP_TEST_PG").unwrap_or_else(|| "18".to_owned());
    let majors = majors
        .split_whitespace()
        .map(|major| major.parse().expect("a PostgreSQL major"));
    let is_asked = |extension: &&Extension| {
        asked == "all" || asked.split_whitespace().any(|name| name == extension.name)
    };
    let resumes = variable("RESUME").is_some();
    let mut all = Vec::new();
    for major in majors {
        let is_open = |extension: &&Extension| {
            extension.supports(major, &record::base())
                && !(resumes && record::is_tested(catalogue, extension, major))
        };
        for names in compatible(catalogue.all().filter(is_asked).filter(is_open)) {
            let batches = names.chunks(BATCH);
            all.extend(batches.map(|names| new(major, names.to_vec(), None)));
        }
    }
    all
}

/// Groups of names without conflicts, as few as possible.
fn compatible<'c>(extensions: impl Iterator<Item = &'c Extension>) -> Vec<Vec<String>> {
    let excludes = |one: &Extension, other: &Extension| {
        one.conflicts
            .iter()
            .any(|conflict| conflict.extension == other.name)
    };
    let mut groups: Vec<Vec<&Extension>> = Vec::new();
    for extension in extensions {
        let fits = |group: &Vec<&Extension>| {
            let mut others = group.iter();
            !others.any(|other| excludes(other, extension) || excludes(extension, other))
        };
        match groups.iter().position(fits) {
            Some(position) => groups[position].push(extension),
            None => groups.push(vec![extension]),
        }
    }
    let names = |group: Vec<&Extension>| group.iter().map(|extension| extension.name.clone()).collect();
    groups.into_iter().map(names).collect()
}

/// The major of an image and those of [`QUICK`] in it, from its receipt; `None` without such an image.
fn in_image(image: &str) -> Option<(u16, Vec<String>)> {
    let output = docker()
        .args([
            "run",
            "--rm",
            "--network",
            "none",
            "--entrypoint",
            "cat",
            image,
            "/usr/share/pgsetup/receipt.json",
        ])
        .output()
        .ok()?;
    let receipt: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let components = receipt["components"].as_array()?;
    let version = components
        .iter()
        .find(|component| component["name"] == "postgresql")?["version"]
        .as_str()?;
    let names = components
        .iter()
        .filter_map(|component| component["name"].as_str())
        .filter(|name| QUICK.contains(name));
    Some((
        version.split('.').next()?.parse().ok()?,
        names.map(str::to_owned).collect(),
    ))
}

fn docker() -> Command {
    Command::new(std::env::var("DOCKER").unwrap_or_else(|_| "docker".to_owned()))
}

fn trial(catalogue: &Catalogue, extension: &Extension, request: &Request) -> Result<Completion, Failed> {
    let ran = request.ran.get_or_init(|| run(catalogue, request)).as_ref()?;
    if let Some(why) = &ran.unavailable {
        let reason = format!("the archive of PostgreSQL {} was not available", request.major);
        record::not_run(&extension.name, request.major, &reason)?;
        return skip(why);
    }
    let lines = ran
        .lines
        .get(&extension.name)
        .map(Vec::as_slice)
        .unwrap_or_default();
    // One check may be skipped, such as that of a licence text which is not there. An extension is left out as a whole.
    let left_out = lines
        .iter()
        .find(|line| line.text.contains(": all tests # SKIP "));
    if let Some(why) = left_out.and_then(|line| line.skipped.clone()) {
        record::not_run(&extension.name, request.major, &reason(&why))?;
        return skip(&why);
    }
    let failed: Vec<&str> = lines
        .iter()
        .filter(|line| !line.passed)
        .map(|line| line.text.as_str())
        .collect();
    check(failed.is_empty(), || failed.join("\n"))?;
    check(!lines.is_empty(), || {
        format!("nothing was tested; pgsetup said\n{}", ran.log)
    })?;
    if let Some(subject) = ran.subjects.get(&extension.name) {
        record::add(&extension.name, subject, request.major, lines.len())?;
    }
    Ok(Completion::Completed)
}

/// The reason for a table: without the places that were asked.
fn reason(said: &str) -> String {
    match said.split_once(" could not be fetched") {
        Some((_, _)) if said.starts_with("the source of ") => "its archive was not available".to_owned(),
        _ => said.lines().next().unwrap_or_default().to_owned(),
    }
}

/// The trial cannot run, for this reason. With `PGSETUP_REQUIRE_ALL=1` it fails instead.
fn skip(reason: &str) -> Result<Completion, Failed> {
    if std::env::var("PGSETUP_REQUIRE_ALL").as_deref() == Ok("1") {
        return Err(format!("PGSETUP_REQUIRE_ALL=1, but this test cannot run: {reason}").into());
    }
    Ok(Completion::ignored_with(reason))
}

fn run(catalogue: &Catalogue, request: &Request) -> Result<Ran, String> {
    let built = request.names.iter().filter(|_| request.image.is_none());
    let subject = |name: &String| {
        let extension = catalogue.extension(name)?;
        let subject = plan::subject(catalogue, extension, request.major, &record::base());
        Some(subject.map(|subject| (name.clone(), subject)))
    };
    let subjects = built.filter_map(subject).collect::<Result<_, _>>()?;
    let results = tempfile::tempdir().map_err(|error| error.to_string())?;
    // The image's user writes here too.
    let open = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o777);
    std::fs::set_permissions(results.path(), open).map_err(|error| error.to_string())?;
    let volume = |from: &Path, to: &str| format!("--volume={}:{to}", from.display());
    let mut command = docker();
    command
        .args(["run", "--rm", "--label", "pgsetup-catalogue"])
        .arg(volume(
            env!("CARGO_BIN_EXE_pgsetup").as_ref(),
            "/usr/local/bin/pgsetup:ro",
        ))
        .arg(volume(&project().join("manifests"), "/manifests:ro"))
        .arg(volume(results.path(), "/results"))
        .arg("--entrypoint=pgsetup");
    let mut args = vec!["test".to_owned(), "/manifests".to_owned()];
    args.extend(request.names.iter().cloned());
    args.push(format!("--pg={}", request.major));
    args.extend(["--format=tap".to_owned(), "--output=/results/tap".to_owned()]);
    if let Some(image) = &request.image {
        // As root, which starts the servers as the image's user.
        command.args(["--network=none", "--user=0", image]);
        args.push("--installed".to_owned());
    } else {
        args.extend(in_base(&mut command, &volume));
    }
    let output = command
        .args(&args)
        .output()
        .map_err(|error| format!("docker: {error}"))?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(NO_SOURCE) {
        let why = log.trim_end().lines().next_back().unwrap_or_default().to_owned();
        return Ok(Ran {
            lines: BTreeMap::new(),
            subjects,
            unavailable: Some(why),
            log,
        });
    }
    let tap = std::fs::read_to_string(results.path().join("tap")).map_err(|_| {
        format!(
            "{command:?} ended with {} and gave no results:\n{log}",
            output.status
        )
    })?;
    Ok(Ran {
        lines: lines(&tap),
        subjects,
        unavailable: None,
        log,
    })
}

/// Runs in the base with the archives and the cache of this machine; gives the arguments for that.
fn in_base(command: &mut Command, volume: &dyn Fn(&Path, &str) -> String) -> Vec<String> {
    let mut args = vec!["--skip-unavailable".to_owned()];
    let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let vendor = given("VENDOR").map(PathBuf::from);
    let vendor = vendor.or_else(|| Some(std::env::home_dir()?.join(".cache/pgsetup/vendor")));
    if let Some(vendor) = vendor.filter(|vendor| vendor.is_dir()) {
        command.arg(volume(&vendor, "/vendor:ro"));
        args.push("--vendor=/vendor".to_owned());
    }
    if let Some(certificates) = given("SSL_CERT_FILE").map(PathBuf::from) {
        command.arg(volume(&certificates, "/run/certificates.pem:ro"));
        args.push("--ca-bundle=/run/certificates.pem".to_owned());
    }
    // The cache keeps builds, so that the next run builds only what changed.
    command.args([
        "--tmpfs=/var/tmp/pgsetup:exec",
        "--volume=pgsetup-catalogue:/var/cache/pgsetup",
    ]);
    let base = record::base();
    args.push(format!("--base={base}"));
    command.arg(base);
    args
}

/// The lines of a TAP document, by extension.
fn lines(tap: &str) -> BTreeMap<String, Vec<Line>> {
    let mut all: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    let mut current = None;
    for text in tap.lines() {
        let head = text.strip_prefix("not ok ").or_else(|| text.strip_prefix("ok "));
        let Some((_, rest)) = head.and_then(|head| head.split_once(" - ")) else {
            if let Some(name) = &current
                && let Some(line) = all
                    .get_mut(name)
                    .and_then(|lines: &mut Vec<Line>| lines.last_mut())
            {
                line.text.push('\n');
                line.text.push_str(text);
            }
            continue;
        };
        // `pgvector 0.8.6: what`; what is left out has no version.
        let name: String = rest.chars().take_while(|c| !matches!(c, ' ' | ':')).collect();
        all.entry(name.clone()).or_default().push(Line {
            passed: text.starts_with("ok ") || text.contains(" # TODO "),
            skipped: text.split_once(" # SKIP ").map(|(_, why)| why.to_owned()),
            text: text.to_owned(),
        });
        current = Some(name);
    }
    all
}

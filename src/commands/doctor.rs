//! `pgsetup doctor`: what this machine lacks, and for which commands. It changes nothing.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Serialize;

use super::{json, print, setup};
use crate::catalogue::{self, tested};
use crate::cli::{DoctorArgs, Format};
use crate::command::Command;
use crate::digest::Sha256;
use crate::failure::{Cause, Failure, WithCause};
use crate::host::net::HttpOptions;
use crate::host::{self, Host, Log};
use crate::report::{Reporter, bytes};
use crate::run::parallel;
use crate::source::http::{self, Client, Request};
use crate::store::cache::Cache;
use crate::target::Architecture;

/// The version of the document.
const VERSION: u32 = 1;
/// Free bytes that compiling the server with extensions takes.
const MIN_FREE: u64 = 3_000_000_000;
/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a program of an engine may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Servers that most images need, each with a small file.
const SERVERS: [(&str, &str); 3] = [
    (
        "Debian's archive",
        "https://deb.debian.org/debian/dists/bookworm/Release.gpg",
    ),
    (
        "PostgreSQL's archive",
        "https://ftp.postgresql.org/pub/source/v18.0/postgresql-18.0.tar.bz2.sha256",
    ),
    ("GitHub", "https://github.com/robots.txt"),
];
/// The largest of these files.
const MAX_BYTES: u64 = 1024 * 1024;

/// What this machine has and lacks (`pgsetup schema doctor`).
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// The version of this schema.
    pub schema_version: u32,
    /// What was looked at.
    pub findings: Vec<Finding>,
}

/// Something that commands need.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Finding {
    /// What it is.
    pub name: String,
    /// Whether it is there.
    pub state: State,
    /// What was found, and what to do if it is missing.
    pub detail: String,
    /// The commands that need it.
    pub needed_by: Vec<String>,
}

/// Whether something is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is there.
    Ok,
    /// It is not.
    Missing,
    /// It was not looked at.
    Skipped,
}

/// Looks at everything and prints it.
///
/// # Errors
/// Something is missing, or standard output cannot be written.
pub fn doctor(args: &DoctorArgs, reporter: &Reporter) -> Result<(), Failure> {
    let host = Host::new(Path::new("/"));
    let log = Log::none().cause(Cause::Internal)?;
    let mut findings = vec![system(&host), root(), clock()];
    findings.extend(engine(&host, &log));
    findings.push(emulation(&host));
    findings.extend(servers(args)?);
    findings.push(certificates(args));
    findings.push(disk(&args.cache, "the cache", &["install", "fetch", "test"]));
    findings.push(disk(
        Path::new("/var/tmp"),
        "where pgsetup compiles",
        &["install", "test"],
    ));
    let report = Report {
        schema_version: VERSION,
        findings,
    };
    print(
        reporter,
        &match args.format {
            Format::Text => page(&report),
            Format::Json => json(&report)?,
        },
    )?;
    let missing = report.findings.iter().filter(|one| one.state == State::Missing);
    let names: Vec<&str> = missing.map(|one| one.name.as_str()).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Cause::Internal,
        format_args!("missing here: {}", names.join(", ")),
    ))
}

fn finding(name: &str, is_there: bool, detail: impl Into<String>, needed_by: &[&str]) -> Finding {
    Finding {
        name: name.to_owned(),
        state: if is_there { State::Ok } else { State::Missing },
        detail: detail.into(),
        needed_by: needed_by.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn system(host: &Host) -> Finding {
    let needed_by = ["install", "test"];
    match setup::target(host) {
        Ok(target) if host::program("apt-get").is_some() => {
            finding("a Debian system", true, format!("this is {target}"), &needed_by)
        }
        Ok(target) => {
            let detail =
                format!("this is {target} without apt-get; run these in a container of the image's base");
            finding("a Debian system", false, detail, &needed_by)
        }
        Err(error) => finding("a Debian system", false, error.to_string(), &needed_by),
    }
}

fn root() -> Finding {
    let detail = if host::is_root() {
        "this user is root"
    } else {
        "this user is not root; `docker build` runs pgsetup as root, and `--root DIR` installs below a directory"
    };
    finding("root", host::is_root(), detail, &["install", "test"])
}

/// A clock that is behind the day on which the catalogue was tested is wrong, and certificates seem not to be valid yet.
fn clock() -> Finding {
    let days = tested::read(catalogue::tested_page());
    let newest = days
        .values()
        .map(|one| one.date.as_str())
        .max()
        .unwrap_or("2026-01-01")
        .to_owned();
    let seconds = host::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let today = chrono::DateTime::from_timestamp(i64::try_from(seconds).unwrap_or(0), 0);
    let today = today.unwrap_or_default().date_naive();
    let is_right = NaiveDate::parse_from_str(&newest, "%Y-%m-%d").is_ok_and(|newest| today >= newest);
    let detail = if is_right {
        format!("it is {today}")
    } else {
        format!("it says {today}, but this pgsetup was tested on {newest}; set it")
    };
    finding("the clock", is_right, detail, &["fetch", "install"])
}

/// A container engine, and `BuildKit`, which the Dockerfile needs.
fn engine(host: &Host, log: &Log) -> Vec<Finding> {
    let needed_by = ["docker build"];
    let Some(engine) = ["docker", "podman"]
        .into_iter()
        .find(|name| host::program(name).is_some())
    else {
        let detail = "there is neither docker nor podman; install docker, or build elsewhere";
        return vec![finding("a container engine", false, detail, &needed_by)];
    };
    let ask = |args: &[&str]| {
        let command = Command::new(engine, args.iter().copied());
        let answer = host.capture_within(&command, log, Some(LIMIT));
        answer
            .ok()
            .map(|answer| answer.lines().next().unwrap_or_default().trim().to_owned())
    };
    let version = ask(&["version", "--format", "{{.Server.Version}}"]);
    let detail = version.as_ref().map_or_else(
        || format!("{engine} is installed, but its engine does not answer; start it, or set DOCKER_HOST"),
        |version| format!("{engine} {version}"),
    );
    let is_there = version.is_some();
    let mut findings = vec![finding("a container engine", is_there, detail, &needed_by)];
    if engine == "docker" {
        let buildx = ask(&["buildx", "version"]);
        let detail = match &buildx {
            Some(version) => version.clone(),
            None => {
                "docker has no buildx; install docker-buildx, or set DOCKER_BUILDKIT=1 if docker knows it"
                    .to_owned()
            }
        };
        findings.push(finding("BuildKit", buildx.is_some(), detail, &needed_by));
    }
    findings
}

/// The kernel's table of interpreters for programs of the other architecture.
fn emulation(host: &Host) -> Finding {
    let (other, name) = match Architecture::of_this_program() {
        Architecture::Amd64 => (Architecture::Arm64, "qemu-aarch64"),
        Architecture::Arm64 => (Architecture::Amd64, "qemu-x86_64"),
    };
    let is_there = host.exists(format!("/proc/sys/fs/binfmt_misc/{name}"));
    let detail = if is_there {
        format!("{name} runs programs of {other}")
    } else {
        format!("{name} is not registered; Debian's qemu-user-static and binfmt-support register it")
    };
    let mut finding = finding("emulation", is_there, detail, &[]);
    finding.needed_by = vec![format!("docker build --platform linux/{other}")];
    if !is_there {
        // Most machines build for themselves only.
        finding.state = State::Skipped;
    }
    finding
}

fn servers(args: &DoctorArgs) -> Result<Vec<Finding>, Failure> {
    let needed_by = ["fetch", "install", "update"];
    if args.sources.offline {
        let skipped = SERVERS.iter().map(|(name, _)| Finding {
            state: State::Skipped,
            ..finding(name, true, "not asked: --offline", &needed_by)
        });
        return Ok(skipped.collect());
    }
    let options = HttpOptions {
        ca_bundles: args.sources.ca_bundle.clone().into_iter().collect(),
        connect_timeout: PATIENCE,
        stall_timeout: PATIENCE,
        attempts: 1,
        ..HttpOptions::default()
    };
    let client = Client::new(&options).cause(Cause::Usage)?;
    let directory = host::local::temporary_directory(None).cause(Cause::Internal)?;
    let cache = Cache::open(directory.path()).cause(Cause::Internal)?;
    let ask = |url: &str| -> Result<(), String> {
        let name = Sha256::of(url.as_bytes());
        let mut partial = cache
            .partial(&name, false, || ())
            .map_err(|error| error.to_string())?;
        let request = Request {
            url,
            max_bytes: MAX_BYTES,
            ..Request::default()
        };
        let answer = client.download(request, &mut partial, &|_| false, &|_| ());
        match answer {
            // It answered, and that is what was asked for.
            Ok(_) | Err(http::Failure::Status(..)) => Ok(()),
            Err(failure) => Err(failure.to_string()),
        }
    };
    let answers = parallel::each(&SERVERS, SERVERS.len(), |(_, url)| ask(url));
    let of = |((name, url), answer): (&(&str, &str), Result<(), String>)| match answer {
        Ok(()) => finding(name, true, format!("{url} answers"), &needed_by),
        Err(why) => {
            let detail =
                format!("{url}: {why}; use a proxy (HTTPS_PROXY), a mirror (--mirror) or a vendor directory");
            finding(name, false, detail, &needed_by)
        }
    };
    Ok(SERVERS.iter().zip(answers).map(of).collect())
}

fn certificates(args: &DoctorArgs) -> Finding {
    let needed_by = ["fetch", "install", "update"];
    match &args.sources.ca_bundle {
        None => finding(
            "certificates",
            true,
            "the authorities that pgsetup carries",
            &needed_by,
        ),
        Some(path) => {
            let detail = format!(
                "those of {} besides the ones that pgsetup carries",
                path.display()
            );
            finding("certificates", host::local::is_file(path), detail, &needed_by)
        }
    }
}

fn disk(directory: &Path, what: &str, needed_by: &[&str]) -> Finding {
    let free = directory.ancestors().find_map(host::local::free_bytes);
    let is_enough = free.is_some_and(|free| free >= MIN_FREE);
    let found = match free {
        Some(free) => format!("{} free", bytes(free)),
        None => "it cannot be looked at".to_owned(),
    };
    let advice = if is_enough {
        ""
    } else {
        "; compiling takes up to 3 GB"
    };
    let name = format!("disk of {}", directory.display());
    finding(&name, is_enough, format!("{what}: {found}{advice}"), needed_by)
}

fn page(report: &Report) -> String {
    let width = report
        .findings
        .iter()
        .map(|one| one.name.len())
        .max()
        .unwrap_or(0);
    let mut page = String::new();
    for Finding {
        name,
        state,
        detail,
        needed_by,
    } in &report.findings
    {
        let (word, needed) = match state {
            State::Ok => ("ok     ", String::new()),
            State::Missing => ("MISSING", format!("; needed by {}", needed_by.join(", "))),
            State::Skipped => ("-      ", format!("; needed by {}", needed_by.join(", "))),
        };
        let _ = writeln!(page, "{word}  {name:width$}  {detail}{needed}");
    }
    page
}

//! `pgsetup fetch`: everything that an installation without connections needs, verified, in one directory.
//!
//! The directory is made for `install --vendor DIR --offline`. It is its own vendor directory: what is there
//! already is verified and not downloaded again, so that an interrupted fetch is finished by another one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::{resolved, setup};
use crate::cli::FetchArgs;
use crate::command::Command;
use crate::failure::{Because, Cause, Failure};
use crate::host::archive;
use crate::host::{self, Host, Log, http};
use crate::manifest::{self, Manifests};
use crate::plan::requirements;
use crate::report::{Reporter, bytes, seconds};
use crate::resolve::{self, Distribution, Resolved, Selection};
use crate::step::fetch::{self, wanted_distribution};
use crate::supply::{Obtained, Progress, Provenance, Supply, Wanted};
use crate::target::{Architecture, Target};

/// Where downloads are kept until they are complete, in the directory that is filled.
const PARTIAL: &str = ".partial";

/// A thing to have: a source, or a Python distribution, which only pip knows the address of.
#[derive(Debug)]
struct Item {
    wanted: Wanted,
    distribution: Option<Distribution>,
    /// Leading path components to leave off when it is unpacked.
    strip: u8,
    /// Its name in the directory.
    file: String,
}

/// What became of an item: a row of the table.
#[derive(Debug)]
struct Row {
    name: String,
    file: String,
    bytes: u64,
    elapsed: Duration,
    from: String,
}

/// Fills a directory with everything that the selection needs.
pub fn fetch(args: &FetchArgs, reporter: &Reporter) -> Result<(), Failure> {
    let items = items(args, reporter)?;
    let directory = &args.to;
    host::fs::make_directories(directory)?;
    // The directory is its own vendor directory.
    let mut sources = args.sources.clone();
    sources.vendor.insert(0, directory.clone());
    let own_cache = directory.join(PARTIAL);
    let cache = args.cache.as_ref().unwrap_or(&own_cache);
    let supply = setup::supply(&sources, cache, &Host::new(Path::new("/")))?;
    let begin = Instant::now();
    let (rows, failures) = obtain_all(&items, &supply, args, reporter)?;
    reporter
        .result(&table(&rows, begin.elapsed()))
        .because(Cause::Internal)?;
    let Some(worst) = failures
        .iter()
        .map(|failure| failure.cause)
        .max_by_key(|cause| severity(*cause))
    else {
        drop(supply);
        if args.cache.is_none() {
            host::fs::remove_tree(&own_cache)?;
        }
        return Ok(());
    };
    let pages: Vec<String> = failures.iter().map(ToString::to_string).collect();
    let count = failures.len();
    Err(Failure::new(
        worst,
        format_args!(
            "{count} of {} could not be fetched\n\n{}",
            items.len(),
            pages.join("\n\n")
        ),
    ))
}

/// What a script should react to first.
fn severity(cause: Cause) -> u8 {
    match cause {
        Cause::Network => 0,
        Cause::Checksum => 1,
        _ => 2,
    }
}

/// Everything that is wanted, each thing once.
fn items(args: &FetchArgs, reporter: &Reporter) -> Result<Vec<Item>, Failure> {
    // Everything that is wrong with the manifests is reported before anything is downloaded.
    let chosen = resolved(&args.manifests, args.target.clone(), reporter)?;
    let selected = if args.all_targets {
        all_targets(args, &chosen, reporter)?
    } else {
        vec![chosen]
    };
    let (mut items, mut seen, mut files) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut add = |wanted: Wanted, strip: u8, distribution: Option<&Distribution>| {
        let Some(digest) = wanted
            .accepted
            .first()
            .copied()
            .filter(|digest| seen.insert(*digest))
        else {
            return;
        };
        let mut file = wanted.file_name.clone();
        if file.is_empty() || !files.insert(file.clone()) {
            file = format!("{}-{file}", &digest.to_string()[..12]);
        }
        items.push(Item {
            wanted,
            distribution: distribution.cloned(),
            strip,
            file,
        });
    };
    for resolved in &selected {
        for source in resolved.sources().flat_map(|(_, sources)| sources) {
            add(Wanted::from(source), source.strip, None);
        }
        for distribution in resolved.patroni.iter().flat_map(|patroni| &patroni.distributions) {
            add(wanted_distribution(distribution), 0, Some(distribution));
        }
    }
    Ok(items)
}

/// The selection for every PostgreSQL manifest and architecture. An extension that is not for one of them is left
/// out there, and said so.
fn all_targets(args: &FetchArgs, chosen: &Resolved, reporter: &Reporter) -> Result<Vec<Resolved>, Failure> {
    let files = host::fs::manifests(&args.manifests.manifests).because(Cause::Manifest)?;
    let (manifests, _) = manifest::parse(&files);
    let extensions: Vec<String> = chosen
        .extensions
        .iter()
        .map(|e| e.component.name.clone())
        .collect();
    let mut selected = Vec::new();
    for postgresql in &manifests.postgresql {
        for architecture in Architecture::ALL {
            let target = Target {
                distribution: chosen.target.distribution.clone(),
                architecture,
            };
            let selection = |extensions: &[String]| Selection {
                target: Some(target.clone()),
                postgresql: Some(postgresql.value.name.clone()),
                extensions: Some(extensions.to_vec()),
                ..Selection::default()
            };
            if let Ok(resolved) = resolve::resolve(&manifests, &selection(&extensions)) {
                selected.push(resolved);
                continue;
            }
            for extension in &extensions {
                match resolve_one(&manifests, &selection(std::slice::from_ref(extension))) {
                    Some(resolved) => selected.push(resolved),
                    None => reporter.line(&format!(
                        "{extension} is not for PostgreSQL {} on {architecture}",
                        postgresql.value.name
                    )),
                }
            }
        }
    }
    Ok(selected)
}

fn resolve_one(manifests: &Manifests, selection: &Selection) -> Option<Resolved> {
    resolve::resolve(manifests, selection).ok()
}

/// Obtains the items, several at a time. One that fails does not hold up the others: an air-gapped build wants
/// the whole list of what is missing.
fn obtain_all(
    items: &[Item],
    supply: &Supply,
    args: &FetchArgs,
    reporter: &Reporter,
) -> Result<(Vec<Row>, Vec<Failure>), Failure> {
    let pip = Pip::new(args)?;
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..setup::DOWNLOADS.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let position = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(position) else { return };
                    let result = obtain(item, supply, &pip, args, reporter);
                    let mut results = results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    results.insert(position, result);
                }
            });
        }
    });
    let results = results
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for result in results.into_values() {
        match result {
            Ok(row) => rows.push(row),
            Err(failure) => failures.push(failure),
        }
    }
    Ok((rows, failures))
}

fn obtain(
    item: &Item,
    supply: &Supply,
    pip: &Pip,
    args: &FetchArgs,
    reporter: &Reporter,
) -> Result<Row, Failure> {
    let (name, begin) = (&item.wanted.name, Instant::now());
    reporter.started(name);
    let tell = |progress: Progress| match progress {
        Progress::Advanced { done, total } => reporter.advanced(name, done, total),
        Progress::Retrying { why, pause } => {
            reporter.line(&format!("       {name}: {why}; again in {}", seconds(pause)));
        }
        Progress::GivenUp { url, why } => reporter.line(&format!("       {name}: {url}: {why}")),
        Progress::Waiting => reporter.line(&format!(
            "       {name}: waits for another process that downloads it"
        )),
        Progress::Asking(_) => {}
    };
    let obtained = match &item.distribution {
        Some(distribution) => match supply.find(&item.wanted) {
            Some(obtained) => Ok((obtained, None)),
            None if args.sources.offline => supply
                .obtain(&item.wanted, &tell)
                .map(|obtained| (obtained, None))
                .map_err(fetch::failure),
            None => pip
                .download(distribution)
                .and_then(|path| supply.adopt(&item.wanted, &path).map_err(fetch::failure))
                .map(|obtained| (obtained, Some("pip".to_owned()))),
        },
        None => supply
            .obtain(&item.wanted, &tell)
            .map(|obtained| (obtained, None))
            .map_err(fetch::failure),
    };
    let placed = obtained.and_then(|(obtained, from)| {
        if let (Some(below), None) = (&args.unpack, &item.distribution) {
            unpack(&obtained.path, &below.join(name.replace(' ', "-")), item.strip)?;
        }
        let file = place(&obtained, &args.to, &item.file)?;
        Ok(Row {
            name: name.clone(),
            file,
            bytes: obtained.bytes,
            elapsed: begin.elapsed(),
            from: from.unwrap_or_else(|| match obtained.place {
                Provenance::Vendor if obtained.path.starts_with(&args.to) => "already there".to_owned(),
                _ => obtained.place.to_string(),
            }),
        })
    });
    match &placed {
        Ok(row) => reporter.finished(
            name,
            begin.elapsed(),
            &format!("{} from {}", bytes(row.bytes), row.from),
        ),
        Err(_) => reporter.failed(name, begin.elapsed()),
    }
    placed
}

/// Unpacks a verified archive in place of what an earlier fetch has unpacked there.
fn unpack(archive: &Path, into: &Path, strip: u8) -> Result<(), Failure> {
    host::fs::remove_tree(into)?;
    archive::unpack(archive, into, strip, &archive::Limits::default())
        .map(drop)
        .with_context(|| format!("cannot unpack {}", archive.display()))
        .because(Cause::Internal)
}

/// Gives a verified file its name in the directory; returns the name.
fn place(obtained: &Obtained, directory: &Path, file: &str) -> Result<String, Failure> {
    let partial = directory.join(PARTIAL);
    if let Ok(inside) = obtained.path.strip_prefix(directory)
        && !obtained.path.starts_with(&partial)
    {
        return Ok(inside.display().to_string());
    }
    let target = directory.join(file);
    // A second name costs nothing for what this fetch has downloaded; what is somebody else's is copied.
    host::fs::place(&obtained.path, &target, obtained.path.starts_with(&partial))?;
    Ok(file.to_owned())
}

/// pip, which knows where the package index is. Asked for one file at a time and by its digest, so that the files
/// of another architecture can be had as well.
struct Pip {
    host: Host,
    directory: tempfile::TempDir,
}

impl Pip {
    fn new(args: &FetchArgs) -> Result<Self, Failure> {
        let directory = tempfile::tempdir().because(Cause::Internal)?;
        let certificates = http::certificates_pem(args.sources.ca_bundle.as_deref())?;
        host::fs::write_text(&directory.path().join("certificates.pem"), &certificates)?;
        Ok(Self {
            host: Host::new(Path::new("/")),
            directory,
        })
    }

    /// The path of the downloaded file, which is not verified by us yet.
    fn download(&self, distribution: &Distribution) -> Result<PathBuf, Failure> {
        let directory = self.directory.path().join(&distribution.file);
        host::fs::make_directories(&directory)?;
        let requirements_file = directory.join("requirements.txt");
        host::fs::write_text(&requirements_file, &requirements([distribution]))?;
        let text = |path: &Path| path.display().to_string();
        let mut command = Command::new(
            "python3",
            [
                "-m",
                "pip",
                "download",
                "--no-input",
                "--no-deps",
                "--require-hashes",
                "--dest",
            ],
        )
        .arg(text(&directory))
        .args(["--requirement".to_owned(), text(&requirements_file)])
        .args(platform(&distribution.file))
        .env("PIP_CERT", text(&self.directory.path().join("certificates.pem")));
        for name in ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE", "HOME"] {
            if let Some(value) = host::variable(name) {
                command = command.env(name, value);
            }
        }
        let log = Log::open(&directory.join("log")).because(Cause::Internal)?;
        self.host
            .run(&command, &log)
            .map_err(|error| fetch::pip_failure(&error))?;
        let path = directory.join(&distribution.file);
        if path.is_file() {
            return Ok(path);
        }
        let message = format!(
            "pip downloaded another file of {} {} than {}",
            distribution.name, distribution.version, distribution.file
        );
        Err(Failure::new(Cause::Network, message))
    }
}

/// Options with which pip downloads exactly this file: a wheel's name says what it is for (PEP 427).
fn platform(file: &str) -> Vec<String> {
    let Some(stem) = file.strip_suffix(".whl") else {
        return vec!["--no-binary=:all:".to_owned()];
    };
    let mut options = vec!["--only-binary=:all:".to_owned()];
    let mut tags = stem.rsplit('-');
    if let (Some(platforms), Some(abi), Some(python)) = (tags.next(), tags.next(), tags.next())
        && platforms != "any"
    {
        options.extend(
            platforms
                .split('.')
                .map(|platform| format!("--platform={platform}")),
        );
        options.push(format!("--abi={abi}"));
        options.push("--implementation=cp".to_owned());
        options.push(format!(
            "--python-version={}",
            python.trim_start_matches(|c: char| !c.is_ascii_digit())
        ));
    }
    options
}

/// What was fetched, as a table.
fn table(rows: &[Row], elapsed: Duration) -> String {
    let width =
        |column: fn(&Row) -> usize, head: &str| rows.iter().map(column).max().unwrap_or(0).max(head.len());
    let (what, file) = (
        width(|row| row.name.len(), "what"),
        width(|row| row.file.len(), "file"),
    );
    let mut text = format!(
        "{:what$}  {:file$}  {:>9}  {:>8}  from\n",
        "what", "file", "size", "time"
    );
    for row in rows {
        let (size, time) = (bytes(row.bytes), seconds(row.elapsed));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:what$}  {:file$}  {size:>9}  {time:>8}  {}",
            row.name, row.file, row.from
        );
    }
    let total: u64 = rows.iter().map(|row| row.bytes).sum();
    let _ = writeln!(
        text,
        "{} files, {}, in {}",
        rows.len(),
        bytes(total),
        seconds(elapsed)
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pip_is_asked_for_exactly_the_file_of_the_manifest() {
        assert_eq!(platform("ydiff-1.4.2.tar.gz"), ["--no-binary=:all:"]);
        assert_eq!(
            platform("six-1.17.0-py2.py3-none-any.whl"),
            ["--only-binary=:all:"]
        );
        assert_eq!(
            platform("pyyaml-6.0.3-cp311-cp311-manylinux2014_aarch64.manylinux_2_17_aarch64.whl"),
            [
                "--only-binary=:all:",
                "--platform=manylinux2014_aarch64",
                "--platform=manylinux_2_17_aarch64",
                "--abi=cp311",
                "--implementation=cp",
                "--python-version=311"
            ]
        );
    }
}

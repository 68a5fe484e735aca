//! `pgsetup fetch`: downloads and verifies everything that an offline installation needs, in one directory.
//!
//! The directory is made for `install --vendor DIR --offline`, and is its own vendor directory: files that are there
//! are verified and not downloaded again. Another `fetch` therefore completes an interrupted one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Serialize;

use super::manifests::Files;
use super::{locking, resolved, setup};
use crate::archive::graft::graft;
use crate::archive::{tree, unpack};
use crate::cli::{FetchArgs, Format};
use crate::digest::Sha256;
use crate::failure::{self, Cause, Failure, WithCause};
use crate::host::{self, Host};
use crate::manifest::Manifests;
use crate::plan::{self, CrateFetch};
use crate::report::{Reporter, bytes, seconds};
use crate::resolve::{self, ChosenBase, Resolved, Selection};
use crate::run::parallel;
use crate::source::{Obtained, Origin, Progress, SourceRequest, Sources};
use crate::step::fetch;
use crate::target::{Architecture, Target};

/// Where incomplete downloads are kept, below the directory that is filled.
const PARTIAL: &str = ".partial";

/// A file to fetch: a source, a Python distribution, or a Debian package of the lock.
#[derive(Debug)]
struct Item {
    wanted: SourceRequest,
    /// How it is unpacked; `None` for distributions and packages, which are not.
    unpacking: Option<Unpacking>,
    /// Its name in the directory.
    file: String,
}

/// How an archive is unpacked.
#[derive(Debug)]
struct Unpacking {
    /// How many leading path components are left off.
    strip: u8,
    /// The directory that an archive after its component's first is unpacked into, below the tree of the first.
    further: Option<String>,
}

/// What `fetch` did, for programs (`pgsetup schema downloads`).
#[derive(Debug, Serialize, JsonSchema)]
pub struct Downloads {
    /// The version of this schema.
    pub schema_version: u32,
    /// The directory that was filled.
    pub directory: String,
    /// The files that are there now, each verified.
    pub files: Vec<Row>,
    /// What could not be fetched.
    pub failures: Vec<Missing>,
}

/// A file that is there.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Row {
    /// What it is: `citus 14.0.1`.
    pub title: String,
    /// Its name in the directory.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// How long it took to fetch it.
    pub seconds: f64,
    /// Where it came from: a URL, `vendor`, `cache`, `pip` or `already there`.
    pub from: String,
}

/// A file that could not be fetched.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Missing {
    /// What it is: `citus 14.0.1`.
    pub title: String,
    /// Why, with every place that was asked.
    pub reason: String,
}

/// The version of the document.
const VERSION: u32 = 1;

/// Fills a directory with everything that the selection needs.
///
/// # Errors
/// A manifest is wrong, the directory cannot be written, or a file could not be fetched. Of several failures, the most
/// severe decides the exit status.
pub fn fetch(args: &FetchArgs, reporter: &Reporter) -> Result<(), Failure> {
    let (items, locked) = items(args, reporter)?;
    let directory = &args.to;
    host::local::make_directories(directory)?;
    let mut options = args.sources.clone();
    options.vendor.insert(0, directory.clone());
    let own_cache = directory.join(PARTIAL);
    let cache = args.cache.as_ref().unwrap_or(&own_cache);
    let sources = setup::sources(&options, cache, &Host::new(Path::new("/")))?;
    let begin = host::instant();
    let (mut rows, mut failures) = obtain_all(&items, &sources, args, reporter);
    let mut count = items.len();
    if !locked.is_empty() {
        let (items, wrong) = crates(&locked, &sources, &rows);
        count += items.len() + wrong.len();
        failures.extend(wrong);
        let (more, others) = obtain_all(&items, &sources, args, reporter);
        rows.extend(more);
        failures.extend(others);
    }
    let text = match args.format {
        Format::Text => table(&rows, begin.elapsed()),
        Format::Json => json(args, rows, &failures)?,
    };
    reporter.result(&text).cause(Cause::Internal)?;
    let Some(worst) = failures
        .iter()
        .map(|(_, failure)| failure.cause)
        .max_by_key(|cause| severity(*cause))
    else {
        drop(sources);
        if args.cache.is_none() {
            host::local::remove_tree(&own_cache)?;
        }
        return Ok(());
    };
    let page = |group: &Vec<&(String, Failure)>| {
        let group: Vec<&Failure> = group.iter().map(|(_, failure)| failure).collect();
        failure::explanation(&group)
    };
    let pages: Vec<String> = failure::groups(&failures, |(_, failure)| failure)
        .iter()
        .map(page)
        .collect();
    let failed = failures.len();
    Err(Failure::new(
        worst,
        format_args!(
            "{failed} of {count} could not be fetched\n\n{}",
            pages.join("\n\n")
        ),
    ))
}

fn json(args: &FetchArgs, files: Vec<Row>, failures: &[(String, Failure)]) -> Result<String, Failure> {
    let missing = |(title, failure): &(String, Failure)| Missing {
        title: title.clone(),
        reason: failure.to_string(),
    };
    super::json(&Downloads {
        schema_version: VERSION,
        directory: args.to.display().to_string(),
        files,
        failures: failures.iter().map(missing).collect(),
    })
}

/// How urgent a cause is for a script that sees one exit status.
fn severity(cause: Cause) -> u8 {
    match cause {
        Cause::Network => 0,
        Cause::Checksum => 1,
        _ => 2,
    }
}

/// Every file of the selection once.
fn items(args: &FetchArgs, reporter: &Reporter) -> Result<(Vec<Item>, Vec<Locked>), Failure> {
    // All problems of the manifests are reported before the first download.
    let files = super::files(&args.manifests, "fetch")?;
    let chosen = resolved(&files, &args.manifests, args.target.clone(), reporter)?;
    let selected = if args.all_targets {
        all_targets(&files, &chosen, reporter)
    } else {
        vec![chosen]
    };
    let (mut items, mut seen, mut names) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut add = |wanted: SourceRequest, unpacking: Option<Unpacking>| {
        let Some(digest) = wanted
            .accepted
            .first()
            .copied()
            .filter(|digest| seen.insert(*digest))
        else {
            return;
        };
        let mut file = wanted.file_name.clone();
        if file.is_empty() || !names.insert(file.clone()) {
            file = format!("{}-{file}", &digest.to_string()[..12]);
        }
        items.push(Item {
            wanted,
            unpacking,
            file,
        });
    };
    for target in locking::targets(&args.manifests.place, &selected, args.all_targets)? {
        for package in &target.packages {
            add(SourceRequest::of_package(package, &target.archives), None);
        }
    }
    for resolved in &selected {
        for (_, sources) in resolved.sources() {
            for (position, source) in sources.iter().enumerate() {
                let unpacking = Unpacking {
                    strip: source.strip,
                    further: (position > 0).then(|| source.into.clone()),
                };
                add(SourceRequest::from(source), Some(unpacking));
            }
        }
        for distribution in resolved.patroni.iter().flat_map(|patroni| &patroni.distributions) {
            add(SourceRequest::from(distribution), None);
        }
    }
    let mut locked: BTreeMap<Sha256, Locked> = BTreeMap::new();
    for (fetch, sources) in selected.iter().flat_map(plan::locks) {
        let Some(archive) = sources.into_iter().next() else {
            continue;
        };
        let wanted = SourceRequest::from(&archive);
        if let Some(digest) = wanted.accepted.first().copied()
            && seen.insert(digest)
        {
            items.push(Item {
                file: wanted.file_name.clone(),
                wanted: wanted.clone(),
                unpacking: None,
            });
        }
        let strip = archive.strip;
        locked.insert(fetch.lock, Locked { fetch, wanted, strip });
    }
    Ok((items, locked.into_values().collect()))
}

/// The crates of the locks, each once. Their archives are in the directory.
fn crates(locked: &[Locked], sources: &Sources, rows: &[Row]) -> (Vec<Item>, Vec<(String, Failure)>) {
    let (mut items, mut failures, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for Locked { fetch, wanted, strip } in locked {
        // What failed to be fetched is reported already.
        if !rows.iter().any(|row| row.title == wanted.name) {
            continue;
        }
        let lock = sources
            .obtain(wanted, &|_| ())
            .map_err(fetch::failure)
            .and_then(|archive| fetch::lock_of(fetch, &archive.path, *strip));
        match lock {
            Ok(lock) => {
                let new = lock.crates.iter().filter(|one| seen.insert(one.sha256));
                items.extend(new.map(|one| Item {
                    wanted: SourceRequest::from(one),
                    unpacking: None,
                    file: one.file(),
                }));
            }
            Err(failure) => failures.push((format!("the crates of {}", fetch.title), failure)),
        }
    }
    (items, failures)
}

/// A lock, and the archive that has it.
struct Locked {
    fetch: CrateFetch,
    wanted: SourceRequest,
    strip: u8,
}

/// The selection for every PostgreSQL manifest and architecture. An extension that does not support one of them is
/// left out there, with a line that says so.
fn all_targets(files: &Files, chosen: &Resolved, reporter: &Reporter) -> Vec<Resolved> {
    let (manifests, _) = files.parse();
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
                base: ChosenBase::by(None, Some(&target)),
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
                        "{extension} does not support PostgreSQL {} on {architecture}",
                        postgresql.value.name
                    )),
                }
            }
        }
    }
    selected
}

fn resolve_one(manifests: &Manifests, selection: &Selection) -> Option<Resolved> {
    resolve::resolve(manifests, selection).ok()
}

/// Obtains the items, several at a time. A failure does not stop the others, because an offline build needs the whole
/// list of missing files.
fn obtain_all(
    items: &[Item],
    sources: &Sources,
    args: &FetchArgs,
    reporter: &Reporter,
) -> (Vec<Row>, Vec<(String, Failure)>) {
    let results = parallel::each(items, setup::MAX_DOWNLOADS, |item| {
        obtain(item, sources, args, reporter)
    });
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for (item, result) in items.iter().zip(results) {
        // The first archive of a component makes the tree, so the others wait until all are there.
        let result = result.and_then(|(row, path)| {
            let Some(below) = &args.unpack else {
                return Ok(row);
            };
            if let Some(Unpacking {
                strip,
                further: Some(into),
            }) = &item.unpacking
            {
                add_to_tree(&path, &tree_of(item, below), into, *strip)?;
            }
            Ok(row)
        });
        match result {
            Ok(row) => rows.push(row),
            Err(failure) => failures.push((item.wanted.name.clone(), failure)),
        }
    }
    (rows, failures)
}

/// Obtains one file. Returns its row, and where it is. The first archive of a component is unpacked.
fn obtain(
    item: &Item,
    sources: &Sources,
    args: &FetchArgs,
    reporter: &Reporter,
) -> Result<(Row, PathBuf), Failure> {
    let (name, begin) = (&item.wanted.name, host::instant());
    reporter.bar(name);
    let tell = |progress: Progress| match progress {
        Progress::Advanced { done, total } => reporter.advanced(name, done, total),
        Progress::Retrying { why, pause } => {
            let line = format!("       {name}: {why}; again in {}", seconds(pause));
            reporter.line_once(&format!("again: {why}"), &line);
        }
        Progress::GivenUp { url, why } => reporter.line_once(&why, &format!("       {name}: {url}: {why}")),
        Progress::Waiting => reporter.line(&format!(
            "       {name}: waiting for another process that downloads it"
        )),
        Progress::Note(text) => reporter.line(&format!("       {name}: {text}")),
        Progress::Asking(_) => {}
    };
    let obtained = sources.obtain(&item.wanted, &tell).map_err(fetch::failure);
    let placed = obtained.and_then(|obtained| {
        if let (Some(below), Some(Unpacking { strip, further: None })) = (&args.unpack, &item.unpacking) {
            unpack(&obtained.path, &tree_of(item, below), *strip)?;
        }
        let file = place(&obtained, &args.to, &item.file)?;
        let row = Row {
            title: name.clone(),
            file,
            bytes: obtained.bytes,
            seconds: begin.elapsed().as_secs_f64(),
            from: match obtained.origin {
                Origin::Vendor if obtained.path.starts_with(&args.to) => "already there".to_owned(),
                _ => obtained.origin.to_string(),
            },
        };
        Ok((row, obtained.path))
    });
    match &placed {
        Ok((row, _)) => reporter.finished(
            name,
            begin.elapsed(),
            &format!("{} from {}", bytes(row.bytes), row.from),
        ),
        Err(failure) => reporter.failed(name, begin.elapsed(), failure),
    }
    placed
}

/// The directory below `below` that the archives of an item's component are unpacked into.
fn tree_of(item: &Item, below: &Path) -> PathBuf {
    below.join(item.wanted.name.replace(' ', "-"))
}

/// Unpacks a further archive of a component into the tree of the first.
fn add_to_tree(archive: &Path, tree: &Path, into: &str, strip: u8) -> Result<(), Failure> {
    graft(archive, tree, Path::new(into), strip, &tree::Limits::default())
        .map(drop)
        .with_context(|| format!("cannot unpack {}", archive.display()))
        .cause(Cause::Internal)
}

/// Unpacks a verified archive in place of what an earlier fetch unpacked there.
fn unpack(archive: &Path, into: &Path, strip: u8) -> Result<(), Failure> {
    host::local::remove_tree(into)?;
    unpack::unpack(archive, into, strip, &tree::Limits::default())
        .map(drop)
        .with_context(|| format!("cannot unpack {}", archive.display()))
        .cause(Cause::Internal)
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
    // A file that this fetch downloaded gets a second name, which costs nothing. A file of another owner is copied.
    host::local::place(&obtained.path, &target, obtained.path.starts_with(&partial))?;
    Ok(file.to_owned())
}

fn table(rows: &[Row], elapsed: Duration) -> String {
    let width =
        |column: fn(&Row) -> usize, head: &str| rows.iter().map(column).max().unwrap_or(0).max(head.len());
    let (what, file) = (
        width(|row| row.title.len(), "what"),
        width(|row| row.file.len(), "file"),
    );
    let mut text = format!(
        "{:what$}  {:file$}  {:>9}  {:>8}  from\n",
        "what", "file", "size", "time"
    );
    for row in rows {
        let (size, time) = (bytes(row.bytes), seconds(Duration::from_secs_f64(row.seconds)));
        let _ = writeln!(
            text,
            "{:what$}  {:file$}  {size:>9}  {time:>8}  {}",
            row.title, row.file, row.from
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

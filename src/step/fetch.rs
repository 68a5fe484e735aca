//! Fetches sources and records their paths for the steps that unpack them.

use std::path::Path;

use anyhow::Context as _;

use super::context::{Context, Done};
use crate::archive::tree::Limits;
use crate::archive::unpack;
use crate::crates::Lock;
use crate::digest::Sha256;
use crate::failure::{self, Cause, Failure, Shared, WithCause};
use crate::lock::lock;
use crate::plan::{CrateFetch, DistributionFetch};
use crate::report::bytes;
use crate::resolve::Source;
use crate::run::parallel;
use crate::source::error::{ErrorKind, FetchError};
use crate::source::{Obtained, Origin, Progress, SourceRequest};
use crate::{host, layout};

/// The file by which Cargo knows the digest of an unpacked crate.
pub const CHECKSUM: &str = ".cargo-checksum.json";
/// How many distributions or crates a step downloads at a time. They are small files, mostly from one server.
const MAX_DOWNLOADS: usize = 6;

/// Fetches an archive.
///
/// # Errors
/// No place has it, or what came has another digest.
pub fn source(source: &Source, step: &str, context: &Context<'_>) -> Result<Done, Failure> {
    let obtained = obtain(&SourceRequest::from(source), step, context)?;
    let mut archives = lock(&context.state.archives);
    for digest in &source.accepted {
        archives.insert(*digest, obtained.path.clone());
    }
    let note = format!("{} from {}", bytes(obtained.bytes), obtained.origin);
    Ok(match obtained.origin {
        Origin::Vendor | Origin::Cache => Done::cached(note),
        Origin::Network(_) => Done::fetched(note),
    })
}

fn obtain(wanted: &SourceRequest, step: &str, context: &Context<'_>) -> Result<Obtained, Failure> {
    let tell = |progress: Progress| match progress {
        Progress::Advanced { done, total } => context.reporter.advanced(step, done, total),
        Progress::GivenUp { url, why } => context
            .reporter
            .line_once(&why, &format!("       {step}: {url}: {why}")),
        Progress::Note(text) => context.reporter.line(&format!("       {step}: {text}")),
        Progress::Waiting | Progress::Asking(_) | Progress::Retrying { .. } => {}
    };
    context.sources()?.obtain(wanted, &tell).map_err(failure)
}

/// Fetches the crates of a lock, and unpacks them where Cargo takes them from. The lock is that of the unpacked tree.
///
/// # Errors
/// The lock is not the one that the manifest pins, or has what cannot be verified. A crate could not be fetched; the error shows
/// one failure, a wrong digest first, and counts the others.
pub fn crates(fetch: &CrateFetch, step: &str, context: &Context<'_>) -> Result<Done, Failure> {
    let host = context.host;
    let source = layout::source(&fetch.component);
    let text = |directory: &str| host.read(&format!("{source}{directory}/Cargo.lock"));
    let text = match fetch.directory.as_str() {
        "" => text("")?,
        // That of a workspace is above.
        below => text(&format!("/{below}"))?.map_or_else(|| text(""), |text| Ok(Some(text)))?,
    };
    let lock = pinned(fetch, text.as_deref())?;
    let directory = host.empty_directory(&layout::vendored(&fetch.component))?;
    let requests: Vec<SourceRequest> = lock.crates.iter().map(SourceRequest::from).collect();
    let all = all(&requests, step, context)?;
    for (one, obtained) in lock.crates.iter().zip(&all) {
        let into = directory.join(one.slug());
        let unpack = || unpack::unpack(&obtained.path, &into, 1, &Limits::default());
        let unpacked = match context.sandbox {
            Some(sandbox) => sandbox
                .confine(std::slice::from_ref(&directory), || Ok(unpack()))
                .context("cannot enter the sandbox")?,
            None => unpack(),
        };
        unpacked
            .with_context(|| format!("cannot unpack {}", one.file()))
            .cause(Cause::Build)?;
        // Cargo compares it with the lock. Files are not listed, for they are those of the verified crate.
        let checksum = format!("{{\"files\":{{}},\"package\":\"{}\"}}", one.sha256);
        host::local::create_text(&into.join(CHECKSUM), &checksum)?;
    }
    Ok(counted(&all))
}

/// The lock in an archive, as [`pinned`].
///
/// # Errors
/// As [`pinned`], or the archive cannot be unpacked.
pub fn lock_of(fetch: &CrateFetch, archive: &Path, strip: u8) -> Result<Lock, Failure> {
    let directory = host::local::temporary_directory(None).map_err(anyhow::Error::from)?;
    let tree = directory.path().join("tree");
    unpack::unpack(archive, &tree, strip, &Limits::default())
        .with_context(|| format!("cannot unpack {}", archive.display()))
        .cause(Cause::Build)?;
    let below = tree.join(&fetch.directory).join("Cargo.lock");
    let path = if host::local::is_file(&below) {
        below
    } else {
        tree.join("Cargo.lock")
    };
    let text = host::local::is_file(&path)
        .then(|| host::local::read_text(&path))
        .transpose()?;
    pinned(fetch, text.as_deref())
}

/// The lock of a tree, if it is the one that the manifest pins and everything in it can be verified.
///
/// # Errors
/// It is another one, names a source without a digest, or is for another `cargo-pgrx`.
pub fn pinned(fetch: &CrateFetch, text: Option<&str>) -> Result<Lock, Failure> {
    let title = &fetch.title;
    let Some(text) = text else {
        let message = format!("{title}: its source tree has no Cargo.lock, whose digest its manifest has");
        return Err(Failure::new(Cause::Manifest, message));
    };
    let found = Sha256::of(text.as_bytes());
    if found != fetch.lock {
        let message = format!(
            "{title}: the Cargo.lock of its source tree is not the one of its manifest\n  expected sha256 {}\n  found sha256    {found}",
            fetch.lock
        );
        return Err(Failure::new(Cause::Checksum, message));
    }
    let wrong = |error| Failure::new(Cause::Manifest, format_args!("{title}: its Cargo.lock: {error}"));
    let lock = Lock::parse(text).map_err(wrong)?;
    if !lock.refused.is_empty() {
        let message = format!(
            "{title}: its Cargo.lock has packages that no digest of an index verifies:\n  {}\n  hint: only crates of crates.io \
             can be verified; ask upstream to publish these",
            lock.refused.join("\n  ")
        );
        return Err(Failure::new(Cause::Manifest, message));
    }
    if let Some(version) = &fetch.pgrx
        && !lock.versions("pgrx").any(|found| found == version)
    {
        let found: Vec<&str> = lock.versions("pgrx").collect();
        let found = if found.is_empty() {
            "none".to_owned()
        } else {
            found.join(", ")
        };
        let message = format!(
            "{title}: its manifest has cargo-pgrx {version}, and pgrx in its Cargo.lock is {found}; both have to be of one version"
        );
        return Err(Failure::new(Cause::Manifest, message));
    }
    Ok(lock)
}

/// A fetch error as a failure with its exit status.
// By value, so that it can be passed to `map_err`.
#[allow(clippy::needless_pass_by_value)]
pub fn failure(error: FetchError) -> Failure {
    Failure {
        cause: cause(error.kind()),
        shared: error.reason().map(|reason| Shared {
            subject: error.name().to_owned(),
            reason,
        }),
        error: anyhow::anyhow!("{error}"),
    }
}

/// The exit status of a kind of fetch error.
pub fn cause(kind: ErrorKind) -> Cause {
    match kind {
        ErrorKind::Network | ErrorKind::Missing => Cause::Network,
        ErrorKind::Checksum => Cause::Checksum,
        ErrorKind::Local => Cause::Internal,
    }
}

/// Fetches Python distributions, several at a time, into one directory under their own names.
///
/// # Errors
/// A distribution could not be fetched.
pub fn distributions(fetch: &DistributionFetch, step: &str, context: &Context<'_>) -> Result<Done, Failure> {
    let directory = context.host.empty_directory(&fetch.directory)?;
    let requests: Vec<SourceRequest> = fetch.distributions.iter().map(SourceRequest::from).collect();
    let all = all(&requests, step, context)?;
    for (distribution, obtained) in fetch.distributions.iter().zip(&all) {
        host::local::copy(&obtained.path, &directory.join(&distribution.file))?;
    }
    Ok(counted(&all))
}

/// What several downloads come to.
fn counted(all: &[Obtained]) -> Done {
    let is_downloaded = |obtained: &&Obtained| matches!(obtained.origin, Origin::Network(_));
    let downloaded = all.iter().filter(is_downloaded).count();
    let note = format!("{} at hand, {downloaded} downloaded", all.len() - downloaded);
    if downloaded == 0 {
        Done::cached(note)
    } else {
        Done::fetched(note)
    }
}

/// Fetches files, several at a time.
///
/// # Errors
/// A file could not be fetched. The error shows one failure, a wrong digest first, and counts the others.
pub fn all(wanted: &[SourceRequest], step: &str, context: &Context<'_>) -> Result<Vec<Obtained>, Failure> {
    let results = parallel::each(wanted, MAX_DOWNLOADS, |wanted| obtain(wanted, step, context));
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(obtained) => all.push(obtained),
            Err(failure) => failures.push(failure),
        }
    }
    let groups = failure::groups(&failures, |failure| failure);
    let explanations: Vec<String> = groups.iter().map(|group| failure::explanation(group)).collect();
    let is_single = failures.len() == 1;
    match failures
        .into_iter()
        .max_by_key(|failure| failure.cause == Cause::Checksum)
    {
        Some(first) if is_single => Err(first),
        Some(first) => Err(Failure::new(first.cause, explanations.join("\n"))),
        None => Ok(all),
    }
}

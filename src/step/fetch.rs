//! Fetches sources and records their paths for the steps that unpack them.

use super::context::{Context, Done};
use crate::failure::{self, Cause, Failure, Shared};
use crate::host;
use crate::lock::lock;
use crate::plan::DistributionFetch;
use crate::report::bytes;
use crate::resolve::Source;
use crate::run::parallel;
use crate::source::error::{ErrorKind, FetchError};
use crate::source::{Obtained, Origin, Progress, SourceRequest};

/// How many distributions a step downloads at a time. They are small files, mostly from one server.
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
    let is_downloaded = |obtained: &&Obtained| matches!(obtained.origin, Origin::Network(_));
    let downloaded = all.iter().filter(is_downloaded).count();
    let note = format!("{} at hand, {downloaded} downloaded", all.len() - downloaded);
    Ok(if downloaded == 0 {
        Done::cached(note)
    } else {
        Done::fetched(note)
    })
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

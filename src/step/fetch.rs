//! Obtains sources, and remembers where they are for the steps that unpack them.

use super::files::ROOT_FILE;
use super::{Context, Done, lock};
use crate::failure::{Cause, Failure};
use crate::host::{self, CommandError, Log};
use crate::plan::{DistributionFetch, requirements};
use crate::report::bytes;
use crate::resolve::{Distribution, Source};
use crate::supply::{ErrorKind, Obtained, Progress, Provenance, SupplyError, Wanted};

/// Obtains an archive.
pub fn source(source: &Source, step: &str, context: &Context<'_>) -> Result<Done, Failure> {
    let obtained = obtain(&Wanted::from(source), step, context)?;
    let mut archives = lock(&context.state.archives);
    for digest in &source.accepted {
        archives.insert(*digest, obtained.path.clone());
    }
    let note = format!("{} from {}", bytes(obtained.bytes), obtained.place);
    Ok(match obtained.place {
        Provenance::Vendor | Provenance::Cache => Done::cached(note),
        Provenance::Network(_) => Done::fetched(note),
    })
}

fn obtain(wanted: &Wanted, step: &str, context: &Context<'_>) -> Result<Obtained, Failure> {
    let tell = |progress: Progress| match progress {
        Progress::Advanced { done, total } => context.reporter.advanced(step, done, total),
        Progress::GivenUp { url, why } => context.reporter.line(&format!("       {step}: {url}: {why}")),
        Progress::Waiting | Progress::Asking(_) | Progress::Retrying { .. } => {}
    };
    context.supply()?.obtain(wanted, &tell).map_err(failure)
}

/// The failure of a supply, with the exit status that goes with it.
// Taken whole, as `map_err` gives it.
#[allow(clippy::needless_pass_by_value)]
pub fn failure(error: SupplyError) -> Failure {
    Failure {
        cause: cause(error.kind()),
        error: anyhow::anyhow!("{error}"),
    }
}

/// The exit status that goes with a kind of supply error.
pub fn cause(kind: ErrorKind) -> Cause {
    match kind {
        ErrorKind::Network | ErrorKind::Missing => Cause::Network,
        ErrorKind::Checksum => Cause::Checksum,
        ErrorKind::Local => Cause::Internal,
    }
}

/// Obtains Python distributions: those that are at hand by their digest, the others by pip, which knows where
/// the package index is. Leaves them under their names in one directory.
pub fn distributions(fetch: &DistributionFetch, context: &Context<'_>, log: &Log) -> Result<Done, Failure> {
    let directory = context.host.empty_directory(&fetch.directory)?;
    let mut missing: Vec<&Distribution> = Vec::new();
    for distribution in &fetch.distributions {
        match context.supply()?.find(&wanted_distribution(distribution)) {
            Some(obtained) => {
                let path = directory.join(&distribution.file);
                host::fs::copy(&obtained.path, &path)?;
            }
            None => missing.push(distribution),
        }
    }
    if !missing.is_empty() {
        download(&missing, fetch, context, log)?;
    }
    let at_hand = fetch.distributions.len() - missing.len();
    let note = format!("{at_hand} at hand, {} downloaded", missing.len());
    Ok(if missing.is_empty() {
        Done::cached(note)
    } else {
        Done::fetched(note)
    })
}

/// The form in which the supply wants a Python distribution.
pub fn wanted_distribution(distribution: &Distribution) -> Wanted {
    Wanted {
        name: format!("{} {}", distribution.name, distribution.version),
        file_name: distribution.file.clone(),
        accepted: vec![distribution.sha256],
        ..Wanted::default()
    }
}

/// Has pip download what is missing, verifies it by the same digests, and keeps it in the cache.
fn download(
    missing: &[&Distribution],
    fetch: &DistributionFetch,
    context: &Context<'_>,
    log: &Log,
) -> Result<(), Failure> {
    if context.supply()?.is_offline() {
        let names: Vec<String> = missing
            .iter()
            .map(|d| format!("\n  {} (sha256 {})", d.file, d.sha256))
            .collect();
        let message = format!(
            "these Python distributions are neither in a vendor directory nor in the cache, and --offline is given:{}",
            names.concat()
        );
        return Err(Failure::new(Cause::Network, message));
    }
    let host = context.host;
    host.write(&fetch.certificates, context.certificates, ROOT_FILE)?;
    host.write(
        &fetch.requirements,
        &requirements(missing.iter().copied()),
        ROOT_FILE,
    )?;
    for command in &fetch.commands {
        host.run(command, log).map_err(|error| pip_failure(&error))?;
    }
    for distribution in missing {
        let path = host.reach(&fetch.directory)?.join(&distribution.file);
        if !path.is_file() {
            let message = format!(
                "pip downloaded another file of {} {} than {}: name that one in the manifest",
                distribution.name, distribution.version, distribution.file
            );
            return Err(Failure::new(Cause::Network, message));
        }
        context
            .supply()?
            .adopt(&wanted_distribution(distribution), &path)
            .map_err(failure)?;
    }
    Ok(())
}

/// pip's own words tell a wrong digest from an index that cannot be reached.
pub fn pip_failure(error: &CommandError) -> Failure {
    let mismatch = error
        .tail
        .iter()
        .any(|line| line.contains("DO NOT MATCH THE HASHES"));
    let cause = match (error.interrupted, mismatch) {
        (true, _) => Cause::Interrupted,
        (false, true) => Cause::Checksum,
        (false, false) => Cause::Network,
    };
    let certificate = error
        .tail
        .iter()
        .any(|line| line.contains("CERTIFICATE_VERIFY_FAILED"));
    let hint = if certificate {
        "\n  hint: the connection is signed by a certificate that is not known; name a file with it (--ca-bundle)"
    } else {
        ""
    };
    Failure::new(cause, format_args!("{error}{hint}"))
}

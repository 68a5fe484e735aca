//! What several commands begin with: sources, the remote cache, the target.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::cli::{ArtifactCacheArgs, SandboxArgs, SandboxMode, SourceArgs};
use crate::debian::apt_sources::DebianArchive;
use crate::failure::{self, Cause, Failure, WithCause};
use crate::host::net::HttpOptions;
use crate::host::sandbox::Sandbox;
use crate::host::{self, Host};
use crate::layout;
use crate::report::Reporter;
use crate::resolve::{Resolved, id};
use crate::run::parallel;
use crate::source::error::ErrorKind;
use crate::source::http::Client;
use crate::source::{Options, SourceRequest, Sources};
use crate::step::fetch;
use crate::step::install::files::ROOT_FILE;
use crate::store::cache::Cache;
use crate::store::remote::{self, Remote};
use crate::target::{Architecture, Target, distribution_of};

/// The file below the working directory with the certificates that builds trust.
pub const CERTIFICATES: &str = "certificates.pem";
/// How many sources are downloaded at the same time.
pub const MAX_DOWNLOADS: usize = 6;

/// The distribution and architecture of the machine that is installed on. A plan for another one would fail half-way.
///
/// # Errors
/// The system's description cannot be read, or pgsetup does not support it.
pub fn target(host: &Host) -> Result<Target, Failure> {
    let text = host.read("/etc/os-release")?.unwrap_or_default();
    let distribution = distribution_of(&text).ok_or_else(|| {
        let file = host.path("/etc/os-release");
        Failure::new(
            Cause::Internal,
            format_args!("{} does not say which distribution this is", file.display()),
        )
    })?;
    Ok(Target {
        distribution,
        architecture: Architecture::of_this_program(),
    })
}

/// The remote cache of artifacts that the command line names, if any.
///
/// # Errors
/// The address or the credentials are wrong, or certificates cannot be read.
pub fn remote(
    args: &ArtifactCacheArgs,
    sources: &SourceArgs,
    reporter: &Reporter,
) -> Result<Option<Remote>, Failure> {
    let Some(url) = &args.url else { return Ok(None) };
    let secret = args.secret.as_deref().map(host::local::secret);
    let secret = secret.transpose().cause(Cause::Usage)?;
    if let (Some(secret), Some(path)) = (&secret, &args.secret)
        && secret.is_everybodys
    {
        reporter.line(&format!(
            "{}: every user of this machine can read this secret",
            path.display()
        ));
    }
    let options = remote::Options {
        url: url.clone(),
        secret: secret.map(|secret| secret.text),
        read_only: args.is_read_only,
        budget: Duration::from_secs(args.seconds.into()),
        ca_bundle: sources.ca_bundle.clone(),
    };
    Remote::new(&options).map(Some).cause(Cause::Usage)
}

/// Where sources come from, as the command line says.
///
/// # Errors
/// The cache cannot be opened, or a file of certificates cannot be read.
pub fn sources(args: &SourceArgs, cache: &Path, host: &Host) -> Result<Sources, Failure> {
    for directory in &args.vendor {
        if !host::local::is_directory(directory) {
            let message = format!(
                "the vendor directory {} does not exist (--vendor)",
                directory.display()
            );
            return Err(Failure::new(Cause::Usage, message));
        }
    }
    let options = HttpOptions {
        ca_bundles: args.ca_bundle.clone().into_iter().collect(),
        ..HttpOptions::default()
    };
    // The only possible failure is a file of certificates that the caller names.
    let client = Client::new(&options).cause(Cause::Usage)?;
    let cache = Cache::open(cache).map_err(|error| {
        anyhow::anyhow!(
            "cannot use the cache {}: {error}; name a writable directory with --cache DIR",
            cache.display()
        )
    })?;
    Ok(Sources::new(Options {
        vendor: args.vendor.clone(),
        cache,
        client,
        offline: args.offline,
        debian: DebianArchive::read(host),
        content_mirrors: args.mirror.clone(),
    })?)
}

/// Writes the certificates that downloads trust where builds can read them. Returns the path in the root; `None` if no file
/// adds any.
///
/// # Errors
/// The file cannot be read or written.
pub fn ca_bundle(args: &SourceArgs, host: &Host) -> Result<Option<String>, Failure> {
    let Some(bundle) = &args.ca_bundle else {
        return Ok(None);
    };
    let path = format!("{}/{CERTIFICATES}", layout::WORK);
    let text = host::net::trusted(bundle).cause(Cause::Usage)?;
    host.write(&path, &text, ROOT_FILE)?;
    Ok(Some(path))
}

/// What the kernel enforces on builds. Says once what it does not enforce.
///
/// # Errors
/// Something is not enforced, and the command line requires all of it.
pub fn sandbox(args: SandboxArgs, reporter: &Reporter) -> Result<Option<Sandbox>, Failure> {
    if args.mode == SandboxMode::Off {
        return Ok(None);
    }
    let sandbox = Sandbox::of_this_kernel();
    let gaps = sandbox.gaps().join("; ");
    match args.mode {
        SandboxMode::Require if !gaps.is_empty() => {
            let message = format!(
                "the kernel cannot confine builds as --sandbox require demands: {gaps}\n  hint: Linux 6.12 can, where Landlock is \
                 among its security modules (/sys/kernel/security/lsm); `--sandbox auto` compares the root before and after each \
                 build instead"
            );
            Err(Failure::new(Cause::Permission, message))
        }
        _ if gaps.is_empty() => Ok(Some(sandbox)),
        _ => {
            reporter.line(&format!(
                "the kernel does not confine builds completely: {gaps}; the root is compared before and after each build"
            ));
            Ok(Some(sandbox))
        }
    }
}

/// The extensions whose sources are not available, and those that require them, with the reasons.
///
/// # Errors
/// A source has a wrong digest, which is an error and never a reason to leave the extension out.
pub fn unavailable(
    resolved: &Resolved,
    sources: &Sources,
    reporter: &Reporter,
) -> Result<BTreeMap<String, String>, Failure> {
    let extensions = resolved.servers().flat_map(|(_, extensions)| extensions);
    let archives: Vec<_> = extensions
        .flat_map(|extension| {
            let sources = extension.sources.iter();
            sources.map(|source| (extension.component.id(), source))
        })
        .collect();
    // All sources are asked for at once, because an unresponsive network makes each wait for its timeout.
    let errors = parallel::each(&archives, archives.len(), |(_, source)| {
        sources.obtain(&SourceRequest::from(*source), &|_| ()).err()
    });
    let missing = archives.into_iter().zip(errors);
    let (mut left_out, mut failures) = (BTreeMap::new(), Vec::new());
    for (name, error) in missing.filter_map(|((name, _), error)| Some((name, error?))) {
        if matches!(error.kind(), ErrorKind::Checksum | ErrorKind::Local) {
            return Err(fetch::failure(error));
        }
        let summary = error.summary();
        left_out.insert(name.clone(), summary.clone());
        failures.push((name, summary, fetch::failure(error)));
    }
    for group in failure::groups(&failures, |(_, _, failure)| failure) {
        let names: Vec<&str> = group.iter().map(|(name, _, _)| name.as_str()).collect();
        let reason = match (group.as_slice(), &group[0].2.shared) {
            ([_, _, ..], Some(shared)) => &shared.reason,
            _ => &group[0].1,
        };
        reporter.line(&format!(
            "left out {}: could not fetch sources: {reason}",
            names.join(", ")
        ));
    }
    for (_, extensions) in resolved.servers() {
        // Extensions are in the order of their requirements.
        for extension in extensions {
            let component = &extension.component;
            let missing = extension
                .requires
                .iter()
                .map(|name| id(name, component.older_major));
            let Some(missing) = missing.into_iter().find(|name| left_out.contains_key(name)) else {
                continue;
            };
            left_out.entry(component.id()).or_insert_with(|| {
                let reason = format!("it requires {missing}, whose source could not be fetched");
                reporter.line(&format!("left out {}: {reason}", component.id()));
                reason
            });
        }
    }
    Ok(left_out)
}

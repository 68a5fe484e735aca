//! `pgsetup cache`: lists and prunes the files that downloads and builds leave in the cache.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::{CacheArgs, CacheCommand, Format};
use crate::failure::{Cause, Failure, WithCause};
use crate::host;
use crate::report::{Reporter, bytes};
use crate::store::cache::{self, Keep};
use crate::store::entries;

/// What `cache list` found, for programs (`pgsetup schema cache`).
#[derive(Debug, Serialize, JsonSchema)]
pub struct Cache {
    /// The version of this schema.
    pub schema_version: u32,
    /// The directory of the cache.
    pub directory: String,
    /// The size of all files.
    pub bytes: u64,
    /// The files, the most recently used first.
    pub files: Vec<File>,
}

/// A file of the cache.
#[derive(Debug, Serialize, JsonSchema)]
pub struct File {
    /// Its SHA-256, by which it is named.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last used, in seconds since 1970.
    pub used: u64,
    /// What was built, if it is an artifact: `citus 14.0.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
}

/// The version of the document.
const VERSION: u32 = 1;

/// Runs `pgsetup cache list` or `pgsetup cache prune`.
///
/// # Errors
/// The cache cannot be read, or another process holds it while it is pruned.
pub fn cache(args: &CacheArgs, reporter: &Reporter) -> Result<(), Failure> {
    let context = || format!("cannot read the cache {}", args.cache.display());
    let text = match &args.command {
        CacheCommand::List { format } => {
            let cache = contents(&args.cache).with_context(context)?;
            match format {
                Format::Text => table(&cache),
                Format::Json => super::json(&cache)?,
            }
        }
        CacheCommand::Prune { days, size } => {
            let keep = Keep {
                age: days.map(|days| Duration::from_secs(u64::from(days) * 86_400)),
                bytes: *size,
            };
            let Some(pruned) = cache::prune(&args.cache, keep).with_context(context)? else {
                let message = format!(
                    "another pgsetup is using the cache {}; nothing was removed",
                    args.cache.display()
                );
                return Err(Failure::new(Cause::Internal, message));
            };
            let freed = pruned.removed.iter().map(|entry| entry.bytes).sum();
            format!(
                "removed {} files, {}; kept {} files, {}\n",
                pruned.removed.len(),
                bytes(freed),
                pruned.kept,
                bytes(pruned.kept_bytes)
            )
        }
    };
    reporter.result(&text).cause(Cause::Internal)
}

fn contents(directory: &Path) -> std::io::Result<Cache> {
    let artifacts = entries::artifacts(directory)?;
    let file = |entry: cache::CachedFile| File {
        component: artifacts
            .get(&entry.digest)
            .map(|artifact| artifact.component.clone()),
        sha256: entry.digest,
        bytes: entry.bytes,
        used: since_1970(entry.used).as_secs(),
    };
    let files: Vec<File> = cache::list(directory)?.into_iter().map(file).collect();
    Ok(Cache {
        schema_version: VERSION,
        directory: directory.display().to_string(),
        bytes: files.iter().map(|file| file.bytes).sum(),
        files,
    })
}

fn table(cache: &Cache) -> String {
    let now = since_1970(host::now()).as_secs();
    let mut text = String::new();
    for file in &cache.files {
        let days = now.saturating_sub(file.used) / 86_400;
        let built = file
            .component
            .as_ref()
            .map(|component| format!(", built {component}"));
        let _ = writeln!(
            text,
            "{}  {:>9}  used {days} days ago{}",
            file.sha256,
            bytes(file.bytes),
            built.unwrap_or_default()
        );
    }
    let _ = writeln!(text, "{} files, {}", cache.files.len(), bytes(cache.bytes));
    text
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

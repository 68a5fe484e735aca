//! `pgsetup cache`: shows and prunes what downloads leave behind.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use crate::cli::{CacheArgs, CacheCommand};
use crate::failure::{Because, Cause, Failure};
use crate::host::artifacts;
use crate::host::cache::{self, Keep};
use crate::report::{Reporter, bytes};

/// `pgsetup cache list` and `pgsetup cache prune`.
pub fn cache(args: &CacheArgs, reporter: &Reporter) -> Result<(), Failure> {
    let context = || format!("cannot read the cache {}", args.cache.display());
    let text = match &args.command {
        CacheCommand::List => {
            let entries = cache::list(&args.cache).with_context(context)?;
            let artifacts = artifacts::artifacts(&args.cache).with_context(context)?;
            let now = SystemTime::now();
            let mut text = String::new();
            for entry in &entries {
                let days = now.duration_since(entry.used).unwrap_or_default().as_secs() / 86_400;
                let _ = writeln!(
                    text,
                    "{}  {:>9}  used {days} days ago{}",
                    entry.digest,
                    bytes(entry.bytes),
                    artifacts
                        .get(&entry.digest)
                        .map_or(String::new(), |artifact| format!(
                            ", built {}",
                            artifact.component
                        ))
                );
            }
            let total = entries.iter().map(|entry| entry.bytes).sum();
            let _ = writeln!(text, "{} files, {}", entries.len(), bytes(total));
            text
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
    reporter.result(&text).because(Cause::Internal)
}

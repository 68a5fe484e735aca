//! Gathers what the receipt says of the machine besides its components, and hashes every file of every package.
//!
//! Extensions are tested at the same time. So this says what the machine was before or during the tests, and the comparison
//! of the machine with its receipt, after them, says whether it still is. That comparison hashes again only what has changed.

use anyhow::Result;

use super::inventory;
use crate::debian::dpkg::Dpkg;
use crate::failure::{Cause, Failure};
use crate::host::Host;
use crate::host::entry::FileKind;
use crate::image::altered;
use crate::image::base::FilesBefore;
use crate::image::stock::Stock;
use crate::record::receipt::Privileged;
use crate::resolve::Resolved;
use crate::step::context::Context;

/// Takes stock of the machine.
///
/// # Errors
/// A file has rights that neither the base, nor a Debian package, nor the manifest gave it. A file cannot be read.
pub fn take(resolved: &Resolved, context: &Context<'_>) -> Result<String, Failure> {
    let (host, state) = (context.host, &context.state);
    let nothing = FilesBefore::default();
    let before = state.files_before.get().unwrap_or(&nothing);
    let dpkg = host.dpkg()?;
    let inventory = inventory(resolved, context)?;
    let is_known = |path: &str| inventory.find(path).is_some();
    let stock = Stock::take(host, &dpkg, &before.unpackaged, is_known)?;
    unaccounted(host, &stock.privileged, before, &dpkg, resolved)
        .map_err(|error| Failure::new(Cause::Test, error))?;
    let _ = state.stock.set(stock);
    let packaged = host.packaged(&dpkg)?;
    // Only to have read them: what differs is reported after the tests.
    altered::compared(host, &packaged);
    Ok(format!("{} files of packages", packaged.len()))
}

/// Fails if a set-id file, a file with capabilities or a world-writable path has no known origin. A package of the
/// distribution may bring a world-writable directory, but not a program with more rights than those of the base.
fn unaccounted(
    host: &Host,
    privileged: &[Privileged],
    before: &FilesBefore,
    dpkg: &Dpkg,
    resolved: &Resolved,
) -> Result<(), String> {
    let findings: Vec<String> = privileged
        .iter()
        .filter(|one| !before.privileged.contains(&one.path))
        .filter(|one| {
            let has_rights = one.capabilities.is_some()
                || host
                    .look(&one.path)
                    .ok()
                    .flatten()
                    .is_some_and(|found| found.kind == FileKind::File && found.mode & 0o6000 != 0);
            has_rights || dpkg.owner(&one.path).is_none()
        })
        .filter(|one| {
            !resolved
                .directories
                .iter()
                .any(|directory| directory.path == one.path)
        })
        .map(|one| {
            let package = dpkg.owner(&one.path);
            let package = package.map_or_else(String::new, |package| format!(", of the package {package}"));
            format!("\n  {}: mode {}{package}", one.path, one.mode)
        })
        .collect();
    if findings.is_empty() {
        return Ok(());
    }
    Err(format!(
        "files that are set-id, have capabilities or are writable by everyone, and that neither the base nor the manifest has:{}",
        findings.concat()
    ))
}

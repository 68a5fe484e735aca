//! Writes the receipt and the bills of materials that are derived from it.

pub mod assemble;

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use super::build::licence;
use super::clean::{purge, times};
use super::context::Context;
use super::install::files::ROOT_FILE;
use crate::debian::dpkg::Dpkg;
use crate::failure::{Cause, Failure};
use crate::host::entry::FileKind;
use crate::host::{self, Host};
use crate::image::base::PackagesBefore;
use crate::image::{accounts, entry, packages, rights, unpackaged};
use crate::record::inventory::{InstalledFile, Inventory};
use crate::record::receipt::{Component, ComponentKind, DebugSymbols, IMAGE, Privileged, Receipt};
use crate::record::{cyclonedx, spdx};
use crate::report::bytes;
use crate::resolve::Resolved;
use crate::{layout, plan, target, verify};
use assemble::Facts;

/// Writes `contents.txt`, `sbom.spdx.json`, `sbom.cdx.json` and `receipt.json`, which has the digests of the others, below
/// [`layout::RECORDS`]. This is the last step: the receipt describes the machine as it is now.
///
/// # Errors
/// A file has rights that neither the base, nor a Debian package, nor the manifest gave it. The machine differs from the
/// receipt. A document cannot be written.
pub fn write(resolved: &Resolved, context: &Context<'_>) -> Result<String, Failure> {
    let (host, state) = (context.host, &context.state);
    let inventory = inventory(resolved, context)?;
    let no_packages = PackagesBefore::default();
    let before = state.packages_before.get().unwrap_or(&no_packages);
    let dpkg = host.dpkg()?;
    let nothing;
    let purged = if let Some(purged) = state.purged.get() {
        purged
    } else {
        nothing = purge::nothing(&dpkg, before)?;
        &nothing
    };
    let (privileged, _) = rights::privileged(host)?;
    unaccounted(host, &privileged, before, &dpkg, resolved)
        .map_err(|error| Failure::new(Cause::Test, error))?;
    let is_known = |path: &str| inventory.find(path).is_some();
    let unpackaged = unpackaged::unpackaged_record(host, &dpkg, &before.unpackaged, is_known)?;
    let began = state.unfinished.get().map_or_else(host::now, |one| one.began);
    let created = times::image_time()?.unwrap_or(began);
    let receipt = assemble::build(
        resolved,
        Facts {
            inventory: &inventory,
            before,
            packages: &dpkg.packages,
            purged,
            privileged,
            unpackaged: &unpackaged,
            package_record: packages::package_record(host, &dpkg)?,
            account: accounts::account(host, &resolved.user.name)?,
            inputs: &state.artifacts().inputs(),
            debug_symbols: state.debug_symbols.get().map(|archive| DebugSymbols {
                file: archive
                    .path
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned())
                    .unwrap_or_default(),
                sha256: archive.sha256,
                size: archive.size,
            }),
            distribution_version: target::version_of(&host.read("/etc/os-release")?.unwrap_or_default())
                .unwrap_or_default(),
            created: seconds(created),
        },
    );
    let mut receipt = match state.earlier.get() {
        Some(earlier) => receipt.after(earlier),
        None => receipt,
    };
    documents(&mut receipt, &inventory, resolved, context)?;
    agrees(host)?;
    Ok(format!(
        "{} of files, {} of packages besides the base's",
        bytes(receipt.files_size),
        bytes(receipt.packages_size)
    ))
}

/// The installed paths, with those of the image itself.
fn inventory(resolved: &Resolved, context: &Context<'_>) -> Result<Inventory> {
    let state = &context.state;
    let mut inventory = state.inventory().clone();
    // An earlier installation may have left pgsetup in the image.
    let has_kept = |earlier: &Receipt| earlier.files.iter().any(|file| file.path == layout::PROGRAM);
    let kept = state.earlier.get().filter(|earlier| has_kept(earlier));
    let written = [resolved.configuration.as_str(), layout::DPKG_CONFIGURATION];
    for path in written.into_iter().chain(kept.map(|_| layout::PROGRAM)) {
        if let Some(file) = entry::record(context.host, IMAGE, path)? {
            inventory.insert(file);
        }
    }
    Ok(inventory)
}

/// Writes the bills of materials, and the receipt with their digests.
fn documents(
    receipt: &mut Receipt,
    inventory: &Inventory,
    resolved: &Resolved,
    context: &Context<'_>,
) -> Result<()> {
    let licences = licences(receipt, inventory, context);
    let documents = [
        ("contents.txt", plan::leaves(resolved).join("\n") + "\n"),
        ("sbom.spdx.json", text(&spdx::spdx(receipt, &licences))?),
        ("sbom.cdx.json", text(&cyclonedx::cyclonedx(receipt))?),
    ];
    let mut written = Vec::new();
    for (name, text) in documents {
        written.extend(document(context, name, &text)?);
    }
    // The receipt comes last because it has the digests of the others.
    receipt.documents = Some(written.iter().map(Into::into).collect());
    document(context, "receipt.json", &receipt.to_json()?)?;
    Ok(())
}

/// Writes one document and returns its entry for the receipt.
fn document(context: &Context<'_>, name: &str, text: &str) -> Result<Option<InstalledFile>> {
    let path = format!("{}/{name}", layout::RECORDS);
    context.state.note_new(context.host, [path.as_str()])?;
    context.host.write(&path, text, ROOT_FILE)?;
    entry::record(context.host, IMAGE, &path)
}

/// The licence texts of compiled components, by component id. Reports each component that has none.
fn licences(receipt: &Receipt, inventory: &Inventory, context: &Context<'_>) -> BTreeMap<String, String> {
    let is_compiled =
        |one: &&Component| matches!(one.kind, ComponentKind::Postgresql | ComponentKind::Extension);
    let mut licences = BTreeMap::new();
    for id in receipt.components.iter().filter(is_compiled).map(Component::id) {
        let texts = licence::texts(context.host, inventory, &id);
        if texts.is_empty() {
            let line =
                format!("       no licence text of {id} is kept: its archives have no file of such a name");
            context.reporter.line(&line);
        }
        licences.insert(id, texts);
    }
    licences
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Fails if the machine differs from its receipt: a directory has another owner, an account has a password, a file
/// belongs to no component.
fn agrees(host: &Host) -> Result<(), Failure> {
    let differences = verify::verify(host)?.differences;
    if differences.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = differences
        .iter()
        .map(|difference| format!("\n  {}: {}", difference.subject, difference.explanation))
        .collect();
    let message = format!(
        "what is installed is not what the receipt says:{}",
        lines.concat()
    );
    Err(Failure::new(Cause::Test, message))
}

/// Fails if a set-id file, a file with capabilities or a world-writable path has no known origin. A package of the
/// distribution may bring a world-writable directory, but not a program with more rights than those of the base.
fn unaccounted(
    host: &Host,
    privileged: &[Privileged],
    before: &PackagesBefore,
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

fn text(document: &serde_json::Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(document).context("a document cannot be written as JSON")? + "\n")
}

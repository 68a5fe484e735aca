//! Writes the receipt and the bills of materials that are derived from it.

pub mod assemble;
pub mod stock;

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use super::build::{self, licence};
use super::clean::{purge, times};
use super::context::Context;
use super::install::files::ROOT_FILE;
use crate::crates::CompiledCrate;
use crate::failure::{Cause, Failure};
use crate::host::sandbox::{NONE, Sandbox};
use crate::host::{self, Host};
use crate::image::base::{FilesBefore, PackagesBefore};
use crate::image::{accounts, entry};
use crate::record::inventory::{InstalledFile, Inventory};
use crate::record::receipt::{Component, ComponentKind, DebugSymbols, IMAGE, Receipt};
use crate::record::{cyclonedx, spdx};
use crate::report::bytes;
use crate::resolve::{self, Resolved};
use crate::{layout, plan, target, verify};
use assemble::Facts;

/// Writes `contents.txt`, `sbom.spdx.json`, `sbom.cdx.json` and `receipt.json`, which has the digests of the others, below
/// [`layout::RECORDS`]. This is the last step: the receipt describes the machine as it is now.
///
/// # Errors
/// The machine differs from the receipt. A document cannot be written.
pub fn write(resolved: &Resolved, context: &Context<'_>) -> Result<String, Failure> {
    let (host, state) = (context.host, &context.state);
    let inventory = inventory(resolved, context)?;
    let (no_packages, no_files) = (PackagesBefore::default(), FilesBefore::default());
    let before = state.packages_before.get().unwrap_or(&no_packages);
    let stock = state.stock.get().context("no stock was taken")?;
    let dpkg = host.dpkg()?;
    let nothing;
    let purged = if let Some(purged) = state.purged.get() {
        purged
    } else {
        nothing = purge::nothing(&dpkg, before)?;
        &nothing
    };
    let began = state.unfinished.get().map_or_else(host::now, |one| one.began);
    let created = times::image_time()?.unwrap_or(began);
    let receipt = assemble::build(
        resolved,
        Facts {
            inventory: &inventory,
            before,
            files_before: state.files_before.get().unwrap_or(&no_files),
            packages: &dpkg.packages,
            purged,
            privileged: stock.privileged.clone(),
            unpackaged: &stock.unpackaged,
            package_record: stock.package_record.clone(),
            account: accounts::account(host, &resolved.user.name)?,
            inputs: &state.artifacts().inputs(),
            crates: &crates(resolved, &inventory, host)?,
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
            sandbox: context.sandbox.map_or_else(|| NONE.to_owned(), Sandbox::record),
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

/// The crates that are compiled into extensions, by the extension's id, as their builds have recorded them.
fn crates(
    resolved: &Resolved,
    inventory: &Inventory,
    host: &Host,
) -> Result<BTreeMap<String, Vec<CompiledCrate>>> {
    let mut crates = BTreeMap::new();
    for id in resolved.components().map(resolve::Component::id) {
        let path = format!("{}/{}", licence::directory(&id), build::crates::RECORD);
        if inventory.find(&path).is_some()
            && let Some(text) = host.read(&path)?
        {
            crates.insert(id, serde_json::from_str(&text).with_context(|| path.clone())?);
        }
    }
    Ok(crates)
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
        |one: &&Component| one.kind == ComponentKind::Postgresql || one.is_compiled_against_a_server();
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

fn text(document: &serde_json::Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(document).context("a document cannot be written as JSON")? + "\n")
}

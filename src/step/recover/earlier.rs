//! An installation into a root with an earlier one, whose receipt stays valid.
//!
//! The components of the earlier installation stay, with their files and packages, unless the manifests select them again.
//! A selection that the new receipt could not describe is rejected before anything begins.

use std::collections::BTreeMap;

use super::unfinished::{self, Unfinished};
use crate::debian::dpkg::Dpkg;
use crate::failure::{Cause, Failure};
use crate::host::Host;
use crate::layout;
use crate::record::inventory::{Content, InstalledFile};
use crate::record::receipt::{IMAGE, Receipt};
use crate::resolve::Resolved;
use crate::step::clean::purge::BUILD_PACKAGES_STAY;
use crate::step::context::State;

/// The receipt of the earlier installation; `None` in a root without one. The receipt of an unfinished installation does
/// not count.
///
/// # Errors
/// The receipt cannot be read, or a component is installed in another version, whose files no receipt would list.
pub fn read(host: &Host, resolved: &Resolved) -> Result<Option<Receipt>, Failure> {
    let Some(receipt) = unfinished::earlier_receipt(host, || written(host))? else {
        return Ok(None);
    };
    let server = &resolved.postgresql;
    let mut others = Vec::new();
    if receipt.postgresql.major != server.major {
        others.push(format!(
            "PostgreSQL {} is installed, but the manifests select {}",
            receipt.postgresql.major, server.major
        ));
    }
    for component in resolved.components() {
        let known = receipt
            .components
            .iter()
            .find(|known| known.id() == component.id());
        if let Some(known) = known.filter(|known| known.version != component.version) {
            others.push(format!(
                "{} {} is installed, but the manifests select {}",
                known.id(),
                known.version,
                component.version
            ));
        }
    }
    if others.is_empty() {
        return Ok(Some(receipt));
    }
    let message = format!(
        "not installed; an earlier installation left other versions here: {}\n  hint: start from the base, \
         {}, and select everything at once",
        others.join("; "),
        receipt.base.distribution
    );
    Err(Failure::new(Cause::Manifest, message))
}

/// The receipt in the root.
fn written(host: &Host) -> anyhow::Result<Option<Receipt>> {
    let text = host.read(&format!("{}/receipt.json", layout::RECORDS))?;
    text.map(|text| Receipt::from_json(&text)).transpose()
}

impl State<'_> {
    /// The state before the first step of an installation.
    pub fn after(unfinished: Unfinished, resolved: &Resolved) -> Self {
        let state = Self::default();
        let earlier = unfinished.earlier.clone();
        let _ = state.unfinished.set(unfinished);
        let Some(earlier) = earlier else {
            return state;
        };
        {
            let mut inventory = state.inventory();
            let is_made_again = |component: &str| {
                component == IMAGE || resolved.components().any(|again| again.id() == component)
            };
            let known = earlier.inventory();
            // An existing directory is not recorded again, so its entry is kept.
            let stays =
                |file: &&InstalledFile| file.content == Content::Directory || !is_made_again(&file.component);
            for file in known.iter().filter(stays) {
                inventory.insert(file.clone());
            }
        }
        let _ = state.earlier.set(earlier);
        state
    }

    /// The state of a machine on which everything is installed. Without a receipt, no file belongs to a component.
    ///
    /// # Errors
    /// The receipt cannot be read.
    pub fn of_installed(host: &Host) -> anyhow::Result<Self> {
        let state = Self::default();
        if let Some(receipt) = written(host)? {
            *state.inventory() = receipt.inventory();
        }
        Ok(state)
    }

    /// The packages that the earlier installation kept and that are still installed, with the reasons.
    pub fn kept_earlier(&self, dpkg: &Dpkg) -> BTreeMap<String, String> {
        let kept = self
            .earlier
            .get()
            .into_iter()
            .flat_map(|earlier| &earlier.packages_kept);
        kept.filter(|kept| kept.reason != BUILD_PACKAGES_STAY)
            .filter(|kept| dpkg.packages.contains_key(&kept.package.name))
            .map(|kept| (kept.package.name.clone(), kept.reason.clone()))
            .collect()
    }
}

//! An installation into a root that holds an earlier one: what that one has accounted for stays accounted for.
//!
//! Its components stay, with their files and the packages they need, unless the manifests select them again. What
//! cannot be told truly afterwards is refused before anything begins.

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

/// The receipt of the earlier installation; `None` in a root without one. What an installation has written that did not
/// come to its end is none.
///
/// # Errors
/// The receipt cannot be read, or a component is there in another version, whose files nobody would account for.
pub fn read(host: &Host, resolved: &Resolved) -> Result<Option<Receipt>, Failure> {
    let Some(receipt) = unfinished::earlier_receipt(host, || written(host))? else {
        return Ok(None);
    };
    let server = &resolved.postgresql;
    let mut others = Vec::new();
    if receipt.postgresql.major != server.major {
        others.push(format!(
            "PostgreSQL {} is there, and the manifests select {}",
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
                "{} {} is there, and the manifests select {}",
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
        "not installed; an earlier installation left other versions here: {}\n  hint: begin with the base, \
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
    /// What is known before the first step of an installation.
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
            // A directory that is there already is nobody's when it is made again, so its owner is kept.
            let stays =
                |file: &&InstalledFile| file.content == Content::Directory || !is_made_again(&file.component);
            for file in known.iter().filter(stays) {
                inventory.insert(file.clone());
            }
        }
        let _ = state.earlier.set(earlier);
        state
    }

    /// Packages that an earlier installation kept and that are still there, with its reasons.
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

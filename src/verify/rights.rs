//! Rights beyond an owner's: set-id bits, capabilities, and what everybody may write.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::Verifier;
use super::document::Aspect;
use crate::image::rights::privileged;
use crate::record::receipt::{Privileged, octal};

const SET_GROUP_ID: u32 = 0o2000;

/// Why a directory that hands its group on no more is no difference.
pub(super) const LOST_GROUP: &str = "its set-group-id bit is gone, as some file systems of containers drop it when something is first written there";

/// Whether a directory's mode is the expected one but for its set-group-id bit. On a directory that bit gives nobody a
/// right: what is made there gets its group. fuse-overlayfs 1.10 drops it when it copies a directory of a layer below
/// into the container's own, so every container that serves would differ from its image.
pub(super) fn lost_group_only(mode: u32, expected: &str) -> bool {
    mode & SET_GROUP_ID == 0 && octal(mode | SET_GROUP_ID) == expected
}

impl Verifier<'_> {
    /// Who has rights beyond those that the receipt knows of.
    pub(super) fn privileges(&mut self) -> Result<()> {
        let (found, unreadable) = privileged(self.host)?;
        let known: BTreeMap<&str, &Privileged> = self
            .receipt
            .privileged
            .iter()
            .map(|one| (one.path.as_str(), one))
            .collect();
        // These are compared on their own.
        let directories: BTreeSet<&str> = self
            .receipt
            .directories
            .iter()
            .map(|one| one.path.as_str())
            .collect();
        for one in found
            .iter()
            .filter(|one| !directories.contains(one.path.as_str()))
        {
            let is = format!("{} {}:{}", one.mode, one.uid, one.gid);
            match known.get(one.path.as_str()) {
                Some(expected) if *expected == one => {}
                Some(expected) => {
                    let should = format!("{} {}:{}", expected.mode, expected.uid, expected.gid);
                    let explanation = if one.capabilities == expected.capabilities {
                        format!("has mode and owner {is}, the receipt says {should}")
                    } else {
                        let word = |one: &Privileged| one.capabilities.clone().unwrap_or("none".to_owned());
                        format!(
                            "has the capabilities {}, the receipt says {}",
                            word(one),
                            word(expected)
                        )
                    };
                    self.differs(Aspect::Rights, &one.path, explanation);
                }
                None => {
                    let kind = if one.capabilities.is_some() {
                        "with capabilities"
                    } else {
                        "set-id or open to everybody"
                    };
                    let explanation = format!("has mode and owner {is}: {kind}, and not in the receipt");
                    self.differs(Aspect::Rights, &one.path, explanation);
                }
            }
        }
        for directory in unreadable {
            self.unchecked(&directory, "may not be read by this user");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lost_set_group_id_bit_is_no_difference() {
        assert!(lost_group_only(0o1777, "3777"));
        assert!(lost_group_only(0o0750, "2750"));
        for (mode, expected) in [
            (0o3777, "3777"),
            (0o777, "3777"),
            (0o3777, "1777"),
            (0o1770, "3777"),
        ] {
            assert!(!lost_group_only(mode, expected), "{mode:o} {expected}");
        }
    }
}

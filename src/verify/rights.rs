//! Verifies special rights: set-id bits, capabilities and world-writable paths.

use std::collections::{BTreeMap, BTreeSet};

use super::Verifier;
use super::document::Aspect;
use crate::record::receipt::{Privileged, octal};

const SET_GROUP_ID: u32 = 0o2000;

/// The reason why a directory that lost its set-group-id bit is unchecked and not a difference.
pub(super) const LOST_GROUP: &str = "its set-group-id bit is gone, as some file systems of containers drop it when something is first written there";

/// Whether a directory's mode is the expected one except for a lost set-group-id bit. On a directory that bit grants no
/// right; it only gives its group to new files. fuse-overlayfs 1.10 drops it when it copies a directory up from a lower
/// layer, so every running container would differ from its image.
pub(super) fn lost_group_only(mode: u32, expected: &str) -> bool {
    mode & SET_GROUP_ID == 0 && octal(mode | SET_GROUP_ID) == expected
}

impl Verifier<'_> {
    /// Compares special rights with those of the receipt.
    pub(super) fn privileges(&mut self, found: &[Privileged], unreadable: &[String]) {
        let known: BTreeMap<&str, &Privileged> = self
            .receipt
            .privileged
            .iter()
            .map(|one| (one.path.as_str(), one))
            .collect();
        // `directories` compares these.
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
            let expected = known.get(one.path.as_str()).copied();
            if expected != Some(one) {
                self.differs(Aspect::Rights, &one.path, explanation(one, expected));
            }
        }
        for directory in unreadable {
            self.unchecked(directory, "cannot be read by this user");
        }
    }
}

/// How a path with special rights differs from its entry in the receipt, if it has one.
fn explanation(found: &Privileged, expected: Option<&Privileged>) -> String {
    let rights = |one: &Privileged| format!("{} {}:{}", one.mode, one.uid, one.gid);
    let capabilities = |one: &Privileged| one.capabilities.clone().unwrap_or("none".to_owned());
    match expected {
        Some(expected) if found.capabilities == expected.capabilities => format!(
            "has mode and owner {}, the receipt says {}",
            rights(found),
            rights(expected)
        ),
        Some(expected) => format!(
            "has the capabilities {}, the receipt says {}",
            capabilities(found),
            capabilities(expected)
        ),
        None => {
            let kind = match found.capabilities {
                Some(_) => "with capabilities",
                None => "set-id or writable by everyone",
            };
            let is = rights(found);
            format!("has mode and owner {is}: {kind}, but not in the receipt")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lost_set_group_id_bit_is_accepted() {
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

//! Rights beyond an owner's: set-id bits, capabilities, and what everybody may write.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::Verifier;
use super::document::Aspect;
use crate::host::Host;
use crate::host::fs::FileKind;
use crate::host::tree::is_below;
use crate::layout;
use crate::receipt::{Privileged, octal};

const SET_GROUP_ID: u32 = 0o2000;

/// Everything on the machine that has rights beyond its owner's: set-id files, and what everybody may write. Second,
/// the directories that may not be read.
pub fn privileged(host: &Host) -> Result<(Vec<Privileged>, Vec<String>)> {
    let mut privileged = Vec::new();
    let unreadable = host.walk(&mut |path, found| {
        let is_file = found.kind == FileKind::File;
        let is_set_id = found.mode & 0o6000 != 0 && is_file;
        // A socket is there while something runs, and who may speak to that decides for itself.
        let may_be_open = is_file || found.kind == FileKind::Directory;
        let is_open = found.mode & 0o002 != 0 && may_be_open && !is_temporary(path);
        let is_program = is_file && found.mode & 0o111 != 0;
        let capabilities = if is_program { host.capabilities(path) } else { None };
        if is_set_id || is_open || capabilities.is_some() {
            privileged.push(Privileged {
                path: path.to_owned(),
                mode: octal(found.mode),
                uid: found.uid,
                gid: found.gid,
                capabilities,
            });
        }
        Ok(())
    })?;
    Ok((privileged, unreadable))
}

/// Why a directory that hands its group on no more is no difference.
pub(super) const LOST_GROUP: &str = "its set-group-id bit is gone, as some file systems of containers drop it when something is first written there";

/// Whether a directory's mode is the expected one but for its set-group-id bit. On a directory that bit gives nobody a
/// right: what is made there gets its group. fuse-overlayfs 1.10 drops it when it copies a directory of a layer below
/// into the container's own, so every container that serves would differ from its image.
pub(super) fn lost_group_only(mode: u32, expected: &str) -> bool {
    mode & SET_GROUP_ID == 0 && octal(mode | SET_GROUP_ID) == expected
}

/// Whether a path lies in a directory for what does not last, where everybody may let others write.
fn is_temporary(path: &str) -> bool {
    ["/tmp", layout::WORK]
        .iter()
        .any(|place| path != *place && is_below(path, place))
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
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

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

    #[test]
    fn rights_are_seen_wherever_they_are_and_sockets_are_none() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        for directory in [
            "/tmp",
            "/run/postgresql",
            "/var/tmp/pgsetup",
            "/var/tmp/pgsetup-x",
        ] {
            std::fs::create_dir_all(host.path(directory)).unwrap();
        }
        let mode = |path: &str, mode: u32| {
            std::fs::set_permissions(host.path(path), PermissionsExt::from_mode(mode)).unwrap();
        };
        for (path, bits) in [
            ("/tmp/su", 0o4755),
            ("/tmp/open", 0o666),
            ("/var/tmp/pgsetup/su", 0o2755),
            ("/var/tmp/pgsetup/open", 0o666),
            ("/var/tmp/pgsetup-x/open", 0o666),
            ("/run/postgresql/.s.PGSQL.5432.lock", 0o600),
        ] {
            std::fs::write(host.path(path), "").unwrap();
            mode(path, bits);
        }
        let _socket = UnixListener::bind(host.path("/run/postgresql/.s.PGSQL.5432")).unwrap();
        mode("/run/postgresql/.s.PGSQL.5432", 0o777);
        mode("/tmp", 0o1777);
        let (found, unreadable) = privileged(&host).unwrap();
        assert_eq!(unreadable, Vec::<String>::new());
        let paths: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/tmp",
                "/tmp/su",
                "/var/tmp/pgsetup/su",
                "/var/tmp/pgsetup-x/open"
            ]
        );
    }
}

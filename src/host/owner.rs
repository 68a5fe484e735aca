//! Trees that belong to the user of a build while it runs.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use anyhow::{Context, Result};

use super::Host;
use super::entry::{leads_nowhere, utf8};
use super::local::tree;

/// What tells whether something at a path was changed: times that no program can set are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Mode with the kind of file, user and group.
    rights: [u32; 3],
    /// Inode, size and time of the last change; zeros for a directory, which changes with its content.
    state: [i128; 4],
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let state = [
            metadata.ino().into(),
            metadata.size().into(),
            metadata.ctime().into(),
            metadata.ctime_nsec().into(),
        ];
        Self {
            rights: [metadata.mode(), metadata.uid(), metadata.gid()],
            state: if metadata.is_dir() { [0; 4] } else { state },
        }
    }
}

impl Host {
    /// The stamp of what is at a path; `None` if nothing is. Links are not followed.
    ///
    /// # Errors
    /// The path cannot be looked at.
    pub fn stamp(&self, inside: &str) -> Result<Option<Stamp>> {
        match self.locate(inside).and_then(|path| path.symlink_metadata()) {
            Ok(metadata) => Ok(Some(Stamp::of(&metadata))),
            Err(error) if leads_nowhere(&error) => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("cannot look at {}", self.path(inside).display()))
            }
        }
    }

    /// Gives a directory and everything below it to a user, and to the group of the same number. Links are not followed.
    ///
    /// # Errors
    /// The tree cannot be read, or an owner cannot be set.
    pub fn give_tree(&self, top: &str, user: u32) -> Result<()> {
        self.each_below(top, &mut |path, metadata| give(path, metadata, user))
    }

    /// Gives a tree back to root. Returns what root would have to answer for, a line each, and then changes nothing: files
    /// that run with the rights of their owner, and files that have another name outside of the tree.
    ///
    /// # Errors
    /// As for [`Host::give_tree`].
    pub fn take_tree(&self, top: &str) -> Result<Vec<String>> {
        let mut findings = Vec::new();
        let mut linked: BTreeMap<(u64, u64), (u64, u64, String)> = BTreeMap::new();
        let above = self.reach(top)?;
        self.each_below(top, &mut |path, metadata| {
            let inside = path.strip_prefix(&above).unwrap_or(path);
            let inside = format!("/{}", utf8(inside).map_err(io::Error::other)?);
            if metadata.is_file() && metadata.nlink() > 1 {
                let names = linked.entry((metadata.dev(), metadata.ino())).or_insert((
                    0,
                    metadata.nlink(),
                    inside.clone(),
                ));
                names.0 += 1;
            }
            let mode = metadata.mode() & 0o7777;
            if metadata.is_file() && mode & 0o6000 != 0 {
                findings.push(format!(
                    "{inside}: is set-user-id or set-group-id (mode {mode:04o})"
                ));
            }
            if metadata.is_file() && self.capabilities(&format!("{top}{inside}")).is_some() {
                findings.push(format!("{inside}: has capabilities"));
            }
            Ok(())
        })?;
        let outside = linked.into_values().filter(|(seen, all, _)| seen < all);
        findings.extend(
            outside.map(|(_, _, path)| format!("{path}: is a hard link to a file outside of the stage")),
        );
        if findings.is_empty() {
            self.each_below(top, &mut |path, metadata| give(path, metadata, 0))?;
        }
        Ok(findings)
    }

    fn each_below(&self, top: &str, visit: &mut dyn FnMut(&Path, &Metadata) -> io::Result<()>) -> Result<()> {
        let above = self.reach(top)?;
        let mut one = |path: &Path| {
            let result = path
                .symlink_metadata()
                .and_then(|metadata| visit(path, &metadata));
            result.with_context(|| format!("cannot set the owner of {}", path.display()))
        };
        one(&above)?;
        tree(&above)?
            .iter()
            .try_for_each(|entry| one(&above.join(&entry.path)))
    }
}

fn give(path: &Path, metadata: &fs::Metadata, user: u32) -> io::Result<()> {
    if (metadata.uid(), metadata.gid()) == (user, user) {
        return Ok(());
    }
    lchown(path, Some(user), Some(user))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_tree_with_names_outside_or_rights_is_not_taken() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        fs::create_dir_all(host.path("/stage/usr")).unwrap();
        for name in ["stage/usr/a", "outside"] {
            fs::write(host.path(name), "x").unwrap();
        }
        fs::hard_link(host.path("/stage/usr/a"), host.path("/stage/usr/b")).unwrap();
        let uid = host.look("/stage").unwrap().unwrap().uid;
        if uid == 0 {
            assert_eq!(host.take_tree("/stage").unwrap(), Vec::<String>::new());
        }
        fs::hard_link(host.path("/outside"), host.path("/stage/usr/c")).unwrap();
        fs::set_permissions(host.path("/stage/usr/a"), fs::Permissions::from_mode(0o4755)).unwrap();
        assert_eq!(
            host.take_tree("/stage").unwrap(),
            [
                "/usr/a: is set-user-id or set-group-id (mode 4755)",
                "/usr/b: is set-user-id or set-group-id (mode 4755)",
                "/usr/c: is a hard link to a file outside of the stage",
            ]
        );
    }

    #[test]
    fn a_stamp_tells_a_changed_file_from_the_same_with_its_old_time() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        fs::write(host.path("/a"), "x").unwrap();
        let before = host.stamp("/a").unwrap();
        assert_eq!(host.stamp("/a").unwrap(), before);
        let time = fs::metadata(host.path("/a")).unwrap().modified().unwrap();
        fs::remove_file(host.path("/a")).unwrap();
        fs::write(host.path("/b"), "").unwrap();
        fs::write(host.path("/a"), "y").unwrap();
        fs::File::options()
            .write(true)
            .open(host.path("/a"))
            .unwrap()
            .set_modified(time)
            .unwrap();
        assert_ne!(host.stamp("/a").unwrap(), before);
        assert_eq!(host.stamp("/none").unwrap(), None);
    }
}

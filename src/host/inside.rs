//! Maps a path inside the root to a path on this machine.
//!
//! Paths are absolute and inside the root. Links are followed as a process in the root would follow them, so a link never
//! leads out of the root.
//! Everything in `host/` that opens, looks at or changes something goes through [`Host::locate`] or
//! [`Host::locate_target`]. They protect
//! against the content of the tree, not against a process that changes it at the same time.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use rustix::io::Errno;

use super::Host;
use super::entry::{leads_nowhere, utf8};

/// Links that Linux follows before it fails (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// A path without links in it, relative to the root.
struct Followed {
    path: PathBuf,
    /// Whether something is there. Not known of a path's end that was not looked at.
    exists: bool,
}

impl Host {
    /// The path on this machine by which `inside` is looked at, made or removed: links above its end are followed within
    /// the root, and a link at its end is not followed. Missing components stay as written.
    ///
    /// # Errors
    /// A directory on the way cannot be read, or the links form a loop.
    pub(super) fn locate(&self, inside: impl AsRef<Path>) -> io::Result<PathBuf> {
        // Below `/` the kernel does the same.
        if self.is_system() {
            return Ok(self.path(inside));
        }
        Ok(self.root.join(self.follow(inside.as_ref(), false)?.path))
    }

    /// The path on this machine after following every link, also one at its end: for reading or filling what is there.
    ///
    /// # Errors
    /// A directory on the way cannot be read, or the links form a loop.
    pub(super) fn locate_target(&self, inside: impl AsRef<Path>) -> io::Result<PathBuf> {
        if self.is_system() {
            return Ok(self.path(inside));
        }
        Ok(self.root.join(self.follow(inside.as_ref(), true)?.path))
    }

    /// The path on this machine for use outside this module. Links are followed within the root.
    ///
    /// # Errors
    /// A directory on the way cannot be read, or the links form a loop.
    pub fn reach(&self, inside: impl AsRef<Path>) -> Result<PathBuf> {
        let located = self.locate_target(&inside);
        located.with_context(|| format!("cannot look at {}", self.path(&inside).display()))
    }

    /// The path inside the root after following every link. `None` if nothing is there.
    ///
    /// # Errors
    /// A directory on the way cannot be read, or the links form a loop.
    pub fn real_path(&self, inside: &str) -> Result<Option<String>> {
        match self.follow(Path::new(inside), true) {
            Ok(followed) if followed.exists => Ok(Some(format!("/{}", utf8(&followed.path)?))),
            Ok(_) => Ok(None),
            Err(error) if leads_nowhere(&error) => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("cannot look at {}", self.path(inside).display()))
            }
        }
    }

    fn follow(&self, inside: &Path, follows_end: bool) -> io::Result<Followed> {
        let mut ahead: Vec<OsString> = names(inside).rev().map(OsStr::to_owned).collect();
        let mut path = PathBuf::new();
        let mut exists = true;
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            if name == ".." {
                path.pop();
                continue;
            }
            path.push(&name);
            if !exists || (ahead.is_empty() && !follows_end) {
                continue;
            }
            match fs::read_link(self.root.join(&path)) {
                Ok(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    path.pop();
                    if target.is_absolute() {
                        path.clear();
                    }
                    ahead.extend(names(&target).rev().map(OsStr::to_owned));
                }
                // Not a link.
                Err(error) if error.kind() == ErrorKind::InvalidInput => {}
                Err(error) if leads_nowhere(&error) => exists = false,
                Err(error) => return Err(error),
            }
        }
        Ok(Followed { path, exists })
    }
}

/// The names of a path; `..` stays.
fn names(path: &Path) -> impl DoubleEndedIterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::new("..")),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::SystemTime;

    use super::*;
    use crate::host::entry::Ownership;

    /// A root in which `/usr/lib` and `/link` are links to a directory outside of it that has `libx.so`, and that directory.
    fn tampered() -> (tempfile::TempDir, Host, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::copy("/bin/sh", outside.join("libx.so")).unwrap();
        let root = directory.path().join("root");
        fs::create_dir_all(root.join("usr")).unwrap();
        symlink(&outside, root.join("usr/lib")).unwrap();
        symlink("../../outside", root.join("usr/climbs")).unwrap();
        symlink(outside.join("libx.so"), root.join("usr/file")).unwrap();
        (directory, Host::new(&root), outside)
    }

    #[test]
    fn links_are_followed_inside_the_root() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        fs::create_dir_all(host.path("/usr/lib/deep")).unwrap();
        fs::write(host.path("/usr/lib/libx.so.1.2"), "x").unwrap();
        symlink("usr/lib", host.path("/lib")).unwrap();
        symlink("/usr/lib/libx.so.1.2", host.path("/usr/lib/deep/libx.so.1")).unwrap();
        symlink("round", host.path("/usr/round")).unwrap();
        symlink("/usr/absolute", host.path("/usr/absolute")).unwrap();
        let real = |path: &str| host.real_path(path).unwrap();
        let library = Some("/usr/lib/libx.so.1.2".to_owned());
        assert_eq!(real("/lib/deep/../deep/libx.so.1"), library);
        assert_eq!(real("/../usr/./lib/libx.so.1.2"), library);
        for nothing in ["/usr/round", "/usr/absolute/below", "/usr/lib/liby.so"] {
            assert_eq!(real(nothing), None, "{nothing}");
        }
        assert_eq!(host.read("/lib/deep/libx.so.1").unwrap().as_deref(), Some("x"));
        assert_eq!(host.look("/usr/absolute/below").unwrap(), None);
    }

    #[test]
    fn nothing_is_read_by_way_of_a_link_out_of_the_root() {
        let (_directory, host, _) = tampered();
        for path in ["/usr/lib/libx.so", "/usr/climbs/libx.so", "/usr/file"] {
            let is_link = path == "/usr/file";
            assert_eq!(host.look(path).unwrap().is_some(), is_link, "{path}");
            assert_eq!(host.exists(path), is_link, "{path}");
            assert_eq!(host.read(path).unwrap(), None, "{path}");
            assert_eq!(host.elf(path).unwrap(), None, "{path}");
            assert_eq!(host.original(path).unwrap(), None, "{path}");
            assert_eq!(host.real_path(path).unwrap(), None, "{path}");
            assert_eq!(host.capabilities(path), None, "{path}");
            assert!(host.sha256(path).is_err(), "{path}");
            assert!(host.md5(path).is_err(), "{path}");
            assert!(host.head(path, 4).is_err(), "{path}");
            assert!(host.build_id(path).is_err(), "{path}");
            assert!(host.library_names(path).is_err(), "{path}");
            assert!(host.symbols(path).is_err(), "{path}");
        }
        for directory in ["/usr/lib", "/usr/climbs"] {
            assert_eq!(
                host.names(directory).unwrap(),
                Vec::<String>::new(),
                "{directory}"
            );
            assert!(host.tree(directory).is_err(), "{directory}");
        }
    }

    #[test]
    fn nothing_is_changed_by_way_of_a_link_out_of_the_root() {
        let (directory, host, outside) = tampered();
        let before = fs::metadata(&outside).unwrap().modified().unwrap();
        let source = directory.path().join("source");
        fs::write(&source, "new").unwrap();
        let ownership = Ownership {
            uid: super::super::user_id(),
            gid: super::super::user_id(),
            mode: 0o700,
        };
        let original = Host::new(directory.path()).original("/source").unwrap().unwrap();
        host.remove("/usr/lib/libx.so").unwrap();
        assert!(
            !host
                .set_time_back("/usr/lib/libx.so", SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH)
                .unwrap()
        );
        assert!(host.remove_empty_directory("/usr/lib/none").unwrap());
        host.make_directory("/usr/lib", ownership).unwrap();
        host.make_directory("/usr/lib/made", ownership).unwrap();
        host.install_directory("/usr/lib/installed").unwrap();
        host.install_file(&source, "/usr/lib/file", 0o644).unwrap();
        host.install_link(Path::new("file"), "/usr/lib/link").unwrap();
        host.write("/usr/lib/written", "text", ownership).unwrap();
        host.write_durably("/usr/lib/durable", "text").unwrap();
        host.append_durably("/usr/lib/durable", "more").unwrap();
        host.put_back("/usr/lib/put", &original).unwrap();
        host.empty_directory("/usr/climbs/empty").unwrap();
        host.empty_contents("/usr/climbs").unwrap();
        drop(
            host.occupy("/usr/climbs/state", "/usr/climbs/work", &|_| ())
                .unwrap(),
        );

        let names = |path: &Path| {
            let entries = fs::read_dir(path).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&outside), ["libx.so"]);
        assert_eq!(fs::metadata(&outside).unwrap().modified().unwrap(), before);
        // All of it is where a process in the root would have put it.
        assert_eq!(
            host.names("/usr/lib").unwrap(),
            ["durable", "file", "installed", "link", "made", "put", "written"]
        );
        assert_eq!(
            host.read("/usr/lib/durable").unwrap().as_deref(),
            Some("textmore\n")
        );
        assert_eq!(host.names("/outside").unwrap(), ["state", "work"]);
    }
}

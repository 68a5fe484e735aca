//! What is in the root: what is at a path, digests, and files put in their place atomically.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};

use super::Host;
use super::entry::{FileFacts, FileKind, TEMPORARY, entries, leads_nowhere, look_at, open, temporary_for};
use crate::digest::{Hashes, Sha256, to_hexadecimal};

impl Host {
    /// What is at the path. Links are not followed. `None` if nothing is there.
    ///
    /// # Errors
    /// The path cannot be read.
    pub fn look(&self, inside: &str) -> Result<Option<FileFacts>> {
        match self.locate(inside).and_then(|path| look_at(&path)) {
            Ok(found) => Ok(Some(found)),
            Err(error) if leads_nowhere(&error) => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("cannot look at {}", self.path(inside).display()))
            }
        }
    }

    /// The names in a directory, sorted. Empty if the directory does not exist.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn names(&self, inside: &str) -> Result<Vec<String>> {
        match self.locate_target(inside).and_then(|path| entries(&path)) {
            Ok(names) => Ok(names
                .iter()
                .map(|name| name.to_string_lossy().into_owned())
                .collect()),
            Err(error) if leads_nowhere(&error) => Ok(Vec::new()),
            Err(error) => Err(error)
                .with_context(|| format!("cannot read the directory {}", self.path(inside).display())),
        }
    }

    /// Opens a regular file for reading, links followed within the root.
    ///
    /// # Errors
    /// The path leads nowhere, or to something that is not a regular file ([`ErrorKind::InvalidInput`]).
    pub fn open(&self, inside: &str) -> io::Result<File> {
        self.locate_target(inside).and_then(open)
    }

    /// The SHA-256 of a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn sha256(&self, inside: &str) -> Result<Sha256> {
        let read = || {
            let digest = self.open(inside).and_then(Sha256::of_reader);
            digest.with_context(|| format!("cannot read {}", self.path(inside).display()))
        };
        Ok(*self.remembered(&[inside], read)?)
    }

    /// The first `most` bytes of a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn head(&self, inside: &str, most: u64) -> Result<Vec<u8>> {
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            let file = self.open(inside)?;
            file.take(most).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().with_context(|| format!("cannot read {}", self.path(inside).display()))
    }

    /// Copies a file of this machine to `inside` through a temporary name in the same directory, so that no process
    /// ever sees half of it. The owner is root. The time is now, because a packed stage has no times. Returns the SHA-256 of
    /// the content.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn install_file(&self, from: &Path, inside: &str, mode: u32) -> Result<Sha256> {
        let install = || -> io::Result<Sha256> {
            let to = self.locate(inside)?;
            let mut source = File::open(from)?;
            let mut target = temporary_for(&to)?;
            let sha256 = copy_and_digest(&mut source, target.as_file_mut())?;
            self.give_to_root(target.path())?;
            target.as_file().set_permissions(Permissions::from_mode(mode))?;
            let installed = target.persist(&to)?;
            self.remember_of(inside, &installed.metadata()?, sha256);
            Ok(sha256)
        };
        install().with_context(|| {
            let to = self.path(inside);
            format!("cannot copy {} to {}", from.display(), to.display())
        })
    }

    /// Creates a symbolic link atomically. Its owner is root.
    ///
    /// # Errors
    /// The link cannot be created.
    pub fn install_link(&self, target: &Path, inside: &str) -> Result<()> {
        let install = || -> io::Result<()> {
            let to = self.locate(inside)?;
            // A name of its own, for `symlink` cannot replace and `rename` can.
            let near = tempfile::Builder::new()
                .prefix(TEMPORARY)
                .tempdir_in(to.parent().unwrap_or(Path::new("/")))?;
            let temporary = near.path().join("link");
            symlink(target, &temporary)?;
            self.give_to_root(&temporary)?;
            fs::rename(&temporary, &to)
        };
        install().with_context(|| format!("cannot make the link {}", self.path(inside).display()))
    }

    /// Creates one directory with mode 0755, owned by root. An existing one is not changed.
    ///
    /// # Errors
    /// The directory cannot be created.
    pub fn install_directory(&self, inside: &str) -> Result<()> {
        let install = || -> io::Result<()> {
            let to = self.locate(inside)?;
            match fs::create_dir(&to) {
                Err(error)
                    if error.kind() == ErrorKind::AlreadyExists && self.locate_target(inside)?.is_dir() =>
                {
                    return Ok(());
                }
                made => made?,
            }
            self.give_to_root(&to)?;
            fs::set_permissions(&to, Permissions::from_mode(0o755))
        };
        install().with_context(|| format!("cannot make the directory {}", self.path(inside).display()))
    }

    /// Removes a directory if it is empty. True if it is removed.
    ///
    /// # Errors
    /// The directory cannot be removed for another reason.
    pub fn remove_empty_directory(&self, inside: &str) -> Result<bool> {
        match self.locate(inside).and_then(fs::remove_dir) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(false),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => {
                Err(error).with_context(|| format!("cannot remove {}", self.path(inside).display()))
            }
        }
    }

    /// Sets the time of a file, directory or link to `time` if it was changed at `since` or later. True if it was. A missing
    /// file is not changed.
    ///
    /// # Errors
    /// The time cannot be read or set.
    pub fn set_time_back(&self, inside: &str, since: SystemTime, time: SystemTime) -> Result<bool> {
        let set = || -> io::Result<bool> {
            let path = self.locate(inside)?;
            let metadata = match path.symlink_metadata() {
                Err(error) if leads_nowhere(&error) => return Ok(false),
                metadata => metadata?,
            };
            if metadata.modified()? < since {
                return Ok(false);
            }
            let seconds = time
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_err(io::Error::other)?;
            let time = rustix::fs::Timespec {
                tv_sec: i64::try_from(seconds.as_secs()).map_err(io::Error::other)?,
                tv_nsec: 0,
            };
            let times = rustix::fs::Timestamps {
                last_access: time,
                last_modification: time,
            };
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(rustix::fs::CWD, &path, &times, flags)?;
            Ok(true)
        };
        set().with_context(|| format!("cannot set the time of {}", self.path(inside).display()))
    }

    /// The mount points of the running system: volumes, caches and secrets of an image build. Empty for a root below another
    /// directory.
    ///
    /// # Errors
    /// The list of mounts cannot be read.
    pub fn mount_points(&self) -> Result<Vec<String>> {
        if !self.is_system() {
            return Ok(Vec::new());
        }
        Ok(parse_mount_points(
            &self.read("/proc/self/mountinfo")?.unwrap_or_default(),
        ))
    }

    /// The capabilities of a file (capabilities(7)), as hexadecimal digits of the attribute that holds them; `None`
    /// where it has none.
    pub fn capabilities(&self, inside: &str) -> Option<String> {
        let mut value = [0_u8; 64];
        // File systems without such attributes, and files without this one, answer with an error.
        let length =
            rustix::fs::lgetxattr(self.locate(inside).ok()?, "security.capability", &mut value[..]).ok()?;
        Some(to_hexadecimal(&value[..length]))
    }

    /// Visits everything below the root, parents before children, sorted by name. Mounts, the kernel's own trees and the paths of
    /// `except` are skipped. A file that vanishes is skipped. A name that is not UTF-8 is visited with `\u{FFFD}` in it. Returns the directories and
    /// files that this user may not read.
    ///
    /// # Errors
    /// `visit` fails, or a directory cannot be read for another reason.
    pub fn walk(
        &self,
        except: &[&str],
        visit: &mut dyn FnMut(&str, &FileFacts) -> Result<()>,
    ) -> Result<Vec<String>> {
        let mut skipped = self.mount_points()?;
        let kernels = ["/dev", "/proc", "/sys"];
        skipped.extend(kernels.iter().chain(except).map(|path| (*path).to_owned()));
        let mut unreadable = Vec::new();
        let mut ahead = vec![("/".to_owned(), self.path("/"))];
        while let Some((directory, path)) = ahead.pop() {
            let names = match entries(&path) {
                Ok(names) => names,
                Err(error) if leads_nowhere(&error) => continue,
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    unreadable.push(directory);
                    continue;
                }
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("cannot read the directory {}", path.display()));
                }
            };
            let mut below = Vec::new();
            for name in names {
                let inside = format!("{}/{}", directory.trim_end_matches('/'), name.display());
                let path = path.join(name);
                if skipped.contains(&inside) {
                    continue;
                }
                let found = match look_at(&path) {
                    Ok(found) => found,
                    Err(error) if leads_nowhere(&error) => continue,
                    Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                        unreadable.push(inside);
                        continue;
                    }
                    Err(error) => {
                        return Err(error).with_context(|| format!("cannot look at {}", path.display()));
                    }
                };
                visit(&inside, &found)?;
                if found.kind == FileKind::Directory {
                    below.push((inside, path));
                }
            }
            ahead.extend(below.into_iter().rev());
        }
        Ok(unreadable)
    }

    /// In a tree that belongs to an ordinary user owners cannot be given away; there it stays his.
    fn give_to_root(&self, path: &Path) -> io::Result<()> {
        if self.is_system() || super::is_root() {
            lchown(path, Some(0), Some(0))?;
        }
        Ok(())
    }
}

fn copy_and_digest(from: &mut impl Read, to: &mut impl Write) -> io::Result<Sha256> {
    let mut hashes = Hashes::new(false);
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(hashes.sha256());
        }
        hashes.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
    }
}

/// The mount points that /proc/self/mountinfo (proc(5)) names; spaces and the like are written in octal there.
fn parse_mount_points(mountinfo: &str) -> Vec<String> {
    let unescape = |field: &str| {
        let replaced = field
            .replace("\\040", " ")
            .replace("\\011", "\t")
            .replace("\\012", "\n");
        replaced.replace("\\134", "\\")
    };
    mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(unescape)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::entry::is_below;

    #[test]
    fn an_installed_file_replaces_what_was_there_and_tells_its_digest() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        fs::write(host.path("/new"), "abc").unwrap();
        symlink("/new", host.path("/old")).unwrap();
        let sha256 = host.install_file(&host.path("/new"), "/old", 0o755).unwrap();
        assert_eq!(
            sha256.to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let found = host.look("/old").unwrap().unwrap();
        assert_eq!((found.kind, found.mode), (FileKind::File, 0o755));
        host.install_link(Path::new("new"), "/old").unwrap();
        assert_eq!(
            host.look("/old").unwrap().unwrap().kind,
            FileKind::Link("new".into())
        );
        assert_eq!(host.names("/").unwrap(), ["new", "old"]);
    }

    #[test]
    fn a_walk_sees_names_that_are_not_utf_8_and_does_not_mind_what_goes_away() {
        use std::os::unix::ffi::OsStrExt;
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        for directory in ["a/inside", "b"] {
            fs::create_dir_all(host.path(directory)).unwrap();
        }
        let strange = host.path("b").join(std::ffi::OsStr::from_bytes(b"n\xffme"));
        fs::create_dir(&strange).unwrap();
        fs::write(strange.join("file"), "").unwrap();
        let mut seen = Vec::new();
        let unreadable = host.walk(&[], &mut |path, _| {
            seen.push(path.to_owned());
            if path == "/a" {
                fs::remove_dir_all(host.path("a")).unwrap();
            }
            Ok(())
        });
        assert_eq!(unreadable.unwrap(), Vec::<String>::new());
        assert_eq!(seen, ["/a", "/b", "/b/n\u{FFFD}me", "/b/n\u{FFFD}me/file"]);
    }

    #[test]
    fn what_leads_nowhere_is_not_there() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        fs::write(host.path("file"), "").unwrap();
        symlink("ring", host.path("ring")).unwrap();
        for path in ["/none", "/file/below", "/ring/below"] {
            assert_eq!(host.look(path).unwrap(), None, "{path}");
            assert_eq!(host.names(path).unwrap(), Vec::<String>::new(), "{path}");
            assert_eq!(host.read(path).unwrap(), None, "{path}");
        }
    }

    #[test]
    fn what_is_below_a_directory_is_told_from_what_is_called_alike() {
        assert!(is_below("/tmp", "/tmp") && is_below("/tmp/x", "/tmp"));
        assert!(!is_below("/tmpx", "/tmp") && !is_below("/", "/tmp"));
    }

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let text = "22 1 0:21 / / rw - overlay o rw\n23 22 0:5 /x /run/a\\040b ro,x shared:1 - tmpfs t rw\n";
        assert_eq!(parse_mount_points(text), ["/", "/run/a b"]);
    }
}

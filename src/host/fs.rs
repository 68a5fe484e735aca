//! Files inside a host's root. Every error names its path, once.

use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Host;
use super::entry::{Entry, Ownership, leads_nowhere, open, temporary_for};
use super::local::tree;

impl Host {
    /// The text of a file. `None` if it does not exist.
    ///
    /// # Errors
    /// The file cannot be read, or is not UTF-8.
    pub fn read(&self, inside: &str) -> Result<Option<String>> {
        let path = self.locate_target(inside);
        match path.and_then(open).and_then(io::read_to_string) {
            Ok(text) => Ok(Some(text)),
            Err(error) if leads_nowhere(&error) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", self.path(inside).display())),
        }
    }

    /// The text of a file in any encoding: what is not UTF-8 is replaced. `None` if the file does not exist.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_lossy(&self, inside: &str) -> Result<Option<String>> {
        Ok(self
            .read_bytes(inside)?
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The bytes of a file. `None` if it does not exist.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_bytes(&self, inside: &str) -> Result<Option<Vec<u8>>> {
        let path = self.locate_target(inside);
        let read = |mut file: fs::File| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map(|_| bytes)
        };
        match path.and_then(open).and_then(read) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if leads_nowhere(&error) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", self.path(inside).display())),
        }
    }

    /// True if something is at the path, even a dangling link.
    pub fn exists(&self, inside: impl AsRef<Path>) -> bool {
        self.locate(inside)
            .and_then(|path| path.symlink_metadata())
            .is_ok()
    }

    /// Writes a file through a temporary name, with its owner and mode. Creates its directory.
    ///
    /// # Errors
    /// The directory or the file cannot be written, or the owner cannot be set.
    pub fn write(&self, inside: &str, text: &str, ownership: Ownership) -> Result<()> {
        let write = || -> io::Result<()> {
            let path = self.locate(inside)?;
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            let file = temporary_for(&path)?;
            fs::write(file.path(), text)?;
            self.own(file.path(), ownership)?;
            file.persist(&path)?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", self.path(inside).display()))
    }

    /// Creates a directory and its parents. Sets its owner and mode, even if it exists.
    ///
    /// # Errors
    /// The directory cannot be created, or its owner or mode cannot be set.
    pub fn make_directory(&self, inside: &str, ownership: Ownership) -> Result<()> {
        let make = || -> io::Result<()> {
            let path = self.locate_target(inside)?;
            fs::create_dir_all(&path)?;
            self.own(&path, ownership)
        };
        make().with_context(|| format!("cannot make the directory {}", self.path(inside).display()))
    }

    /// Replaces whatever is at the path by an empty directory.
    ///
    /// # Errors
    /// The old content cannot be removed, or the directory cannot be created.
    pub fn empty_directory(&self, inside: &str) -> Result<PathBuf> {
        self.remove(inside)?;
        let make = || -> io::Result<PathBuf> {
            let path = self.locate(inside)?;
            fs::create_dir_all(&path)?;
            Ok(path)
        };
        make().with_context(|| format!("cannot make the directory {}", self.path(inside).display()))
    }

    /// Empties a directory and keeps it, because something may be mounted on it. Does nothing if it does not exist.
    ///
    /// # Errors
    /// The directory cannot be read, or an entry cannot be removed.
    pub fn empty_contents(&self, inside: &str) -> Result<()> {
        if self.exists(inside) {
            for name in self.names(inside)? {
                self.remove(format!("{inside}/{name}"))?;
            }
        }
        Ok(())
    }

    /// Removes a file, link or tree, if there is one.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, inside: impl AsRef<Path>) -> Result<()> {
        let remove = || -> io::Result<()> {
            let path = self.locate(&inside)?;
            match path.symlink_metadata() {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
                Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
                Ok(_) => fs::remove_file(&path),
            }
        };
        remove().with_context(|| format!("cannot remove {}", self.path(&inside).display()))
    }

    /// Everything below the directory `top`, without `top` itself. Sorted by name, parents before children.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn tree(&self, top: &str) -> Result<Vec<Entry>> {
        tree(&self.reach(top)?)
    }

    /// Sets owner and mode. In a tree that is not the running system and belongs to an ordinary user, owners
    /// cannot be changed, so only the mode is set.
    fn own(&self, path: &Path, ownership: Ownership) -> io::Result<()> {
        if self.is_system() || super::is_root() {
            chown(path, Some(ownership.uid), Some(ownership.gid))?;
        }
        // After chown(2), which clears set-id bits.
        fs::set_permissions(path, fs::Permissions::from_mode(ownership.mode))
    }
}

//! Files inside a host's root. Every error names its path, once.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Host;
use super::entry::{Entry, Ownership, TEMPORARY, leads_nowhere, open};
use super::local::tree;

impl Host {
    /// The text of a file, or `None` where it does not exist.
    pub fn read(&self, inside: &str) -> Result<Option<String>> {
        let path = self.locate_target(inside);
        match path.and_then(open).and_then(io::read_to_string) {
            Ok(text) => Ok(Some(text)),
            Err(error) if leads_nowhere(&error) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", self.path(inside).display())),
        }
    }

    /// True where something is at the path, were it a dangling link.
    pub fn exists(&self, inside: impl AsRef<Path>) -> bool {
        self.locate(inside)
            .and_then(|path| path.symlink_metadata())
            .is_ok()
    }

    /// Writes a whole file by way of a temporary name, with its owner and mode; makes its directory.
    pub fn write(&self, inside: &str, text: &str, ownership: Ownership) -> Result<()> {
        let write = || -> io::Result<()> {
            let path = self.locate(inside)?;
            let directory = path.parent().unwrap_or(Path::new("/"));
            fs::create_dir_all(directory)?;
            let file = tempfile::Builder::new()
                .prefix(TEMPORARY)
                .tempfile_in(directory)?;
            fs::write(file.path(), text)?;
            self.own(file.path(), ownership)?;
            file.persist(&path)?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", self.path(inside).display()))
    }

    /// Makes a directory and those above it, with its owner and mode, also where it exists already.
    pub fn make_directory(&self, inside: &str, ownership: Ownership) -> Result<()> {
        let make = || -> io::Result<()> {
            let path = self.locate_target(inside)?;
            fs::create_dir_all(&path)?;
            self.own(&path, ownership)
        };
        make().with_context(|| format!("cannot make the directory {}", self.path(inside).display()))
    }

    /// An empty directory at the path, whatever was there.
    pub fn empty_directory(&self, inside: &str) -> Result<PathBuf> {
        self.remove(inside)?;
        let make = || -> io::Result<PathBuf> {
            let path = self.locate(inside)?;
            fs::create_dir_all(&path)?;
            Ok(path)
        };
        make().with_context(|| format!("cannot make the directory {}", self.path(inside).display()))
    }

    /// Makes a directory empty and leaves it there, because something may be mounted on it; where there is none,
    /// nothing happens.
    pub fn empty_contents(&self, inside: &str) -> Result<()> {
        if self.exists(inside) {
            for name in self.names(inside)? {
                self.remove(format!("{inside}/{name}"))?;
            }
        }
        Ok(())
    }

    /// Removes a file, link or tree; nothing there is no error.
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

    /// Everything below the directory `top`, parents before children, in the order of names. `top` itself is not in it.
    pub fn tree(&self, top: &str) -> Result<Vec<Entry>> {
        tree(&self.reach(top)?)
    }

    /// Sets owner and mode. In a tree that is not the running system and belongs to an ordinary user, owners
    /// cannot be given away; there only the mode is set.
    fn own(&self, path: &Path, ownership: Ownership) -> io::Result<()> {
        if self.is_system() || super::is_root() {
            chown(path, Some(ownership.uid), Some(ownership.gid))?;
        }
        // After chown, which clears set-id bits.
        fs::set_permissions(path, fs::Permissions::from_mode(ownership.mode))
    }
}

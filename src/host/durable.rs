//! Files that survive a loss of power: the content is on the disk when the call returns (fsync(2)).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Host;
use super::entry::temporary_for;

/// A small file with its attributes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    bytes: Vec<u8>,
    uid: u32,
    gid: u32,
    mode: u32,
    /// Time of the last change, since 1970.
    modified: Duration,
}

impl Host {
    /// Writes a file atomically, readable by its owner only. Creates its directory, also for its owner only.
    ///
    /// # Errors
    /// The directory or the file cannot be written.
    pub fn write_durably(&self, inside: &str, text: &str) -> Result<()> {
        let write = || -> io::Result<()> {
            let path = self.locate(inside)?;
            let directory = path.parent().unwrap_or(Path::new("/"));
            fs::create_dir_all(directory)?;
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
            let mut file = temporary_for(&path)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            File::open(directory)?.sync_all()
        };
        write().with_context(|| format!("cannot write {}", self.path(inside).display()))
    }

    /// Appends a line to a file of an existing directory.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append_durably(&self, inside: &str, line: &str) -> Result<()> {
        let append = || -> io::Result<()> {
            let path = self.locate_target(inside)?;
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_data()
        };
        append().with_context(|| format!("cannot write {}", self.path(inside).display()))
    }

    /// A file with its content and attributes. `None` if it does not exist.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn original(&self, inside: &str) -> Result<Option<Original>> {
        let read = || -> io::Result<Original> {
            let path = self.locate_target(inside)?;
            let metadata = fs::metadata(&path)?;
            Ok(Original {
                bytes: fs::read(&path)?,
                uid: metadata.uid(),
                gid: metadata.gid(),
                mode: metadata.mode() & 0o7777,
                modified: metadata
                    .modified()?
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap_or_default(),
            })
        };
        match read() {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", self.path(inside).display())),
        }
    }

    /// Restores a file atomically, including its time.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put_back(&self, inside: &str, file: &Original) -> Result<()> {
        let put = || -> io::Result<()> {
            let path = self.locate(inside)?;
            let mut new = temporary_for(&path)?;
            new.write_all(&file.bytes)?;
            if self.is_system() || super::is_root() {
                chown(new.path(), Some(file.uid), Some(file.gid))?;
            }
            new.as_file()
                .set_permissions(fs::Permissions::from_mode(file.mode))?;
            new.as_file()
                .set_modified(SystemTime::UNIX_EPOCH + file.modified)?;
            new.as_file().sync_all()?;
            new.persist(&path)?;
            Ok(())
        };
        put().with_context(|| format!("cannot put back {}", self.path(inside).display()))
    }
}

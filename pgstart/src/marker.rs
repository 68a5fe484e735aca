//! The marker of a start of this image, `.server-start` in the data directory: the process id that its server has, and when it began.
//!
//! The server's first process holds a record lock on it (fcntl(2), `F_SETLK`) for as long as it lives: such a lock outlives exec(2), is not
//! inherited by children, and ends with the process. So the marker tells a lock file of this image's server from others, and a dead server
//! from a living one, in any container of this kernel.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::FlockOperation;
use rustix::io::{Errno, FdFlags};

use crate::lock_file::LockFile;

/// How much later than the marker is written the server may note its own start, in seconds.
const MAX_DELAY: u64 = 10;

/// The marker's file name in a data directory.
pub fn path(data: &Path) -> PathBuf {
    data.join(".server-start")
}

/// What the marker tells.
#[derive(Debug)]
pub enum Marker {
    /// A living server holds its lock.
    Held,
    /// No server does, and this process holds it now.
    Free(Entry),
    /// There is none, or this file system has no locks.
    Absent,
}

/// A marker whose lock this process holds.
#[derive(Debug)]
pub struct Entry {
    file: File,
    pid: Option<u32>,
    written: Option<u64>,
}

impl Marker {
    /// Reads the marker and tries to take its lock.
    pub fn read(data: &Path) -> Self {
        Self::open(data, OpenOptions::new().read(true).write(true))
    }

    /// The same, and makes one where there is none.
    pub fn read_or_create(data: &Path) -> Self {
        Self::open(
            data,
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600),
        )
    }

    fn open(data: &Path, options: &OpenOptions) -> Self {
        let Ok(mut file) = options.open(path(data)) else {
            return Self::Absent;
        };
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Self::Held,
            Err(_) => return Self::Absent,
        }
        let mut text = String::new();
        let _ = file.read_to_string(&mut text);
        let mut lines = text.lines();
        Self::Free(Entry {
            pid: lines.next().and_then(|line| line.parse().ok()),
            written: lines.next().and_then(|line| line.parse().ok()),
            file,
        })
    }
}

impl Entry {
    /// Whether a lock file is of the server that this marker was written for.
    pub fn is_of(&self, lock_file: &LockFile) -> bool {
        let (Some(pid), Some(written), Some(started)) = (self.pid, self.written, lock_file.started) else {
            return false;
        };
        // The clock has a resolution of a second in both.
        lock_file.pid == Some(pid) && (written.saturating_sub(1)..=written + MAX_DELAY).contains(&started)
    }

    /// Whether the server that this marker was written for is the last one that started: each writes `postmaster.opts` then. The times of files are
    /// compared, because the clock of a file system may differ from that of this machine.
    pub fn is_of_last_start(&self, data: &Path) -> bool {
        let options = std::fs::metadata(data.join("postmaster.opts")).and_then(|found| found.modified());
        let written = self.file.metadata().and_then(|found| found.modified());
        self.pid.is_some()
            && written.is_ok_and(|written| {
                options.map_or_else(
                    |error| error.kind() == io::ErrorKind::NotFound,
                    |options| options <= written + Duration::from_secs(MAX_DELAY),
                )
            })
    }

    /// Writes the marker for a server that this process turns into, and leaves its lock to that server.
    ///
    /// # Errors
    /// The marker cannot be written.
    pub fn hand_over(mut self) -> io::Result<()> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        self.file.rewind()?;
        self.file.set_len(0)?;
        write!(self.file, "{}\n{now}\n", std::process::id())?;
        rustix::io::fcntl_setfd(&self.file, FdFlags::empty())?;
        // Closing any descriptor of the file would release the lock.
        std::mem::forget(self.file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_of_the_server_with_its_pid_and_time() {
        let data = tempfile::tempdir().expect("a directory");
        assert!(matches!(Marker::read(data.path()), Marker::Absent));
        std::fs::write(path(data.path()), "71\n1000\n").expect("it is written");
        let Marker::Free(entry) = Marker::read(data.path()) else {
            panic!("no process holds it")
        };
        let lock_file = |pid, started| LockFile {
            pid: Some(pid),
            started,
            ..LockFile::default()
        };
        for started in [999, 1000, 1010] {
            assert!(entry.is_of(&lock_file(71, Some(started))), "{started}");
        }
        for (pid, started) in [(72, Some(1000)), (71, Some(998)), (71, Some(1011)), (71, None)] {
            assert!(!entry.is_of(&lock_file(pid, started)), "{pid} {started:?}");
        }
    }

    #[test]
    fn an_empty_marker_is_of_no_server() {
        let data = tempfile::tempdir().expect("a directory");
        let Marker::Free(entry) = Marker::read_or_create(data.path()) else {
            panic!("it is made")
        };
        assert!(!entry.is_of(&LockFile::parse(b"71\n/data\n1000\n")));
        assert!(!entry.is_of(&LockFile::default()));
    }
}

//! Proves that no process of this kernel has a file of a directory open, whatever container and namespace it is in.
//!
//! A write lease (fcntl(2), `F_SETLEASE`) is given only on a file that no other process has open. A server has some of its files open at any
//! time: of an idle one in another container 16 to 32 of 973 files refuse the lease, of a dead one none. Each lease is released at once.
//!
//! The proof holds for one kernel. A file system that several machines may have mounted proves nothing, so only local ones are accepted.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The outcome of a proof.
#[derive(Debug, PartialEq, Eq)]
pub enum Proof {
    /// No process has a file open.
    Unused,
    /// A process has this file open.
    Used(PathBuf),
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// File systems of one kernel, by the number that statfs(2) gives them.
const LOCAL: [i64; 10] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683E, // btrfs
    0x0102_1994, // tmpfs
    0x794C_7630, // overlay
    0xF2F5_2010, // f2fs
    0x2FC1_2FC1, // zfs
    0xCA45_1A4E, // bcachefs
    0x3153_464A, // jfs
    0x8584_58F6, // ramfs
];

/// Looks at every regular file of a data directory, of its write-ahead log and of its tablespaces. `except` are files that this process
/// has open itself.
pub fn prove_unused(data: &Path, except: &[PathBuf]) -> Proof {
    ignore_broken_leases();
    let mut walk = Walk {
        data,
        except,
        device: None,
        pending: vec![data.to_owned()],
    };
    while let Some(directory) = walk.pending.pop() {
        if let Err(proof) = walk.look_into(&directory) {
            return proof;
        }
    }
    Proof::Unused
}

struct Walk<'a> {
    data: &'a Path,
    except: &'a [PathBuf],
    /// The device that was last found to be local.
    device: Option<u64>,
    pending: Vec<PathBuf>,
}

impl Walk<'_> {
    fn look_into(&mut self, directory: &Path) -> Result<(), Proof> {
        self.require_local(directory)?;
        let unreadable =
            |error: &io::Error| Proof::Unknown(format!("{} cannot be read: {error}", directory.display()));
        for entry in std::fs::read_dir(directory).map_err(|error| unreadable(&error))? {
            let entry = entry.map_err(|error| unreadable(&error))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(|error| unreadable(&error))?;
            if kind.is_dir() {
                self.pending.push(path);
            } else if kind.is_symlink() {
                self.follow(directory, &path)?;
            } else if kind.is_file() && !self.except.contains(&path) {
                try_lease(&path)?;
            }
        }
        Ok(())
    }

    /// Of the links in a data directory only those of the write-ahead log and of tablespaces lead to what is the server's own.
    fn follow(&mut self, directory: &Path, link: &Path) -> Result<(), Proof> {
        if directory == self.data && link.ends_with("pg_wal") {
            self.pending.push(link.to_owned());
        } else if directory == self.data.join("pg_tblspc") {
            // Another major's server may have its own directory in the same place.
            let major = std::fs::read_to_string(self.data.join("PG_VERSION")).unwrap_or_default();
            let prefix = format!("PG_{}_", major.trim());
            let entries = std::fs::read_dir(link).map_err(|error| {
                Proof::Unknown(format!(
                    "the tablespace {} cannot be read: {error}",
                    link.display()
                ))
            })?;
            let of_this_major = entries
                .flatten()
                .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
            self.pending.extend(of_this_major.map(|entry| entry.path()));
        }
        Ok(())
    }

    fn require_local(&mut self, directory: &Path) -> Result<(), Proof> {
        let unreadable =
            |error: String| Proof::Unknown(format!("{} cannot be read: {error}", directory.display()));
        let device = std::fs::metadata(directory)
            .map_err(|error| unreadable(error.to_string()))?
            .dev();
        if self.device == Some(device) {
            return Ok(());
        }
        let kind = rustix::fs::statfs(directory)
            .map_err(|error| unreadable(error.to_string()))?
            .f_type;
        // The field is as wide as the architecture's `long`, and its sign says nothing.
        #[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
        let kind = (kind as i64) & 0xFFFF_FFFF;
        if !LOCAL.contains(&kind) {
            return Err(Proof::Unknown(format!(
                "{} is on a file system that other machines may have mounted too (type {kind:#x})",
                directory.display()
            )));
        }
        self.device = Some(device);
        Ok(())
    }
}

/// Takes a write lease on a file for a moment.
fn try_lease(path: &Path) -> Result<(), Proof> {
    let file = match open(path) {
        Ok(file) => file,
        // A dead server removes no files, and only a lease lets an open without blocking fail.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::WouldBlock) => {
            return Err(Proof::Used(path.to_owned()));
        }
        Err(error) => {
            return Err(Proof::Unknown(format!(
                "{} cannot be read: {error}",
                path.display()
            )));
        }
    };
    // Closing the file, here, releases the lease.
    match write_lease(&file) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Proof::Used(path.to_owned())),
        Err(error) => Err(Proof::Unknown(format!(
            "{} takes no lease (fcntl(2), F_SETLEASE): {error}",
            path.display()
        ))),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

/// Takes the lease as the file's owner, whom the kernel asks for: as root in a container without `CAP_LEASE` this process becomes that owner
/// for a moment.
fn write_lease(file: &File) -> io::Result<()> {
    match set_lease(file) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let owner = file.metadata()?.uid();
            act_as(owner);
            let done = set_lease(file);
            act_as(rustix::process::geteuid().as_raw());
            done
        }
        done => done,
    }
}

#[allow(unsafe_code)]
fn set_lease(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `file` is, and the argument of F_SETLEASE is an integer.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sets the user of this thread's access to files. Where that is not allowed nothing changes.
#[allow(unsafe_code)]
fn act_as(user: u32) {
    // SAFETY: setfsuid(2) touches no memory.
    unsafe { libc::setfsuid(user) };
}

/// A process that opens a file while its lease is held makes the kernel send SIGIO, whose default is to end this process.
#[allow(unsafe_code)]
fn ignore_broken_leases() {
    // SAFETY: SIG_IGN runs no code in this process.
    unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> tempfile::TempDir {
        let data = tempfile::tempdir().expect("a directory");
        for directory in ["base/1", "global", "pg_tblspc"] {
            std::fs::create_dir_all(data.path().join(directory)).expect("a directory");
        }
        for file in ["PG_VERSION", "base/1/1259", "global/pg_control"] {
            std::fs::write(data.path().join(file), "18\n").expect("a file");
        }
        data
    }

    #[test]
    fn a_file_that_is_open_anywhere_is_found() {
        let data = cluster();
        assert_eq!(prove_unused(data.path(), &[]), Proof::Unused);
        for file in ["base/1/1259", "global/pg_control"] {
            let path = data.path().join(file);
            let reader = File::open(&path).expect("it opens");
            assert_eq!(prove_unused(data.path(), &[]), Proof::Used(path.clone()));
            assert_eq!(
                prove_unused(data.path(), std::slice::from_ref(&path)),
                Proof::Unused
            );
            drop(reader);
        }
        assert_eq!(prove_unused(data.path(), &[]), Proof::Unused);
    }

    #[test]
    fn a_moved_log_and_tablespaces_of_this_major_are_looked_at() {
        let data = cluster();
        let elsewhere = cluster();
        for (link, target, inside) in [
            ("pg_wal", "wal", "000000010000000000000001"),
            ("pg_tblspc/16384", "space", "PG_18_202506291/5/16385"),
        ] {
            let target = elsewhere.path().join(target);
            let file = target.join(inside);
            std::fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
            std::fs::write(&file, "x").expect("a file");
            std::os::unix::fs::symlink(&target, data.path().join(link)).expect("a link");
            let open = File::open(&file).expect("it opens");
            let Proof::Used(found) = prove_unused(data.path(), &[]) else {
                panic!("{link} was passed over")
            };
            assert!(found.ends_with(inside), "{found:?}");
            drop(open);
        }
        // A server of another major in the same place, and a file that the user has linked to.
        let other = elsewhere.path().join("space/PG_17_202406281");
        std::fs::create_dir_all(&other).expect("a directory");
        std::fs::write(other.join("1"), "x").expect("a file");
        let _open = File::open(other.join("1")).expect("it opens");
        let own = elsewhere.path().join("own.conf");
        std::fs::write(&own, "x").expect("a file");
        std::os::unix::fs::symlink(&own, data.path().join("postgresql.conf")).expect("a link");
        let _own = File::open(&own).expect("it opens");
        assert_eq!(prove_unused(data.path(), &[]), Proof::Unused);
    }

    #[test]
    fn what_cannot_be_read_proves_nothing() {
        let data = cluster();
        std::os::unix::fs::symlink("/nowhere", data.path().join("pg_tblspc/1")).expect("a link");
        assert!(matches!(prove_unused(data.path(), &[]), Proof::Unknown(_)));
        assert!(
            matches!(prove_unused(Path::new("/proc/self"), &[]), Proof::Unknown(why) if why.contains("other machines"))
        );
    }
}

//! Decides whether the lock files that a start finds are stale, and removes those that are known to be.
//!
//! PostgreSQL takes a lock file for stale when its process id is not alive, and it looks in its own process namespace. A server in another
//! container is never there, so its lock file would go, and with it the last protection of the data. Here a lock file of the data directory is
//! known to be stale if
//!
//! 1. this image's server wrote it (`.server-start` repeats its process id and time) and holds its lock no more, or
//! 2. no file of the directory is open on this kernel (`leases.rs`), or
//! 3. the user says so: `POSTGRES_ON_STALE_LOCK=remove`.
//!
//! A lock file of a socket is stale if no process listens on the socket. The caller holds the data directory's own lock (flock(2) on the
//! directory), so no other start of this image is under way.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::control::was_shut_down;
use crate::leases::{Proof, prove_unused};
use crate::lock_file::LockFile;
use crate::marker::{self, Marker};
use crate::processes::server_in;
use crate::say;

/// Between the two looks of a proof: a server that is starting over after a crash has no file open for some milliseconds.
const PAUSE: Duration = Duration::from_millis(300);
/// A server has opened its first files when its lock file is this old,
const SETTLED: Duration = Duration::from_secs(2);
/// and when the lock file does not say yet that it is ready, when it is this old.
const SETTLED_WHILE_STARTING: Duration = Duration::from_secs(10);

/// What is known of a lock file.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is none.
    Absent,
    /// It is stale, for this reason.
    Stale(String),
    /// Its server lives, as this says, and no word of the user's changes that.
    Live(String),
    /// Its server may live, for this reason.
    Doubtful(String),
}

/// The lock file of a data directory.
pub fn lock_file_of(data: &Path) -> PathBuf {
    data.join("postmaster.pid")
}

/// Judges the lock file of a data directory. The proof takes some 300 ms, and is only made where nothing else decides.
///
/// # Errors
/// The lock file cannot be read.
pub fn judge_data(data: &Path, marker: &Marker) -> Result<Verdict, String> {
    let path = lock_file_of(data);
    let lock_file = read(&path)?;
    let is_held = matches!(marker, Marker::Held);
    if (is_held || lock_file.is_some())
        && let Some(pid) = server_in(data)
    {
        return Ok(Verdict::Live(format!(
            "process {pid} of this container is a server on it"
        )));
    }
    if is_held {
        return Ok(Verdict::Live(format!(
            "another container is using the directory, and its server holds the lock on {}",
            marker::path(data).display()
        )));
    }
    let Some(lock_file) = lock_file else {
        return judge_without_lock_file(data, marker);
    };
    if let Marker::Free(entry) = marker
        && entry.is_of(&lock_file)
    {
        return Ok(Verdict::Stale(
            "this image's server wrote it, and has ended without removing it".to_owned(),
        ));
    }
    wait_until_settled(&path, &lock_file);
    let mut proof = prove_unused(data, &[marker::path(data)]);
    if proof == Proof::Unused {
        std::thread::sleep(PAUSE);
        proof = prove_unused(data, &[marker::path(data)]);
    }
    if read(&path)?.as_ref() != Some(&lock_file) {
        return Ok(Verdict::Doubtful(
            "it was written while this start looked at it".to_owned(),
        ));
    }
    Ok(match proof {
        Proof::Unused => Verdict::Stale("no process has a file of the data directory open".to_owned()),
        Proof::Used(file) => Verdict::Doubtful(format!(
            "a process outside of this container has {} open",
            file.display()
        )),
        // A living server's file has contents from its first moments on.
        Proof::Unknown(_) if lock_file.pid.is_none() => {
            Verdict::Stale("a server that lives writes its process id, and there is none".to_owned())
        }
        Proof::Unknown(why) => Verdict::Doubtful(why),
    })
}

/// Judges a data directory that has no lock file. Another server may have taken it away: a second one that ended beside the first, or a user. A
/// server that did not end in order, or has not ended, leaves that in the control file; only then the directory is looked through.
fn judge_without_lock_file(data: &Path, marker: &Marker) -> Result<Verdict, String> {
    if was_shut_down(data)? {
        return Ok(Verdict::Absent);
    }
    Ok(match prove_unused(data, &[marker::path(data)]) {
        Proof::Used(file) => Verdict::Doubtful(format!(
            "a process outside of this container has {} open",
            file.display()
        )),
        Proof::Unused => Verdict::Absent,
        // A copy of a running server's directory has no lock file either. It has this one, which a server renames when it starts.
        Proof::Unknown(_) if data.join("backup_label").exists() => Verdict::Absent,
        // Such as one that was shut down at once, which removes its lock file.
        Proof::Unknown(_) if matches!(marker, Marker::Free(entry) if entry.is_of_last_start(data)) => {
            Verdict::Absent
        }
        Proof::Unknown(why) => Verdict::Doubtful(format!("its last server did not end in order, and {why}")),
    })
}

/// Judges the lock file of a socket, `.s.PGSQL.5432.lock`.
///
/// # Errors
/// The lock file cannot be read, or the socket cannot be asked.
pub fn judge_socket(path: &Path) -> Result<Verdict, String> {
    let Some(lock_file) = read(path)? else {
        return Ok(Verdict::Absent);
    };
    wait_until_settled(path, &lock_file);
    let socket = path.with_extension("");
    Ok(if is_listened_on(&socket)? {
        Verdict::Live(format!("a server listens on {}", socket.display()))
    } else {
        Verdict::Stale("no process listens on its socket".to_owned())
    })
}

/// Refuses where the lock file of the data directory is not known to be stale. `forced` is the user's word that it is.
///
/// # Errors
/// The server may live, or the lock file cannot be read. The error says which, and what to do.
pub fn check(data: &Path, marker: &Marker, forced: bool) -> Result<Option<String>, String> {
    let path = lock_file_of(data);
    let (why, advice) = match judge_data(data, marker)? {
        Verdict::Absent => return Ok(None),
        Verdict::Stale(why) => return Ok(Some(why)),
        Verdict::Doubtful(_) if forced && !path.exists() => return Ok(None),
        Verdict::Doubtful(why) if forced => {
            return Ok(Some(format!(
                "POSTGRES_ON_STALE_LOCK=remove asks for it, although {why}"
            )));
        }
        Verdict::Live(why) => (why, "Stop that server first."),
        Verdict::Doubtful(why) => (
            why,
            "Stop the other container, wherever it runs, and start again. If you know that no server uses this directory, start once with \
             POSTGRES_ON_STALE_LOCK=remove.",
        ),
    };
    let Some(contents) = read(&path)?.map(|file| file.describe()) else {
        return Err(format!(
            "A running server may use {}, although it has no lock file: {why}. Two servers on one data directory destroy it, so nothing was changed.\n{advice}",
            data.display()
        ));
    };
    Err(format!(
        "{} may be the lock file of a running server ({contents}): {why}. Two servers on one data directory destroy it, so nothing was changed.\n{advice}",
        path.display()
    ))
}

/// Removes the lock files that are stale: that of the data directory, for which `reason` is given, and those of sockets in the usual places, in
/// the one that the stale file names, and in `others`.
///
/// # Errors
/// A lock file cannot be read, a socket cannot be asked, or the data directory's lock file cannot be removed.
pub fn remove(data: &Path, reason: Option<&str>, others: &[&str]) -> Result<(), String> {
    for directory in socket_directories(data, others) {
        for path in socket_locks(&directory) {
            if let Verdict::Stale(why) = judge_socket(&path)? {
                // In a directory of another user with the sticky bit it stays, and the server says what it minds.
                if std::fs::remove_file(&path).is_ok() {
                    say(&format!("removing {}: {why}", path.display()));
                }
            }
        }
    }
    if let Some(reason) = reason {
        let path = lock_file_of(data);
        say(&format!("removing {}: {reason}", path.display()));
        std::fs::remove_file(&path).map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
    }
    Ok(())
}

/// Where lock files of sockets may be left.
pub fn socket_directories(data: &Path, others: &[&str]) -> Vec<PathBuf> {
    let stale = LockFile::read(&lock_file_of(data)).ok().flatten();
    let mut directories: Vec<PathBuf> = ["/var/run/postgresql", "/tmp"]
        .into_iter()
        .chain(stale.as_ref().map(|file| file.socket_directory.as_str()))
        .chain(others.iter().copied())
        .filter(|directory| directory.starts_with('/'))
        .filter_map(|directory| std::fs::canonicalize(directory).ok())
        .collect();
    directories.sort();
    directories.dedup();
    directories
}

/// The lock files of sockets in a directory.
pub fn socket_locks(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.path());
    names
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(".s.PGSQL.") && name.ends_with(".lock")
        })
        .collect()
}

/// Whether a connection gets past the kernel. One that would have to wait for its turn does.
fn is_listened_on(socket: &Path) -> Result<bool, String> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
    let fail = |error: rustix::io::Errno| format!("cannot connect to {}: {error}", socket.display());
    let address = SocketAddrUnix::new(socket).map_err(fail)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let client = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(fail)?;
    match connect(&client, &address) {
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED | rustix::io::Errno::NOTSOCK) => {
            Ok(false)
        }
        Ok(()) | Err(_) => Ok(true),
    }
}

/// Waits until a server that has just written the file would be recognised as one.
fn wait_until_settled(path: &Path, lock_file: &LockFile) {
    let is_of_a_socket = path.extension().is_some_and(|extension| extension == "lock");
    let settled = if is_of_a_socket || matches!(lock_file.status.as_str(), "ready" | "standby") {
        SETTLED
    } else {
        SETTLED_WHILE_STARTING
    };
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let age = modified.map_or(settled, |modified| {
        SystemTime::now().duration_since(modified).unwrap_or(settled)
    });
    std::thread::sleep(settled.saturating_sub(age));
}

/// What is in a lock file's place and is not a file. It is not opened: a named pipe would wait for a writer.
fn not_a_file(path: &Path) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt as _;
    let Ok(found) = std::fs::metadata(path) else {
        let is_link = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        return is_link.then_some("a link that leads nowhere");
    };
    let kind = found.file_type();
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a directory")
    } else if kind.is_fifo() {
        Some("a named pipe")
    } else {
        Some("a device or a socket")
    }
}

/// Reads a lock file. What cannot be read is not taken for absent or stale.
fn read(path: &Path) -> Result<Option<LockFile>, String> {
    use std::io::ErrorKind;
    use std::os::unix::fs::MetadataExt as _;
    if let Some(found) = not_a_file(path) {
        return Err(format!(
            "{} is {found}, where PostgreSQL keeps the lock file of the server that runs. Nothing was changed.\n\
             Find out who has made it, and remove it.",
            path.display()
        ));
    }
    LockFile::read(path).map_err(|error| {
        let path = path.display();
        let advice = "Nothing was changed.";
        match error.kind() {
            ErrorKind::PermissionDenied => {
                let owner = std::fs::metadata(path.to_string()).map_or_else(|_| "it is in a directory that may not be looked into".to_owned(), |found| format!("it belongs to uid {} (mode {:o})", found.uid(), found.mode() & 0o7777));
                format!(
                    "{path} cannot be read by uid {}: {owner}. Whether its server still runs cannot be told. {advice}\n\
                     Give it to the owner of the other files of the data directory.",
                    rustix::process::geteuid().as_raw()
                )
            }
            _ => format!("cannot read {path}: {error}. {advice}"),
        }
    })
}

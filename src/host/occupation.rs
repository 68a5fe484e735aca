//! Who works in a root: one pgsetup at a time, and nothing that a killed one has left running.
//!
//! Two files are locked with flock(2), and the working directory, which several roots may share as a mount. The first is this
//! process's own. The second is handed to every command: a lock
//! belongs to the open file, which whatever a command starts inherits, so it is held for as long as anything of it
//! runs, also when pgsetup itself was killed. Package tools have locks of their own (fcntl(2)), which dpkg holds
//! also where it has outlived the apt-get that started it.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;
use rustix::io::{Errno, FdFlags};
use rustix::process::{Pid, Signal, kill_process};

use super::Host;
use super::local::open_or_create;

/// How long package tools of others may go on working.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// How long a process that another one has just forked may take to become its program: so long it holds what that one held.
const EXEC_GRACE: Duration = Duration::from_secs(1);
/// The pause between two looks at a lock.
const PAUSE: Duration = Duration::from_millis(50);
/// Programs that are let finish while dpkg works. Half of what they do then is worse than all of it.
const PACKAGE_TOOLS: [&str; 3] = ["apt-get", "apt-mark", "dpkg"];
/// The locks of dpkg and apt, by their manual pages and apt's `Dir::State` and `Dir::Cache`.
const PACKAGE_LOCKS: [&str; 4] = [
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
];
/// Those of them that are held as long as packages are unpacked, configured or removed, and not while they are downloaded.
const DPKG_LOCKS: [&str; 2] = ["/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"];
/// Scripts use descriptors up to 9 as they like; this one is out of their way.
const FIRST_DESCRIPTOR: i32 = 100;

/// The right to work in a root, which ends when this is dropped.
#[derive(Debug)]
pub struct Occupation {
    _own: File,
    _work: File,
    _commands: OwnedFd,
}

impl Host {
    /// Takes the right to work here; its locks are in `directory`, which is inside the root and made where it is not
    /// there, and on the directory `work`, which is too. What commands of a killed pgsetup have left running is killed,
    /// apart from package tools while dpkg works and from what can be told neither by its files nor by its arguments: these
    /// are waited for. `waiting` is told what for, once each.
    ///
    /// # Errors
    /// Another pgsetup works here, or package tools have not ended within ten minutes.
    pub fn occupy(&self, directory: &str, work: &str, waiting: &dyn Fn(&str)) -> Result<Occupation> {
        let context = || format!("cannot lock {}", self.path(directory).display());
        let located = |name: &str| {
            self.locate_target(format!("{directory}/{name}"))
                .with_context(context)
        };
        let lock = located("lock")?;
        let own = locked(&lock, &|| open(&lock)).with_context(context)?;
        let own = own.with_context(|| {
            format!(
                "another pgsetup installs into {}; run this again when it has ended",
                self.root.display()
            )
        })?;
        let work = self.locate_target(work).with_context(context)?;
        let mounted = locked(&work, &|| {
            fs::create_dir_all(&work)?;
            File::open(&work)
        });
        let mounted = mounted.with_context(|| format!("cannot lock {}", work.display()))?;
        let mounted = mounted.with_context(|| {
            format!(
                "another pgsetup works in {}, for another root that shares this directory; run this again when it has ended, or give \
                 each its own (a cache mount of a Dockerfile: sharing=private)",
                work.display()
            )
        })?;
        let commands = open(&located("commands")?).with_context(context)?;
        let dpkg_works = || {
            DPKG_LOCKS
                .iter()
                .any(|inside| self.locate_target(inside).is_ok_and(|path| is_held(&path)))
        };
        end_holders(&commands, &work, &dpkg_works, waiting)?;
        let commands = rustix::io::fcntl_dupfd_cloexec(&commands, FIRST_DESCRIPTOR).with_context(context)?;
        rustix::io::fcntl_setfd(&commands, FdFlags::empty()).with_context(context)?;
        self.wait_for_package_tools(waiting)?;
        Ok(Occupation {
            _own: own,
            _work: mounted,
            _commands: commands,
        })
    }

    /// Waits until neither apt nor dpkg works here.
    fn wait_for_package_tools(&self, waiting: &dyn Fn(&str)) -> Result<()> {
        let began = Instant::now();
        for inside in PACKAGE_LOCKS {
            let path = self
                .locate_target(inside)
                .with_context(|| format!("cannot look at {inside}"))?;
            let mut told = false;
            while is_held(&path) {
                if !told {
                    waiting(&format!("waiting for the process that holds {}", path.display()));
                    told = true;
                }
                if began.elapsed() > MAX_WAIT {
                    bail!(
                        "{} has been locked for {} s: end what installs packages here, and run this again",
                        path.display(),
                        MAX_WAIT.as_secs()
                    );
                }
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }
}

/// What is at `path`, opened and locked. `None` if another process has it for longer than one needs that was only just
/// forked.
fn locked(path: &Path, open: &dyn Fn() -> io::Result<File>) -> io::Result<Option<File>> {
    let began = Instant::now();
    loop {
        let file = open()?;
        match file.try_lock() {
            // The previous holder may have removed it.
            Ok(()) if is_named(&file, path) => return Ok(Some(file)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if began.elapsed() < EXEC_GRACE => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    open_or_create(path)
}

/// True if `path` is a name of the open file.
fn is_named(file: &File, path: &Path) -> bool {
    matches!((file.metadata(), fs::metadata(path)), (Ok(file), Ok(named)) if is_one(&file, &named))
}

fn is_one(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// True if another process holds a lock of fcntl(2) on the file. If the file cannot be opened, there is no
/// process to wait for.
fn is_held(path: &Path) -> bool {
    let Ok(file) = OpenOptions::new().read(true).write(true).open(path) else {
        return false;
    };
    let answer = rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive);
    matches!(answer, Err(Errno::AGAIN | Errno::ACCESS))
}

/// Locks the file that commands inherit, having ended whatever holds it; `work` is the directory they work in.
fn end_holders(
    commands: &File,
    work: &Path,
    dpkg_works: &dyn Fn() -> bool,
    waiting: &dyn Fn(&str),
) -> Result<()> {
    let began = Instant::now();
    let mut told = false;
    loop {
        match commands.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).context("cannot lock what commands inherit");
            }
        }
        let spared = dpkg_works();
        let (awaited, others): (Vec<_>, Vec<_>) = holders(commands, work).into_iter().partition(|holder| {
            !holder.is_certain || (spared && PACKAGE_TOOLS.contains(&holder.name.as_str()))
        });
        for Holder { pid, .. } in &others {
            // It may have ended.
            let _ = kill_process(*pid, Signal::KILL);
        }
        if let Some(Holder { pid, name, .. }) = awaited.first().filter(|_| !told) {
            waiting(&format!(
                "waiting for {name} (process {}) of an installation that was killed",
                pid.as_raw_nonzero()
            ));
            told = true;
        }
        if began.elapsed() > MAX_WAIT {
            bail!(
                "commands of an installation that was killed have not ended within {} s; end them, and run this again",
                MAX_WAIT.as_secs()
            );
        }
        std::thread::sleep(PAUSE);
    }
}

/// A process that has the file open which commands inherit.
struct Holder {
    pid: Pid,
    name: String,
    /// False where it only has a descriptor of that number, and no argument tells that it is one of them: it may be
    /// anybody's, and is not to be killed.
    is_certain: bool,
}

/// The processes of this machine that have the file open, apart from this one (proc(5)).
fn holders(file: &File, work: &Path) -> Vec<Holder> {
    let Ok(wanted) = file.metadata() else {
        return Vec::new();
    };
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str() != Some(&own))
        .filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let mut open = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
            let is_certain = open.find_map(|open| is_the_lock(&open, &wanted))?;
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            Some(Holder {
                pid,
                name: name.trim().to_owned(),
                is_certain: is_certain || works_in(&entry.path(), work),
            })
        })
        .collect()
}

/// Whether an argument of a process is a path below the directory `work`, which is this installation's alone by now: so is
/// the throw-away server, which never ends by itself and whose own processes end when it does. Everybody may read
/// arguments.
fn works_in(process: &Path, work: &Path) -> bool {
    let arguments = fs::read(process.join("cmdline")).unwrap_or_default();
    arguments
        .split(|byte| *byte == 0)
        .any(|argument| Path::new(OsStr::from_bytes(argument)).starts_with(work))
}

/// Whether it is certain that a descriptor of another process is the file `wanted`. `None` if it is another one. Into a
/// process of another user, and into one that has given up rights, as apt-get does, root cannot look without
/// `CAP_SYS_PTRACE`, which containers do not have: then its number is all that can be seen.
fn is_the_lock(descriptor: &fs::DirEntry, wanted: &fs::Metadata) -> Option<bool> {
    match fs::metadata(descriptor.path()) {
        Ok(open) => is_one(&open, wanted).then_some(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let is_number = descriptor.file_name().to_str() == Some(FIRST_DESCRIPTOR.to_string().as_str());
            is_number.then_some(false)
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What is left running is ended in tests/suite/killed.rs, with processes of their own: children of other tests in this
    // one inherit the lock.
    #[test]
    fn a_second_one_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let _first = host.occupy("/state", "/work", &|_| ()).unwrap();
        let error = host.occupy("/state", "/work", &|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("another pgsetup installs into "), "{error}");
    }

    #[test]
    fn two_roots_that_share_their_working_directory_are_one_too_many() {
        let one = tempfile::tempdir().unwrap();
        let other = one.path().join("other");
        let occupy = |root: &Path, work: &str| Host::new(root).occupy("/state", work, &|_| ());
        let first = occupy(one.path(), "/other/work").unwrap();
        let error = occupy(&other, "/work").unwrap_err().to_string();
        let words = format!("another pgsetup works in {}", other.join("work").display());
        assert!(
            error.starts_with(&words) && error.contains("sharing=private"),
            "{error}"
        );
        drop(first);
        occupy(&other, "/work").unwrap();
    }
}

//! The machine: the only place that starts processes, opens files, and reads the environment or the network.
//!
//! A [`Host`] is a root directory and the processes that run in it. Paths that the rest of the program speaks of
//! are paths inside the root; `Host` turns them into paths of this machine. Where the root is not `/`, commands
//! run through `chroot`, which like every program is looked up on PATH.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the door to processes, files, environment and clock"
)]

pub mod cmd;
pub mod durable;
pub mod entry;
pub mod environment;
pub mod fs;
pub mod inside;
pub mod local;
pub mod look;
pub mod memory;
pub mod net;
pub mod occupation;
pub mod owner;
pub mod sandbox;
pub mod terminal;
pub mod unread;
pub mod usage;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use cmd::{CommandError, Interrupt, Log};
pub use environment::{variable, variable_with};

/// A root directory and what runs in it.
#[derive(Debug)]
pub struct Host {
    root: PathBuf,
    processes: cmd::Processes,
    since: Instant,
    memory: memory::Memory,
}

impl Host {
    /// A host whose files are below `root`.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            processes: cmd::Processes::default(),
            since: Instant::now(),
            memory: memory::Memory::default(),
        }
    }

    /// The time since this value was made, on a monotonic clock.
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// True when this is the running system, not a tree below some directory.
    pub fn is_system(&self) -> bool {
        self.root == Path::new("/")
    }

    /// True when this is the running system and pgsetup an ordinary user's: what it starts is that user's.
    pub fn is_users_own(&self) -> bool {
        self.is_system() && !is_root()
    }

    /// The path on this machine of `inside`, which is a path inside the root, as it is written: for messages. What is opened
    /// is [`Host::reach`]ed, for a link on the way may lead out of the root.
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let inside = inside.as_ref();
        self.root.join(inside.strip_prefix("/").unwrap_or(inside))
    }

    /// A handle that stops everything which runs here, for a signal handler's thread.
    pub fn interrupt(&self) -> Interrupt {
        self.processes.interrupt()
    }
}

/// Where this machine has a program, by pgsetup's own PATH.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = variable("PATH")?;
    let mut places = path.split(':').map(|directory| Path::new(directory).join(name));
    places.find(|place| place.is_file())
}

/// The time.
pub fn now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

/// A moment, to measure from.
pub fn instant() -> Instant {
    Instant::now()
}

/// The number of processors this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Ends this process at once, whatever its threads are busy with.
pub fn exit(status: u8) -> ! {
    std::process::exit(status.into())
}

/// Gives this process, and every command it starts, the usual mask for new files: what is made does not depend on the
/// shell that pgsetup was called from.
pub fn set_usual_umask() {
    rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
}

/// The path of this program.
pub fn own_program() -> Option<PathBuf> {
    std::env::current_exe().ok()
}

/// The effective user id of this process.
pub fn user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// True when this process may do everything (effective user id 0).
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

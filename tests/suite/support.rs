//! What tests share: running pgsetup.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The longest that a test waits for a state. It is generous, because the machine may be under load.
const DEADLINE: Duration = Duration::from_secs(120);

/// The project's directory.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What pgsetup did.
#[derive(Debug)]
pub struct Ran {
    /// Exit status; -1 when a signal ended it.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("pgsetup writes UTF-8");
        Self {
            status: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

/// A command of pgsetup in the project's directory, with nothing of this machine that changes what it prints.
pub fn command<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgsetup"));
    command
        .args(args)
        .current_dir(project())
        .env_remove("SSL_CERT_FILE")
        .env_remove("PGSETUP_CACHE")
        .env_remove("PGSETUP_JOBS")
        .env_remove("PGSETUP_MIRROR")
        .env_remove("PGSETUP_VENDOR")
        .env("NO_COLOR", "1");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PIP_")) {
        command.env_remove(name);
    }
    command
}

/// Runs pgsetup in the project's directory.
pub fn pgsetup<'a>(args: impl IntoIterator<Item = &'a str>) -> Ran {
    command(args).output().expect("pgsetup starts").into()
}

/// A directory of manifests with these texts.
pub fn manifests(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).expect("a manifest is written");
    }
    directory
}

/// Waits until a condition holds.
#[track_caller]
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < DEADLINE, "this never held: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Does something that must not wait for what never comes.
#[track_caller]
pub fn in_time<T>(what: &str, action: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = action();
    assert!(began.elapsed() < DEADLINE, "too late: {what}");
    done
}

/// Waits until a list is empty.
#[track_caller]
pub fn wait_for_none<T: std::fmt::Debug>(what: &str, list: impl Fn() -> Vec<T>) {
    let began = Instant::now();
    loop {
        let left = list();
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed() < DEADLINE, "still, {what}: {left:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

//! What tests share: running pgsetup, and saying that a test cannot run here.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The project's directory.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What pgsetup did.
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
        .env("NO_COLOR", "1");
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

/// Says that the running test cannot do its work here, and why: it is listed at the end of `make test`. Where
/// `PGSETUP_REQUIRE_ALL=1`, the test fails instead.
pub fn skip(why: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(
        std::env::var("PGSETUP_REQUIRE_ALL").as_deref() != Ok("1"),
        "{name} cannot run here: {why}"
    );
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("skipped");
    let mut list = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .expect("the list of skipped tests");
    list.write_all(format!("{name}: {why}\n").as_bytes())
        .expect("a line in the list of skipped tests");
}

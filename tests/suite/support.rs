//! What tests share: running pgsetup.

use std::path::Path;
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

//! A container of the base in which a script calls the static program, because the program of the tests needs the C library
//! of this machine.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::contract::container::docker;
use crate::support::{Ran, project};

const BASE: &str = "debian:bookworm";

/// Why there can be no such container.
///
/// # Errors
/// The program or the base is missing.
pub fn available() -> Result<(), String> {
    if !project().join("dist/pgsetup").exists() {
        return Err("there is no dist/pgsetup: make pgsetup".to_owned());
    }
    let found = docker(["image", "inspect", "--format", "{{.Id}}", BASE]);
    if found.status != 0 {
        return Err(format!("no image {BASE}: {}", found.err.trim()));
    }
    Ok(())
}

/// A container, which is removed with the value.
pub struct InBase {
    name: String,
}

impl InBase {
    /// A container for `script` with the directory `input` at `place`, and the program at `program`.
    pub fn create(
        what: &str,
        options: &[&str],
        script: &str,
        (input, place): (&Path, &str),
        program: &str,
    ) -> Self {
        let container = Self {
            name: format!("pgsetup-{what}-{}", std::process::id()),
        };
        let name = container.name.as_str();
        let create = ["create", "--name", name].into_iter();
        let create = create.chain(options.iter().copied());
        docker(create.chain([BASE, "bash", "-c", script])).ok();
        let binary = project().join("dist/pgsetup");
        for (from, to) in [(input, place), (binary.as_path(), program)] {
            docker(["cp", from.to_str().unwrap(), &format!("{name}:{to}")]).ok();
        }
        container
    }

    /// Runs the script, for at most so many seconds: more than other tests of containers have, because packages come from an
    /// archive that may be slow.
    pub fn run(&self, seconds: u32) -> Ran {
        let ran = Command::new("timeout")
            .arg(seconds.to_string())
            .args(["docker", "start", "--attach", &self.name])
            .output();
        Ran::from(ran.unwrap())
    }

    /// A copy of some of its paths; what does not exist is left out.
    pub fn copy(&self, paths: &[&str]) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for path in paths {
            docker([
                "cp",
                &format!("{}:{path}", self.name),
                copy.path().to_str().unwrap(),
            ]);
        }
        copy
    }
}

impl Drop for InBase {
    fn drop(&mut self) {
        docker(["rm", "--force", &self.name]);
    }
}

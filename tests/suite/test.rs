//! One installation as a value: what the machine has, how pgsetup is called, and what is expected of it.
//!
//! ```text
//! Test::new()
//!     .extension("alpha", Recipe::new().make(&["false"]))
//!     .args(&["--keep-going"])
//!     .status(6)
//!     .stderr_has("build alpha 1.0 failed")
//!     .run();
//! ```

use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::loopback::Act;
use crate::machine::{Machine, Recipe};
use crate::support::{Ran, wait_for};

/// A test of `pgsetup install`. What is not set has its usual value: no extension, two jobs, exit status 0, nothing
/// expected of the output.
#[must_use = "an installation that does not run tests nothing"]
pub struct Test {
    machine: Machine,
    /// The extensions that the image selects.
    extensions: Vec<String>,
    /// More lines of the image's manifest.
    image: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    status: i32,
    page: Option<String>,
    stderr_has: Vec<String>,
    stderr_lacks: Vec<String>,
}

/// A machine after a test has run on it.
pub struct Tested {
    /// What pgsetup did.
    pub ran: Ran,
    test: Test,
}

impl Test {
    /// A bare machine.
    pub fn new() -> Self {
        Self {
            machine: Machine::new(),
            extensions: Vec::new(),
            image: String::new(),
            args: Vec::new(),
            env: Vec::new(),
            status: 0,
            page: None,
            stderr_has: Vec::new(),
            stderr_lacks: Vec::new(),
        }
    }

    /// Publishes an extension, which the image selects. Its archive is [`Machine::archive`].
    pub fn extension(mut self, name: &str, recipe: Recipe<'_>) -> Self {
        self.machine.extension(name, recipe);
        if !self.extensions.iter().any(|other| other == name) {
            self.extensions.push(name.to_owned());
        }
        self.write_image()
    }

    /// Adds lines to the image's manifest.
    pub fn image(mut self, more: &str) -> Self {
        more.clone_into(&mut self.image);
        self.write_image()
    }

    fn write_image(self) -> Self {
        let extensions: Vec<&str> = self.extensions.iter().map(String::as_str).collect();
        self.machine.image(&extensions, &self.image);
        self
    }

    /// Replaces a text of the image's manifest, which has it.
    #[track_caller]
    pub fn image_with(self, text: &str, other: &str) -> Self {
        let path = self.machine.path("manifests/image.yaml");
        let before = std::fs::read_to_string(&path).expect("the image's manifest");
        assert!(before.contains(text), "no `{text}` in\n{before}");
        std::fs::write(path, before.replace(text, other)).expect("the image's manifest is written");
        self
    }

    /// Sets what the server does when it is asked for the archive of PostgreSQL 18.
    pub fn postgresql(self, acts: &[Act]) -> Self {
        self.machine.postgresql(acts);
        self
    }

    /// Writes a file of the machine.
    pub fn file(self, path: &str, text: &str) -> Self {
        self.machine.write(path, text);
        self
    }

    /// Puts a script on PATH before all other programs. One that it replaces is called with the suffix `-real`.
    pub fn stub(self, name: &str, script: &str) -> Self {
        let path = self.machine.path("bin").join(name);
        if path.exists() {
            let real = self.machine.path("bin").join(format!("{name}-real"));
            std::fs::rename(&path, real).expect("a stub is renamed");
        }
        std::fs::write(&path, script).expect("a stub is written");
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("a stub is made executable");
        self
    }

    /// Adds arguments after `install MANIFESTS`.
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    /// Sets a variable of pgsetup's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Expects this exit status.
    pub fn status(mut self, status: i32) -> Self {
        self.status = status;
        self
    }

    /// Expects this text, which may have wildcards of snapbox, after the last step on standard error. Paragraphs about
    /// skipped steps are left out, because they depend on what had started.
    pub fn stderr(mut self, page: impl Into<String>) -> Self {
        self.page = Some(page.into());
        self
    }

    /// Expects this text somewhere on standard error.
    pub fn stderr_has(mut self, text: impl Into<String>) -> Self {
        self.stderr_has.push(text.into());
        self
    }

    /// Expects that this text is not on standard error.
    pub fn stderr_lacks(mut self, text: impl Into<String>) -> Self {
        self.stderr_lacks.push(text.into());
        self
    }

    /// Installs, and checks what is expected.
    #[track_caller]
    pub fn run(self) -> Tested {
        let ran = self.command().output().expect("pgsetup starts").into();
        self.checked(ran)
    }

    /// Starts to install, sends a signal to pgsetup once a condition holds, waits for its end, and checks what is
    /// expected.
    #[track_caller]
    pub fn signal(self, signal: &str, when: &str, holds: impl Fn(&Machine) -> bool) -> Tested {
        let mut child = self
            .command()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("pgsetup starts");
        wait_for(when, || holds(&self.machine));
        let id = child.id().to_string();
        let kill = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(kill.expect("kill(1) starts").success());
        wait_for("pgsetup ends", || {
            child.try_wait().expect("it can be waited for").is_some()
        });
        let ran = child.wait_with_output().expect("its output").into();
        self.checked(ran)
    }

    fn command(&self) -> Command {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let mut command = self.machine.command(&args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    #[track_caller]
    fn checked(self, ran: Ran) -> Tested {
        self.machine.is_quiet();
        let text = self.machine.neutral(&ran.err);
        assert_eq!(ran.status, self.status, "{}{text}", ran.out);
        for part in &self.stderr_has {
            assert!(text.contains(part), "{text}\nshould have\n{part}");
        }
        for part in &self.stderr_lacks {
            assert!(!text.contains(part), "{text}\nshould not have\n{part}");
        }
        if let Some(expected) = &self.page {
            snapbox::assert_data_eq!(page(&text), expected.clone());
        }
        Tested { ran, test: self }
    }
}

impl Tested {
    /// The next test on the same machine, with the same manifests and no expectations.
    pub fn again(self) -> Test {
        Test {
            args: Vec::new(),
            env: Vec::new(),
            status: 0,
            page: None,
            stderr_has: Vec::new(),
            stderr_lacks: Vec::new(),
            ..self.test
        }
    }
}

impl Deref for Test {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl Deref for Tested {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.test.machine
    }
}

/// The paragraphs that pgsetup itself begins, without those about skipped steps, progress and the table.
pub fn page(text: &str) -> String {
    let mut lines = Vec::new();
    let mut is_told = !text.contains("\npgsetup: ");
    for line in text.trim().lines() {
        let is_progress = ["start  ", "done   ", "FAILED "]
            .iter()
            .any(|word| line.starts_with(word));
        if line.starts_with("pgsetup: ") {
            is_told = !line.starts_with("pgsetup: skipped ");
        } else if line.is_empty() || is_progress {
            is_told = false;
        }
        if is_told {
            lines.push(line);
        }
    }
    lines.join("\n")
}

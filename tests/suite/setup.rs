//! What `make image` and `make test` find missing before they compile anything: `tools/setup.sh` with stub tools on PATH.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ran, project};

/// Programs of the real machine that scripts call.
const REAL: [&str; 16] = [
    "awk", "bash", "cat", "cp", "dirname", "env", "find", "head", "mktemp", "rm", "sed", "sh", "sleep",
    "sort", "timeout", "uname",
];

/// What a machine that lacks nothing has, as shell scripts.
const STUBS: [(&str, &str); 16] = [
    ("make", ""),
    ("cc", "echo /usr/lib/libc.a"),
    ("shellcheck", ""),
    ("shfmt", ""),
    ("codespell", ""),
    ("nginx", ""),
    ("openssl", ""),
    ("python3", ""),
    ("mmdebstrap", ""),
    ("curl", ""),
    ("readelf", ""),
    ("cargo-deny", ""),
    ("id", "echo 1000"),
    ("cargo", "echo cargo 1.200.0"),
    (
        "apt-get",
        "[ $1 != install ] || for name; do cp $PACKAGES/$name/* ${0%/*}/; done 2>$PACKAGES/errors",
    ),
    (
        "apt-cache",
        "[ -e $PACKAGES/$2/version ] && read -r version <$PACKAGES/$2/version && echo \"  Candidate: $version\"",
    ),
];

/// A docker that builds with `BuildKit` as soon as `engine` exists beside it, and has the base image.
const DOCKER: &str = "[ $1 != build ] || cat >/dev/null
[ -e ${0%/*}/engine ] || { echo cannot connect to the engine >&2; exit 1; }";

/// A machine: a directory that is all of its PATH, and one of packages for apt. It begins with everything but an engine.
struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
        };
        std::fs::create_dir(machine.path("bin")).unwrap();
        std::fs::create_dir(machine.path("packages")).unwrap();
        std::fs::write(machine.path("ca.pem"), "certificates").unwrap();
        for name in REAL {
            let path = std::env::var("PATH").unwrap();
            let real = path
                .split(':')
                .map(|directory| Path::new(directory).join(name))
                .find(|path| path.exists());
            symlink(real.expect(name), machine.path("bin").join(name)).unwrap();
        }
        for (name, script) in STUBS {
            machine.has(name, script);
        }
        machine
    }

    fn as_root() -> Self {
        let machine = Self::new();
        machine.has("id", "echo 0");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts a program on PATH that notes how it is called.
    fn has(&self, name: &str, script: &str) {
        self.stub(&self.path("bin").join(name), script);
    }

    /// Another process writes the file: one that this process has open for writing cannot be executed if another test
    /// starts a program meanwhile.
    fn stub(&self, path: &Path, script: &str) {
        let log = self.path("log");
        let text = format!(
            "#!/bin/bash\necho \"${{0##*/}} $*\" >>{}\n{script}\n",
            log.display()
        );
        let written = Command::new("sh")
            .args([
                "-c",
                "rm -f \"$0\" && printf %s \"$1\" >\"$0\" && chmod 755 \"$0\"",
            ])
            .arg(path)
            .arg(text)
            .status();
        assert!(written.is_ok_and(|status| status.success()), "{}", path.display());
    }

    fn lacks(&self, names: &[&str]) {
        for name in names {
            std::fs::remove_file(self.path("bin").join(name)).unwrap();
        }
    }

    /// Gives apt a package with one program.
    fn package(&self, name: &str, version: &str, program: &str, script: &str) {
        let directory = self.path("packages").join(name);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("version"), format!("{version}\n")).unwrap();
        self.stub(&directory.join(program), script);
    }

    fn has_engine(&self) {
        self.has("docker", DOCKER);
        std::fs::write(self.path("bin/engine"), "").unwrap();
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(project())
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("PACKAGES", self.path("packages"))
            .env("SSL_CERT_FILE", self.path("ca.pem"));
        command
    }

    fn setup(&self, target: &str) -> Ran {
        self.command("tools/setup.sh", &[target])
            .output()
            .expect("it starts")
            .into()
    }

    /// The calls of stubs that begin with `start`.
    fn calls(&self, start: &str) -> Vec<String> {
        let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines()
            .filter(|line| line.starts_with(start))
            .map(str::to_owned)
            .collect()
    }
}

#[test]
fn a_complete_machine_is_left_alone() {
    let machine = Machine::as_root();
    machine.has_engine();
    for target in [
        "compile", "lint", "base", "image", "test", "bench", "release", "audit",
    ] {
        let ran = machine.setup(target);
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{target}");
    }
    assert_eq!(machine.calls("apt-get"), Vec::<String>::new());
}

#[test]
fn root_gets_the_missing_packages_installed() {
    let machine = Machine::as_root();
    machine.lacks(&["shellcheck", "codespell"]);
    machine.package("shellcheck", "1", "shellcheck", "");
    machine.package("codespell", "2", "codespell", "");
    let ran = machine.setup("lint");
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (0, "setup: installing shellcheck codespell\n")
    );
    let install = "apt-get install --yes --quiet --no-install-recommends shellcheck codespell";
    assert_eq!(machine.calls("apt-get"), ["apt-get update --quiet", install]);
}

#[test]
fn other_users_get_one_line_with_the_command() {
    let machine = Machine::new();
    machine.lacks(&["shellcheck", "shfmt", "nginx"]);
    let ran = machine.setup("test");
    let line = "setup: missing shellcheck, shfmt, nginx; \
                install with: sudo apt-get install --no-install-recommends shellcheck shfmt nginx-light\n";
    assert_eq!((ran.status, ran.err.as_str()), (1, line));
    assert_eq!(machine.calls("apt-get"), Vec::<String>::new());
}

#[test]
fn without_apt_the_line_names_debians_packages() {
    let machine = Machine::as_root();
    machine.lacks(&["apt-get", "apt-cache", "shfmt"]);
    let ran = machine.setup("lint");
    let line = "setup: missing shfmt; install with: your package manager (Debian's packages: shfmt)\n";
    assert_eq!((ran.status, ran.err.as_str()), (1, line));
}

#[test]
fn what_apt_cannot_install_is_named() {
    let machine = Machine::as_root();
    machine.lacks(&["shfmt", "codespell"]);
    machine.package("codespell", "2", "codespell", "");
    let ran = machine.setup("lint");
    assert_eq!(ran.status, 1);
    let line = "setup: missing shfmt; install with: sudo apt-get install --no-install-recommends shfmt";
    assert_eq!(ran.err.lines().last(), Some(line));
}

#[test]
fn what_is_no_program_is_found_as_well() {
    let machine = Machine::new();
    machine.has("cc", "echo libc.a");
    machine.has("python3", "exit 1");
    std::fs::write(machine.path("ca.pem"), "").unwrap();
    let ran = machine.setup("test");
    assert!(
        ran.err
            .starts_with("setup: missing libc.a, ca-certificates.crt, python3-venv; "),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains(" libc6-dev ca-certificates python3-venv\n"),
        "{}",
        ran.err
    );
}

#[test]
fn an_old_rust_is_replaced_by_a_package_that_is_new_enough() {
    let old = |machine: &Machine| {
        machine.has("cargo", "echo cargo 1.63.0");
        machine.package("cargo", "1.63.0", "cargo", "");
    };
    let machine = Machine::as_root();
    old(&machine);
    machine.package("cargo-web", "1.200.0+dfsg1", "cargo", "echo cargo 1.200.0");
    let ran = machine.setup("lint");
    let line = "setup: installing cargo-web rustc-web rustfmt-web rust-web-clippy\n";
    assert_eq!((ran.status, ran.err.as_str()), (0, line));

    // Where no package is new enough, rustup is.
    let machine = Machine::as_root();
    old(&machine);
    let ran = machine.setup("compile");
    assert_eq!(ran.status, 1);
    assert!(
        ran.err.contains(" (here is 1.63.0); install with: curl "),
        "{}",
        ran.err
    );
    assert!(ran.err.ends_with("https://sh.rustup.rs | sh\n"), "{}", ran.err);

    let machine = Machine::as_root();
    old(&machine);
    machine.has("rustup", "");
    let ran = machine.setup("compile");
    let line = "install with: rustup update stable && rustup component add rustfmt clippy\n";
    assert!(ran.status == 1 && ran.err.ends_with(line), "{}", ran.err);
}

#[test]
fn without_an_engine_tests_of_the_image_are_ignored() {
    let machine = Machine::new();
    let ran = machine.setup("test");
    let line = "setup: there is no container engine: the tests of the image are ignored\n";
    assert_eq!((ran.status, ran.err.as_str()), (0, line));

    machine.has("docker", DOCKER);
    let ran = machine.setup("test");
    let line = "setup: no container engine answers (cannot connect to the engine): the tests of the image are ignored\n";
    assert_eq!((ran.status, ran.err.as_str()), (0, line));

    let ran: Ran = machine
        .command("tools/setup.sh", &["test"])
        .env("PGSETUP_REQUIRE_ALL", "1")
        .output()
        .unwrap()
        .into();
    let line = "setup: no container engine answers (cannot connect to the engine)\n";
    assert_eq!((ran.status, ran.err.as_str()), (1, line));
}

#[test]
fn an_image_needs_an_engine() {
    let machine = Machine::new();
    let ran = machine.setup("image");
    let line =
        "setup: missing docker; install with: sudo apt-get install --no-install-recommends docker.io\n";
    assert_eq!((ran.status, ran.err.as_str()), (1, line));

    machine.has("docker", &format!("[ $1 != build ] || exit 1\n{DOCKER}"));
    std::fs::write(machine.path("bin/engine"), "").unwrap();
    let ran = machine.setup("image");
    let line = "setup: docker cannot build with BuildKit (install docker-buildx)\n";
    assert_eq!((ran.status, ran.err.as_str()), (1, line));
}

#[test]
fn root_gets_the_engine_installed_and_started() {
    for target in ["image", "test"] {
        let machine = Machine::as_root();
        machine.package("docker.io", "20", "docker", DOCKER);
        machine.package("docker-buildx", "0.13", "buildx", "");
        machine.has("service", ": >${0%/*}/engine");
        let ran = machine.setup(target);
        let line = "setup: installing docker.io docker-buildx\n";
        assert_eq!((ran.status, ran.err.as_str()), (0, line), "{target}");
        assert_eq!(machine.calls("service"), ["service docker start"]);
    }
}

#[test]
fn a_base_that_cannot_be_pulled_needs_mmdebstrap() {
    let machine = Machine::new();
    machine.lacks(&["mmdebstrap"]);
    machine.has_engine();
    assert_eq!(machine.setup("image").status, 0);

    machine.has(
        "docker",
        &format!("[ $1 != image ] && [ $1 != pull ] || exit 1\n{DOCKER}"),
    );
    let ran = machine.setup("image");
    assert_eq!(ran.status, 1);
    let line =
        "setup: missing mmdebstrap; install with: sudo apt-get install --no-install-recommends mmdebstrap";
    assert_eq!(ran.err.lines().last(), Some(line));
}

#[test]
fn nothing_is_compiled_before_all_is_there() {
    for target in ["image", "test", "lint", "pgsetup"] {
        let machine = Machine::new();
        machine.lacks(&["make", "shfmt", "cc"]);
        let real = std::env::var("PATH").unwrap();
        let real = real.split(':').map(|directory| Path::new(directory).join("make"));
        symlink(
            real.into_iter().find(|path| path.exists()).expect("make"),
            machine.path("bin/make"),
        )
        .unwrap();
        let ran: Ran = machine.command("make", &[target]).output().unwrap().into();
        assert!(
            ran.status == 2 && ran.err.starts_with("setup: missing "),
            "{target}: {}",
            ran.err
        );
        let calls = machine.calls("cargo");
        assert!(
            calls.iter().all(|call| call.ends_with("--version")),
            "{target}: {calls:?}"
        );
    }
}

//! The commands that install Patroni: pure functions.
//!
//! Patroni's environment holds nothing but its distributions, so neither pip nor setuptools: pip runs from the
//! wheel that Debian ships (python3-pip-whl), with Debian's own interpreter, and works on the environment from the
//! outside.

use super::DistributionFetch;
use crate::command::Command;
use crate::layout;
use crate::resolve::{Distribution, Patroni, Postgresql};

fn below_work(name: &str) -> String {
    format!("{}/{name}", layout::WORK)
}

/// pip with the interpreter of the manifest. The wheel's name has its version, which is Debian's to choose; a shell
/// finds it. `-I` keeps the environment's variables and the working directory out of Python.
fn pip(patroni: &Patroni, args: &[&str]) -> Command {
    // What is inside of the wheel is no file, so only the wheel's own name can be a pattern.
    let script =
        "for wheel in /usr/share/python-wheels/pip-*.whl; do exec \"$0\" -I \"$wheel/pip\" \"$@\"; done";
    let common = ["--disable-pip-version-check", "--no-input", "--no-cache-dir"];
    Command::new("sh", ["-c", script, &patroni.interpreter])
        .args(common)
        .args(args.iter().copied())
}

/// Building psycopg asks the `pg_config` of the server that was built, and links to its libpq. pip compiles in a
/// directory whose name it draws by lot, which symbols for debuggers, and with them the build id, would contain.
fn with_server(command: Command, postgresql: &Postgresql) -> Command {
    command
        .env("CFLAGS", "-g0")
        .env(
            "LDFLAGS",
            format!("-Wl,-rpath,{}", postgresql.library_directory()),
        )
        .env(
            "PATH",
            format!("{}/bin:/usr/sbin:/usr/bin:/sbin:/bin", postgresql.prefix()),
        )
}

/// A requirements file with the digest of every distribution.
pub fn requirements<'d>(distributions: impl IntoIterator<Item = &'d Distribution>) -> String {
    let line = |d: &Distribution| format!("{}=={} --hash=sha256:{}\n", d.name, d.version, d.sha256);
    distributions.into_iter().map(line).collect()
}

/// Downloads what is not at hand. pip reads the metadata of an archive, for which psycopg's asks `pg_config`.
pub fn fetch(patroni: &Patroni, postgresql: &Postgresql) -> DistributionFetch {
    let (directory, requirements) = (
        below_work("distributions"),
        below_work("missing-requirements.txt"),
    );
    let certificates = below_work("certificates.pem");
    let download = pip(
        patroni,
        &[
            "download",
            "--no-deps",
            "--no-build-isolation",
            "--require-hashes",
        ],
    )
    .args([
        "--dest",
        &directory,
        "--requirement",
        &requirements,
        "--cert",
        &certificates,
    ]);
    DistributionFetch {
        component: patroni.component.slug(),
        distributions: patroni.distributions.clone(),
        directory,
        requirements,
        certificates,
        commands: vec![with_server(download, postgresql)],
    }
}

/// How Patroni's environment is made.
pub struct Installation {
    /// Files that are written for the commands: path and text.
    pub files: Vec<(String, String)>,
    /// What is run.
    pub commands: Vec<Command>,
}

/// Installs Patroni from the files that were fetched, without a connection: archives become wheels first, which
/// wants Debian's setuptools, and then only wheels are installed.
///
/// An environment knows its own path, and it is staged like everything that is built: so its real place holds a
/// link into the stage while it is made.
pub fn installation(patroni: &Patroni, postgresql: &Postgresql) -> Installation {
    let (files, wheels) = (below_work("distributions"), below_work("wheels"));
    let requirements = below_work("requirements.txt");
    let environment = &patroni.directory;
    let staged = format!("{}{environment}", layout::stage(&patroni.component.slug()));
    let above = staged
        .rsplit_once('/')
        .map_or(staged.as_str(), |(above, _)| above);
    let interpreter = format!("{environment}/bin/python");
    let wheel = pip(
        patroni,
        &[
            "wheel",
            "--no-index",
            "--no-deps",
            "--no-build-isolation",
            "--require-hashes",
        ],
    )
    .args([
        "--find-links",
        &files,
        "--wheel-dir",
        &wheels,
        "--requirement",
        &requirements,
    ]);
    let install = pip(
        patroni,
        &[
            "--python",
            &interpreter,
            "install",
            "--no-index",
            "--no-deps",
            "--no-compile",
        ],
    )
    .args(["--find-links", &wheels])
    .args(
        patroni
            .distributions
            .iter()
            .map(|d| format!("{}=={}", d.name, d.version)),
    );
    let mut commands = vec![
        with_server(wheel, postgresql),
        // What an interrupted installation has left.
        Command::new("rm", ["--recursive", "--force", environment]),
        Command::new(&patroni.interpreter, ["-m", "venv", "--without-pip", environment]),
        Command::new("mkdir", ["--parents", above]),
        Command::new("mv", [environment, &staged]),
        Command::new("ln", ["--symbolic", &staged, environment]),
        install,
    ];
    if !patroni.imports.is_empty() {
        let imports: Vec<String> = patroni
            .imports
            .iter()
            .map(|module| format!("import {module}"))
            .collect();
        commands.push(Command::new(&interpreter, ["-c", &imports.join("; ")]));
    }
    commands.push(Command::new("rm", [environment]));
    Installation {
        files: vec![(requirements, self::requirements(&patroni.distributions))],
        commands,
    }
}

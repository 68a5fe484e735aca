//! The commands that install Patroni: pure functions.
//!
//! Patroni's environment contains its distributions only, and so neither pip nor setuptools. pip runs from Debian's
//! wheel (python3-pip-whl) with Debian's interpreter and works on the environment from outside.

use std::path::Path;

use super::DistributionFetch;
use crate::command::Command;
use crate::layout;
use crate::resolve::{Distribution, Patroni, Postgresql};

fn below_work(name: &str) -> String {
    format!("{}/{name}", layout::WORK)
}

/// pip with the manifest's interpreter. A shell finds the wheel, because its name contains the version that Debian
/// ships. `-I` makes Python ignore environment variables and the working directory.
fn pip(patroni: &Patroni, args: &[&str]) -> Command {
    // A path inside the wheel is not a file, so only the wheel's own name can be a pattern.
    let script =
        "for wheel in /usr/share/python-wheels/pip-*.whl; do exec \"$0\" -I \"$wheel/pip\" \"$@\"; done";
    let common = ["--disable-pip-version-check", "--no-input", "--no-cache-dir"];
    Command::new("sh", ["-c", script, &patroni.interpreter])
        .args(common)
        .args(args.iter().copied())
}

/// The environment for building psycopg, which asks the `pg_config` of the built server and links to its libpq. pip
/// compiles in a randomly named directory, which debug symbols, and so the build id, would contain.
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
fn requirements<'d>(distributions: impl IntoIterator<Item = &'d Distribution>) -> String {
    let line = |d: &Distribution| format!("{}=={} --hash=sha256:{}\n", d.name, d.version, d.sha256);
    distributions.into_iter().map(line).collect()
}

/// The wheels, which are installed directly, and the archives, which become wheels first.
fn by_kind(patroni: &Patroni) -> (Vec<Distribution>, Vec<Distribution>) {
    let distributions = patroni.distributions.iter().cloned();
    distributions.partition(|distribution| {
        let kind = Path::new(&distribution.file).extension();
        kind.is_some_and(|kind| kind == "whl")
    })
}

/// The files of wheels and of archives.
pub fn fetches(patroni: &Patroni) -> [DistributionFetch; 2] {
    let fetch = |directory: &str, distributions: Vec<Distribution>| DistributionFetch {
        component: patroni.component.slug(),
        distributions,
        directory: below_work(directory),
    };
    let (wheels, archives) = by_kind(patroni);
    [fetch(WHEELS, wheels), fetch(ARCHIVES, archives)]
}

/// Directories for fetched files, and for the wheels that archives become.
const WHEELS: &str = "wheels";
const ARCHIVES: &str = "archives";
const BUILT: &str = "built-wheels";

/// A part of the installation of Patroni's environment.
#[derive(Debug, Default)]
pub struct Installation {
    /// Directories besides its stage that its commands write to.
    pub writable: Vec<String>,
    /// Files that are written for the commands: path and text.
    pub files: Vec<(String, String)>,
    /// The commands.
    pub commands: Vec<Command>,
}

/// Installs Patroni from fetched files, offline, in two parts. The first makes an environment from wheels, which needs
/// only Python. The second builds wheels from archives and installs them, which needs Debian's setuptools and the
/// server.
///
/// An environment contains its own path, but is staged like everything that is built. Its real path is therefore a
/// link into the stage while it is made.
pub fn installation(patroni: &Patroni, postgresql: &Postgresql) -> [Installation; 2] {
    let environment = &patroni.directory;
    let staged = format!("{}{environment}", layout::stage(&patroni.component.slug()));
    let above = staged
        .rsplit_once('/')
        .map_or(staged.as_str(), |(above, _)| above);
    let mut first = Installation {
        commands: vec![
            // An interrupted installation may have left the link.
            Command::new("rm", ["--recursive", "--force", environment]).own(),
            Command::new(&patroni.interpreter, ["-m", "venv", "--without-pip", environment]).own(),
            Command::new("mkdir", ["--parents", above]).own(),
            Command::new("mv", [environment, &staged]).own(),
            Command::new("ln", ["--symbolic", &staged, environment]).own(),
        ],
        ..Installation::default()
    };
    let (wheels, archives) = by_kind(patroni);
    if !wheels.is_empty() {
        let list = below_work("wheels.txt");
        first
            .commands
            .push(install(patroni, WHEELS).args(["--require-hashes", "--requirement", &list]));
        first.files.push((list, requirements(&wheels)));
    }
    let mut second = Installation::default();
    if !archives.is_empty() {
        let list = below_work("archives.txt");
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
            &below_work(ARCHIVES),
            "--wheel-dir",
            &below_work(BUILT),
            "--requirement",
            &list,
        ]);
        let names = archives.iter().map(|d| format!("{}=={}", d.name, d.version));
        second.commands.extend([
            with_server(wheel, postgresql),
            install(patroni, BUILT).args(names),
        ]);
        second.files.push((list, requirements(&archives)));
        second.writable.push(below_work(BUILT));
    }
    if !patroni.imports.is_empty() {
        let imports: Vec<String> = patroni
            .imports
            .iter()
            .map(|module| format!("import {module}"))
            .collect();
        let interpreter = format!("{environment}/bin/python");
        second
            .commands
            .push(Command::new(&interpreter, ["-c", &imports.join("; ")]));
    }
    second.commands.push(Command::new("rm", [environment]).own());
    [first, second]
}

/// pip installs the wheels of a directory into the environment.
fn install(patroni: &Patroni, directory: &str) -> Command {
    let interpreter = format!("{}/bin/python", patroni.directory);
    pip(patroni, &["--python", &interpreter, "install"])
        .args(["--no-index", "--no-deps", "--no-compile", "--find-links"])
        .arg(below_work(directory))
}

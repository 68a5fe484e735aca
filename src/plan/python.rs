//! The commands that install Patroni: pure functions.
//!
//! Patroni's environment holds nothing but its distributions, so neither pip nor setuptools: both work from a
//! second environment, which is thrown away with everything else in [`layout::WORK`].

use super::{DistributionFetch, PatroniInstallation};
use crate::command::Command;
use crate::layout;
use crate::manifest::image::Prune;
use crate::resolve::{Distribution, Patroni, Postgresql};

fn below_work(name: &str) -> String {
    format!("{}/{name}", layout::WORK)
}

/// The interpreter of the environment that builds; it sees Debian's setuptools and wheel.
fn builder() -> String {
    below_work("python/bin/python")
}

/// Makes the environment that downloads and builds.
pub fn build_environment(patroni: &Patroni) -> Command {
    Command::new(&patroni.interpreter, ["-m", "venv", "--system-site-packages"]).arg(below_work("python"))
}

fn pip(command: &str) -> Command {
    Command::new(
        &builder(),
        ["-m", "pip", command, "--no-input", "--no-cache-dir", "--no-deps"],
    )
}

/// A requirements file with the digest of every distribution.
pub fn requirements<'d>(distributions: impl IntoIterator<Item = &'d Distribution>) -> String {
    let line = |d: &Distribution| format!("{}=={} --hash=sha256:{}\n", d.name, d.version, d.sha256);
    distributions.into_iter().map(line).collect()
}

/// Downloads what is not at hand.
pub fn fetch(patroni: &Patroni) -> DistributionFetch {
    let (directory, requirements) = (
        below_work("distributions"),
        below_work("missing-requirements.txt"),
    );
    let certificates = below_work("certificates.pem");
    let download = pip("download")
        .args([
            "--no-build-isolation",
            "--require-hashes",
            "--dest",
            &directory,
            "--requirement",
            &requirements,
        ])
        .env("PIP_CERT", &certificates);
    DistributionFetch {
        distributions: patroni.distributions.clone(),
        directory,
        requirements,
        certificates,
        commands: vec![download],
    }
}

/// Installs Patroni from the files that were fetched, without a connection. `PATH` has the `pg_config` of the
/// server that was built, whose libpq psycopg links to.
pub fn installation(patroni: &Patroni, postgresql: &Postgresql, prune: &Prune) -> PatroniInstallation {
    let (files, wheels) = (below_work("distributions"), below_work("wheels"));
    let requirements = below_work("requirements.txt");
    let environment = &patroni.directory;
    let wheel = pip("wheel")
        .args(["--no-index", "--no-build-isolation", "--require-hashes"])
        .args([
            "--find-links",
            &files,
            "--wheel-dir",
            &wheels,
            "--requirement",
            &requirements,
        ])
        .env(
            "LDFLAGS",
            format!("-Wl,-rpath,{}", postgresql.library_directory()),
        )
        .env(
            "PATH",
            format!("{}/bin:/usr/sbin:/usr/bin:/sbin:/bin", postgresql.prefix()),
        );
    let names = patroni
        .distributions
        .iter()
        .map(|d| format!("{}=={}", d.name, d.version));
    let install = Command::new(&builder(), ["-m", "pip", "--python"])
        .arg(format!("{environment}/bin/python"))
        .args([
            "install",
            "--no-input",
            "--no-cache-dir",
            "--no-deps",
            "--no-index",
            "--no-compile",
        ])
        .args(["--find-links", &wheels])
        .args(names);
    let mut commands = vec![
        wheel,
        Command::new(&patroni.interpreter, ["-m", "venv", "--without-pip", environment]),
        install,
    ];
    if !patroni.imports.is_empty() {
        let imports: Vec<String> = patroni
            .imports
            .iter()
            .map(|module| format!("import {module}"))
            .collect();
        commands.push(Command::new(
            &format!("{environment}/bin/python"),
            ["-c", &imports.join("; ")],
        ));
    }
    PatroniInstallation {
        component: patroni.component.slug(),
        directory: environment.clone(),
        requirements: (requirements, self::requirements(&patroni.distributions)),
        commands,
        prune: prune.clone(),
    }
}

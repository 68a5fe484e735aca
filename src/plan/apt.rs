//! The command lines of apt.

use crate::command::Command;

/// With every change of packages: a layer that is cut off is thrown away, so dpkg need not wait for the disk after each
/// file, and its output goes to a log.
const DPKG: [&str; 4] = ["-o", "Dpkg::Options::=--force-unsafe-io", "-o", "Dpkg::Use-Pty=0"];
/// Asks the same question of dpkg every time: a configuration file that is there is kept.
const KEEP_CONFIGURATION: [&str; 2] = ["-o", "Dpkg::Options::=--force-confold"];
/// What becomes superfluous is not apt's to remove.
const KEEP_PACKAGES: [&str; 2] = ["-o", "APT::Get::AutomaticRemove=false"];

fn apt_get(words: &[&str]) -> Command {
    Command::new("apt-get", words.iter().copied())
}

/// Updates the lists of packages, without the descriptions in many languages, which are never read.
pub fn update_package_lists() -> Command {
    apt_get(&[
        "update",
        "--quiet",
        "--error-on=any",
        "-o",
        "Acquire::Languages=none",
    ])
}

/// Asks apt what an installation of all these packages would bring.
pub(super) fn simulated_installation<'p>(packages: impl Iterator<Item = &'p str>) -> Command {
    apt_get(&[
        "install",
        "--simulate",
        "--quiet",
        "--no-install-recommends",
        "--",
    ])
    .args(packages.map(str::to_owned))
}

/// Installs packages.
pub(super) fn install_packages(names: &[String]) -> Command {
    apt_get(&["install", "--yes", "--quiet", "--no-install-recommends"])
        .args(KEEP_CONFIGURATION)
        .args(DPKG)
        .arg("--")
        .args(names.iter().cloned())
}

/// Completes packages of which dpkg was stopped half-way.
pub fn complete_packages() -> Command {
    apt_get(&[
        "install",
        "--yes",
        "--quiet",
        "--fix-broken",
        "--no-install-recommends",
    ])
    .args(KEEP_PACKAGES)
    .args(KEEP_CONFIGURATION)
    .args(DPKG)
}

/// Removes packages, as `words` have it.
pub fn remove_packages(words: &[&str], packages: &[&str]) -> Command {
    apt_get(&["-qq"])
        .args(KEEP_PACKAGES)
        .args(DPKG)
        .args(words.iter().copied())
        .arg("--")
        .args(packages.iter().copied())
}

//! The command lines of apt.

use crate::command::Command;
use crate::digest::Sha256;
use crate::layout;
use crate::locked::TargetLock;

/// Options of every change of packages. dpkg need not wait for the disk after each file, because an interrupted layer
/// is thrown away. Its output goes to a log.
const DPKG: [&str; 4] = ["-o", "Dpkg::Options::=--force-unsafe-io", "-o", "Dpkg::Use-Pty=0"];
/// Answers dpkg's question about an existing configuration file: it is kept.
const KEEP_CONFIGURATION: [&str; 2] = ["-o", "Dpkg::Options::=--force-confold"];
/// Keeps packages that are no longer required; pgsetup itself decides what to remove.
const KEEP_PACKAGES: [&str; 2] = ["-o", "APT::Get::AutomaticRemove=false"];

fn apt_get(words: &[&str]) -> Command {
    Command::new("apt-get", words.iter().copied())
}

/// Updates the package lists, without translated descriptions, which are never read.
pub fn update_package_lists() -> Command {
    apt_get(&[
        "update",
        "--quiet",
        "--error-on=any",
        "-o",
        "Acquire::Languages=none",
    ])
}

/// apt's configuration for the archive of locked packages.
fn configuration() -> String {
    format!("{}/apt.conf", layout::LOCKED)
}

/// The command with the archive of locked packages as the only one.
pub(super) fn with_locked(mut command: Command) -> Command {
    command
        .args
        .insert(0, format!("--config-file={}", configuration()));
    command
}

/// The files of the archive of locked packages, besides the packages: path and text. Its index has the digests of the lock,
/// so apt trusts it without a signature.
pub fn locked_archive(lock: &TargetLock) -> Vec<(String, String)> {
    let directory = layout::LOCKED;
    let configuration_text = format!(
        "Dir::Etc::SourceList \"{directory}/sources.list\";\nDir::Etc::SourceParts \"/dev/null\";\n\
         Dir::State::Lists \"{directory}/lists\";\nAPT::Sandbox::User \"root\";\n"
    );
    let index = lock.index();
    // Without it, apt asks for the index in every compression first. Its time is not looked at.
    let release = format!(
        "Date: Thu, 01 Jan 1970 00:00:00 +0000\nSHA256:\n {} {} Packages\n",
        Sha256::of(index.as_bytes()),
        index.len()
    );
    vec![
        (configuration(), configuration_text),
        (format!("{directory}/Release"), release),
        (
            format!("{directory}/sources.list"),
            format!("deb [trusted=yes] file:{directory} ./\n"),
        ),
        (format!("{directory}/Packages"), index),
    ]
}

/// Asks apt what an installation of all these packages would install.
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

pub(super) fn install_packages(names: &[String]) -> Command {
    apt_get(&["install", "--yes", "--quiet", "--no-install-recommends"])
        .args(KEEP_CONFIGURATION)
        .args(DPKG)
        .arg("--")
        .args(names.iter().cloned())
}

/// Completes packages whose installation dpkg did not finish.
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

/// Removes packages. `words` is apt's subcommand with its options.
pub fn remove_packages(words: &[&str], packages: &[&str]) -> Command {
    apt_get(&["-qq"])
        .args(KEEP_PACKAGES)
        .args(DPKG)
        .args(words.iter().copied())
        .arg("--")
        .args(packages.iter().copied())
}

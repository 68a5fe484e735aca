//! Repairs the state that a killed installation left in package and user tools, before anything else is done.
//!
//! dpkg's database records interrupted operations. Packages that were being configured are configured. apt installs
//! packages again that were being unpacked or removed, as it does by itself after an interruption.

use std::collections::BTreeMap;

use crate::command::Command;
use crate::debian::dpkg::Dpkg;
use crate::debian::states::Condition;
use crate::failure::{Cause, Failure};
use crate::host::entry::TEMPORARY;
use crate::host::{Host, Log};
use crate::plan::apt;

/// How many packages a message names.
const MAX_NAMES: usize = 6;
/// The endings of temporary file names of dpkg and update-alternatives.
const UNFINISHED_ENDINGS: [&str; 2] = [".dpkg-new", ".dpkg-tmp"];
/// Temporary files of other tools: directory, beginning and end of the name.
const UNFINISHED_FILES: [(&str, &str, &str); 14] = [
    ("/etc", "group+", ""),
    ("/etc", "gshadow+", ""),
    ("/etc", "ld.so.cache~", ""),
    ("/etc", "passwd+", ""),
    ("/etc", "shadow+", ""),
    ("/etc", "subgid+", ""),
    ("/etc", "subuid+", ""),
    ("/usr/lib/locale", "locale-archive.", ""),
    ("/var/cache/debconf", "", "-new"),
    ("/var/cache/ldconfig", "aux-cache~", ""),
    ("/var/lib/apt", "extended_states.", ""),
    ("/var/lib/dpkg", "", "-new"),
    ("/var/lib/dpkg", "reassemble", ".deb"),
    ("/var/lib/dpkg", "tmp.ci", ""),
];
/// Files of /etc that the shadow tools lock, each by `NAME.lock`, which is a link to `NAME.PID`.
pub const ACCOUNTS: [&str; 6] = ["passwd", "group", "shadow", "gshadow", "subuid", "subgid"];

/// The packages with an interrupted operation of dpkg.
///
/// # Errors
/// dpkg's database cannot be read.
pub fn unsettled(host: &Host) -> anyhow::Result<Vec<String>> {
    let conditions = host.conditions()?;
    let unsettled = conditions
        .into_iter()
        .filter(|(_, condition)| condition.is_unsettled());
    Ok(unsettled.map(|(name, _)| name).collect())
}

/// Completes interrupted operations of dpkg. Returns the packages that were affected. `say` gets a line about it.
///
/// # Errors
/// dpkg or apt cannot repair them.
pub fn packages(host: &Host, log: &Log, say: &dyn Fn(&str)) -> Result<Vec<String>, Failure> {
    let cut_off = unsettled(host)?;
    if cut_off.is_empty() && !host.has_journal()? {
        return Ok(cut_off);
    }
    say(&format!(
        "dpkg was interrupted here; repairing {}",
        names(&cut_off)
    ));
    let dpkg = ["--force-confold", "--force-unsafe-io", "--configure", "--pending"];
    let configure = Command::new("dpkg", dpkg);
    // This fails if a package depends on a half-installed one, which is repaired next.
    match host.run(&configure, log) {
        Err(error) if error.interrupted => return Err(error.into()),
        _ => {}
    }
    if !unsettled(host)?.is_empty() {
        // The lists may be removed or out of date.
        host.run(&apt::update_package_lists(), log)?;
        host.run(&apt::complete_packages(), log)?;
    }
    let left = unsettled(host)?;
    if left.is_empty() {
        return Ok(cut_off);
    }
    Err(Failure::new(
        Cause::Internal,
        format_args!(
            "dpkg was interrupted here and could not be repaired: {}\n  log: {}\n  hint: `dpkg --audit` says what is \
             wrong with each",
            names(&left),
            log.path().display()
        ),
    ))
}

/// The names of packages for a message, at most [`MAX_NAMES`] of them.
pub fn names(packages: &[String]) -> String {
    let shown = packages
        .iter()
        .take(MAX_NAMES)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match packages.len() {
        0 => "its database".to_owned(),
        count if count > MAX_NAMES => format!("{shown} and {} more", count - MAX_NAMES),
        _ => shown,
    }
}

/// Reverts the selections of a killed purge. Packages that were removed without their configuration are purged, and
/// packages that are still installed are selected again. `before` has the conditions before that installation.
///
/// # Errors
/// dpkg's database cannot be read, or dpkg fails.
pub fn selections(host: &Host, log: &Log, before: &BTreeMap<String, Condition>) -> Result<(), Failure> {
    let mut half_purged = Vec::new();
    let mut unwanted = Vec::new();
    for (name, condition) in host.conditions()? {
        if before.get(&name) == Some(&condition) {
            continue;
        }
        match (condition.state.as_str(), condition.want.as_str()) {
            ("config-files", _) => half_purged.push(name),
            ("installed", "deinstall" | "purge") => unwanted.push(name),
            _ => {}
        }
    }
    if !half_purged.is_empty() {
        let purge = Command::new("dpkg", ["--force-unsafe-io", "--purge"]);
        host.run(&purge.args(half_purged), log)?;
    }
    if !unwanted.is_empty() {
        let mut select = Command::new("dpkg", ["--set-selections"]);
        select.input = Some(unwanted.iter().map(|name| format!("{name} install\n")).collect());
        host.run(&select, log)?;
    }
    Ok(())
}

/// Removes temporary files of pgsetup, anywhere in the root, and those of package and user tools.
///
/// # Errors
/// The root cannot be read, or a file cannot be removed.
pub fn files(host: &Host, dpkg: &Dpkg) -> Result<(), Failure> {
    let mut paths = Vec::new();
    host.walk(&[], &mut |path, _| {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_unfinished =
            name.starts_with(TEMPORARY) || UNFINISHED_ENDINGS.iter().any(|ending| name.ends_with(ending));
        if is_unfinished && dpkg.owner(path).is_none() {
            paths.push(path.to_owned());
        }
        Ok(())
    })?;
    for (directory, beginning, ending) in UNFINISHED_FILES {
        for name in host.names(directory)? {
            if name.starts_with(beginning) && name.ends_with(ending) && name.len() > ending.len() {
                paths.push(format!("{directory}/{name}"));
            }
        }
    }
    for name in host.names("/etc")? {
        let is_lock = |file: &&str| {
            let rest = name.strip_prefix(*file).and_then(|rest| rest.strip_prefix('.'));
            rest.is_some_and(|rest| {
                rest == "lock" || !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())
            })
        };
        if ACCOUNTS.iter().any(is_lock) {
            paths.push(format!("/etc/{name}"));
        }
    }
    for path in paths {
        if dpkg.owner(&path).is_none() {
            host.remove(&path)?;
        }
    }
    Ok(())
}

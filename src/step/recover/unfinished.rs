//! The record of an unfinished installation, from which the next run resumes.
//!
//! It describes the root and is written before the first change. If the process is killed, the next run does not mistake
//! what was left for a part of the base. It removes merged files, restores half-written account files, lets dpkg finish,
//! and ends with the same tree as an undisturbed run. Removing the record is the last act of an installation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::repair::{self, ACCOUNTS};
use crate::debian::dpkg::Package;
use crate::debian::states::Condition;
use crate::failure::{Cause, Failure, WithCause};
use crate::host::durable::Original;
use crate::host::entry::FileKind;
use crate::host::occupation::Occupation;
use crate::host::{Host, Log};
use crate::image::base::{FilesBefore, PackagesBefore};
use crate::layout::{self, UNFINISHED};
use crate::record::receipt::Receipt;
use crate::step::clean::times;

/// The version of the record. A record of another version is rejected.
const VERSION: u32 = 2;
/// A file that tools write and no package owns.
const LOCALES: &str = "/usr/lib/locale/locale-archive";

/// The root before an installation began.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    version: u32,
    /// When it began, since 1970.
    began: Duration,
    /// The receipt of the root.
    earlier: Option<Receipt>,
    /// Whether the work directory did not exist.
    #[serde(default)]
    made_work: bool,
    /// Account files and the locale archive; `None` for a file that did not exist.
    files: BTreeMap<String, Option<Original>>,
    /// The condition of each package in dpkg's database.
    conditions: BTreeMap<String, Condition>,
    before: PackagesBefore,
}

/// A change of the root by an installation, one line of the record each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// New paths are about to be created, directories before their content.
    New(Vec<String>),
    /// New paths are about to be created, with everything below them.
    NewTrees(Vec<String>),
    /// The user and its group exist.
    UserMade,
    /// Packages are about to be removed.
    Removing(BTreeMap<String, Package>),
}

/// An installation under way.
#[derive(Debug)]
pub struct Unfinished {
    /// When it began. If it resumes a killed one, when that one began.
    pub began: SystemTime,
    /// The receipt of the root at that time.
    pub earlier: Option<Receipt>,
    /// Whether [`layout::WORK`] did not exist at that time.
    pub made_work: bool,
    found: Option<Record>,
    /// The files of the base, if the killed run had recorded them.
    found_files: Option<FilesBefore>,
    /// The packages that the killed run removed.
    pub removed: BTreeMap<String, Package>,
    _occupation: Occupation,
}

fn record() -> String {
    format!("{UNFINISHED}/base.json")
}

/// The record of the base's files. It takes longer than that of its packages, so it is a file of its own. Until it exists,
/// only apt's lists, the cache and the working directory have changed.
fn files() -> String {
    format!("{UNFINISHED}/files.json")
}

fn notes() -> String {
    format!("{UNFINISHED}/notes")
}

fn accounts() -> impl Iterator<Item = String> {
    // The shadow tools keep the previous version of each as `NAME-`.
    ACCOUNTS
        .iter()
        .flat_map(|name| [format!("/etc/{name}"), format!("/etc/{name}-")])
}

impl Record {
    /// The record of an unfinished installation; `None` if there is no such installation.
    fn read(host: &Host) -> Result<Option<Self>> {
        let Some(text) = host.read(&record())? else {
            return Ok(None);
        };
        let place = host.path(record());
        let hint = "start from the base, or remove the directory of this file: what is installed now then counts \
                    as the base";
        let record: Self = serde_json::from_str(&text).with_context(|| {
            format!(
                "{}: not the record of an unfinished installation that this pgsetup writes; {hint}",
                place.display()
            )
        })?;
        if record.version != VERSION {
            bail!(
                "{}: the record of an unfinished installation by another pgsetup (version {}, this one writes {VERSION}); \
                 {hint}",
                place.display(),
                record.version
            );
        }
        Ok(Some(record))
    }

    /// The files of the base, as far as they were recorded.
    fn files(host: &Host) -> Result<Option<FilesBefore>> {
        let text = host.read(&files())?;
        let files = text.map(|text| serde_json::from_str(&text));
        files.transpose().with_context(|| {
            let place = host.path(self::files());
            format!("{}: not what this pgsetup writes", place.display())
        })
    }
}

/// The receipt that the root had before an unfinished installation. Without such an installation, the result of `written`.
///
/// # Errors
/// The record cannot be read, or another version of pgsetup wrote it; or `written` fails.
pub fn earlier_receipt(
    host: &Host,
    written: impl FnOnce() -> Result<Option<Receipt>>,
) -> Result<Option<Receipt>> {
    match Record::read(host)? {
        Some(record) => Ok(record.earlier),
        None => written(),
    }
}

impl Unfinished {
    /// Begins an installation into a root whose receipt is `earlier`, or resumes an unfinished one: then its remains are
    /// repaired or removed. `say` gets a line about it.
    ///
    /// # Errors
    /// Another pgsetup works in this root, or the remains cannot be repaired.
    pub fn begin(
        host: &Host,
        began: SystemTime,
        earlier: Option<Receipt>,
        say: &dyn Fn(&str),
    ) -> Result<Self, Failure> {
        let made_work = !host.exists(layout::WORK);
        let occupation = host
            .occupy(UNFINISHED, layout::WORK, say)
            .cause(Cause::Internal)?;
        let found = Record::read(host)?;
        let log = Log::open(&host.reach(layout::log(&layout::logs(), "repair packages"))?)
            .cause(Cause::Internal)?;
        if let Some(found) = &found {
            say("an earlier installation was interrupted; resuming from what was here before it");
            restore_accounts(host, found, &read_notes(host)?)?;
        }
        repair::packages(host, &log, say)?;
        let mut removed = BTreeMap::new();
        let found_files = found.as_ref().map(|_| Record::files(host)).transpose()?.flatten();
        if let Some(found) = &found {
            repair::selections(host, &log, &found.conditions)?;
            let notes = read_notes(host)?;
            remove_new(host, found, &notes)?;
            for note in notes {
                if let Note::Removing(packages) = note {
                    removed.extend(packages);
                }
            }
        }
        Ok(Self {
            began: found
                .as_ref()
                .map_or(began, |found| SystemTime::UNIX_EPOCH + found.began),
            earlier: found.as_ref().map_or(earlier, |found| found.earlier.clone()),
            made_work: found.as_ref().map_or(made_work, |found| found.made_work),
            found,
            found_files,
            removed,
            _occupation: occupation,
        })
    }

    /// The packages of the root before the installation: those of the record, or the result of `take`, which is recorded.
    ///
    /// # Errors
    /// `take` fails, or the record cannot be written.
    pub fn base(&self, host: &Host, take: impl FnOnce() -> Result<PackagesBefore>) -> Result<PackagesBefore> {
        if let Some(found) = &self.found {
            return Ok(found.before.clone());
        }
        let mut files = BTreeMap::new();
        for path in accounts().chain([LOCALES.to_owned()]) {
            // The locale archive is large and can be generated again, so its existence is enough.
            let file = if path == LOCALES && host.exists(&path) {
                Some(Original::default())
            } else {
                host.original(&path)?
            };
            files.insert(path, file);
        }
        let record = Record {
            version: VERSION,
            began: self
                .began
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
            earlier: self.earlier.clone(),
            made_work: self.made_work,
            files,
            conditions: host.conditions()?,
            before: take()?,
        };
        let text =
            serde_json::to_string(&record).context("the record of the base cannot be written as JSON")?;
        host.remove(notes())?;
        host.remove(self::files())?;
        host.write_durably(&self::record(), &text)?;
        Ok(record.before)
    }

    /// The files of the root before the installation: those of the record, or the result of `take`, which is recorded.
    ///
    /// # Errors
    /// `take` fails, or the record cannot be written.
    pub fn files(&self, host: &Host, take: impl FnOnce() -> Result<FilesBefore>) -> Result<FilesBefore> {
        if let Some(found) = &self.found_files {
            return Ok(found.clone());
        }
        let files = take()?;
        let text =
            serde_json::to_string(&files).context("the files of the base cannot be written as JSON")?;
        host.write_durably(&self::files(), &text)?;
        Ok(files)
    }
}

/// Appends a change to the record, durably.
///
/// # Errors
/// The record cannot be written.
pub fn note(host: &Host, note: &Note) -> Result<()> {
    let line = serde_json::to_string(note).context("a note cannot be written as JSON")?;
    host.append_durably(&notes(), &line)
}

/// Empties the work directory. Removes it, too, if the installation created it and nothing is mounted on it.
///
/// # Errors
/// A file cannot be removed.
pub fn clear(host: &Host, made_work: bool) -> Result<()> {
    host.empty_contents(layout::WORK)?;
    let is_mounted = host.mount_points()?.iter().any(|place| place == layout::WORK);
    if made_work && !is_mounted {
        host.remove_empty_directory(layout::WORK)?;
    }
    Ok(())
}

/// Ends an installation that began at `began`: removes the record, and resets the time of the directory above it.
///
/// # Errors
/// The record cannot be removed, or the time cannot be set.
pub fn end(host: &Host, began: SystemTime) -> Result<()> {
    // Removing this file ends the installation: the notes have no meaning without it.
    host.remove(record())?;
    host.remove(UNFINISHED)?;
    let above = UNFINISHED.rsplit_once('/').map_or("/", |(above, _)| above);
    times::settle_one(host, above, began)
}

/// The recorded changes. An incomplete line is ignored, because its change was not begun.
fn read_notes(host: &Host) -> Result<Vec<Note>> {
    let text = host.read(&notes())?.unwrap_or_default();
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

/// Restores the account files, unless the user and its group were created in all of them. Until then no package was
/// installed that might have created accounts.
fn restore_accounts(host: &Host, record: &Record, notes: &[Note]) -> Result<()> {
    if notes.iter().any(|note| matches!(note, Note::UserMade)) {
        return Ok(());
    }
    for path in accounts() {
        match record.files.get(&path).and_then(Option::as_ref) {
            Some(file) if host.original(&path)?.as_ref() != Some(file) => host.put_back(&path, file)?,
            Some(_) => {}
            None => host.remove(&path)?,
        }
    }
    Ok(())
}

/// Removes new paths that no package owns.
fn remove_new(host: &Host, record: &Record, notes: &[Note]) -> Result<(), Failure> {
    let dpkg = host.dpkg()?;
    let had_locales = record.files.get(LOCALES).is_some_and(Option::is_some);
    let locales = [LOCALES.to_owned()];
    let locales = locales.iter().filter(|_| !had_locales);
    let new = notes.iter().flat_map(|note| match note {
        Note::New(paths) => paths.as_slice(),
        _ => &[],
    });
    // Temporary files first, because they keep directories from being empty. Then children before their directories.
    repair::files(host, &dpkg)?;
    let trees = notes.iter().flat_map(|note| match note {
        Note::NewTrees(paths) => paths.as_slice(),
        _ => &[],
    });
    for path in trees.filter(|path| dpkg.owner(path).is_none()) {
        host.remove(path)?;
    }
    let paths: BTreeSet<&String> = new.chain(locales).collect();
    for path in paths.into_iter().rev() {
        if dpkg.owner(path).is_some() {
            continue;
        }
        match host.look(path)?.map(|found| found.kind) {
            None => {}
            Some(FileKind::Directory) => {
                host.remove_empty_directory(path)?;
            }
            Some(_) => host.remove(path)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::context::State;

    #[test]
    fn files_of_the_base_are_recorded_once() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        std::fs::create_dir_all(host.path("/var/lib/dpkg")).unwrap();
        std::fs::write(host.path("/var/lib/dpkg/status"), "").unwrap();
        let begin = || Unfinished::begin(&host, std::time::SystemTime::now(), None, &|_| ()).unwrap();
        let files = |name: &str| FilesBefore {
            unpackaged: BTreeSet::from([name.to_owned()]),
            ..FilesBefore::default()
        };
        let killed = begin();
        killed.base(&host, || Ok(PackagesBefore::default())).unwrap();
        drop(killed);
        let second = begin();
        assert_eq!(
            second.files(&host, || Ok(files("/second"))).unwrap(),
            files("/second")
        );
        drop(second);
        let third = begin();
        assert_eq!(
            third.files(&host, || Ok(files("/third"))).unwrap(),
            files("/second")
        );
        drop(third);
        end(&host, std::time::SystemTime::now()).unwrap();
        // What an ended installation has recorded is nothing to a new one.
        let new = begin();
        new.base(&host, || Ok(PackagesBefore::default())).unwrap();
        assert_eq!(new.files(&host, || Ok(files("/new"))).unwrap(), files("/new"));
    }

    #[test]
    fn trees_that_a_killed_build_created_outside_its_stage_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let write = |path: &str| {
            let path = host.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        write("/var/lib/dpkg/status");
        write("/opt/own/file");
        let begin = || Unfinished::begin(&host, std::time::SystemTime::now(), None, &|_| ()).unwrap();
        let unfinished = begin();
        unfinished.base(&host, || Ok(PackagesBefore::default())).unwrap();
        let state = State::default();
        state.unfinished.set(unfinished).unwrap();
        let places = ["/opt/patroni", "/opt/own"].map(str::to_owned);
        state.note_trees(&host, &places).unwrap();
        write("/opt/patroni/lib/python3/site.py");
        drop(state);
        begin();
        assert!(!host.exists("/opt/patroni"), "the killed build created it");
        assert!(host.exists("/opt/own/file"), "it existed before");
    }
}

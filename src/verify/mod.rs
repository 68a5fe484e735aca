//! Compares a machine with its receipt: files, packages, libraries, rights, preload libraries and extensions.
//!
//! It changes nothing and reports every difference at once. A file that cannot be read is one more difference. It runs as
//! root or as the image's user. Files that this user may not read are listed as unchecked and never skipped. `report`
//! prints the result.

mod accounts;
mod document;
mod packages;
mod recorded;
mod rights;
mod unpackaged;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use crate::debian::dpkg::Dpkg;
use crate::failure::{Cause, Failure, WithCause};
use crate::host::Host;
use crate::host::entry::{FileFacts, FileKind, is_forbidden, name_of};
use crate::host::unread::{Unread, Unreadable};
use crate::image::closure::Missing;
use crate::image::elf::Elf;
use crate::image::everywhere::everywhere;
use crate::image::needs;
use crate::record::receipt::{Directory, File, Receipt, octal};
use crate::{control, layout, resolve};
use document::{Aspect, Difference, Unchecked};

pub use document::{Verification, json, text};

/// A part of a verification that ends early if dpkg's database or the tree cannot be read.
type Part<'a> = fn(&mut Verifier<'a>) -> Result<()>;

/// Compares the machine with its receipt.
///
/// # Errors
/// There is no receipt, or it cannot be read.
pub fn verify(host: &Host) -> Result<Verification, Failure> {
    let receipt = receipt(host)?;
    let mut verifier = Verifier {
        host,
        receipt: &receipt,
        found: Verification::of(&receipt.image),
    };
    // If one of these ends early, the others run nevertheless.
    let parts: [(&str, Part<'_>); 7] = [
        ("additional files", Verifier::additions),
        ("unowned programs and libraries, and rights", Verifier::anywhere),
        ("what came later", Verifier::later),
        ("directories", Verifier::directories),
        ("packages", Verifier::packages),
        ("links, owners and modes of packages", Verifier::recorded),
        ("libraries", Verifier::libraries),
    ];
    for (subject, part) in parts {
        let done = part(&mut verifier);
        verifier.take(subject, done);
    }
    verifier.files();
    verifier.preload();
    verifier.extensions();
    verifier.accounts();
    let mut found = verifier.found;
    found.differences.sort();
    found.differences.dedup();
    found.unchecked.sort();
    found.unchecked.dedup();
    Ok(found)
}

/// The receipt of the machine.
fn receipt(host: &Host) -> Result<Receipt, Failure> {
    if host
        .look("/")?
        .is_none_or(|root| root.kind != FileKind::Directory)
    {
        let message = format!("{}: there is no such directory", host.path("/").display());
        return Err(Failure::new(Cause::Usage, message));
    }
    let path = format!("{}/receipt.json", layout::RECORDS);
    let place = host.path(&path);
    match host.read(&path) {
        Ok(Some(text)) => Receipt::from_json(&text)
            .with_context(|| place.display().to_string())
            .cause(Cause::Usage),
        Ok(None) => {
            let message = format!("{}: there is no receipt to compare with", place.display());
            Err(Failure::new(Cause::Usage, message))
        }
        Err(error) if is_forbidden(&error) => Err(error).cause(Cause::Permission),
        Err(error) => Err(error).cause(Cause::Internal),
    }
}

struct Verifier<'a> {
    host: &'a Host,
    receipt: &'a Receipt,
    found: Verification,
}

impl Verifier<'_> {
    fn differs(&mut self, aspect: Aspect, subject: &str, explanation: impl Into<String>) {
        self.found.differences.push(Difference {
            subject: subject.to_owned(),
            aspect,
            explanation: explanation.into(),
        });
    }

    /// Reports an unowned path, unless it was reported before.
    fn differs_if_new(&mut self, path: &str, explanation: &str) {
        if self.found.differences.iter().all(|one| one.subject != path) {
            self.differs(Aspect::Content, path, explanation);
        }
    }

    fn unchecked(&mut self, subject: &str, reason: impl Into<String>) {
        self.found.unchecked.push(Unchecked {
            subject: subject.to_owned(),
            reason: reason.into(),
        });
    }

    /// The value that was read for `subject`. An error becomes a difference, or unchecked if only a right is missing.
    fn take<T>(&mut self, subject: &str, read: Result<T>) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(error) => {
                self.unread(subject, Unreadable::new(self.host, subject, &error));
                None
            }
        }
    }

    fn unread(&mut self, subject: &str, why: Unreadable) {
        if why.is_forbidden {
            self.unchecked(subject, why.reason);
        } else {
            self.differs(Aspect::Content, subject, why.reason);
        }
    }

    /// Reports as unchecked what a receipt of an earlier pgsetup does not have.
    fn unrecorded(&mut self, subject: &str) {
        let reason = format!("the receipt does not record it; {} wrote it", self.receipt.tool);
        self.unchecked(subject, reason);
    }

    fn all_unread(&mut self, unread: Unread) {
        for (path, why) in unread.0 {
            self.unread(&path, why);
        }
    }

    /// Compares each installed path: content, owner and mode.
    fn files(&mut self) {
        let receipt = self.receipt;
        if receipt.documents.is_none() {
            self.unrecorded("bills of materials");
        }
        let others = receipt.documents.iter().chain(&receipt.unpackaged).flatten();
        for file in receipt.files.iter().chain(others) {
            self.found.checked.files += 1;
            let found = self.host.look(&file.path);
            match self.take(&file.path, found) {
                Some(Some(found)) => self.file(file, &found),
                Some(None) => {
                    let explanation = format!("is missing; {} brought it", file.component);
                    self.differs(Aspect::Content, &file.path, explanation);
                }
                None => {}
            }
        }
    }

    fn file(&mut self, file: &File, found: &FileFacts) {
        let content = match (&found.kind, &file.sha256, &file.target) {
            (FileKind::File, Some(sha256), _) => {
                let digest = self.host.sha256(&file.path);
                let digest = self.take(&file.path, digest);
                digest
                    .filter(|digest| digest != sha256)
                    .map(|digest| format!("has the digest {digest}, the receipt says {sha256}"))
            }
            (FileKind::Link(target), None, Some(expected)) => (target.to_str() != Some(expected))
                .then(|| format!("links to {}, the receipt says {expected}", target.display())),
            (FileKind::Directory, None, None) => None,
            (kind, ..) => Some(format!(
                "is {}, the receipt says {}",
                name_of(kind),
                expected_kind(file)
            )),
        };
        if let Some(content) = content {
            self.differs(Aspect::Content, &file.path, content);
        }
        let mode = octal(found.mode);
        match &file.mode {
            Some(expected) if *expected != mode => {
                let explanation = format!("has mode {mode}, the receipt says {expected}");
                self.differs(Aspect::Rights, &file.path, explanation);
            }
            None if file.target.is_none() => {
                let explanation = format!("has mode {mode}, but the receipt says none");
                self.differs(Aspect::Rights, &file.path, explanation);
            }
            _ => {}
        }
        if (found.uid, found.gid) != (file.uid, file.gid) {
            let explanation = format!(
                "belongs to {}:{}, the receipt says {}:{}",
                found.uid, found.gid, file.uid, file.gid
            );
            self.differs(Aspect::Rights, &file.path, explanation);
        }
    }

    /// Reports paths in the directories of components that are not in the receipt.
    fn additions(&mut self) -> Result<()> {
        let documents = self.receipt.documents.as_deref().unwrap_or_default();
        let own = format!("{}/receipt.json", layout::RECORDS);
        let known: BTreeSet<&str> = self
            .receipt
            .files
            .iter()
            .chain(documents)
            .map(|file| file.path.as_str())
            .chain([own.as_str()])
            .collect();
        let is_directory = |file: &&File| file.sha256.is_none() && file.target.is_none();
        // Other directories are shared with packages.
        let ours = ["/usr/lib/postgresql/", "/usr/share/postgresql/", "/opt/"];
        let directories = self.receipt.files.iter().filter(is_directory);
        let directories = directories.filter(|file| ours.iter().any(|top| file.path.starts_with(top)));
        // An earlier pgsetup did not record its documents.
        let records = self.receipt.documents.iter().map(|_| layout::RECORDS);
        let dpkg = self.host.dpkg()?;
        for directory in directories.map(|file| file.path.as_str()).chain(records) {
            let names = self.host.names(directory);
            for name in self.take(directory, names).unwrap_or_default() {
                let path = format!("{directory}/{name}");
                if !known.contains(path.as_str()) && dpkg.owner(&path).is_none() {
                    self.differs(Aspect::Content, &path, "exists, but is not in the receipt");
                }
            }
        }
        Ok(())
    }

    /// Compares what may be anywhere: special rights, and unowned programs and libraries.
    fn anywhere(&mut self) -> Result<()> {
        let dpkg = self.host.dpkg()?;
        let found = everywhere(self.host, &dpkg, &[])?;
        self.privileges(&found.privileged, &found.unreadable);
        self.unowned_files(&dpkg, found.unpackaged)
    }

    /// Follows the libraries of ELF files that are not in the receipt.
    fn follow(&mut self, dpkg: &Dpkg, files: Vec<(String, Elf)>) -> Result<()> {
        let mut unread = Unread::default();
        for missing in needs::follow_readable(self.host, dpkg, files, &mut unread)?.missing {
            self.missing(&missing);
        }
        self.all_unread(unread);
        Ok(())
    }

    fn directories(&mut self) -> Result<()> {
        let mount_points = self.host.mount_points()?;
        for directory in &self.receipt.directories {
            self.found.checked.files += 1;
            let found = self.host.look(&directory.path);
            match self.take(&directory.path, found) {
                None => {}
                Some(None) => self.differs(Aspect::Content, &directory.path, "is missing"),
                Some(Some(found)) if found.kind != FileKind::Directory => {
                    let explanation = format!("is {}, the receipt says a directory", name_of(&found.kind));
                    self.differs(Aspect::Content, &directory.path, explanation);
                }
                // The user of the container decides about a volume.
                Some(_) if mount_points.contains(&directory.path) => {
                    self.unchecked(&directory.path, "something is mounted there");
                }
                Some(Some(found)) => self.rights_of_directory(directory, &found),
            }
        }
        Ok(())
    }

    fn rights_of_directory(&mut self, directory: &Directory, found: &FileFacts) {
        let has_owner = (found.uid, found.gid) == (directory.uid, directory.gid);
        if has_owner && rights::lost_group_only(found.mode, &directory.mode) {
            return self.unchecked(&directory.path, rights::LOST_GROUP);
        }
        let is = format!("{} {}:{}", octal(found.mode), found.uid, found.gid);
        let expected = format!("{} {}:{}", directory.mode, directory.uid, directory.gid);
        if is != expected {
            let explanation = format!("has mode and owner {is}, the receipt says {expected}");
            self.differs(Aspect::Rights, &directory.path, explanation);
        }
    }

    fn missing(&mut self, missing: &Missing) {
        let mut explanation = format!("does not exist; needed by {}", missing.chain);
        if !missing.unfit.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(
                explanation,
                " (for another machine: {})",
                missing.unfit.join(", ")
            );
        }
        self.differs(Aspect::Library, &missing.name, explanation);
    }

    /// Checks the libraries of every installed ELF file, the programs that scripts call, and the links of components.
    fn libraries(&mut self) -> Result<()> {
        let needs = needs::survey(self.host, &self.receipt.inventory(), &self.receipt.declared())?;
        self.found.checked.elf_files = needs.elf_files;
        for missing in &needs.closure.missing {
            self.missing(missing);
        }
        for (program, called) in &needs.programs {
            if called.path.is_none() {
                let explanation = format!("does not exist; called by {}", called.wanted_by.join(", "));
                self.differs(Aspect::Library, program, explanation);
            }
        }
        for (link, target) in &needs.dangling {
            self.differs(
                Aspect::Content,
                link,
                format!("leads to {target}, which does not exist"),
            );
        }
        for (script, interpreter) in needs.scripts_without_interpreter() {
            let explanation = format!("is run by {}, which does not exist", interpreter.name);
            self.differs(Aspect::Content, script, explanation);
        }
        self.all_unread(needs.unread);
        Ok(())
    }

    fn preload(&mut self) {
        for library in &self.receipt.postgresql.preload {
            let path = format!("{}/{library}.so", self.receipt.postgresql.library_directory);
            let found = self.host.real_path(&path);
            if let Some(None) = self.take(&path, found) {
                let explanation = format!("is loaded when the server starts, and {path} does not exist");
                self.differs(Aspect::Postgresql, library, explanation);
            }
        }
    }

    /// Checks that every extension of every server can be created at its default version.
    fn extensions(&mut self) {
        let receipt = self.receipt;
        self.extensions_of(None, &receipt.postgresql.share_directory);
        for older in &receipt.previous {
            self.extensions_of(Some(older.major), &older.share_directory);
        }
    }

    fn extensions_of(&mut self, older_major: Option<u16>, share: &str) {
        let directory = format!("{share}/extension");
        let names = self.host.names(&directory);
        let names = self.take(&directory, names).unwrap_or_default();
        let mut versions = BTreeMap::new();
        for name in &names {
            let Some(extension) = name.strip_suffix(".control") else {
                continue;
            };
            // `name--version.control` is the secondary control file of one version.
            if extension.contains("--") {
                continue;
            }
            self.found.checked.extensions += 1;
            let path = format!("{directory}/{name}");
            let text = self.host.read(&path);
            let text = self.take(&path, text).flatten().unwrap_or_default();
            let Some(version) = control::value(&text, "default_version") else {
                continue;
            };
            let other = control::value(&text, "directory").map(|other| match other.strip_prefix('/') {
                Some(_) => other,
                None => format!("{share}/{other}"),
            });
            let scripts = match other {
                None => names.clone(),
                Some(other) => {
                    let names = self.host.names(&other);
                    self.take(&other, names).unwrap_or_default()
                }
            };
            if control::scripts(extension, &version, &scripts).is_none() {
                let explanation = format!("no script leads to its default version {version}");
                let subject = resolve::id(extension, older_major);
                self.differs(Aspect::Postgresql, &subject, explanation);
            }
            versions.insert(extension.to_owned(), version);
        }
        let components = self.receipt.components.iter();
        for component in components.filter(|one| one.older_major == older_major) {
            for sql in &component.provides {
                let explanation = match versions.get(&sql.name) {
                    Some(version) if *version == sql.default_version => continue,
                    Some(version) => {
                        format!(
                            "has default version {version}, the receipt says {}",
                            sql.default_version
                        )
                    }
                    None => format!("has no control file; {} brought it", component.name),
                };
                let subject = resolve::id(&sql.name, older_major);
                self.differs(Aspect::Postgresql, &subject, explanation);
            }
        }
    }
}

fn expected_kind(file: &File) -> &'static str {
    match (&file.sha256, &file.target) {
        (Some(_), _) => "a file",
        (None, Some(_)) => "a link",
        (None, None) => "a directory",
    }
}

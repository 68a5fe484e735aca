//! Compares a machine with its receipt: files, packages, libraries, rights, and what PostgreSQL is to load.
//!
//! Nothing is changed, and everything is looked at before anything is said: a file that cannot be read is one more
//! difference, and the others are looked at all the same. It works as root and as the image's user; what the latter may not
//! read is listed as unchecked, never passed over. Printing is `report`'s.

mod document;
mod packages;
mod rights;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use crate::closure::Missing;
use crate::control;
use crate::host::dpkg::Dpkg;
use crate::host::elf::{Elf, ElfKind};
use crate::host::fs::FileKind;
use crate::host::tree::{Found, is_below};
use crate::host::unread::{Unread, Unreadable};
use crate::host::{self, Host};
use crate::layout;
use crate::receipt::{File, Receipt, octal};
use crate::resolve;
use crate::step::gate;

use document::{Aspect, Difference, Unchecked};
pub use document::{Verification, json, text};
pub use packages::altered;
pub use rights::privileged;

/// Places of what does not last.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/var/cache/pgsetup"];

/// A part of a verification that needs all of something: of dpkg's database, of the tree.
type Part<'a> = fn(&mut Verifier<'a>) -> Result<()>;

/// Compares the machine with its receipt.
///
/// # Errors
/// Where there is no receipt, or where it cannot be read.
pub fn verify(host: &Host) -> Result<Verification> {
    let path = format!("{}/receipt.json", layout::RECORDS);
    let Some(text) = host.read(&path)? else {
        anyhow::bail!(
            "{}: there is no receipt, so nothing to compare with",
            host.path(&path).display()
        );
    };
    let receipt = Receipt::from_json(&text)?;
    let mut verifier = Verifier {
        host,
        receipt: &receipt,
        found: Verification::of(&receipt.image),
    };
    // Where one of these ends early, the others go on.
    let parts: [(&str, Part<'_>); 5] = [
        ("additional files", Verifier::additions),
        ("directories", Verifier::directories),
        ("packages", Verifier::packages),
        ("libraries", Verifier::libraries),
        ("rights", Verifier::privileges),
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

/// Programs and libraries that no Debian package has, apart from this program itself and what is temporary.
pub fn unpackaged(host: &Host, dpkg: &Dpkg) -> Result<BTreeMap<String, Elf>> {
    let own = host::own_program().filter(|_| host.is_system());
    let mut unpackaged = BTreeMap::new();
    host.walk(&mut |path, found| {
        let is_temporary = TEMPORARY.iter().any(|place| is_below(path, place));
        let is_own = own.as_deref() == Some(Path::new(path));
        if found.kind == FileKind::File && !is_temporary && !is_own && dpkg.owner(path).is_none()
            // What this user may not read, he may not load either.
            && let Ok(Some(elf)) = host.elf(path)
            && elf.kind != ElfKind::Object
        {
            unpackaged.insert(path.to_owned(), elf);
        }
        Ok(())
    })?;
    Ok(unpackaged)
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

    fn unchecked(&mut self, subject: &str, reason: impl Into<String>) {
        self.found.unchecked.push(Unchecked {
            subject: subject.to_owned(),
            reason: reason.into(),
        });
    }

    /// What was read of `subject`. Where it could not be, that is a difference, or unchecked where only rights are in the
    /// way.
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

    fn all_unread(&mut self, unread: Unread) {
        for (path, why) in unread.0 {
            self.unread(&path, why);
        }
    }

    /// Each installed path, with content, owner and mode.
    fn files(&mut self) {
        for file in &self.receipt.files {
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

    fn file(&mut self, file: &File, found: &Found) {
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
        if let Some(mode) = &file.mode
            && *mode != octal(found.mode)
        {
            let explanation = format!("has mode {}, the receipt says {mode}", octal(found.mode));
            self.differs(Aspect::Rights, &file.path, explanation);
        }
        if (found.uid, found.gid) != (file.uid, file.gid) {
            let explanation = format!(
                "belongs to {}:{}, the receipt says {}:{}",
                found.uid, found.gid, file.uid, file.gid
            );
            self.differs(Aspect::Rights, &file.path, explanation);
        }
    }

    /// Paths in directories of ours that nobody installed.
    fn additions(&mut self) -> Result<()> {
        let known: BTreeSet<&str> = self.receipt.files.iter().map(|file| file.path.as_str()).collect();
        let is_directory = |file: &&File| file.sha256.is_none() && file.target.is_none();
        // Not directories that others use, too.
        let ours = ["/usr/lib/postgresql/", "/usr/share/postgresql/", "/opt/"];
        let directories = self.receipt.files.iter().filter(is_directory);
        let directories = directories.filter(|file| ours.iter().any(|top| file.path.starts_with(top)));
        let dpkg = self.host.dpkg()?;
        let mut added = BTreeMap::new();
        for directory in directories {
            let names = self.host.names(&directory.path);
            for name in self.take(&directory.path, names).unwrap_or_default() {
                let path = format!("{}/{name}", directory.path);
                if !known.contains(path.as_str()) && dpkg.owner(&path).is_none() {
                    added.insert(path, "is there, and not in the receipt");
                }
            }
        }
        let strangers: Vec<(String, Elf)> = unpackaged(self.host, &dpkg)?
            .into_iter()
            .filter(|(path, _)| !known.contains(path.as_str()))
            .filter(|(path, _)| !self.receipt.base.unpackaged.contains(path))
            .collect();
        for (path, _) in &strangers {
            added
                .entry(path.clone())
                .or_insert("is a program or library that neither the receipt nor a package has");
        }
        for (path, explanation) in added {
            self.differs(Aspect::Content, &path, explanation);
        }
        let mut unread = Unread::default();
        for missing in gate::follow_readable(self.host, &dpkg, strangers, &mut unread)?.missing {
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
            let Some(found) = self.take(&directory.path, found) else {
                continue;
            };
            match found {
                None => self.differs(Aspect::Content, &directory.path, "is missing"),
                Some(found) if found.kind != FileKind::Directory => {
                    let explanation = format!("is {}, the receipt says a directory", name_of(&found.kind));
                    self.differs(Aspect::Content, &directory.path, explanation);
                }
                Some(found) => {
                    let is = format!("{} {}:{}", octal(found.mode), found.uid, found.gid);
                    let expected = format!("{} {}:{}", directory.mode, directory.uid, directory.gid);
                    // A volume belongs to whoever mounted it.
                    if mount_points.contains(&directory.path) {
                        self.unchecked(&directory.path, "something is mounted there");
                    } else if rights::lost_group_only(found.mode, &directory.mode)
                        && (found.uid, found.gid) == (directory.uid, directory.gid)
                    {
                        self.unchecked(&directory.path, rights::LOST_GROUP);
                    } else if is != expected {
                        let explanation = format!("has mode and owner {is}, the receipt says {expected}");
                        self.differs(Aspect::Rights, &directory.path, explanation);
                    }
                }
            }
        }
        Ok(())
    }

    fn missing(&mut self, missing: &Missing) {
        let mut explanation = format!("is not there; needed by {}", missing.chain);
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

    /// Every installed ELF file with all it needs, and every link of ours.
    fn libraries(&mut self) -> Result<()> {
        let needs = gate::survey(self.host, &self.receipt.inventory(), &self.receipt.declared())?;
        self.found.checked.elf_files = needs.elf_files;
        for missing in &needs.closure.missing {
            self.missing(missing);
        }
        for (program, called) in &needs.programs {
            if called.path.is_none() {
                let explanation = format!("is not there; called by {}", called.wanted_by.join(", "));
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
            let explanation = format!("is run by {}, which is not there", interpreter.name);
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

    /// Every extension that a server offers can be created at its default version.
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
            // `name--version.control` belongs to one version only.
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

    /// The image's user is there, nobody has a password, and nobody but root is root.
    fn accounts(&mut self) {
        let user = &self.receipt.user;
        let mut has_user = false;
        let accounts = self.host.read("/etc/passwd");
        let accounts = self.take("/etc/passwd", accounts).flatten().unwrap_or_default();
        for line in accounts.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, password, uid, gid, ..] = fields.as_slice() else {
                continue;
            };
            if *name == user.name {
                has_user = true;
                if (*uid, *gid) != (user.uid.to_string().as_str(), user.gid.to_string().as_str()) {
                    let explanation =
                        format!("has ids {uid}:{gid}, the receipt says {}:{}", user.uid, user.gid);
                    self.differs(Aspect::Account, name, explanation);
                }
            }
            if *uid == "0" && *name != "root" {
                self.differs(Aspect::Account, name, "has user id 0");
            }
            if !matches!(*password, "x" | "*" | "!") {
                self.differs(Aspect::Account, name, "has a password in /etc/passwd");
            }
        }
        if !has_user {
            self.differs(Aspect::Account, &user.name, "does not exist");
        }
        let passwords = self.host.read("/etc/shadow");
        let passwords = self.take("/etc/shadow", passwords).flatten();
        for line in passwords.unwrap_or_default().lines() {
            let mut fields = line.split(':');
            let (Some(name), Some(password)) = (fields.next(), fields.next()) else {
                continue;
            };
            if !password.starts_with(['!', '*']) {
                self.differs(Aspect::Account, name, "has a password, or none is needed");
            }
        }
    }
}

fn name_of(kind: &FileKind) -> &'static str {
    match kind {
        FileKind::Directory => "a directory",
        FileKind::File => "a file",
        FileKind::Link(_) => "a link",
        FileKind::Other => "a device, a pipe or a socket",
    }
}

fn expected_kind(file: &File) -> &'static str {
    match (&file.sha256, &file.target) {
        (Some(_), _) => "a file",
        (None, Some(_)) => "a link",
        (None, None) => "a directory",
    }
}

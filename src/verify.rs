//! Compares a machine with its receipt: files, packages, libraries, rights, and what PostgreSQL is to load.
//!
//! Nothing is changed, and everything is looked at before anything is said. It works as root and as the image's
//! user; what the latter may not read is listed as unchecked, never passed over. Printing is `report`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use crate::closure::Missing;
use crate::control;
use crate::host::dpkg::Dpkg;
use crate::host::elf::{Elf, ElfKind};
use crate::host::fs::FileKind;
use crate::host::{self, Host};
use crate::layout;
use crate::receipt::{File, Privileged, Receipt, octal};
use crate::resolve;
use crate::step::gate;

/// The version of the JSON document's schema.
pub const SCHEMA_VERSION: u32 = 1;

/// Files of packages that base images leave out without telling dpkg.
const LEFT_OUT: [&str; 6] = [
    "/usr/share/doc",
    "/usr/share/groff",
    "/usr/share/info",
    "/usr/share/lintian",
    "/usr/share/locale",
    "/usr/share/man",
];

/// Places of what does not last.
const TEMPORARY: [&str; 3] = ["/tmp/", "/var/tmp/", "/var/cache/pgsetup/"];

/// What a verification found.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Verification {
    /// The version of this schema.
    pub schema_version: u32,
    /// The image's name, from the receipt.
    pub image: String,
    /// How much was compared.
    pub checked: Checked,
    /// Where the machine is not what the receipt says; empty when all is well.
    pub differences: Vec<Difference>,
    /// What could not be looked at, with the reason.
    pub unchecked: Vec<Unchecked>,
}

/// How much was compared.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Checked {
    /// Files, links and directories.
    pub files: usize,
    /// Debian packages.
    pub packages: usize,
    /// ELF files whose libraries were followed.
    pub elf_files: usize,
    /// SQL extensions.
    pub extensions: usize,
}

/// What is different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// A file, link or directory: that it exists, what it holds.
    Content,
    /// Owner or mode.
    Rights,
    /// A Debian package.
    Package,
    /// A shared library or another thing that an installed file needs.
    Library,
    /// What PostgreSQL loads: preload libraries, extensions.
    Postgresql,
    /// A user account.
    Account,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Difference {
    /// The path, package, library, extension or user.
    pub subject: String,
    /// What of it is different.
    pub aspect: Aspect,
    /// What is and what should be.
    pub explanation: String,
}

/// What could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unchecked {
    /// What.
    pub subject: String,
    /// Why.
    pub reason: String,
}

/// Compares the machine with its receipt.
///
/// # Errors
/// Where there is no receipt, where it cannot be read, and where the machine cannot be looked at for another reason
/// than missing rights.
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
        found: Verification {
            schema_version: SCHEMA_VERSION,
            image: receipt.image.clone(),
            ..Verification::default()
        },
    };
    verifier.files()?;
    verifier.additions()?;
    verifier.directories()?;
    verifier.packages()?;
    verifier.libraries()?;
    verifier.privileges()?;
    verifier.preload()?;
    verifier.extensions()?;
    verifier.accounts()?;
    verifier.found.differences.sort();
    Ok(verifier.found)
}

/// Everything on the machine that has rights beyond its owner's: set-id files, and what everybody may write. Second,
/// the directories that may not be read.
pub fn privileged(host: &Host) -> Result<(Vec<Privileged>, Vec<String>)> {
    let mut privileged = Vec::new();
    let unreadable = host.walk(&mut |path, found| {
        let is_set_id = found.mode & 0o6000 != 0 && found.kind == FileKind::File;
        let is_open = found.mode & 0o002 != 0 && !matches!(found.kind, FileKind::Link(_));
        // What is temporary is not the image's.
        let is_program = found.kind == FileKind::File && found.mode & 0o111 != 0;
        let capabilities = if is_program { host.capabilities(path) } else { None };
        if (is_set_id || is_open || capabilities.is_some())
            && !path.starts_with("/tmp/")
            && !path.starts_with(layout::WORK)
        {
            privileged.push(Privileged {
                path: path.to_owned(),
                mode: octal(found.mode),
                uid: found.uid,
                gid: found.gid,
                capabilities,
            });
        }
        Ok(())
    })?;
    Ok((privileged, unreadable))
}

/// Programs and libraries that no Debian package has, apart from this program itself and what is temporary.
pub fn unpackaged(host: &Host, dpkg: &Dpkg) -> Result<BTreeMap<String, Elf>> {
    let own = host::own_program().filter(|_| host.is_system());
    let mut unpackaged = BTreeMap::new();
    host.walk(&mut |path, found| {
        let is_temporary = TEMPORARY.iter().any(|place| path.starts_with(place));
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

/// The result for people: a line for each difference, and what was compared.
pub fn text(found: &Verification) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for difference in &found.differences {
        let _ = writeln!(text, "{}: {}", difference.subject, difference.explanation);
    }
    for unchecked in &found.unchecked {
        let _ = writeln!(text, "not checked: {}: {}", unchecked.subject, unchecked.reason);
    }
    let checked = &found.checked;
    let _ = writeln!(
        text,
        "{}: {} files, {} packages, {} programs and libraries, {} extensions compared with the receipt: {}",
        found.image,
        checked.files,
        checked.packages,
        checked.elf_files,
        checked.extensions,
        match found.differences.len() {
            0 => "no difference".to_owned(),
            1 => "1 difference".to_owned(),
            count => format!("{count} differences"),
        }
    );
    text
}

/// The result as a JSON document.
pub fn json(found: &Verification) -> Result<String> {
    Ok(serde_json::to_string_pretty(found)? + "\n")
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

    /// Each installed path, with content, owner and mode.
    fn files(&mut self) -> Result<()> {
        for file in &self.receipt.files {
            self.found.checked.files += 1;
            let Some(found) = self.host.look(&file.path)? else {
                self.differs(
                    Aspect::Content,
                    &file.path,
                    format!("is missing; {} brought it", file.component),
                );
                continue;
            };
            let content = match (&found.kind, &file.sha256, &file.target) {
                (FileKind::File, Some(sha256), _) => match self.host.sha256(&file.path) {
                    Ok(digest) if digest == *sha256 => None,
                    Ok(digest) => Some(format!("has the digest {digest}, the receipt says {sha256}")),
                    Err(error) => {
                        self.unchecked(&file.path, format!("{error:#}"));
                        None
                    }
                },
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
        Ok(())
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
            for name in self.host.names(&directory.path)? {
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
        for missing in gate::follow(self.host, &dpkg, strangers)?.missing {
            self.missing(&missing);
        }
        Ok(())
    }

    fn directories(&mut self) -> Result<()> {
        for directory in &self.receipt.directories {
            self.found.checked.files += 1;
            match self.host.look(&directory.path)? {
                None => self.differs(Aspect::Content, &directory.path, "is missing"),
                Some(found) if found.kind != FileKind::Directory => {
                    let explanation = format!("is {}, the receipt says a directory", name_of(&found.kind));
                    self.differs(Aspect::Content, &directory.path, explanation);
                }
                Some(found) => {
                    let is = format!("{} {}:{}", octal(found.mode), found.uid, found.gid);
                    let expected = format!("{} {}:{}", directory.mode, directory.uid, directory.gid);
                    // A volume belongs to whoever mounted it.
                    let is_mounted = self.host.mount_points()?.contains(&directory.path);
                    if is_mounted {
                        self.unchecked(&directory.path, "something is mounted there");
                    } else if is != expected {
                        let explanation = format!("has mode and owner {is}, the receipt says {expected}");
                        self.differs(Aspect::Rights, &directory.path, explanation);
                    }
                }
            }
        }
        Ok(())
    }

    fn packages(&mut self) -> Result<()> {
        let dpkg = self.host.dpkg()?;
        let left_out = self.host.left_out()?;
        for (path, package) in dpkg.files() {
            let is_left_out = left_out.has(path) || LEFT_OUT.iter().any(|place| path.starts_with(place));
            if path.starts_with("/usr/") && !is_left_out && !self.host.exists(path) {
                let explanation = format!("is missing; the package {package} has it");
                self.differs(Aspect::Package, path, explanation);
            }
        }
        let installed = dpkg.packages;
        let expected: BTreeMap<&str, &str> = self
            .receipt
            .packages()
            .map(|package| (package.name.as_str(), package.version.as_str()))
            .collect();
        self.found.checked.packages = expected.len();
        for (name, version) in &expected {
            match installed.get(*name) {
                None => self.differs(
                    Aspect::Package,
                    name,
                    format!("is not installed, the receipt says {version}"),
                ),
                Some(package) if package.version != *version => {
                    let explanation = format!("has version {}, the receipt says {version}", package.version);
                    self.differs(Aspect::Package, name, explanation);
                }
                Some(_) => {}
            }
        }
        for package in installed.values() {
            if !expected.contains_key(package.name.as_str()) {
                let explanation = format!("is installed ({}), and not in the receipt", package.version);
                self.differs(Aspect::Package, &package.name, explanation);
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
        let needs = gate::needs(self.host, &self.receipt.inventory(), &self.receipt.declared())?;
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
        Ok(())
    }

    fn privileges(&mut self) -> Result<()> {
        let (found, unreadable) = privileged(self.host)?;
        let known: BTreeMap<&str, &Privileged> = self
            .receipt
            .privileged
            .iter()
            .map(|one| (one.path.as_str(), one))
            .collect();
        for one in &found {
            let is = format!("{} {}:{}", one.mode, one.uid, one.gid);
            match known.get(one.path.as_str()) {
                Some(expected) if *expected == one => {}
                Some(expected) => {
                    let should = format!("{} {}:{}", expected.mode, expected.uid, expected.gid);
                    let explanation = if one.capabilities == expected.capabilities {
                        format!("has mode and owner {is}, the receipt says {should}")
                    } else {
                        let word = |one: &Privileged| one.capabilities.clone().unwrap_or("none".to_owned());
                        format!(
                            "has the capabilities {}, the receipt says {}",
                            word(one),
                            word(expected)
                        )
                    };
                    self.differs(Aspect::Rights, &one.path, explanation);
                }
                None => {
                    let kind = if one.capabilities.is_some() {
                        "with capabilities"
                    } else {
                        "set-id or open to everybody"
                    };
                    let explanation = format!("has mode and owner {is}: {kind}, and not in the receipt");
                    self.differs(Aspect::Rights, &one.path, explanation);
                }
            }
        }
        for directory in unreadable {
            self.unchecked(&directory, "may not be read by this user");
        }
        Ok(())
    }

    fn preload(&mut self) -> Result<()> {
        for library in &self.receipt.postgresql.preload {
            let path = format!("{}/{library}.so", self.receipt.postgresql.library_directory);
            if self.host.real_path(&path)?.is_none() {
                let explanation = format!("is loaded when the server starts, and {path} does not exist");
                self.differs(Aspect::Postgresql, library, explanation);
            }
        }
        Ok(())
    }

    /// Every extension that a server offers can be created at its default version.
    fn extensions(&mut self) -> Result<()> {
        let receipt = self.receipt;
        self.extensions_of(None, &receipt.postgresql.share_directory)?;
        for older in &receipt.previous {
            self.extensions_of(Some(older.major), &older.share_directory)?;
        }
        Ok(())
    }

    fn extensions_of(&mut self, older_major: Option<u16>, share: &str) -> Result<()> {
        let directory = format!("{share}/extension");
        let names = self.host.names(&directory)?;
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
            let text = self
                .host
                .read(&format!("{directory}/{name}"))?
                .unwrap_or_default();
            let Some(version) = control::value(&text, "default_version") else {
                continue;
            };
            let scripts = match control::value(&text, "directory") {
                None => names.clone(),
                Some(other) if other.starts_with('/') => self.host.names(&other)?,
                Some(other) => self.host.names(&format!("{share}/{other}"))?,
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
        Ok(())
    }

    /// The image's user is there, nobody has a password, and nobody but root is root.
    fn accounts(&mut self) -> Result<()> {
        let user = &self.receipt.user;
        let mut has_user = false;
        for line in self.host.read("/etc/passwd")?.unwrap_or_default().lines() {
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
        match self.host.read("/etc/shadow") {
            Err(error) => self.unchecked("/etc/shadow", format!("{error:#}")),
            Ok(text) => {
                for line in text.unwrap_or_default().lines() {
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
        Ok(())
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

//! The receipt: the record of what was installed, from what, and why it is there.
//!
//! A document with a schema of its own and a version, so that no type of the program is written into images by
//! accident. It is built from values alone: no IO here, no clock. The same installation gives the same bytes.
//! `verify` compares an image with it, `sbom` is made of it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::inventory::{Content, InstalledFile, Inventory};
use crate::artifact::Inputs;
use crate::digest::Sha256;
use crate::resolve;

/// The version of this document's schema. It is raised when a reader of the last one would misread it; new
/// optional fields do not raise it.
pub const SCHEMA_VERSION: u32 = 1;

/// The name of the component that is the image itself: its configuration, its directories.
pub const IMAGE: &str = "image";

/// What was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The version of this schema.
    pub schema_version: u32,
    /// The program that wrote it, with its version.
    pub tool: String,
    /// The image's name.
    pub image: String,
    /// Seconds since 1970: `SOURCE_DATE_EPOCH`, or where that was not set, when the installation began.
    #[serde(default)]
    pub created: u64,
    /// The catalogue that completed the manifests. Absent where they were complete, and where an earlier pgsetup wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<Catalogue>,
    /// What it was installed onto.
    pub base: Base,
    /// What was compiled or installed besides Debian packages, the server first.
    pub components: Vec<Component>,
    /// Debian packages that were installed and stay.
    pub packages_kept: Vec<KeptPackage>,
    /// Debian packages that were installed and removed again.
    pub packages_removed: Vec<PackageVersion>,
    /// Packages of the base that have another version than it had.
    pub packages_upgraded: Vec<UpgradedPackage>,
    /// PostgreSQL as the image has it.
    pub postgresql: Postgresql,
    /// Servers of older majors, from which data is upgraded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous: Vec<OlderServer>,
    /// The system user that runs it.
    pub user: User,
    /// Directories that were made, with their owners and modes.
    pub directories: Vec<Directory>,
    /// Files with the set-user-id or set-group-id bit or with capabilities, and what everybody may write, of the whole
    /// image.
    pub privileged: Vec<Privileged>,
    /// What is used at run time and that no ELF file tells, as the manifests declare it.
    #[serde(default, skip_serializing_if = "Declared::is_empty")]
    pub declared: Declared,
    /// The archive with the symbols for debuggers, where they were kept outside of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debug_symbols: Option<DebugSymbols>,
    /// Bytes of all files listed here.
    pub files_size: u64,
    /// Installed size of the packages that stay, as the packages declare it.
    pub packages_size: u64,
    /// Every file, link and directory that was installed, by component and path.
    pub files: Vec<File>,
    /// What neither a component nor a package has: files and links where programs and libraries are searched for, and the
    /// base's programs and libraries that no package has. Absent where an earlier pgsetup wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpackaged: Option<Vec<File>>,
    /// The documents beside this one. Absent where an earlier pgsetup wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<Vec<File>>,
    /// What packages brought and dpkg does not record. Absent where an earlier pgsetup wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_record: Option<PackageRecord>,
    /// What confined the builds: `landlock` and its version, or `none`. Absent where an earlier pgsetup wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
}

/// A catalogue of manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Catalogue {
    /// Which one: `pgsetup 0.2.0`, or a directory.
    pub name: String,
    /// SHA-256 of its manifests.
    #[schemars(with = "String")]
    pub sha256: Sha256,
    /// What was installed from its manifests.
    pub taken: Vec<String>,
    /// What was installed from a manifest that replaced one of it: name and file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replaced: BTreeMap<String, String>,
}

/// What packages brought and dpkg does not record, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PackageRecord {
    /// Symbolic links, with their targets as written.
    pub links: BTreeMap<String, String>,
    /// Mode and owner of files and directories below /etc and /usr, as `0755 0:0`, where they are neither a file of `0644 0:0`
    /// nor a directory of `0755 0:0`.
    pub rights: BTreeMap<String, String>,
    /// SHA-256 of dpkg's own lists and scripts.
    #[schemars(with = "BTreeMap<String, String>")]
    pub lists: BTreeMap<String, Sha256>,
    /// SHA-256 of configuration files.
    #[schemars(with = "BTreeMap<String, String>")]
    pub configuration: BTreeMap<String, Sha256>,
}

/// The archive with the symbols that were taken from programs and libraries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DebugSymbols {
    /// Its file name.
    pub file: String,
    /// SHA-256 of the archive.
    #[schemars(with = "String")]
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
}

/// What is used at run time, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Declared {
    /// Libraries that are opened with `dlopen`.
    #[serde(default)]
    pub libraries: Vec<DeclaredName>,
    /// Libraries that are opened with `dlopen` where they are there.
    #[serde(default)]
    pub optional_libraries: Vec<DeclaredName>,
    /// Programs that are called.
    #[serde(default)]
    pub programs: Vec<DeclaredName>,
}

impl Declared {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A library or program that is used at run time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeclaredName {
    /// Its name, or path.
    pub name: String,
    /// The components that use it.
    pub wanted_by: Vec<String>,
}

/// What an image is built on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Base {
    /// The distribution, `debian:bookworm`.
    pub distribution: String,
    /// The number of its release, `12`, as `/etc/os-release` has it; empty for one that is not out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Debian's name of the architecture.
    pub architecture: String,
    /// The packages it had, with the versions they have now.
    pub packages: Vec<PackageVersion>,
    /// Programs and libraries it had that no package has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpackaged: Vec<String>,
    /// Files of its packages that were not as the packages brought them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub altered: Vec<Altered>,
}

/// A file of a Debian package that differs in the base image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Altered {
    /// Absolute path.
    pub path: String,
    /// MD5 of its content, or what is there in place of a file: `a link`.
    pub found: String,
}

impl Base {
    /// What is there in place of what packages brought, by path.
    pub fn altered(&self) -> BTreeMap<String, String> {
        let pair = |one: &Altered| (one.path.clone(), one.found.clone());
        self.altered.iter().map(pair).collect()
    }
}

/// A Debian package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PackageVersion {
    /// Its name, with `:architecture` where that is not the image's.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// The source package it was built from.
    pub source: String,
    /// The version of that, where it is another one than the package's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<String>,
}

impl PackageVersion {
    /// The version of the source package.
    pub fn source_version(&self) -> &str {
        self.source_version.as_ref().unwrap_or(&self.version)
    }
}

/// A Debian package that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptPackage {
    /// The package.
    #[serde(flatten)]
    pub package: PackageVersion,
    /// Why: who asked for it, the files that lead to it, or the package that depends on it.
    pub reason: String,
    /// Its installed size in bytes, as it declares it.
    pub size: u64,
}

/// A package of the base that was upgraded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpgradedPackage {
    /// Its name.
    pub name: String,
    /// The version the base had.
    pub from: String,
    /// The version it has now.
    pub to: String,
}

/// What kind of thing a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComponentKind {
    /// The PostgreSQL server, compiled.
    Postgresql,
    /// An extension, compiled.
    Extension,
    /// A program beside the server, compiled.
    Program,
    /// Patroni's environment.
    Patroni,
    /// A Python distribution in it.
    PythonDistribution,
    /// A crate that is compiled into an extension.
    Crate,
}

/// Something that was compiled, or installed besides Debian packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Component {
    /// Its name; the files of a component carry it, with `-pg17` after it where it is for the older major 17.
    pub name: String,
    /// The major version of PostgreSQL that it is for, where that is an older one than the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_major: Option<u16>,
    /// What it is.
    pub kind: ComponentKind,
    /// Its release.
    pub version: String,
    /// SPDX licence expression.
    pub license: String,
    /// The project's page.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub homepage: String,
    /// What it was made from.
    pub sources: Vec<Source>,
    /// The key under which its build is cached: a digest of everything that goes into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What the key is the digest of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Inputs>,
    /// SQL extensions it brings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provides: Vec<SqlExtension>,
    /// The component it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<String>,
    /// The extensions that require it, if the image does not select it by its own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_by: Vec<String>,
}

impl Component {
    /// Whether it is compiled against a server: an extension, or a program with the server's client library.
    pub fn is_compiled_against_a_server(&self) -> bool {
        matches!(self.kind, ComponentKind::Extension | ComponentKind::Program)
    }

    /// The name that nothing else in the image has.
    pub fn id(&self) -> String {
        // Extensions may have the same crate, and each several versions of it.
        match (&self.kind, &self.part_of) {
            (ComponentKind::Crate, Some(whole)) => format!("{}-{}:{whole}", self.name, self.version),
            _ => resolve::id(&self.name, self.older_major),
        }
    }
}

/// A source archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Where upstream publishes it; empty for Python distributions, which any package index has.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The file's name in the package index, for Python distributions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Other places of the same bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// SHA-256 of the archive.
    #[schemars(with = "String")]
    pub sha256: Sha256,
    /// Other digests that would have been accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub accepted: Vec<Sha256>,
}

/// An extension as SQL knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SqlExtension {
    /// Its name.
    pub name: String,
    /// The version that `CREATE EXTENSION` makes.
    pub default_version: String,
}

/// PostgreSQL as the image has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Postgresql {
    /// The major version.
    pub major: u16,
    /// The installation prefix.
    pub prefix: String,
    /// The directory of loadable libraries.
    pub library_directory: String,
    /// The directory that has `extension/`.
    pub share_directory: String,
    /// The file with the image's settings.
    pub configuration: String,
    /// Locale of new clusters.
    pub locale: String,
    /// Libraries loaded when the server starts, in order.
    pub preload: Vec<String>,
    /// The settings that were written.
    pub settings: Vec<Setting>,
}

/// The server of an older major.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OlderServer {
    /// The major version.
    pub major: u16,
    /// The installation prefix.
    pub prefix: String,
    /// The directory of loadable libraries.
    pub library_directory: String,
    /// The directory that has `extension/`.
    pub share_directory: String,
}

/// A PostgreSQL setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What wants it.
    pub wanted_by: String,
}

/// The system user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// Name of the user and its group.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// Groups besides its own. Absent where an earlier pgsetup wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
}

/// A directory of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Directory {
    /// Absolute path.
    pub path: String,
    /// Permissions in octal.
    pub mode: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// A path with rights beyond its owner's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Privileged {
    /// Absolute path.
    pub path: String,
    /// Permissions in octal.
    pub mode: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Capabilities of the file (capabilities(7)), as hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<String>,
}

/// An installed path. Exactly one of `sha256` and `target` is there, or neither for a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct File {
    /// Absolute path.
    pub path: String,
    /// The component it belongs to; `image` for what the image itself brings.
    pub component: String,
    /// Permissions in octal; absent for links, which have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// SHA-256 of a regular file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub sha256: Option<Sha256>,
    /// Size of a regular file in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Target of a symbolic link, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl From<&InstalledFile> for File {
    fn from(file: &InstalledFile) -> Self {
        let (mut sha256, mut size, mut target) = (None, None, None);
        let mut mode = Some(octal(file.mode));
        match &file.content {
            Content::Directory => {}
            Content::File {
                sha256: digest,
                size: bytes,
            } => (sha256, size) = (Some(*digest), Some(*bytes)),
            Content::Link { target: place } => (target, mode) = (Some(place.clone()), None),
        }
        Self {
            path: file.path.clone(),
            component: file.component.clone(),
            mode,
            uid: file.uid,
            gid: file.gid,
            sha256,
            size,
            target,
        }
    }
}

impl Receipt {
    /// The same for a root in which an earlier installation was: with its components, unless they were made again, and
    /// with what it made, removed and declared.
    #[must_use]
    pub fn after(mut self, earlier: &Self) -> Self {
        fn add<T: Clone, N: PartialEq>(to: &mut Vec<T>, from: &[T], name: impl Fn(&T) -> N) {
            let missing: Vec<T> = from
                .iter()
                .filter(|one| !to.iter().any(|known| name(known) == name(one)))
                .cloned()
                .collect();
            to.extend(missing);
        }
        add(&mut self.components, &earlier.components, Component::id);
        add(&mut self.previous, &earlier.previous, |one| one.major);
        add(&mut self.directories, &earlier.directories, |one| {
            one.path.clone()
        });
        add(&mut self.packages_upgraded, &earlier.packages_upgraded, |one| {
            one.name.clone()
        });
        let (ours, theirs) = (&mut self.declared, &earlier.declared);
        let declared = |one: &DeclaredName| one.name.clone();
        add(&mut ours.libraries, &theirs.libraries, declared);
        add(&mut ours.optional_libraries, &theirs.optional_libraries, declared);
        add(&mut ours.programs, &theirs.programs, declared);
        let removed: Vec<PackageVersion> = earlier
            .packages_removed
            .iter()
            .filter(|package| !self.packages().any(|here| here.name == package.name))
            .cloned()
            .collect();
        add(&mut self.packages_removed, &removed, |one| one.name.clone());
        self
    }

    /// The document as it is written into the image.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Parses a document.
    ///
    /// # Errors
    /// The text is not a receipt, or has an unknown schema version.
    pub fn from_json(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            schema_version: u32,
        }
        let versioned: Versioned = serde_json::from_str(text).context("this is not a receipt of pgsetup")?;
        if versioned.schema_version != SCHEMA_VERSION {
            bail!(
                "the receipt has schema version {}, and this pgsetup reads version {SCHEMA_VERSION}",
                versioned.schema_version
            );
        }
        serde_json::from_str(text).context("the receipt does not follow its schema")
    }

    /// What is known of the installed paths, as an inventory.
    pub fn inventory(&self) -> Inventory {
        let mut inventory = Inventory::default();
        for file in &self.files {
            let content = match (&file.sha256, &file.target) {
                (Some(sha256), _) => Content::File {
                    sha256: *sha256,
                    size: file.size.unwrap_or_default(),
                },
                (None, Some(target)) => Content::Link {
                    target: target.clone(),
                },
                (None, None) => Content::Directory,
            };
            let mode = file
                .mode
                .as_deref()
                .and_then(|mode| u32::from_str_radix(mode, 8).ok());
            inventory.insert(InstalledFile {
                path: file.path.clone(),
                component: file.component.clone(),
                content,
                mode: mode.unwrap_or(0o777),
                uid: file.uid,
                gid: file.gid,
            });
        }
        inventory
    }

    /// What is used at run time and that no ELF file tells.
    pub fn declared(&self) -> resolve::Declared {
        let map = |names: &[DeclaredName]| {
            names
                .iter()
                .map(|one| (one.name.clone(), one.wanted_by.clone()))
                .collect()
        };
        resolve::Declared {
            libraries: map(&self.declared.libraries),
            optional_libraries: map(&self.declared.optional_libraries),
            programs: map(&self.declared.programs),
        }
    }

    /// Every Debian package that the image is to have.
    pub fn packages(&self) -> impl Iterator<Item = &PackageVersion> {
        let kept = self.packages_kept.iter().map(|kept| &kept.package);
        self.base.packages.iter().chain(kept)
    }
}

/// Permissions as they are written: four octal digits.
pub fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::receipt::assemble::tests::example;

    #[test]
    fn a_receipt_is_read_as_it_was_written() {
        let receipt = example();
        assert_eq!(Receipt::from_json(&receipt.to_json().unwrap()).unwrap(), receipt);
        assert_eq!(receipt.files_size, 5);
        assert_eq!(receipt.packages_size, 1024);
        let names: Vec<&str> = receipt.packages().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["libc6", "libicu72"]);
        assert_eq!(
            receipt
                .inventory()
                .find("/usr/lib/postgresql/18/lib/citus.so")
                .unwrap()
                .mode,
            0o644
        );
    }

    #[test]
    fn a_receipt_of_another_schema_is_refused() {
        let text = example().to_json().unwrap();
        let text = text.replacen("\"schema_version\": 1", "\"schema_version\": 2", 1);
        assert_eq!(
            Receipt::from_json(&text).unwrap_err().to_string(),
            "the receipt has schema version 2, and this pgsetup reads version 1"
        );
        assert_eq!(
            Receipt::from_json("{}").unwrap_err().to_string(),
            "this is not a receipt of pgsetup"
        );
    }
}

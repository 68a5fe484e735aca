//! The lock: which files an image is made of, on each target. `pgsetup lock` writes it, and `install --locked` uses
//! exactly these files, or says what has moved.
//!
//! A lock is a value like a manifest: what is compared here knows neither the machine nor the clock.

mod moved;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;

pub use moved::{MachinePackages, base_moved};

/// The file, beside the image's manifest.
pub const FILE: &str = "pgsetup.lock";
/// The version of [`Lock`].
pub const VERSION: u32 = 1;
/// The fields of a Debian package that apt decides by; the lock keeps them, so that no package is downloaded only to be
/// asked for them.
const RELATIONS: [&str; 12] = [
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
    "Replaces",
    "Provides",
    "Multi-Arch",
    "Essential",
    "Important",
    "Protected",
    "Priority",
    "Source",
];

/// Which files an image is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The version of this document's schema: 1.
    pub schema_version: u32,
    /// The version of pgsetup that wrote it.
    pub pgsetup: String,
    /// What is locked for each target.
    pub targets: Vec<TargetLock>,
}

/// What is locked for one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetLock {
    /// Distribution and architecture, `debian:bookworm/amd64`.
    pub target: String,
    /// What the image is built on.
    pub base: Base,
    /// What the manifests want.
    pub wants: Wants,
    /// Addresses that the paths of packages are appended to, where apt has none configured.
    pub archives: Vec<String>,
    /// The Debian packages that are installed on the base, with those that only builds need.
    pub packages: Vec<LockedPackage>,
}

/// What an image is built on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// The digest of the base image, `sha256:…`, if `lock` was told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Its Debian packages with their versions.
    pub packages: BTreeMap<String, String>,
}

/// What manifests want of the world outside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wants {
    /// The catalogue that completes the manifests; absent where everything is the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<LockedCatalogue>,
    /// Archives and Python distributions, in the order of the plan.
    pub sources: Vec<LockedSource>,
    /// The names of Debian packages that manifests want.
    pub packages: Vec<String>,
}

/// The catalogue of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockedCatalogue {
    /// Which one: `pgsetup 0.2.0`, or a directory.
    pub name: String,
    /// SHA-256 of its manifests.
    pub sha256: String,
}

/// A file that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockedSource {
    /// What it is.
    pub kind: SourceKind,
    /// The name of the component or of the distribution.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The digests that it may have.
    pub sha256: Vec<String>,
}

/// A kind of file that a manifest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// The archive of a component.
    Archive,
    /// A distribution of a Python package.
    Python,
}

/// A Debian package: one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// The digest of the file.
    #[schemars(with = "String")]
    pub sha256: Sha256,
    /// The size of the file.
    pub bytes: u64,
    /// Its path below an archive.
    pub path: String,
    /// What apt decides by, as the archive's index says it.
    pub relations: BTreeMap<String, String>,
}

impl Lock {
    /// A lock without targets.
    pub fn empty() -> Self {
        Self {
            schema_version: VERSION,
            pgsetup: env!("CARGO_PKG_VERSION").to_owned(),
            targets: Vec::new(),
        }
    }

    /// Reads a lock.
    ///
    /// # Errors
    /// The text is not a lock, or has another version.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            schema_version: u32,
        }
        let not_a_lock = |error: serde_json::Error| format!("it is not a lock: {error}");
        let Versioned { schema_version } = serde_json::from_str(text).map_err(not_a_lock)?;
        if schema_version != VERSION {
            return Err(format!(
                "it has version {schema_version} of its schema, and this pgsetup reads version {VERSION}; `pgsetup lock` writes \
                 it again"
            ));
        }
        serde_json::from_str(text).map_err(not_a_lock)
    }

    /// The document.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a document of texts, numbers, lists and maps") + "\n"
    }

    /// What is locked for a target.
    pub fn of(&self, target: &str) -> Option<&TargetLock> {
        self.targets.iter().find(|one| one.target == target)
    }

    /// Puts what is locked for a target in place of what was. Others stay.
    pub fn set(&mut self, target: TargetLock) {
        self.targets.retain(|one| one.target != target.target);
        self.targets.push(target);
        self.targets.sort_by(|a, b| a.target.cmp(&b.target));
        env!("CARGO_PKG_VERSION").clone_into(&mut self.pgsetup);
    }
}

impl TargetLock {
    /// The index of an archive that has these packages, each under the name of [`LockedPackage::stored`].
    pub fn index(&self) -> String {
        let mut index = String::new();
        for package in &self.packages {
            let LockedPackage {
                name,
                version,
                architecture,
                sha256,
                bytes,
                ..
            } = package;
            let _ = writeln!(
                index,
                "Package: {name}\nVersion: {version}\nArchitecture: {architecture}"
            );
            for (field, value) in &package.relations {
                let _ = writeln!(index, "{field}: {value}");
            }
            let _ = writeln!(
                index,
                "Filename: ./{}\nSize: {bytes}\nSHA256: {sha256}\n",
                package.stored()
            );
        }
        index
    }

    /// The package of a name.
    pub fn package(&self, name: &str) -> Option<&LockedPackage> {
        self.packages.iter().find(|one| one.name == name)
    }
}

impl LockedPackage {
    /// The package that a paragraph of an archive's index describes.
    ///
    /// # Errors
    /// The paragraph lacks a field: the package is in no archive.
    pub fn from_record(fields: &BTreeMap<String, String>) -> Result<Self, String> {
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        let (name, version) = (field("Package"), field("Version"));
        let lacks = |what: &str| {
            format!(
                "{name} {version}: no archive has it (its record has no {what}), so it cannot be fetched again"
            )
        };
        let one_line = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
        let relations = RELATIONS.iter().filter_map(|relation| {
            let value = fields.get(*relation)?;
            Some(((*relation).to_owned(), one_line(value)))
        });
        Ok(Self {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: field("Architecture").to_owned(),
            sha256: field("SHA256").parse().map_err(|_| lacks("SHA256"))?,
            bytes: field("Size").parse().map_err(|_| lacks("Size"))?,
            path: match field("Filename") {
                "" => return Err(lacks("Filename")),
                path => path.trim_start_matches("./").to_owned(),
            },
            relations: relations.collect(),
        })
    }

    /// For people: `libicu72 72.1-3`.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// The name of the file that archives give it.
    pub fn file(&self) -> String {
        self.path.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// The name of the file in the archive that apt is given.
    pub fn stored(&self) -> String {
        format!("{}.deb", self.sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: [(&str, &str); 9] = [
        ("Package", "libicu72"),
        ("Version", "72.1-3+b1"),
        ("Architecture", "amd64"),
        ("Source", "icu (72.1-3)"),
        ("Depends", "libc6 (>= 2.36),\nlibgcc-s1"),
        ("Description", "characters"),
        ("Filename", "pool/main/i/icu/libicu72_72.1-3+b1_amd64.deb"),
        ("Size", "9376000"),
        (
            "SHA256",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ),
    ];

    fn record(without: &str) -> BTreeMap<String, String> {
        let fields = RECORD.iter().filter(|(name, _)| *name != without);
        fields
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_record_of_an_archive_is_locked_and_indexed_with_what_apt_decides_by() {
        let package = LockedPackage::from_record(&record("")).unwrap();
        assert_eq!(package.file(), "libicu72_72.1-3+b1_amd64.deb");
        let target = TargetLock {
            target: "debian:bookworm/amd64".to_owned(),
            base: Base::default(),
            wants: Wants::default(),
            archives: Vec::new(),
            packages: vec![package],
        };
        assert_eq!(
            target.index(),
            "Package: libicu72\nVersion: 72.1-3+b1\nArchitecture: amd64\nDepends: libc6 (>= 2.36), libgcc-s1\n\
             Source: icu (72.1-3)\n\
             Filename: ./9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.deb\nSize: 9376000\n\
             SHA256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n\n"
        );
    }

    #[test]
    fn a_package_that_no_archive_has_is_not_locked() {
        for field in ["Filename", "Size", "SHA256"] {
            let error = LockedPackage::from_record(&record(field)).unwrap_err();
            let expected = format!("libicu72 72.1-3+b1: no archive has it (its record has no {field})");
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn a_lock_of_another_version_or_another_document_is_refused() {
        let mut lock = Lock::empty();
        assert_eq!(Lock::parse(&lock.to_json()), Ok(lock.clone()));
        lock.schema_version = 2;
        let error = Lock::parse(&lock.to_json()).unwrap_err();
        assert!(error.starts_with("it has version 2 of its schema"), "{error}");
        let error = Lock::parse("{}").unwrap_err();
        assert!(error.starts_with("it is not a lock"), "{error}");
    }
}

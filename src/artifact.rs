//! Artifacts: the packed result of a build, named by a key that covers everything that can change the result.
//!
//! A [`Key`] is the digest of a document, [`Inputs`]. The receipt contains the document too, so that a later plan can say why
//! a key changed. The manifests alone give the *recipe key* that `plan` shows. The versions of the packages that a build
//! sees depend on the machine and complete the document.
//!
//! An [`ArtifactEntry`] says which file of the cache belongs to a key. A store of artifacts knows only keys and entries, and
//! not steps. Nothing here does IO.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;

/// The version of [`Inputs`]. It is raised if a field changes its meaning, or is added and not left out where it is empty.
const INPUTS_VERSION: u32 = 2;
/// The version of what pgsetup itself does to a build, as far as no command line shows it: how sources are unpacked,
/// the environment of commands, what is stripped and how, which licences are kept, how a stage is packed. Raised
/// when any of that changes what comes out; `step::build` has a test that says what it stands for.
pub const RECIPES_VERSION: u32 = 2;
/// The version of [`ArtifactEntry`].
const ENTRY_VERSION: u32 = 1;

/// The name of an artifact: the digest of its [`Inputs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub Sha256);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everything that can change the bytes of a build. Comments, addresses, tests, settings, run-time packages and the number
/// of jobs are not in it, so they do not change a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inputs {
    /// The version of this document.
    pub version: u32,
    /// The version of what pgsetup does to a build besides running commands.
    pub recipes: u32,
    /// Name and release: `citus 14.0.1`.
    pub component: String,
    /// Distribution and architecture, `debian:bookworm/amd64`.
    pub target: String,
    /// The archives, in the order they are unpacked.
    pub sources: Vec<SourceInput>,
    /// The command lines with their environment, in order.
    pub commands: Vec<String>,
    /// Kinds of files that are taken from the stage before it is packed.
    pub removed: Vec<String>,
    /// Patterns of files that no package is unpacked with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<String>,
    /// Compiler flags beyond the architecture's baseline that the manifest declares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpu_flags: Vec<String>,
    /// The key of the PostgreSQL that it is compiled against, where pgsetup compiled that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub postgresql: Option<Key>,
    /// The digest of the `Cargo.lock` that names its crates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub cargo_lock: Option<Sha256>,
    /// The key of the tool that builds it, where pgsetup compiled that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub tool: Option<Key>,
    /// The Debian packages that the build sees, with their versions: its build packages and all that these depend
    /// on. Empty in a recipe.
    pub packages: BTreeMap<String, String>,
}

/// An archive, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceInput {
    /// Digests it may have.
    pub accepted: Vec<String>,
    /// Leading path components that are left off.
    pub strip: u8,
    /// Directory below the source tree that it is unpacked into, unless it is the tree itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub into: String,
}

/// The inputs of a component that the manifests decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The component's slug, which names its stage.
    pub slug: String,
    /// The inputs, without packages; `postgresql` is the server's recipe key.
    pub inputs: Inputs,
    /// The Debian packages that the build needs, by name.
    pub packages: Vec<String>,
    /// The slug of the component that it is compiled against.
    pub against: Option<String>,
    /// The slug of the tool that builds it.
    pub tool: Option<String>,
    /// Whether it is itself a tool, which is needed only while something is built with it.
    pub is_tool: bool,
}

impl Inputs {
    /// The inputs of a recipe.
    pub fn new(component: String, target: String) -> Self {
        Self {
            version: INPUTS_VERSION,
            recipes: RECIPES_VERSION,
            component,
            target,
            sources: Vec::new(),
            commands: Vec::new(),
            removed: Vec::new(),
            excluded: Vec::new(),
            cpu_flags: Vec::new(),
            postgresql: None,
            cargo_lock: None,
            tool: None,
            packages: BTreeMap::new(),
        }
    }

    /// The key: the digest of this document as serde writes it, with fields in the order of the type.
    pub fn key(&self) -> Key {
        let text = serde_json::to_vec(self).expect("a document of texts, numbers, lists and maps");
        Key(Sha256::of(&text))
    }

    /// Checks that `entry` can belong to a build with these inputs: it has the same component, and is linked only with
    /// libraries that the build saw.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn fits(&self, entry: &ArtifactEntry) -> Result<(), String> {
        if entry.component != self.component {
            return Err(format!(
                "its entry belongs to another component, {:?}",
                entry.component
            ));
        }
        match entry
            .libraries
            .iter()
            .find(|name| !self.packages.contains_key(*name))
        {
            None => Ok(()),
            Some(name) => Err(format!(
                "its entry names the package {name:?}, which is not a build package of {}",
                self.component
            )),
        }
    }

    /// The differences from `before`, one per line. Empty if the keys are equal.
    pub fn differences(&self, before: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut field = |name: &str, old: &dyn fmt::Display, new: &dyn fmt::Display| {
            let (old, new) = (old.to_string(), new.to_string());
            if old != new {
                lines.push(format!("{name}: {old} -> {new}"));
            }
        };
        field("version of the document", &before.version, &self.version);
        field("pgsetup's own recipes", &before.recipes, &self.recipes);
        field("component", &before.component, &self.component);
        field("target", &before.target, &self.target);
        let source = |source: &SourceInput| {
            let into = match source.into.as_str() {
                "" => String::new(),
                into => format!(", into {into}"),
            };
            format!("{} (strip {}{into})", source.accepted.join(" or "), source.strip)
        };
        let sources = |inputs: &Self| inputs.sources.iter().map(source).collect::<Vec<_>>();
        lines.extend(list_differences("source", &sources(before), &sources(self)));
        lines.extend(list_differences("command", &before.commands, &self.commands));
        for (what, old, new) in [
            ("removed from the stage", &before.removed, &self.removed),
            ("files that packages lack", &before.excluded, &self.excluded),
            ("declared CPU flags", &before.cpu_flags, &self.cpu_flags),
        ] {
            if old != new {
                lines.push(format!("{what}: {} -> {}", old.join(", "), new.join(", ")));
            }
        }
        for (what, old, new) in [
            ("key of postgresql", before.postgresql, self.postgresql),
            ("key of the tool", before.tool, self.tool),
            ("Cargo.lock", before.cargo_lock.map(Key), self.cargo_lock.map(Key)),
        ] {
            if old != new {
                let name = |key: Option<Key>| key.map_or("none".to_owned(), |key| key.to_string());
                lines.push(format!("{what}: {} -> {}", name(old), name(new)));
            }
        }
        let names: BTreeSet<&String> = before.packages.keys().chain(self.packages.keys()).collect();
        for name in names {
            let version = |inputs: &Self| inputs.packages.get(name).cloned();
            let (old, new) = (version(before), version(self));
            if old != new {
                let word = |version: Option<String>| version.unwrap_or_else(|| "none".to_owned());
                lines.push(format!("package {name}: {} -> {}", word(old), word(new)));
            }
        }
        lines
    }
}

fn list_differences(what: &str, before: &[String], now: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    for position in 0..before.len().max(now.len()) {
        let (old, new) = (before.get(position), now.get(position));
        if old != new {
            let word = |text: Option<&String>| text.map_or("none", String::as_str).to_owned();
            lines.push(format!("{what} {}: {} -> {}", position + 1, word(old), word(new)));
        }
    }
    lines
}

/// The file of a key: a packed stage in the cache, named by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactEntry {
    /// The version of this document.
    pub version: u32,
    /// The key it belongs to.
    pub key: Key,
    /// Name and release of the component.
    pub component: String,
    /// The packed stage.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub bytes: u64,
    /// The Debian packages with the libraries that its files are linked to: where nothing is compiled, no
    /// development package brings them.
    pub libraries: BTreeSet<String>,
    /// Whether another machine built it and it came from a remote cache.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fetched: bool,
}

impl ArtifactEntry {
    /// The entry of a stage that was packed.
    pub fn new(key: Key, component: &str, sha256: Sha256, bytes: u64, libraries: BTreeSet<String>) -> Self {
        let component = component.to_owned();
        Self {
            version: ENTRY_VERSION,
            key,
            component,
            sha256,
            bytes,
            libraries,
            fetched: false,
        }
    }

    /// The document.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a document of texts, numbers and lists") + "\n"
    }

    /// Reads the entry of `key`.
    ///
    /// # Errors
    /// The text is not an entry, or the entry has another version or another key.
    pub fn parse(key: Key, text: &str) -> Result<Self, String> {
        let entry: Self =
            serde_json::from_str(text).map_err(|error| format!("it is not an entry: {error}"))?;
        if entry.version != ENTRY_VERSION {
            return Err(format!("it has version {}, not {ENTRY_VERSION}", entry.version));
        }
        if entry.key != key {
            return Err(format!("it belongs to another key, {}", entry.key));
        }
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Inputs);

    fn inputs() -> Inputs {
        Inputs {
            sources: vec![SourceInput {
                accepted: vec!["a".to_owned()],
                strip: 1,
                into: String::new(),
            }],
            commands: vec!["make".to_owned()],
            packages: BTreeMap::from([("gcc".to_owned(), "1".to_owned())]),
            ..Inputs::new("citus 1".to_owned(), "debian:bookworm/amd64".to_owned())
        }
    }

    #[test]
    fn every_input_changes_the_key_and_is_named() {
        let before = inputs();
        assert_eq!(
            (inputs().key(), inputs().differences(&before)),
            (before.key(), vec![])
        );
        let changes: [(Change, &str); 12] = [
            (|i| i.version = 9, "version of the document: 2 -> 9"),
            (|i| i.recipes = 9, "pgsetup's own recipes: 2 -> 9"),
            (
                |i| i.component = "citus 2".to_owned(),
                "component: citus 1 -> citus 2",
            ),
            (
                |i| i.target = "debian:bookworm/arm64".to_owned(),
                "target: debian:bookworm/amd64 -> debian:bookworm/arm64",
            ),
            (|i| i.sources[0].strip = 2, "source 1: a (strip 1) -> a (strip 2)"),
            (
                |i| i.sources[0].into = "sub".to_owned(),
                "source 1: a (strip 1) -> a (strip 1, into sub)",
            ),
            (
                |i| i.commands.push("make install".to_owned()),
                "command 2: none -> make install",
            ),
            (
                |i| i.removed.push("bitcode".to_owned()),
                "removed from the stage:  -> bitcode",
            ),
            (
                |i| i.excluded.push("/usr/include/*".to_owned()),
                "files that packages lack:  -> /usr/include/*",
            ),
            (
                |i| i.cpu_flags.push("-mavx2".to_owned()),
                "declared CPU flags:  -> -mavx2",
            ),
            (
                |i| i.postgresql = Some(Key(Sha256::of(b""))),
                "key of postgresql: none -> e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                |i| drop(i.packages.insert("gcc".to_owned(), "2".to_owned())),
                "package gcc: 1 -> 2",
            ),
        ];
        for (change, line) in changes {
            let mut now = inputs();
            change(&mut now);
            assert_ne!(now.key(), before.key(), "{line}");
            assert_eq!(now.differences(&before), [line]);
        }
    }

    #[test]
    fn an_entry_fits_whose_libraries_the_build_saw() {
        let of = |component: &str, libraries: &[&str]| {
            let libraries = libraries.iter().map(|name| (*name).to_owned()).collect();
            let entry = ArtifactEntry::new(inputs().key(), component, Sha256::of(b""), 7, libraries);
            inputs().fits(&entry)
        };
        assert_eq!(of("citus 1", &[]), Ok(()));
        assert_eq!(of("citus 1", &["gcc"]), Ok(()));
        for (component, libraries, word) in [
            ("citus 2", &["gcc"][..], "another component, \"citus 2\""),
            (
                "citus 1",
                &["gcc", "nosuch"],
                "\"nosuch\", which is not a build package of citus 1",
            ),
            (
                "citus 1",
                &["-oDPkg::Pre-Invoke::=touch /x"],
                "\"-oDPkg::Pre-Invoke",
            ),
        ] {
            let error = of(component, libraries).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn an_entry_of_another_key_or_version_is_none() {
        let key = inputs().key();
        let entry = ArtifactEntry::new(
            key,
            "citus 1",
            Sha256::of(b""),
            7,
            BTreeSet::from(["libc6".to_owned()]),
        );
        assert_eq!(ArtifactEntry::parse(key, &entry.to_json()), Ok(entry.clone()));
        let other = Key(Sha256::of(b"other"));
        let error = ArtifactEntry::parse(other, &entry.to_json()).unwrap_err();
        assert!(error.starts_with("it belongs to another key"), "{error}");
        let newer = ArtifactEntry { version: 2, ..entry };
        assert_eq!(
            ArtifactEntry::parse(key, &newer.to_json()),
            Err("it has version 2, not 1".to_owned())
        );
        assert!(
            ArtifactEntry::parse(key, "{")
                .unwrap_err()
                .starts_with("it is not an entry")
        );
    }
}

//! What changed between two images, from their receipts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::receipt::Receipt;

/// The version of the document.
pub const VERSION: u32 = 1;

/// What changed between two images (`pgsetup schema diff`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Diff {
    /// The version of this schema.
    pub schema_version: u32,
    /// The name of the first image.
    pub from: String,
    /// The name of the second image.
    pub to: String,
    /// The image itself: its base, the catalogue, pgsetup.
    pub image: Vec<Change>,
    /// What was compiled or installed besides Debian packages.
    pub components: Vec<Change>,
    /// SQL extensions, with the versions that `CREATE EXTENSION` makes.
    pub sql_extensions: Vec<Change>,
    /// Debian packages, those of the base included.
    pub packages: Vec<Change>,
    /// Settings, and libraries that are preloaded.
    pub settings: Vec<Change>,
    /// Bytes: of files, of packages, of the files of each component.
    pub sizes: Vec<SizeChange>,
    /// Installed paths.
    pub files: FileChanges,
}

/// One change. A side that is absent does not have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// What changed.
    pub name: String,
    /// What it was in the first image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What it is in the second image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// A size that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SizeChange {
    /// `files`, `packages`, or the id of a component.
    pub name: String,
    /// Bytes in the first image.
    pub from: u64,
    /// Bytes in the second image.
    pub to: u64,
}

/// Numbers of installed paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileChanges {
    /// Only in the second image.
    pub added: usize,
    /// Only in the first image.
    pub removed: usize,
    /// In both, with another content, target, mode or owner.
    pub changed: usize,
}

type Facts = BTreeMap<String, String>;

/// Compares two receipts.
pub fn diff(one: &Receipt, other: &Receipt) -> Diff {
    let both = |facts: fn(&Receipt) -> Facts| changes(&facts(one), &facts(other));
    Diff {
        schema_version: VERSION,
        from: one.image.clone(),
        to: other.image.clone(),
        image: both(image),
        components: both(components),
        sql_extensions: both(sql_extensions),
        packages: both(packages),
        settings: both(settings),
        sizes: sizes(one, other),
        files: files(one, other),
    }
}

fn changes(before: &Facts, after: &Facts) -> Vec<Change> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |name: &String| Change {
        name: name.clone(),
        from: before.get(name).cloned(),
        to: after.get(name).cloned(),
    };
    let changes = names.into_iter().map(change);
    changes.filter(|change| change.from != change.to).collect()
}

fn image(receipt: &Receipt) -> Facts {
    let base = &receipt.base;
    let mut facts = Facts::from([
        (
            "base".to_owned(),
            [base.distribution.as_str(), &base.version]
                .join(" ")
                .trim()
                .to_owned(),
        ),
        ("architecture".to_owned(), base.architecture.clone()),
        ("installed by".to_owned(), receipt.tool.clone()),
    ]);
    if let Some(catalogue) = &receipt.catalogue {
        let text = format!("{}, sha256 {}", catalogue.name, catalogue.sha256);
        facts.insert("catalogue".to_owned(), text);
    }
    facts
}

fn components(receipt: &Receipt) -> Facts {
    let components = receipt.components.iter();
    components.map(|one| (one.id(), one.version.clone())).collect()
}

fn sql_extensions(receipt: &Receipt) -> Facts {
    let components = receipt.components.iter().filter(|one| one.older_major.is_none());
    let provided = components.flat_map(|one| &one.provides);
    provided
        .map(|sql| (sql.name.clone(), sql.default_version.clone()))
        .collect()
}

fn packages(receipt: &Receipt) -> Facts {
    let packages = receipt.packages();
    packages
        .map(|package| (package.name.clone(), package.version.clone()))
        .collect()
}

fn settings(receipt: &Receipt) -> Facts {
    let settings = receipt.postgresql.settings.iter();
    let mut facts: Facts = settings
        .map(|setting| (setting.name.clone(), setting.value.clone()))
        .collect();
    facts.insert("locale".to_owned(), receipt.postgresql.locale.clone());
    facts
}

fn sizes(one: &Receipt, other: &Receipt) -> Vec<SizeChange> {
    let of_components = |receipt: &Receipt| {
        let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
        for file in &receipt.files {
            *sizes.entry(file.component.clone()).or_default() += file.size.unwrap_or(0);
        }
        sizes
    };
    let (before, after) = (of_components(one), of_components(other));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let of = |sizes: &BTreeMap<String, u64>, name: &String| sizes.get(name).copied().unwrap_or(0);
    let totals = [
        ("files", one.files_size, other.files_size),
        ("packages", one.packages_size, other.packages_size),
    ];
    let totals = totals
        .into_iter()
        .map(|(name, from, to)| (name.to_owned(), from, to));
    let parts = names
        .into_iter()
        .map(|name| (name.clone(), of(&before, name), of(&after, name)));
    let all = totals
        .chain(parts)
        .map(|(name, from, to)| SizeChange { name, from, to });
    all.filter(|size| size.from != size.to).collect()
}

fn files(one: &Receipt, other: &Receipt) -> FileChanges {
    let by_path = |receipt: &Receipt| -> BTreeMap<String, String> {
        let facts = |file: &super::receipt::File| {
            let content = file.sha256.map(|digest| digest.to_string());
            let content = content.or_else(|| file.target.clone()).unwrap_or_default();
            let mode = file.mode.clone().unwrap_or_default();
            format!("{content} {mode} {}:{}", file.uid, file.gid)
        };
        let files = receipt.files.iter();
        files.map(|file| (file.path.clone(), facts(file))).collect()
    };
    let (before, after) = (by_path(one), by_path(other));
    FileChanges {
        added: after.keys().filter(|path| !before.contains_key(*path)).count(),
        removed: before.keys().filter(|path| !after.contains_key(*path)).count(),
        changed: before
            .iter()
            .filter(|(path, facts)| after.get(*path).is_some_and(|now| now != *facts))
            .count(),
    }
}

impl Diff {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        let lists = [
            &self.image,
            &self.components,
            &self.sql_extensions,
            &self.packages,
            &self.settings,
        ];
        let FileChanges {
            added,
            removed,
            changed,
        } = self.files;
        lists.iter().all(|list| list.is_empty()) && self.sizes.is_empty() && added + removed + changed == 0
    }

    /// The changes for people. `bytes` writes a size.
    pub fn text(&self, bytes: impl Fn(u64) -> String) -> String {
        if self.is_empty() {
            return "no difference\n".to_owned();
        }
        let mut page = String::new();
        for (head, list) in [
            ("image", &self.image),
            ("components", &self.components),
            ("SQL extensions", &self.sql_extensions),
            ("Debian packages", &self.packages),
            ("settings", &self.settings),
        ] {
            write_changes(head, list, &mut page);
        }
        if !self.sizes.is_empty() {
            page.push_str("sizes\n");
        }
        for size in &self.sizes {
            let (sign, by) = if size.to >= size.from {
                ('+', size.to - size.from)
            } else {
                ('-', size.from - size.to)
            };
            let _ = writeln!(
                page,
                "  {}: {} -> {} ({sign}{})",
                size.name,
                bytes(size.from),
                bytes(size.to),
                bytes(by)
            );
        }
        let FileChanges {
            added,
            removed,
            changed,
        } = self.files;
        if added + removed + changed > 0 {
            let _ = writeln!(
                page,
                "installed files\n  {added} added, {removed} removed, {changed} changed"
            );
        }
        page
    }
}

fn write_changes(head: &str, list: &[Change], page: &mut String) {
    if list.is_empty() {
        return;
    }
    let _ = writeln!(page, "{head}");
    for Change { name, from, to } in list {
        let _ = match (from, to) {
            (Some(from), Some(to)) => writeln!(page, "  {name}: {from} -> {to}"),
            (None, Some(to)) => writeln!(page, "  {name}: added, {to}"),
            (Some(from), None) => writeln!(page, "  {name}: removed, was {from}"),
            (None, None) => Ok(()),
        };
    }
}

//! The result of a verification, as a JSON document with a schema and as text.

use std::fmt::Write as _;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

/// The version of the JSON document's schema.
pub const SCHEMA_VERSION: u32 = 1;

/// The result of a verification.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Verification {
    /// The version of this schema.
    pub schema_version: u32,
    /// The image's name, from the receipt.
    pub image: String,
    /// The numbers of compared things.
    pub checked: Checked,
    /// The differences between the machine and its receipt; empty if there is none.
    pub differences: Vec<Difference>,
    /// What could not be compared, with the reasons.
    pub unchecked: Vec<Unchecked>,
}

impl Verification {
    /// An empty result for this image.
    pub fn of(image: &str) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            image: image.to_owned(),
            ..Self::default()
        }
    }
}

/// The numbers of compared things.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Checked {
    /// Files, links and directories.
    pub files: usize,
    /// Debian packages.
    pub packages: usize,
    /// Files of packages whose content was compared with dpkg's checksums.
    pub package_files: usize,
    /// ELF files whose libraries were followed.
    pub elf_files: usize,
    /// SQL extensions.
    pub extensions: usize,
}

/// The kind of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// The existence or content of a file, link or directory.
    Content,
    /// Owner or mode.
    Rights,
    /// A Debian package.
    Package,
    /// A shared library or program that an installed file needs.
    Library,
    /// A preload library or an extension of PostgreSQL.
    Postgresql,
    /// A user account.
    Account,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Difference {
    /// The path, package, library, extension or user.
    pub subject: String,
    /// The kind of the difference.
    pub aspect: Aspect,
    /// What was found and what the receipt says.
    pub explanation: String,
}

/// One thing that could not be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Unchecked {
    /// The path or the name of the check.
    pub subject: String,
    /// The reason.
    pub reason: String,
}

/// The result as text: a line for each difference, and the numbers of compared things.
pub fn text(found: &Verification) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for difference in &found.differences {
        let line = format!("{}: {}", difference.subject, difference.explanation);
        let _ = writeln!(text, "{}", in_one_line(&line));
    }
    for unchecked in &found.unchecked {
        let line = format!("not checked: {}: {}", unchecked.subject, unchecked.reason);
        let _ = writeln!(text, "{}", in_one_line(&line));
    }
    let checked = &found.checked;
    let _ = writeln!(
        text,
        "{}: {} files, {} packages with {} files, {} programs and libraries, {} extensions compared with the receipt: {}",
        found.image,
        checked.files,
        checked.packages,
        checked.package_files,
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

/// A text with control characters escaped. It contains names of unknown origin, which must not begin a new line or send
/// sequences to a terminal.
fn in_one_line(text: &str) -> String {
    let shown = |c: char| {
        let escaped = c.is_control().then(|| c.escape_default().to_string());
        escaped.unwrap_or_else(|| c.to_string())
    };
    text.chars().map(shown).collect()
}

/// The result as a JSON document.
///
/// # Errors
/// It cannot be written as JSON.
pub fn json(found: &Verification) -> Result<String> {
    Ok(serde_json::to_string_pretty(found)? + "\n")
}

//! The manifests that a command reads: its first word, MANIFESTS, or the default.

use std::path::Path;

use anyhow::{Result, bail};

use crate::failure::{Cause, Failure, WithCause};
use crate::manifest::ManifestFile;
use crate::{host, manifest};

/// The default directory.
const DIRECTORY: &str = "manifests";
/// The default file if there is no default directory.
const IMAGE: &str = "image.yaml";

/// Manifests as they were found.
pub type Files = Vec<ManifestFile>;

/// The usage of a command, for the error about a first word that is not a path.
#[derive(Debug, Clone, Copy)]
pub struct Usage<'a> {
    /// The command: `test`.
    pub command: &'a str,
    /// The option that takes names (`--extensions`), if names are not words of the command line.
    pub option: Option<&'a str>,
    /// The words after the first one.
    pub words: &'a [String],
}

impl<'a> Usage<'a> {
    /// A command that takes no words after MANIFESTS.
    pub fn of(command: &'a str) -> Self {
        Self {
            command,
            option: Some("--extensions"),
            words: &[],
        }
    }

    /// The corrected command line for one that begins with `word`, which is not a path.
    fn instead_of(&self, word: &str) -> String {
        let is_place = |word: &&String| host::local::exists(Path::new(word));
        let place = self.words.iter().find(is_place).map(String::as_str);
        let place = place.or(default()).unwrap_or("MANIFESTS");
        let mut words = vec!["pgsetup", self.command, place];
        words.extend(self.option);
        words.push(word);
        words.extend(
            self.words
                .iter()
                .map(String::as_str)
                .filter(|other| *other != place),
        );
        words.join(" ")
    }
}

/// The default for MANIFESTS.
fn default() -> Option<&'static str> {
    if host::local::is_directory(Path::new(DIRECTORY)) {
        Some(DIRECTORY)
    } else {
        host::local::is_file(Path::new(IMAGE)).then_some(IMAGE)
    }
}

/// Names and texts of the manifests that `given` selects.
///
/// # Errors
/// `given` does not exist or cannot be read, or there is no default.
pub fn read(given: Option<&Path>, usage: Usage<'_>) -> Result<Files, Failure> {
    let place = match given {
        Some(place) => existing(place, usage)?,
        None => Path::new(default().ok_or_else(|| {
            let message = format!(
                "there is neither a directory `{DIRECTORY}` nor a file `{IMAGE}` here; name the manifests: pgsetup {} MANIFESTS",
                usage.command
            );
            Failure::new(Cause::Usage, message)
        })?),
    };
    below(place).cause(Cause::Manifest)
}

/// A word without a slash that is not a path is a name in the wrong place.
fn existing<'p>(place: &'p Path, usage: Usage<'_>) -> Result<&'p Path, Failure> {
    let word = place.display().to_string();
    if host::local::exists(place) || word.contains('/') {
        return Ok(place);
    }
    let message = format!(
        "`{word}` is neither a directory nor a file; the manifests come first: {}",
        usage.instead_of(&word)
    );
    Err(Failure::new(Cause::Usage, message))
}

/// The manifests of a directory, or those that belong to a file. The manifest of an image belongs with all others in
/// its directory, except those of other images.
fn below(place: &Path) -> Result<Files> {
    if host::local::is_directory(place) {
        return host::local::manifests(place);
    }
    let chosen = host::local::manifest(place);
    if let (Some(fault), true) = (&chosen.fault, chosen.text.is_empty()) {
        bail!("{}: {}", chosen.name, fault.message);
    }
    if !is_image(&chosen) {
        return Ok(vec![chosen]);
    }
    let mut files = host::local::manifests(place.parent().unwrap_or(Path::new("")))?;
    files.retain(|file| file.name == chosen.name || !is_image(file));
    Ok(files)
}

fn is_image(file: &ManifestFile) -> bool {
    manifest::kind(&file.text).as_deref() == Some("image")
}

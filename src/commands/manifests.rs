//! The manifests that a command reads: its first word, MANIFESTS, or the default.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::catalogue::Catalogue;
use crate::cli::{CatalogueArgs, NamePlaceArgs, PlaceArgs};
use crate::failure::{Cause, Failure, WithCause};
use crate::host;
use crate::manifest::extension::{Extension, PreloadScope};
use crate::manifest::problem::Problem;
use crate::manifest::{self, Located, ManifestFile, Manifests};

/// The default directory.
const DIRECTORY: &str = "manifests";
/// The default file if there is no default directory.
const IMAGE: &str = "image.yaml";

/// The manifests that a command reads.
#[derive(Debug, Clone)]
pub struct Files {
    /// Names and texts of the user's own.
    pub own: Vec<ManifestFile>,
    /// What completes them.
    pub catalogue: Option<Catalogue>,
}

impl Files {
    /// The manifests, completed from the catalogue, and what is wrong with their shape.
    pub fn parse(&self) -> (Manifests, Vec<Problem>) {
        let (mut manifests, mut problems) = manifest::parse(&self.own);
        problems.extend(match &self.catalogue {
            Some(catalogue) => manifests.complete(catalogue),
            None => manifests.without_catalogue(),
        });
        (manifests, problems)
    }
}

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

/// The manifests that the command line names, with the catalogue that completes them.
///
/// # Errors
/// The named place does not exist, there is no default, or a manifest cannot be read.
pub fn read(args: &PlaceArgs, usage: Usage<'_>) -> Result<Files, Failure> {
    let place = match &args.manifests {
        Some(place) => existing(place, usage)?,
        None => Path::new(default().ok_or_else(|| {
            let message = format!(
                "there is neither a directory `{DIRECTORY}` nor a file `{IMAGE}` here; name the manifests: pgsetup {} \
                 MANIFESTS\n  `pgsetup init` writes an {IMAGE} to begin with",
                usage.command
            );
            Failure::new(Cause::Usage, message)
        })?),
    };
    Ok(Files {
        own: below(place).cause(Cause::Manifest)?,
        catalogue: catalogue(&args.catalogue)?,
    })
}

/// As [`read`], for commands whose words are names: the manifests are named by an option.
///
/// # Errors
/// As for [`read`].
pub fn read_by_option(args: &NamePlaceArgs, command: &str) -> Result<Files, Failure> {
    let place = PlaceArgs {
        manifests: args.manifests.clone(),
        catalogue: args.catalogue.clone(),
    };
    read(&place, Usage::of(command))
}

/// As [`read_by_option`], where the catalogue alone is enough.
///
/// # Errors
/// A named place does not exist, or a manifest cannot be read.
pub fn read_if_any(args: &NamePlaceArgs) -> Result<Files, Failure> {
    if args.manifests.is_none() && default().is_none() {
        return Ok(Files {
            own: Vec::new(),
            catalogue: catalogue(&args.catalogue)?,
        });
    }
    read_by_option(args, "list")
}

/// The directory that the user's manifests are in, or would be in.
pub fn directory_of(given: Option<&Path>) -> PathBuf {
    let place = given.or(default().map(Path::new)).unwrap_or(Path::new("."));
    if host::local::is_directory(place) {
        return place.to_owned();
    }
    let above = place.parent().filter(|above| !above.as_os_str().is_empty());
    above.unwrap_or(Path::new(".")).to_owned()
}

/// The catalogue that the command line selects.
///
/// # Errors
/// The directory that it names cannot be read.
pub fn catalogue(args: &CatalogueArgs) -> Result<Option<Catalogue>, Failure> {
    if args.no_catalogue {
        return Ok(None);
    }
    let Some(directory) = &args.catalogue else {
        return Ok(Some(Catalogue::embedded()));
    };
    if !host::local::is_directory(directory) {
        let message = format!("the catalogue {} is not a directory", directory.display());
        return Err(Failure::new(Cause::Usage, message));
    }
    let files = host::local::manifests(directory).cause(Cause::Manifest)?;
    if let Some(ManifestFile {
        name,
        fault: Some(fault),
        ..
    }) = files.iter().find(|file| file.fault.is_some())
    {
        return Err(Failure::new(
            Cause::Manifest,
            format_args!("{name}: {}", fault.message),
        ));
    }
    let relative = |file: ManifestFile| {
        let path = Path::new(&file.name).strip_prefix(directory);
        (
            path.map_or(file.name.clone(), |path| path.display().to_string()),
            file.text,
        )
    };
    let files = files.into_iter().map(relative).collect();
    Ok(Some(Catalogue::new(&directory.display().to_string(), files)))
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
/// its directory, except those of other images, and except YAML that is not a manifest: a compose file, objects of Kubernetes.
fn below(place: &Path) -> Result<Vec<ManifestFile>> {
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
    files.retain(|file| file.name == chosen.name || manifest::may_be_manifest(&file.text) && !is_image(file));
    Ok(files)
}

fn is_image(file: &ManifestFile) -> bool {
    manifest::kind(&file.text).as_deref() == Some("image")
}

/// Whether an extension does not work unless its libraries are loaded when the server starts.
pub fn is_preload_required(manifests: &Manifests, name: &str) -> bool {
    let is_it = |one: &&Located<Extension>| one.value.name == name;
    let found = manifests.extensions.iter().find(is_it);
    let preload = found.and_then(|one| one.value.preload.as_ref());
    preload.is_some_and(|preload| preload.required.is_some() && preload.scope == PreloadScope::Server)
}

/// These extensions with all that they require, each once.
pub fn with_required(manifests: &Manifests, names: &[String]) -> Vec<String> {
    let mut all = names.to_vec();
    let mut position = 0;
    while let Some(name) = all.get(position) {
        let found = manifests.extensions.iter().find(|one| one.value.name == *name);
        let required = found.into_iter().flat_map(|one| &one.value.requires);
        let missing: Vec<String> = required.filter(|one| !all.contains(one)).cloned().collect();
        all.extend(missing);
        position += 1;
    }
    all
}

/// The text of the manifest of a server (`18`, or `postgresql-18`) or of Patroni.
pub fn other<'m>(manifests: &'m Manifests, name: &str) -> Option<&'m str> {
    let server = name.strip_prefix("postgresql-").unwrap_or(name);
    let servers = manifests.postgresql.iter();
    let server = servers
        .filter(|one| one.value.name == server)
        .map(Located::text)
        .next();
    let patronis = manifests.patronis.iter();
    server.or_else(|| {
        patronis
            .filter(|one| one.value.name == name)
            .map(Located::text)
            .next()
    })
}

/// The file of the manifest of an extension, a server or Patroni.
pub fn file_of<'m>(manifests: &'m Manifests, name: &str) -> Option<&'m str> {
    let extensions = manifests.extensions.iter();
    let extension = extensions
        .filter(|one| one.value.name == name)
        .map(Located::file)
        .next();
    let server = name.strip_prefix("postgresql-").unwrap_or(name);
    let servers = manifests.postgresql.iter();
    let server = servers.filter(|one| one.value.name == server).map(Located::file);
    let patronis = manifests.patronis.iter();
    let patroni = patronis.filter(|one| one.value.name == name).map(Located::file);
    extension.or_else(|| server.chain(patroni).next())
}

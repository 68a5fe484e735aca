//! `pgsetup list`, `search` and `info`: what can be selected, from the user's manifests and the catalogue's.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::manifests::{self, Files};
use super::{json, print};
use crate::catalogue::{self, tested};
use crate::cli::{Format, InfoArgs, ListArgs, NamePlaceArgs, SearchArgs};
use crate::failure::{Cause, Failure};
use crate::manifest::extension::{Extension, PreloadScope, Release};
use crate::manifest::postgresql::{Postgresql, ServerSource};
use crate::manifest::{self, Located, ManifestFile, Manifests, nearest};
use crate::report::{Reporter, bytes};
use crate::resolve::MAJORS;
use crate::store::{cache, entries};
use crate::target::Architecture;

/// The version of these documents.
const VERSION: u32 = 1;
/// How many letters of a summary a row shows.
const MAX_SUMMARY: usize = 60;

/// What can be selected (`pgsetup schema available`).
#[derive(Debug, Serialize, JsonSchema)]
pub struct Available {
    /// The version of this schema.
    pub schema_version: u32,
    /// Which catalogue completes the manifests; absent with `--no-catalogue`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<CatalogueName>,
    /// The distributions that the catalogue's manifests are for.
    pub bases: Vec<String>,
    /// The architectures that images are built for.
    pub architectures: Vec<String>,
    /// The servers.
    pub postgresql: Vec<Server>,
    /// The extensions and the modules of PostgreSQL, by name.
    pub extensions: Vec<Entry>,
}

/// A catalogue.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CatalogueName {
    /// Which one: `pgsetup 0.2.0`, or a directory.
    pub name: String,
    /// SHA-256 of its manifests.
    pub sha256: String,
}

/// A server.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Server {
    /// The name it is selected by.
    pub name: String,
    /// The major version.
    pub major: u16,
    /// The version.
    pub version: String,
    /// `archive` if it is compiled, `apt` if it is the distribution's.
    pub source: String,
    /// Whether the image selects it.
    pub selected: bool,
    /// The file of its manifest; `catalogue:…` is in the catalogue.
    pub manifest: String,
}

/// An extension.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Entry {
    /// The name it is selected by.
    pub name: String,
    /// What it is for.
    pub summary: String,
    /// SPDX licence expression.
    pub license: String,
    /// The project's page.
    pub homepage: String,
    /// Whether it is part of PostgreSQL's own archive.
    pub comes_with_postgresql: bool,
    /// Whether the image selects it.
    pub selected: bool,
    /// The architectures it works on.
    pub architectures: Vec<String>,
    /// What there is of it for each major of PostgreSQL.
    pub majors: Vec<OfMajor>,
    /// Extensions that are selected with it.
    pub requires: Vec<String>,
    /// Extensions that cannot be in the same image.
    pub conflicts: Vec<String>,
    /// What has to be loaded before it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preload: Option<Preload>,
    /// Debian packages that stay in the image for its sake, besides those with libraries that it is linked with.
    pub packages: Vec<String>,
    /// The file of its manifest; `catalogue:…` is in the catalogue.
    pub manifest: String,
}

/// An extension on a major of PostgreSQL.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OfMajor {
    /// The major.
    pub postgresql: u16,
    /// Whether it works.
    pub state: State,
    /// Its release there; absent of what does not work and of modules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The SQL extensions it brings.
    pub provides: Vec<String>,
    /// When it was tested, and on which server; or why it does not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Whether an extension works on a major.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was built and every test of its manifest passed, for the release of pgsetup that carries the manifest.
    Tested,
    /// Upstream or the manifest says that it works.
    Declared,
    /// It does not.
    Unsupported,
}

/// What has to be loaded before an extension works.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Preload {
    /// The libraries.
    pub libraries: Vec<String>,
    /// `server` or `session`.
    pub scope: String,
    /// Whether it does not work at all without them.
    pub required: bool,
}

/// One extension with its manifest (`pgsetup schema info`).
#[derive(Debug, Serialize, JsonSchema)]
pub struct Info {
    /// The version of this schema.
    pub schema_version: u32,
    /// The extension.
    pub extension: Entry,
    /// Bytes of its newest artifact in the cache, packed; absent if it was not built there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_bytes: Option<u64>,
    /// The text of its manifest.
    pub text: String,
}

/// Lists everything.
///
/// # Errors
/// The manifests cannot be read, or standard output cannot be written.
pub fn list(args: &ListArgs, reporter: &Reporter) -> Result<(), Failure> {
    let place = NamePlaceArgs {
        manifests: args.place.manifests.clone(),
        catalogue: args.place.catalogue.clone(),
    };
    show(&place, args.format, reporter, |_| true)
}

/// Lists what has a word in its name, its summary or the names of its SQL extensions.
///
/// # Errors
/// As for [`list`], or nothing has the word.
pub fn search(args: &SearchArgs, reporter: &Reporter) -> Result<(), Failure> {
    let word = args.word.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&word);
    show(&args.place, args.format, reporter, |entry| {
        let mut provided = entry.majors.iter().flat_map(|major| &major.provides);
        has(&entry.name) || has(&entry.summary) || provided.any(|name| has(name))
    })
}

fn show(
    place: &NamePlaceArgs,
    format: Format,
    reporter: &Reporter,
    is_wanted: impl Fn(&Entry) -> bool,
) -> Result<(), Failure> {
    let files = manifests::read_if_any(place)?;
    let (manifests, problems) = files.parse();
    super::told(&problems, reporter)?;
    let mut available = available(&files, &manifests);
    let count = available.extensions.len();
    available.extensions.retain(is_wanted);
    let text = match format {
        Format::Json => json(&available)?,
        Format::Text if available.extensions.len() == count => table(&available),
        Format::Text => rows(&available.extensions),
    };
    if available.extensions.is_empty() {
        let message =
            "no extension has this word in its name or its summary; `pgsetup list` shows all of them";
        return Err(Failure::new(Cause::Usage, message));
    }
    print(reporter, &text)
}

/// Shows one extension, or the manifest of a server or of Patroni.
///
/// # Errors
/// The manifests cannot be read, or none has this name.
pub fn info(args: &InfoArgs, reporter: &Reporter) -> Result<(), Failure> {
    let files = manifests::read_if_any(&args.place)?;
    let (manifests, problems) = files.parse();
    super::told(&problems, reporter)?;
    let name = args.name.as_str();
    let found = manifests.extensions.iter().find(|one| one.value.name == name);
    let Some(found) = found else {
        let text = manifests::other(&manifests, name).ok_or_else(|| unknown(&manifests, name))?;
        if args.format == Format::Json {
            let message = format!("{name} is not an extension; `pgsetup list --format json` has servers");
            return Err(Failure::new(Cause::Usage, message));
        }
        return print(reporter, text);
    };
    let selection = Selected::of(&manifests);
    let entry = entry(found, &tested::read(catalogue::tested_page()), &selection);
    let info = Info {
        schema_version: VERSION,
        artifact_bytes: artifact_bytes(&args.cache, &entry),
        extension: entry,
        text: found.text().to_owned(),
    };
    let text = match args.format {
        Format::Json => json(&info)?,
        Format::Text => page(&info),
    };
    print(reporter, &text)
}

/// No manifest has this name.
pub fn unknown(manifests: &Manifests, name: &str) -> Failure {
    let names = manifests.extension_names();
    let hint = match nearest(name, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`pgsetup list` shows what there is".to_owned(),
    };
    Failure::new(Cause::Usage, format!("there is no extension `{name}`; {hint}"))
}

/// What the image selects by name.
struct Selected<'m> {
    server: Option<&'m str>,
    extensions: &'m [String],
}

impl<'m> Selected<'m> {
    fn of(manifests: &'m Manifests) -> Self {
        let image = manifests.images.first().map(|image| &image.value);
        Self {
            server: image.map(|image| image.postgresql.as_str()),
            extensions: image.map_or(&[], |image| image.extensions.as_slice()),
        }
    }
}

fn available(files: &Files, manifests: &Manifests) -> Available {
    let tested = tested::read(catalogue::tested_page());
    let selected = Selected::of(manifests);
    let mut postgresql: Vec<Server> = manifests
        .postgresql
        .iter()
        .map(|one| server(one, &selected))
        .collect();
    postgresql.sort_by(|one, other| (one.major, &one.name).cmp(&(other.major, &other.name)));
    let mut extensions: Vec<Entry> = manifests
        .extensions
        .iter()
        .map(|one| entry(one, &tested, &selected))
        .collect();
    extensions.sort_by(|one, other| one.name.cmp(&other.name));
    Available {
        schema_version: VERSION,
        catalogue: files.catalogue.as_ref().map(|catalogue| CatalogueName {
            name: catalogue.edition.name.clone(),
            sha256: catalogue.edition.sha256.to_string(),
        }),
        bases: bases(files, manifests),
        architectures: Architecture::ALL.map(|one| one.name().to_owned()).to_vec(),
        postgresql,
        extensions,
    }
}

/// The distributions of the catalogue's image and of the user's.
fn bases(files: &Files, manifests: &Manifests) -> Vec<String> {
    let mut bases: Vec<String> = manifests
        .images
        .iter()
        .map(|image| image.value.base.clone())
        .collect();
    let catalogue = files.catalogue.iter().flat_map(|one| &one.manifests);
    let images: Vec<ManifestFile> = catalogue
        .filter(|(path, _)| path == manifest::STANDARD_IMAGE)
        .map(|(path, text)| ManifestFile::new(path, text))
        .collect();
    let (its, _) = manifest::parse(&images);
    bases.extend(its.images.iter().map(|image| image.value.base.clone()));
    bases.sort();
    bases.dedup();
    bases
}

fn server(manifest: &Located<Postgresql>, selected: &Selected<'_>) -> Server {
    let value = &manifest.value;
    Server {
        name: value.name.clone(),
        major: value.major,
        version: value.version.clone(),
        source: match value.source {
            ServerSource::Archive => "archive".to_owned(),
            ServerSource::Apt => "apt".to_owned(),
        },
        selected: selected.server == Some(value.name.as_str()),
        manifest: manifest.file().to_owned(),
    }
}

type TestedReleases = BTreeMap<(String, u16), tested::Tested>;

fn entry(manifest: &Located<Extension>, tested: &TestedReleases, selected: &Selected<'_>) -> Entry {
    let value = &manifest.value;
    let architectures = match value.architectures.as_slice() {
        [] => Architecture::ALL.map(|one| one.name().to_owned()).to_vec(),
        some => some.to_vec(),
    };
    // What was tested is the catalogue's manifest and no other.
    let nothing = TestedReleases::new();
    let tested = if manifest.is_of_catalogue {
        tested
    } else {
        &nothing
    };
    Entry {
        name: value.name.clone(),
        summary: value.summary.clone(),
        license: value.license.clone(),
        homepage: value.homepage.clone(),
        comes_with_postgresql: value.comes_with_postgresql(),
        selected: selected.extensions.contains(&value.name),
        architectures,
        majors: MAJORS
            .into_iter()
            .map(|major| of_major(value, major, tested))
            .collect(),
        requires: value.requires.clone(),
        conflicts: value.conflicts.iter().map(|one| one.extension.clone()).collect(),
        preload: value.preload.as_ref().map(|preload| Preload {
            libraries: preload.libraries.clone(),
            scope: match preload.scope {
                PreloadScope::Server => "server".to_owned(),
                PreloadScope::Session => "session".to_owned(),
            },
            required: preload.required.is_some(),
        }),
        packages: value.packages.runtime.clone(),
        manifest: manifest.file().to_owned(),
    }
}

fn of_major(extension: &Extension, major: u16, tested: &TestedReleases) -> OfMajor {
    let is_for = |release: &&Release| release.postgresql.contains(&major);
    let Some(release) = extension.releases.iter().find(is_for) else {
        let mut reasons = extension.unsupported.iter();
        let reason = reasons.find(|one| one.bases.is_empty() && one.postgresql.contains(&major));
        return OfMajor {
            postgresql: major,
            state: State::Unsupported,
            version: None,
            provides: Vec::new(),
            note: reason.map(|one| one.reason.clone()),
        };
    };
    let tested = tested.get(&(extension.name.clone(), major));
    let tested = tested.filter(|one| extension.comes_with_postgresql() || one.version == release.version);
    OfMajor {
        postgresql: major,
        state: if tested.is_some() {
            State::Tested
        } else {
            State::Declared
        },
        version: (!release.version.is_empty()).then(|| release.version.clone()),
        provides: release.provides.iter().map(|sql| sql.name.clone()).collect(),
        note: tested.map(|one| format!("tested on {}, {}", one.postgresql, one.date)),
    }
}

/// The size of the newest artifact with the name and release of an extension.
fn artifact_bytes(directory: &Path, entry: &Entry) -> Option<u64> {
    let artifacts = entries::artifacts(directory).ok()?;
    let versions = entry.majors.iter().filter_map(|major| major.version.as_ref());
    let titles: Vec<String> = versions
        .map(|version| format!("{} {version}", entry.name))
        .collect();
    let files = cache::list(directory).ok()?;
    let is_it = |file: &&cache::CachedFile| {
        let artifact = artifacts.get(&file.digest);
        artifact.is_some_and(|artifact| titles.contains(&artifact.component))
    };
    files.iter().find(is_it).map(|file| file.bytes)
}

fn table(available: &Available) -> String {
    let mut page = String::new();
    if let Some(catalogue) = &available.catalogue {
        let _ = writeln!(
            page,
            "catalogue of {}, sha256 {}",
            catalogue.name, catalogue.sha256
        );
    }
    let _ = writeln!(
        page,
        "for {} on {}\n\nPostgreSQL",
        available.bases.join(", "),
        available.architectures.join(" and ")
    );
    for server in &available.postgresql {
        let mark = if server.selected { '*' } else { ' ' };
        let how = match server.source.as_str() {
            "apt" => "the distribution's packages",
            _ => "compiled",
        };
        let _ = writeln!(page, "{mark} {:<8} {:<8} {how}", server.name, server.version);
    }
    page.push('\n');
    page.push_str(&rows(&available.extensions));
    page
}

fn rows(entries: &[Entry]) -> String {
    let width =
        |column: fn(&Entry) -> usize, least: usize| entries.iter().map(column).max().unwrap_or(0).max(least);
    let (names, licences) = (
        width(|entry| entry.name.len(), "extension".len()),
        width(|entry| entry.license.len(), "licence".len()).min(24),
    );
    let majors: Vec<String> = MAJORS.iter().map(ToString::to_string).collect();
    let mut page = format!(
        "  {:names$}  {}  {:licences$}  what it is for\n",
        "extension",
        majors.join(" "),
        "licence"
    );
    for entry in entries {
        let mark = if entry.selected { '*' } else { ' ' };
        let states = entry.majors.iter().map(|major| match major.state {
            State::Tested => " +",
            State::Declared => " o",
            State::Unsupported => " -",
        });
        let summary: String = entry.summary.chars().take(MAX_SUMMARY).collect();
        let _ = writeln!(
            page,
            "{mark} {:names$}  {}  {:licences$}  {summary}",
            entry.name,
            states.collect::<Vec<_>>().join(" "),
            entry.license
        );
    }
    page.push_str("* selected; + tested, o declared, - not supported; `pgsetup info NAME` says more\n");
    page
}

fn page(info: &Info) -> String {
    let Entry {
        name,
        summary,
        license,
        homepage,
        architectures,
        majors,
        requires,
        conflicts,
        preload,
        packages,
        manifest,
        ..
    } = &info.extension;
    let mut page = format!("{name}: {summary}\n");
    let mut row = |head: &str, text: &str| {
        let _ = writeln!(page, "  {head:<15} {text}");
    };
    let list = |names: &[String]| {
        if names.is_empty() {
            "nothing".to_owned()
        } else {
            names.join(", ")
        }
    };
    row("licence", license);
    row("home page", homepage);
    for major in majors {
        let version = major.version.as_deref().unwrap_or_default();
        let state = match (major.state, &major.note) {
            (State::Tested, Some(note)) => note.clone(),
            (State::Unsupported, Some(reason)) => format!("not supported: {reason}"),
            (State::Unsupported, None) => "not supported".to_owned(),
            (State::Tested | State::Declared, _) => "declared, not tested".to_owned(),
        };
        let text = [version, &state].join(" ");
        row(&format!("PostgreSQL {}", major.postgresql), text.trim_start());
    }
    let newest = majors
        .iter()
        .rev()
        .find(|major| major.state != State::Unsupported);
    row("in SQL", &list(newest.map_or(&[], |major| &major.provides)));
    row("architectures", &architectures.join(", "));
    row("requires", &list(requires));
    row("conflicts with", &list(conflicts));
    let loaded = match preload {
        None => "nothing".to_owned(),
        Some(Preload {
            libraries, required, ..
        }) => {
            let need = if *required {
                "it does not work without"
            } else {
                "for a part of what it does"
            };
            format!("{}; {need}", libraries.join(", "))
        }
    };
    row("preloads", &loaded);
    row("packages", &list(packages));
    row(
        "size",
        &match info.artifact_bytes {
            Some(size) => format!("{} packed, as it is in the cache", bytes(size)),
            None => "not known: there is no build of it in the cache".to_owned(),
        },
    );
    row("manifest", manifest);
    page.push('\n');
    page.push_str(&info.text);
    page
}

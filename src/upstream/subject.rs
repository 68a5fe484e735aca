//! Versions and archives in manifests: releases of extensions, and PostgreSQL itself.

use std::path::PathBuf;

use super::versions;
use crate::manifest::Manifests;
use crate::manifest::extension::SqlExtension;
use crate::manifest::source::Source;
use crate::resolve;
use crate::source::SourceRequest;
use crate::target::Architecture;

/// One version in one manifest.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The manifest's name; for a server, with its major: `postgresql-18`.
    pub name: String,
    /// The file it is in.
    pub file: PathBuf,
    /// The version.
    pub version: String,
    /// The PostgreSQL majors that it supports.
    pub majors: Vec<u16>,
    /// The path of its version in the file.
    pub version_path: String,
    /// Its archives with their paths in the file.
    pub sources: Vec<(String, Source)>,
    /// The SQL extensions it provides, with their paths in the file.
    pub provides: Vec<(String, SqlExtension)>,
    /// How many leading numbers its release line has in common.
    pub line: usize,
}

/// Every version in `manifests` that has an archive, in the order of files.
pub fn subjects(manifests: &Manifests) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for manifest in &manifests.postgresql {
        let value = &manifest.value;
        let archive = value
            .archive
            .iter()
            .map(|source| ("archive".to_owned(), source.clone()));
        subjects.push(Subject {
            name: format!("postgresql-{}", value.name),
            file: manifest.file().into(),
            version: value.version.clone(),
            majors: vec![value.major],
            version_path: "version".to_owned(),
            sources: archive.collect(),
            provides: Vec::new(),
            line: 1,
        });
    }
    for manifest in &manifests.extensions {
        let value = &manifest.value;
        let versions: Vec<&str> = value
            .releases
            .iter()
            .map(|release| release.version.as_str())
            .collect();
        for (position, release) in value.releases.iter().enumerate() {
            let path = format!("releases[{position}]");
            let sources = release.sources.iter().enumerate();
            let provides = release.provides.iter().enumerate();
            subjects.push(Subject {
                name: value.name.clone(),
                file: manifest.file().into(),
                version: release.version.clone(),
                majors: release.postgresql.clone(),
                version_path: format!("{path}.version"),
                sources: sources
                    .map(|(n, source)| (format!("{path}.sources[{n}]"), source.clone()))
                    .collect(),
                provides: provides
                    .map(|(n, sql)| (format!("{path}.provides[{n}]"), sql.clone()))
                    .collect(),
                line: versions::line_of(&release.version, &versions),
            });
        }
    }
    // An extension of PostgreSQL itself has no archive of its own.
    subjects.retain(|subject| !subject.sources.is_empty());
    subjects
}

impl Subject {
    /// Its name and version: `citus 14.0.1`.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// The server to ask for newer versions.
    ///
    /// # Errors
    /// The url does not say where upstream keeps its versions, in words.
    pub fn upstream(&self) -> Result<versions::Upstream, String> {
        let (_, source) = self.sources.first().ok_or("it has no source")?;
        versions::upstream(&source.url, &self.version)
    }

    /// Whether its first source gives a reason for plain http.
    pub fn is_insecure(&self) -> bool {
        self.sources
            .first()
            .is_some_and(|(_, source)| source.insecure.is_some())
    }

    /// `text` with the variables of this subject replaced for a version.
    pub fn interpolate(&self, text: &str, version: &str) -> String {
        let major = self.majors.first().map(u16::to_string).unwrap_or_default();
        text.replace("${version}", version)
            .replace("${pg_major}", &major)
            .replace("${arch}", Architecture::of_this_program().name())
    }

    /// The archive of `source`; `None` if a digest cannot be read.
    pub fn request(&self, source: &Source) -> Option<SourceRequest> {
        let mut source = source.clone();
        let mirrors = source.mirrors.iter_mut();
        let addresses = mirrors.flat_map(|mirror| mirror.url.iter_mut().chain(&mut mirror.debian));
        for address in addresses.chain([&mut source.url]) {
            *address = self.interpolate(address, &self.version);
        }
        let resolved = resolve::source(&source, &self.title())?;
        Some(SourceRequest::from(&resolved))
    }
}

//! What has a version and archives in the manifests: releases of extensions, and PostgreSQL itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::versions;
use crate::manifest::Manifests;
use crate::manifest::extension::SqlExtension;
use crate::manifest::source::Source;
use crate::source::{Address, SourceRequest};
use crate::target::Architecture;

/// One version in one manifest.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The manifest's name; `postgresql-18` is the server's of that name.
    pub name: String,
    /// The file it is in.
    pub file: PathBuf,
    /// The version.
    pub version: String,
    /// PostgreSQL majors it is for.
    pub majors: Vec<u16>,
    /// Where its version stands in the file.
    pub version_path: String,
    /// Its archives, each with where it stands.
    pub sources: Vec<(String, Source)>,
    /// The SQL extensions it brings, each with where it stands.
    pub provides: Vec<(String, SqlExtension)>,
    /// How many numbers its releases have in common.
    pub line: usize,
}

/// Everything in `manifests` that has a version and an archive, in the order of files.
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
    // What comes with PostgreSQL has no archive of its own.
    subjects.retain(|subject| !subject.sources.is_empty());
    subjects
}

impl Subject {
    /// As a user would say it.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// Whom to ask for newer versions.
    ///
    /// # Errors
    /// Why nobody can be asked.
    pub fn upstream(&self) -> Result<versions::Upstream, String> {
        let (_, source) = self.sources.first().ok_or("it has no source")?;
        versions::upstream(&source.url, &self.version)
    }

    /// True where its first source says why plain http is good enough.
    pub fn is_insecure(&self) -> bool {
        self.sources
            .first()
            .is_some_and(|(_, source)| source.insecure.is_some())
    }

    /// `text` with its variables replaced, for a version of this subject.
    pub fn interpolate(&self, text: &str, version: &str) -> String {
        let major = self.majors.first().map(u16::to_string).unwrap_or_default();
        text.replace("${version}", version)
            .replace("${pg_major}", &major)
            .replace("${arch}", Architecture::of_this_program().name())
    }

    /// The archive that `source` names with its digest; `None` where no digest can be read.
    pub fn request(&self, source: &Source) -> Option<SourceRequest> {
        let url = |text: &String| Address::Url {
            url: self.interpolate(text, &self.version),
            insecure: source.insecure.is_some(),
        };
        let mirrors = source
            .mirrors
            .iter()
            .filter_map(|mirror| match (&mirror.url, &mirror.debian) {
                (Some(text), _) => Some(url(text)),
                (None, Some(path)) => Some(Address::Debian(self.interpolate(path, &self.version))),
                (None, None) => None,
            });
        let accepted =
            std::iter::once(&source.sha256).chain(source.accepted.iter().map(|other| &other.sha256));
        Some(SourceRequest {
            name: self.title(),
            file_name: String::new(),
            urls: std::iter::once(url(&source.url)).chain(mirrors).collect(),
            accepted: accepted
                .map(|digest| digest.parse())
                .collect::<Result<_, _>>()
                .ok()?,
            sha512: BTreeMap::new(),
            tar_sha256: source.tar_sha256.as_ref().and_then(|digest| digest.parse().ok()),
            max_bytes: source.max_bytes,
        })
    }
}

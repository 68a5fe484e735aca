//! The page of a project in a package index, in both forms of the simple API: HTML (PEP 503) and JSON (PEP 691).

use std::collections::BTreeMap;
use std::path::Path;

use html5gum::{StartTag, Token, Tokenizer};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::http::Url;
use crate::digest::Sha256;

/// The `Accept` header of pip, which prefers JSON to HTML.
pub const ACCEPT: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.1, text/html;q=0.01";
const JSON: &str = "application/vnd.pypi.simple.v1+json";
/// Endings of archives of sources; the longer first.
const ARCHIVES: [&str; 6] = [".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tar", ".zip"];

/// A file that a page links to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: Url,
    /// Its digest, where the page says it.
    pub sha256: Option<Sha256>,
    /// Why its release was withdrawn, if it was; may be empty.
    pub yanked: Option<String>,
}

impl Link {
    /// A file at `url`, whose fragment may hold the digest.
    fn at(mut url: Url) -> Self {
        let sha256 = url.fragment().and_then(|fragment| {
            let mut parts = fragment.split('&');
            parts.find_map(|part| part.strip_prefix("sha256=")?.parse().ok())
        });
        url.set_fragment(None);
        Self {
            name: last_segment(url.path()),
            url,
            sha256,
            yanked: None,
        }
    }

    /// The version that the name says, for a file of this project.
    pub fn version(&self, project: &str) -> Option<&str> {
        let (name, version) = match self.name.strip_suffix(".whl") {
            Some(stem) => stem
                .split_once('-')
                .map(|(name, rest)| (name, rest.split('-').next())),
            None => ARCHIVES
                .iter()
                .find_map(|ending| self.name.strip_suffix(ending))
                .and_then(|stem| stem.rsplit_once('-'))
                .map(|(name, version)| (name, Some(version))),
        }?;
        version.filter(|_| normalised(name) == normalised(project))
    }
}

/// A project's name as it is written in addresses (PEP 503): lower case, with one `-` for each run of `-`, `_` and `.`.
pub fn normalised(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_lowercase()
}

/// The files that the page at `base` links to. Links are relative to it, unless the page says otherwise.
///
/// # Errors
/// The page is not one of a package index. The error says what it is.
pub fn parse(page: &[u8], content_type: Option<&str>, base: &Url) -> Result<Vec<Link>, String> {
    let is_json =
        content_type.is_some_and(|kind| kind.starts_with(JSON) || kind.starts_with("application/json"));
    if is_json {
        json(page, base)
    } else {
        html(&String::from_utf8_lossy(page), base)
    }
}

#[derive(Deserialize)]
struct ProjectPage {
    meta: Meta,
    files: Vec<DocumentFile>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "api-version")]
    version: String,
}

#[derive(Deserialize)]
struct DocumentFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    yanked: Option<Yanked>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Yanked {
    Is(bool),
    WithCause(String),
}

fn json(page: &[u8], base: &Url) -> Result<Vec<Link>, String> {
    let document: ProjectPage =
        serde_json::from_slice(page).map_err(|error| format!("the page is not one of PEP 691: {error}"))?;
    known(&document.meta.version)?;
    let file = |file: DocumentFile| {
        let sha256 = file.hashes.get("sha256");
        Some(Link {
            name: file.filename,
            sha256: sha256.and_then(|digest| digest.parse().ok()),
            yanked: match file.yanked {
                None | Some(Yanked::Is(false)) => None,
                Some(Yanked::Is(true)) => Some(String::new()),
                Some(Yanked::WithCause(why)) => Some(why),
            },
            ..Link::at(base.join(&file.url).ok()?)
        })
    };
    Ok(document.files.into_iter().filter_map(file).collect())
}

fn html(page: &str, base: &Url) -> Result<Vec<Link>, String> {
    let (mut base, mut is_based, mut files) = (base.clone(), false, Vec::new());
    for tag in tags(page) {
        match tag.name.as_slice() {
            b"meta" if attribute(&tag, "name").as_deref() == Some("pypi:repository-version") => {
                known(&attribute(&tag, "content").unwrap_or_default())?;
            }
            b"base" if !is_based => {
                if let Some(url) = attribute(&tag, "href").and_then(|url| base.join(&url).ok()) {
                    (base, is_based) = (url, true);
                }
            }
            b"a" => {
                if let Some(url) = attribute(&tag, "href").and_then(|url| base.join(url.trim()).ok()) {
                    let yanked = attribute(&tag, "data-yanked");
                    files.push(Link {
                        yanked,
                        ..Link::at(url)
                    });
                }
            }
            _ => {}
        }
    }
    Ok(files)
}

/// Whether this version of the API is supported. A new major number is incompatible (PEP 629).
fn known(version: &str) -> Result<(), String> {
    if version.split('.').next() == Some("1") {
        return Ok(());
    }
    Err(format!(
        "the index speaks version `{version}` of the simple API; 1 is known"
    ))
}

/// The targets of the links of an HTML page, as they are written.
pub fn links(page: &str) -> impl Iterator<Item = String> + '_ {
    tags(page).filter_map(|tag| attribute(&tag, "href").filter(|_| tag.name.as_slice() == b"a"))
}

fn tags(page: &str) -> impl Iterator<Item = StartTag<()>> + '_ {
    Tokenizer::new(page).filter_map(|token| match token {
        Ok(Token::StartTag(tag)) => Some(tag),
        _ => None,
    })
}

fn attribute(tag: &StartTag<()>, name: &str) -> Option<String> {
    let value = tag.attributes.get(name.as_bytes())?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// The part of a path after the last slash, decoded.
fn last_segment(path: &str) -> String {
    let segment = path.rsplit('/').next().unwrap_or_default();
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// The files of a directory of this machine, which pip takes for a page of links.
pub fn directory(path: &Path, names: impl IntoIterator<Item = String>) -> Vec<Link> {
    let url = |name: String| Url::from_file_path(path.join(name)).ok();
    names.into_iter().filter_map(url).map(Link::at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn files(page: &str, content_type: &str) -> Result<Vec<Link>, String> {
        let base = Url::parse("https://index.example/simple/my-project/").unwrap();
        parse(page.as_bytes(), Some(content_type), &base)
    }

    #[test]
    fn links_of_a_page_are_files_with_their_digests() {
        let page = format!(
            "<!DOCTYPE html><html><head><META name='pypi:repository-version' content=1.1></head><body>\
             <!-- <a href='no.whl'>no</a> -->\n<A HREF = \"../../files/my_project-1.0%2Blocal.tar.gz#sha256={DIGEST}\">x</a>\
             <a href=https://other.example/my.project-1.1-py3-none-any.whl?a=1&amp;b=2#md5=00 data-yanked='it &lt; broke'>y</a>"
        );
        let files = files(&page, "text/html; charset=utf-8").unwrap();
        let shown: Vec<_> = files
            .iter()
            .map(|file| (file.name.as_str(), file.url.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                (
                    "my_project-1.0+local.tar.gz",
                    "https://index.example/files/my_project-1.0%2Blocal.tar.gz"
                ),
                (
                    "my.project-1.1-py3-none-any.whl",
                    "https://other.example/my.project-1.1-py3-none-any.whl?a=1&b=2"
                ),
            ]
        );
        assert_eq!(files[0].sha256, Some(DIGEST.parse().unwrap()));
        assert_eq!(
            (files[1].sha256, files[1].yanked.as_deref()),
            (None, Some("it < broke"))
        );
        let versions: Vec<_> = files.iter().map(|file| file.version("My_Project")).collect();
        assert_eq!(versions, [Some("1.0+local"), Some("1.1")]);
        assert_eq!(files[0].version("project"), None);
    }

    #[test]
    fn a_base_moves_all_links() {
        let files = files("<base href='/x/'><base href='/y/'><a href=a.whl>", "text/html").unwrap();
        assert_eq!(files[0].url.as_str(), "https://index.example/x/a.whl");
    }

    #[test]
    fn a_json_page_says_the_same_as_an_html_page() {
        let page = serde_json::json!({
            "meta": {"api-version": "1.4"}, "name": "my-project", "versions": ["1.0"],
            "files": [
                {"filename": "a-1.0.tar.gz", "url": "/f/1", "hashes": {"sha256": DIGEST}, "yanked": "why"},
                {"filename": "b-1.0.zip", "url": "../b", "hashes": {}, "yanked": false, "size": 3},
            ],
        });
        let files = files(&page.to_string(), JSON).unwrap();
        assert_eq!(files[0].url.as_str(), "https://index.example/f/1");
        assert_eq!(
            (files[0].sha256, files[0].yanked.as_deref()),
            (Some(DIGEST.parse().unwrap()), Some("why"))
        );
        assert_eq!((files[1].sha256, files[1].yanked.as_deref()), (None, None));
        assert_eq!(files[1].version("b"), Some("1.0"));
    }

    #[test]
    fn an_index_of_another_major_version_is_not_guessed_at() {
        let json = r#"{"meta": {"api-version": "2.0"}, "files": []}"#;
        assert!(files(json, JSON).unwrap_err().contains("version `2.0`"));
        let html = "<meta name='pypi:repository-version' content='2.0'>";
        assert!(files(html, "text/html").unwrap_err().contains("version `2.0`"));
        assert!(files("{}", JSON).unwrap_err().contains("PEP 691"));
    }

    #[test]
    fn names_are_normalised_as_pep_503_has_it() {
        for name in [
            "Friendly-Bard",
            "friendly.bard",
            "FRIENDLY__bard",
            "FrIeNdLy-._.-bArD",
        ] {
            assert_eq!(normalised(name), "friendly-bard");
        }
    }
}

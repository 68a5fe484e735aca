//! Where upstream lists its versions, and how to read the answer.
//!
//! A source's url contains `${version}`, so it shows where upstream keeps its versions: in the tags of a git
//! repository, or in a directory that the server lists. No host is treated specially. Tags are read by git's protocol
//! (gitprotocol-http(5)), which every git server answers without an account.

use std::cmp::Ordering;

use crate::source::simple;

/// The variable for the version in a url.
const VERSION: &str = "${version}";
/// Suffixes of archives.
const SUFFIXES: [&str; 9] = [
    ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tar", ".zip",
];

/// The server that knows the versions of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The address to ask.
    pub url: String,
    /// What is read there, for people: `the tags of https://…`.
    pub what: String,
    kind: Kind,
    pattern: Pattern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tags,
    Listing,
}

/// The parts of a name around its version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    before: String,
    after: String,
    spelling: Spelling,
}

/// How a url spells a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `${version}`.
    Variable,
    /// The version itself.
    Literal,
    /// With `_` for `.`, as in CVS tags: `REL18_1_8_0`.
    Underscores,
}

impl Spelling {
    /// How `url` spells `version`; `None` if it does not.
    pub fn of(url: &str, version: &str) -> Option<Self> {
        if url.contains(VERSION) {
            Some(Self::Variable)
        } else if url.contains(version) {
            Some(Self::Literal)
        } else if url.contains(&version.replace('.', "_")) {
            Some(Self::Underscores)
        } else {
            None
        }
    }

    /// The spelling of a version.
    pub fn write(self, version: &str) -> String {
        match self {
            Self::Variable => VERSION.to_owned(),
            Self::Literal => version.to_owned(),
            Self::Underscores => version.replace('.', "_"),
        }
    }
}

/// The server to ask for newer versions of the archive at `url`, as the manifest writes it for `version`.
///
/// # Errors
/// The url does not say where upstream keeps its versions, in words.
pub fn upstream(url: &str, version: &str) -> Result<Upstream, String> {
    let spelling = Spelling::of(url, version).ok_or("its url does not name the version")?;
    let url = url.replace(&spelling.write(version), VERSION);
    let (scheme, rest) = url.split_once("://").ok_or("its url is not an address")?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    for (mark, tag_is_segment) in [
        ("/archive/refs/tags/", false),
        ("/-/archive/", true),
        ("/releases/download/", true),
        ("/archive/", false),
    ] {
        let Some((repository, tag)) = rest.split_once(mark) else {
            continue;
        };
        let tag = if tag_is_segment {
            tag.split('/').next().unwrap_or_default()
        } else {
            let stem = SUFFIXES.iter().find_map(|suffix| tag.strip_suffix(suffix));
            stem.unwrap_or(tag)
        };
        let pattern = Pattern::of(tag, spelling).ok_or("its url names no tag with the version in it")?;
        let repository = format!("{scheme}://{repository}");
        return Ok(Upstream {
            url: format!("{repository}.git/info/refs?service=git-upload-pack"),
            what: format!("the tags of {repository}"),
            kind: Kind::Tags,
            pattern,
        });
    }
    let at = rest.find(VERSION).ok_or("its url does not name the version")?;
    let directory = rest[..at]
        .rfind('/')
        .ok_or("its url has the version in its host")?;
    let segment = rest[directory + 1..].split('/').next().unwrap_or_default();
    let pattern = Pattern::of(segment, spelling).ok_or("its url names the version in an unknown way")?;
    let url = format!("{scheme}://{}/", &rest[..directory]);
    Ok(Upstream {
        what: format!("the list at {url}"),
        url,
        kind: Kind::Listing,
        pattern,
    })
}

impl Upstream {
    /// The versions in `answer`, sorted and without duplicates. Betas and release candidates are left out.
    ///
    /// # Errors
    /// The answer is not in the expected form, or contains no version.
    pub fn versions(&self, answer: &[u8]) -> Result<Vec<String>, String> {
        let names = match self.kind {
            Kind::Tags => tags(answer).ok_or("its answer is not a list of git tags")?,
            Kind::Listing => links(&String::from_utf8_lossy(answer)),
        };
        let mut versions: Vec<String> = names
            .iter()
            .filter_map(|name| self.pattern.version(name))
            .collect();
        versions.sort_by(|a, b| compare(a, b));
        versions.dedup();
        if versions.is_empty() {
            let Pattern { before, after, .. } = &self.pattern;
            return Err(format!(
                "none of the {} names there is {before}VERSION{after}",
                names.len()
            ));
        }
        Ok(versions)
    }
}

impl Pattern {
    fn of(segment: &str, spelling: Spelling) -> Option<Self> {
        let (before, after) = segment.split_once(VERSION)?;
        // A name that repeats the version says nothing more: pgvector-${version}.
        (!after.contains(VERSION)).then(|| Self {
            before: before.to_owned(),
            after: after.to_owned(),
            spelling,
        })
    }

    fn version(&self, name: &str) -> Option<String> {
        let version = name.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
        let version = match self.spelling {
            Spelling::Underscores => version.replace('_', "."),
            _ => version.to_owned(),
        };
        numbers(&version).map(|_| version)
    }
}

/// The numbers of a released version; `None` if a part is not a number.
fn numbers(version: &str) -> Option<Vec<u64>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

/// Orders two versions. Numbers are compared as numbers, everything else as text.
pub fn compare(a: &str, b: &str) -> Ordering {
    let parts = |version: &str| -> Vec<(u64, String)> {
        let words = version.split(['.', '-', '_', '+']);
        words
            .map(|word| {
                let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                (word[..digits].parse().unwrap_or(0), word[digits..].to_owned())
            })
            .collect()
    };
    parts(a).cmp(&parts(b))
}

/// The newest of `versions` in the release line of `current`: the first `line` numbers are equal.
pub fn newest<'v>(versions: &'v [String], current: &str, line: usize) -> Option<&'v String> {
    let same_line = |version: &&String| {
        let head = |version: &str| {
            version
                .split('.')
                .take(line)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        head(version) == head(current)
    };
    versions.iter().filter(same_line).max_by(|a, b| compare(a, b))
}

/// How many leading numbers distinguish `current` from the other versions of its manifest. The releases of its line
/// have these numbers in common.
pub fn line_of(current: &str, others: &[&str]) -> usize {
    let parts: Vec<&str> = current.split('.').collect();
    let shared = |other: &&str| {
        parts
            .iter()
            .zip(other.split('.'))
            .take_while(|(a, b)| **a == *b)
            .count()
    };
    let others = others.iter().filter(|other| **other != current);
    others
        .map(|other| shared(other) + 1)
        .max()
        .unwrap_or(0)
        .min(parts.len())
}

/// The tags in a git server's answer to `info/refs?service=git-upload-pack`. Each line begins with its length in four
/// hexadecimal digits, which include themselves (gitprotocol-common(5)).
fn tags(answer: &[u8]) -> Option<Vec<String>> {
    let mut rest = answer;
    let mut lines = Vec::new();
    while !rest.is_empty() {
        let length = std::str::from_utf8(rest.get(..4)?).ok()?;
        let length = usize::from_str_radix(length, 16).ok()?;
        let line = match length {
            0 => &[][..],
            1..4 => return None,
            _ => rest.get(4..length)?,
        };
        lines.push(line);
        rest = &rest[length.max(4)..];
    }
    if !lines.first()?.starts_with(b"# service=git-upload-pack") {
        return None;
    }
    let tag = |line: &&[u8]| {
        let line = String::from_utf8_lossy(line).into_owned();
        let (_, name) = line.split_once(" refs/tags/")?;
        let name = name.split(['\0', '\n']).next()?;
        // The target of an annotated tag has a line of its own.
        (!name.ends_with("^{}")).then(|| name.to_owned())
    };
    Some(lines.iter().filter_map(tag).collect())
}

/// The last path component of every link on a page.
fn links(page: &str) -> Vec<String> {
    let links = simple::links(page).map(|target| {
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let path = path.trim_end_matches('/');
        path.rsplit('/').next().unwrap_or(path).to_owned()
    });
    links.filter(|link| !link.is_empty()).collect()
}

/// The versions that consist of numbers only.
pub fn released(versions: Vec<String>) -> Vec<String> {
    let numbered = versions.into_iter().filter(|version| numbers(version).is_some());
    numbered.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_whom_to_ask() {
        for (url, version, asked, before, after) in [
            (
                "https://github.com/o/r/archive/refs/tags/v${version}.tar.gz",
                "1.0",
                "https://github.com/o/r.git/info/refs?service=git-upload-pack",
                "v",
                "",
            ),
            (
                "https://github.com/o/r/releases/download/REL_${version}/r-${version}.tar.gz",
                "1.0",
                "https://github.com/o/r.git/info/refs?service=git-upload-pack",
                "REL_",
                "",
            ),
            (
                "https://gitlab.com/o/r/-/archive/${version}/r-${version}.tar.gz",
                "1.0",
                "https://gitlab.com/o/r.git/info/refs?service=git-upload-pack",
                "",
                "",
            ),
            (
                "https://github.com/o/r/archive/refs/tags/REL18_1_8_0.tar.gz",
                "1.8.0",
                "https://github.com/o/r.git/info/refs?service=git-upload-pack",
                "REL18_",
                "",
            ),
            (
                "https://ftp.postgresql.org/pub/source/v${version}/postgresql-${version}.tar.bz2",
                "18.6",
                "https://ftp.postgresql.org/pub/source/",
                "v",
                "",
            ),
            (
                "https://x.org/y/name-${version}.tar.gz",
                "1.0",
                "https://x.org/y/",
                "name-",
                ".tar.gz",
            ),
        ] {
            let upstream = upstream(url, version).unwrap();
            assert_eq!(upstream.url, asked);
            assert_eq!(
                (&*upstream.pattern.before, &*upstream.pattern.after),
                (before, after),
                "{url}"
            );
        }
        let nameless = "https://github.com/o/r/archive/0123456789abcdef0123456789abcdef01234567.tar.gz";
        assert_eq!(
            upstream(nameless, "1.0").unwrap_err(),
            "its url does not name the version"
        );
    }

    #[test]
    fn tags_are_read_as_git_sends_them() {
        let packet = |line: &str| format!("{:04x}{line}", line.len() + 4);
        let sha = "0".repeat(40);
        let mut answer = packet("# service=git-upload-pack\n") + "0000";
        answer += &packet(&format!("{sha} HEAD\0multi_ack side-band\n"));
        for tag in ["v0.9", "v0.10.0", "v0.10.0^{}", "v0.11.0-rc1", "nightly", "v0.8"] {
            answer += &packet(&format!("{sha} refs/tags/{tag}\n"));
        }
        answer += "0000";
        let upstream = upstream("https://h/o/r/archive/refs/tags/v${version}.tar.gz", "0.8").unwrap();
        assert_eq!(
            upstream.versions(answer.as_bytes()).unwrap(),
            ["0.8", "0.9", "0.10.0"]
        );
        for wrong in [
            "",
            "<!DOCTYPE html>",
            "0003",
            "ffff",
            "001e# service=git-upload-pac",
            "0008abcd",
        ] {
            assert!(upstream.versions(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_list_of_directories_names_versions() {
        let page = r#"<a href="../">..</a><a href='v18.6/'>x</a> <a href="/pub/source/v17.11/">y</a><a href="v19beta1/">"#;
        let upstream = upstream("https://h/pub/source/v${version}/p-${version}.tar.bz2", "18.5").unwrap();
        assert_eq!(upstream.versions(page.as_bytes()).unwrap(), ["17.11", "18.6"]);
        assert!(
            upstream
                .versions(b"<html>")
                .unwrap_err()
                .contains("none of the 0 names there is vVERSION")
        );
    }

    #[test]
    fn a_manifest_with_several_lines_of_releases_stays_in_each() {
        let versions = ["13.2.3", "14.0.1", "14.1.0", "13.10.0"].map(str::to_owned);
        let line = line_of("13.2.2", &["13.2.2", "14.0.1"]);
        assert_eq!(line, 1);
        assert_eq!(newest(&versions, "13.2.2", line).unwrap(), "13.10.0");
        assert_eq!(line_of("1.0", &["1.0"]), 0);
        assert_eq!(newest(&versions, "1.0", 0).unwrap(), "14.1.0");
        assert_eq!(line_of("1.7.1", &["1.7.1", "1.6.3", "18.0"]), 2);
    }

    #[test]
    fn a_release_candidate_is_not_a_release() {
        let versions = ["4.1.5", "4.1.0", "4.0rc1"].map(str::to_owned);
        assert_eq!(released(versions.into()), ["4.1.5", "4.1.0"]);
    }
}

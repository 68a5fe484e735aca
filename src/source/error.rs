//! Why a source could not be fetched, and every attempt.

use std::collections::BTreeSet;
use std::fmt;

use super::SourceRequest;
use super::http::{Answer, Failure};
use crate::digest::Sha256;
use crate::store::cache::Partial;

/// Bytes of a wrong file that are shown, if they are text.
pub const MAX_SHOWN_BYTES: u64 = 160;

/// Why no place has a source.
#[derive(Debug)]
pub struct FetchError {
    name: String,
    file_name: String,
    accepted: Vec<Sha256>,
    tried: Vec<Tried>,
    offline: bool,
    is_of_index: bool,
}

/// What to do about a [`FetchError`], and the exit status that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The places that would have it could not be reached or did not have it.
    Network,
    /// Something arrived and is not what the manifest says.
    Checksum,
    /// It is not at hand and no connection was allowed.
    Missing,
    /// This machine cannot take it: no disk space, or a cache that cannot be written.
    Local,
}

/// A place with what became of it.
#[derive(Debug)]
pub struct Tried {
    pub(super) place: String,
    pub(super) reason: Reason,
}

#[derive(Debug)]
pub enum Reason {
    Absent(String),
    Failed(Failure),
    Mismatch(Box<Mismatch>),
}

/// A file that is not what it should be, with what helps to find out why.
#[derive(Debug, Default)]
pub struct Mismatch {
    pub(super) algorithm: &'static str,
    pub(super) expected: Vec<String>,
    pub(super) actual: String,
    pub(super) bytes: Option<u64>,
    pub(super) answer: Option<Answer>,
    /// The first bytes, if they are text.
    pub(super) head: Option<String>,
    /// True if the package index has it.
    pub(super) is_of_index: bool,
}

impl Mismatch {
    pub(super) fn in_answer(mut self, answer: &Answer, partial: &Partial) -> Self {
        self.bytes = Some(partial.length());
        self.answer = Some(answer.clone());
        self.head = partial
            .head(MAX_SHOWN_BYTES)
            .ok()
            .and_then(|bytes| shown_text(&bytes));
        self
    }

    pub(super) fn is_page(&self) -> bool {
        let is_html = |text: &str| {
            let text = text.trim_start().to_ascii_lowercase();
            text.starts_with("<!doctype html") || text.starts_with("<html") || text.contains("<head")
        };
        let type_is_html = |answer: &Answer| {
            answer
                .content_type
                .as_ref()
                .is_some_and(|kind| kind.contains("html"))
        };
        self.head.as_deref().is_some_and(is_html)
            || (self.head.is_some() && self.answer.as_ref().is_some_and(type_is_html))
    }
}

/// `bytes` as one line, if they are text; the last character may be cut.
fn shown_text(bytes: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_text = !text.is_empty() && text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace());
    is_text.then(|| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

impl Tried {
    pub(super) fn absent(place: String, why: &str) -> Self {
        Self {
            place,
            reason: Reason::Absent(why.to_owned()),
        }
    }

    pub(super) fn failed(place: String, failure: Failure) -> Self {
        Self {
            place,
            reason: Reason::Failed(failure),
        }
    }
}

impl Reason {
    /// The reason in one line.
    pub(super) fn summary(&self) -> String {
        match self {
            Self::Absent(why) => why.clone(),
            Self::Failed(failure) => failure.to_string(),
            Self::Mismatch(mismatch) if mismatch.is_page() => {
                "the server sent a web page instead of the file".to_owned()
            }
            Self::Mismatch(mismatch) => format!("the {} is not the expected one", mismatch.algorithm),
        }
    }
}

impl FetchError {
    pub(super) fn new(wanted: &SourceRequest, tried: Vec<Tried>, offline: bool) -> Self {
        Self {
            name: wanted.name.clone(),
            file_name: wanted.file_name.clone(),
            accepted: wanted.accepted.clone(),
            tried,
            offline,
            is_of_index: wanted.project().is_some(),
        }
    }

    /// What kind of failure it is: the most serious one of all places.
    pub fn kind(&self) -> ErrorKind {
        let any = |test: fn(&Reason) -> bool| self.tried.iter().any(|tried| test(&tried.reason));
        if any(|reason| matches!(reason, Reason::Failed(failure) if failure.is_local())) {
            ErrorKind::Local
        } else if any(|reason| matches!(reason, Reason::Mismatch(_))) {
            ErrorKind::Checksum
        } else if self.offline {
            ErrorKind::Missing
        } else {
            ErrorKind::Network
        }
    }

    /// Why it is not available, without a word of what it is: what other sources may have in common with it. `None` where
    /// there is more to it than that.
    pub fn reason(&self) -> Option<String> {
        match self.kind() {
            ErrorKind::Checksum | ErrorKind::Local => None,
            ErrorKind::Missing => {
                Some("no vendor directory or cache has it, and --offline forbids downloads".to_owned())
            }
            ErrorKind::Network => {
                let failed = self.tried.iter().filter_map(|tried| match &tried.reason {
                    Reason::Failed(failure) => Some(failure.to_string()),
                    _ => None,
                });
                let reasons: BTreeSet<String> = failed.collect();
                let mut reasons = reasons.into_iter();
                reasons.next().filter(|_| reasons.next().is_none())
            }
        }
    }

    fn hint(&self) -> Option<&'static str> {
        let mismatches: Vec<&Mismatch> = self
            .tried
            .iter()
            .filter_map(|tried| match &tried.reason {
                Reason::Mismatch(mismatch) => Some(&**mismatch),
                _ => None,
            })
            .collect();
        if mismatches.iter().any(|mismatch| mismatch.is_page()) {
            return Some(
                "a proxy or a login page answered instead of the server; HTTPS_PROXY, --ca-bundle or a mirror may help",
            );
        }
        if mismatches.iter().any(|mismatch| mismatch.is_of_index) {
            return Some(
                "an index never changes a file: compare the digest in the manifest with upstream's, and see which index \
                 pip is configured to use (`pip config list`)",
            );
        }
        if mismatches.iter().any(|mismatch| mismatch.answer.is_some()) {
            return Some(
                "the tag may have been moved, or the archive compressed again. If upstream confirms the new file, add its \
                 digest under `accepted` with the reason",
            );
        }
        if !mismatches.is_empty() {
            return Some("the local file is damaged, or it is another version than its name says");
        }
        let is_denied = |tried: &Tried| {
            let denied = |status: u16| matches!(status, 401 | 403 | 407);
            matches!(&tried.reason, Reason::Failed(Failure::Status(status, _)) if denied(status.as_u16()))
        };
        if self.is_of_index && self.tried.iter().any(is_denied) {
            return Some(
                "credentials for the package index are part of its address (PIP_INDEX_URL, pip.conf) or in ~/.netrc",
            );
        }
        match self.kind() {
            ErrorKind::Missing => Some(
                "`pgsetup fetch MANIFESTS --to DIR` on a connected machine fills a directory for `--vendor DIR`",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offline = if self.offline {
            ", and --offline forbids downloads"
        } else {
            ""
        };
        let Self { name, file_name, .. } = self;
        if self.kind() == ErrorKind::Checksum {
            writeln!(f, "{name} ({file_name}) is not what its manifest says{offline}")?;
        } else {
            let reason = self.reason().map(|reason| format!(": {reason}"));
            let reason = reason.unwrap_or_default();
            writeln!(f, "could not fetch {name} ({file_name}){reason}")?;
        }
        for digest in &self.accepted {
            writeln!(f, "  wanted: sha256 {digest}")?;
        }
        for tried in &self.tried {
            write!(f, "  {}: ", tried.place)?;
            match &tried.reason {
                Reason::Mismatch(mismatch) => write!(f, "{mismatch}")?,
                reason => writeln!(f, "{}", reason.summary())?,
            }
        }
        match self.hint() {
            Some(hint) => write!(f, "  hint: {hint}"),
            None => write!(f, "  {} places were tried", self.tried.len()),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { algorithm, bytes, .. } = self;
        writeln!(f, "the {algorithm} is not the expected one")?;
        for digest in &self.expected {
            writeln!(f, "    expected {digest}")?;
        }
        writeln!(f, "    actual   {}", self.actual)?;
        if let Some(bytes) = bytes {
            write!(f, "    size     {bytes} bytes")?;
        }
        if let Some(answer) = &self.answer {
            match answer.length {
                Some(length) if Some(length) != *bytes => write!(f, ", {length} were announced")?,
                None => write!(f, "; the server did not say how many there are")?,
                Some(_) => {}
            }
            writeln!(f, "\n    from     {}", answer.final_url)?;
            write!(
                f,
                "    type     {}",
                answer.content_type.as_deref().unwrap_or("not given")
            )?;
            if let Some(encoding) = &answer.content_encoding {
                write!(f, ", encoded as {encoding}, although that was not asked for")?;
            }
        }
        if bytes.is_some() {
            writeln!(f)?;
        }
        match &self.head {
            Some(head) => writeln!(f, "    begins   {head}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FetchError {}

impl FetchError {
    /// The source that is missing.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The reasons of all places in one line.
    pub fn summary(&self) -> String {
        let reasons: Vec<String> = self
            .tried
            .iter()
            .map(|tried| format!("{}: {}", tried.place, tried.reason.summary()))
            .collect();
        reasons.join("; ")
    }
}

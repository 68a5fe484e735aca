//! Why a source could not be fetched, and every attempt.

use std::collections::BTreeSet;
use std::fmt;

use super::SourceRequest;
use super::http::{Answer, Failure};
use crate::archive::unpack::is_tar;
use crate::digest::Sha256;
use crate::store::cache::Partial;

/// Bytes of a wrong file that are shown, if they are text.
pub const MAX_SHOWN_BYTES: u64 = 160;
/// Bytes of a wrong file that are read to find out what it is.
pub const MAX_READ_BYTES: u64 = 64 * 1024;

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
    /// What the file is, if that can be told.
    pub(super) nature: Nature,
    /// The digest of the tar in it.
    pub(super) tar: Option<Sha256>,
    /// Whether the manifest names the digest of the tar, which is another one.
    pub(super) has_other_tar: bool,
    /// True if the package index has it.
    pub(super) is_of_index: bool,
}

/// What a wrong file turns out to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Nature {
    /// Something else than the file.
    #[default]
    Other,
    /// Nothing.
    Empty,
    /// A pointer of Git LFS to the file.
    LfsPointer,
    /// A page that asks for a login, with its title.
    Login(String),
    /// Another page.
    Page,
    /// The tar, without the compression that its name tells of.
    Decompressed,
}

impl Nature {
    /// What arrived instead of the file, in one line, if that can be told.
    pub fn says(&self) -> Option<String> {
        Some(match self {
            Self::Empty => "the file is empty".to_owned(),
            Self::LfsPointer => "a pointer of Git LFS arrived instead of the file".to_owned(),
            Self::Login(title) if title.is_empty() => "a login page arrived instead of the file".to_owned(),
            Self::Login(title) => format!("a login page arrived instead of the file: {title}"),
            Self::Page => "the server sent a web page instead of the file".to_owned(),
            Self::Decompressed => "the tar arrived without its compression".to_owned(),
            Self::Other => return None,
        })
    }
}

impl Mismatch {
    pub(super) fn in_answer(mut self, answer: &Answer, partial: &Partial, file_name: &str) -> Self {
        self.bytes = Some(partial.length());
        self.answer = Some(answer.clone());
        let head = partial.head(MAX_READ_BYTES).unwrap_or_default();
        let shown = head
            .len()
            .min(usize::try_from(MAX_SHOWN_BYTES).unwrap_or(usize::MAX));
        self.head = shown_text(&head[..shown]);
        self.nature = nature(&head, Some(answer), file_name);
        self
    }
}

/// What the bytes at the beginning of a file tell of it. `file_name` is what the file should be.
pub fn nature(head: &[u8], answer: Option<&Answer>, file_name: &str) -> Nature {
    const COMPRESSED: [&str; 7] = [".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst"];
    if head.is_empty() {
        return Nature::Empty;
    }
    if head.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Nature::LfsPointer;
    }
    if head.get(..512).is_some_and(is_tar) && COMPRESSED.iter().any(|suffix| file_name.ends_with(suffix)) {
        return Nature::Decompressed;
    }
    let shown = head
        .len()
        .min(usize::try_from(MAX_SHOWN_BYTES).unwrap_or(usize::MAX));
    if shown_text(&head[..shown]).is_none() {
        return Nature::Other;
    }
    let text = String::from_utf8_lossy(head);
    let lower = text.trim_start().to_ascii_lowercase();
    let begins = &lower[..lower.char_indices().nth(512).map_or(lower.len(), |(at, _)| at)];
    let is_html =
        lower.starts_with("<!doctype html") || lower.starts_with("<html") || begins.contains("<head");
    let type_is_html = answer.and_then(|answer| answer.content_type.as_ref());
    if !is_html && !type_is_html.is_some_and(|kind| kind.contains("html")) {
        return Nature::Other;
    }
    let title = lower.find("<title").and_then(|at| {
        let rest = &text.trim_start()[at..];
        rest.split_once('>')?
            .1
            .split('<')
            .next()
            .map(|title| title.split_whitespace().collect::<Vec<_>>().join(" "))
    });
    let title = title.unwrap_or_default();
    let asks = ["type=\"password\"", "type='password'", "type=password"];
    let words = [
        "sign in",
        "sign-in",
        "log in",
        "login",
        "single sign-on",
        "authentication",
        "anmeld",
    ];
    let has = |texts: &[&str], text: &str| texts.iter().any(|word| text.contains(word));
    let address = answer
        .map(|answer| answer.final_url.to_ascii_lowercase())
        .unwrap_or_default();
    let is_login = has(&asks, &lower)
        || has(&words, &title.to_ascii_lowercase())
        || has(&["/login", "/signin", "/sign_in", "/sso", "/oauth"], &address);
    if is_login {
        Nature::Login(title)
    } else {
        Nature::Page
    }
}

impl Mismatch {
    /// What is wrong with the file, in one line.
    fn summary(&self) -> String {
        let says = self.nature.says();
        says.unwrap_or_else(|| format!("the {} is not the expected one", self.algorithm))
    }

    /// What to do about a file that can be told to be another one.
    fn hint(&self) -> Option<String> {
        let text = match &self.nature {
            Nature::Empty if self.answer.is_some() => "the server sent no byte of it: a mirror may have it",
            Nature::Empty => "an interrupted copy leaves an empty file: copy it again",
            Nature::LfsPointer => {
                "the repository keeps the file in Git LFS, whose pointers are in archives and raw files: name the address of the file \
                 itself, or that of a release"
            }
            Nature::Login(_) => {
                "the address wants a login, and a manifest has none: name a public address, or fetch the file beforehand into a \
                 directory for --vendor"
            }
            Nature::Page => {
                "a proxy or a login page answered instead of the server; HTTPS_PROXY, --ca-bundle or a mirror may help"
            }
            Nature::Decompressed => {
                let what = "a server or a proxy on the way has undone the compression";
                return Some(match self.tar {
                    Some(tar) => {
                        format!("{what}; `tar_sha256: {tar}` accepts this tar, however it is compressed")
                    }
                    None => what.to_owned(),
                });
            }
            Nature::Other => return None,
        };
        Some(text.to_owned())
    }

    /// What may have changed a file that is an archive nevertheless.
    fn changed(&self) -> String {
        let accept = "If upstream confirms the new file, add its digest under `accepted` with the reason";
        match self.tar {
            _ if self.has_other_tar => {
                format!(
                    "its tar is another one than `tar_sha256` as well: the tag was moved, or the file was replaced. {accept}"
                )
            }
            Some(tar) => format!(
                "the tag may have been moved, or the archive compressed again. {accept}; where upstream compresses the same tar again \
                 from time to time, `tar_sha256: {tar}` accepts that"
            ),
            None => format!("the tag may have been moved, or the archive compressed again. {accept}"),
        }
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
            Self::Mismatch(mismatch) => mismatch.summary(),
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

    fn hint(&self) -> Option<String> {
        self.special_hint()
            .or_else(|| self.usual_hint().map(str::to_owned))
    }

    /// The hint of what arrived instead of the file.
    fn special_hint(&self) -> Option<String> {
        let mismatches = || {
            self.tried.iter().filter_map(|tried| match &tried.reason {
                Reason::Mismatch(mismatch) => Some(&**mismatch),
                _ => None,
            })
        };
        let is_of_proxy =
            |tried: &Tried| matches!(&tried.reason, Reason::Failed(failure) if failure.is_of_proxy());
        if let Some(hint) = mismatches().find_map(Mismatch::hint) {
            return Some(hint);
        }
        if mismatches().any(|mismatch| mismatch.is_of_index) {
            return None;
        }
        if let Some(changed) = mismatches().find(|mismatch| mismatch.answer.is_some()) {
            return Some(changed.changed());
        }
        (mismatches().next().is_none() && self.tried.iter().any(is_of_proxy)).then(|| {
            "the proxy is that of HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, and for `debian:` mirrors that of apt; NO_PROXY names hosts \
             that need none"
                .to_owned()
        })
    }

    fn usual_hint(&self) -> Option<&'static str> {
        let mismatches: Vec<&Mismatch> = self
            .tried
            .iter()
            .filter_map(|tried| match &tried.reason {
                Reason::Mismatch(mismatch) => Some(&**mismatch),
                _ => None,
            })
            .collect();
        if mismatches.iter().any(|mismatch| mismatch.is_of_index) {
            return Some(
                "an index never changes a file: compare the digest in the manifest with upstream's, and see which index \
                 pip is configured to use (`pip config list`)",
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
        let bytes = &self.bytes;
        writeln!(f, "{}", self.summary())?;
        for digest in &self.expected {
            writeln!(f, "    expected {digest}")?;
        }
        writeln!(f, "    actual   {}", self.actual)?;
        if let Some(tar) = self.tar {
            writeln!(f, "    its tar  {tar}")?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_instead_of_a_file_is_told_apart() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        builder.append_data(&mut header, "x-1.0/a", &b""[..]).unwrap();
        let tar = builder.into_inner().unwrap();
        let page = |title: &str, body: &str| {
            format!("<!DOCTYPE html><html><head><title>{title}</title></head>{body}")
        };
        let login = page("GitLab", "<form><input type=\"password\"></form>");
        for (head, expected) in [
            (&b""[..], "the file is empty"),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n",
                "a pointer of Git LFS arrived",
            ),
            (
                page("Sign in \u{b7} GitLab", "").as_bytes(),
                "a login page arrived instead of the file: Sign in",
            ),
            (
                login.as_bytes(),
                "a login page arrived instead of the file: GitLab",
            ),
            (page("Not here", "").as_bytes(), "the server sent a web page"),
            (&tar, "the tar arrived without its compression"),
            (b"\x1f\x8b\x08", ""),
            (b"{\"message\": \"Not Found\"}", ""),
        ] {
            let says = nature(head, None, "x-1.0.tar.gz").says().unwrap_or_default();
            assert!(
                says.starts_with(expected) && says.is_empty() == expected.is_empty(),
                "{says}"
            );
        }
        assert_eq!(nature(&tar, None, "x-1.0.tar"), Nature::Other);
    }

    #[test]
    fn an_archive_that_was_compressed_again_is_offered_tar_sha256() {
        let tar = Sha256::of(b"tar");
        let mismatch = Mismatch {
            answer: Some(Answer::default()),
            tar: Some(tar),
            ..Mismatch::default()
        };
        assert!(
            mismatch
                .changed()
                .ends_with(&format!("`tar_sha256: {tar}` accepts that"))
        );
        let moved = Mismatch {
            has_other_tar: true,
            ..mismatch
        };
        assert!(
            moved
                .changed()
                .starts_with("its tar is another one than `tar_sha256` as well")
        );
    }
}

//! The addresses that a source is asked for at, in their order.

use super::{Address, Kind, SourceRequest};

/// An address to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The address. Credentials are masked.
    pub url: String,
    /// What is there.
    pub kind: Kind,
    /// Why it is not asked.
    pub rejected: Option<String>,
}

/// The addresses to ask for `wanted` besides the package index, in order. `debian` is what `debian:` mirrors are below; `content` are
/// content-addressed mirrors.
pub fn candidates(wanted: &SourceRequest, debian: &[String], content: &[String]) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for place in &wanted.urls {
        match place {
            Address::Url { url, insecure } => candidates.push(Candidate {
                rejected: rejection(url, *insecure, "the source has no `insecure:` with a reason"),
                url: url.clone(),
                kind: Kind::File,
            }),
            Address::Debian(path) if debian.is_empty() => candidates.push(Candidate {
                url: format!("debian: {path}"),
                kind: Kind::Debian,
                rejected: Some("apt has no Debian archive configured here".to_owned()),
            }),
            Address::Debian(path) => candidates.extend(debian.iter().map(|base| Candidate {
                url: below(base, path),
                kind: Kind::Debian,
                rejected: None,
            })),
            Address::Index { .. } | Address::Crate { .. } => {}
        }
    }
    for base in content {
        candidates.extend(wanted.accepted.iter().map(|digest| Candidate {
            url: below(base, &format!("sha256/{digest}")),
            kind: Kind::File,
            rejected: rejection(base, false, "content-addressed mirrors are asked by https only"),
        }));
    }
    candidates
}

pub fn below(base: &str, path: &str) -> String {
    format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/'))
}

/// Why an address is not asked, if so. Schemes are told apart in any case, as URLs are.
pub fn rejection(url: &str, insecure: bool, why: &str) -> Option<String> {
    match url
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase())
        .as_deref()
    {
        Some("https") => None,
        Some("http") if insecure => None,
        Some("http") => Some(format!("plain http, and {why}")),
        _ => Some("neither https nor http".to_owned()),
    }
}

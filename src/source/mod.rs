//! Fetches sources from vendor directories, the cache, their address, their mirrors and content-addressed mirrors, in this
//! order. An error lists every attempt.
//!
//! The digest decides, so no place is trusted. A file with the wrong digest is recorded, and the next place is tried.
//! Only verified files leave this module.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "sources are files and the network"
)]

mod cargo;
mod crate_index;
mod index;
mod pip;
pub mod simple;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use crate::archive::unpack;
use crate::crates::Crate;
use crate::debian::apt_sources::DebianArchive;
use crate::digest::{Sha256, Sha512};
use crate::host;
use crate::locked::LockedPackage;
use crate::resolve::{self, Distribution, Source};
use crate::store::cache::{Cache, Partial};
use candidates::{Candidate, candidates};
use crate_index::CrateIndex;
use error::{FetchError, Mismatch, Reason, Tried};
use http::{Client, Event, Failure, Request};
use index::Index;
use vendor::Vendor;

/// Bytes of a source whose manifest does not set a limit: ten times the largest known one.
pub const MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// Everything that sources can be fetched from. Shared between threads.
#[derive(Debug)]
pub struct Sources {
    vendor: Vendor,
    cache: Cache,
    client: Client,
    debian_client: Option<Client>,
    offline: bool,
    debian: DebianArchive,
    content_mirrors: Vec<String>,
    /// Opened when a file of it is requested, so that an error in pip's configuration affects nothing else.
    index: OnceLock<Result<Index, String>>,
    /// The same for Cargo's.
    crates: OnceLock<Result<CrateIndex, String>>,
}

/// Options of [`Sources`].
#[derive(Debug)]
pub struct Options {
    /// Directories with archives, which may have any name.
    pub vendor: Vec<PathBuf>,
    /// The cache that downloads go into.
    pub cache: Cache,
    /// The client that downloads.
    pub client: Client,
    /// True if connections are forbidden.
    pub offline: bool,
    /// The archive of `debian:` mirrors.
    pub debian: DebianArchive,
    /// Addresses below which `sha256/<hex>` is the file with that digest.
    pub content_mirrors: Vec<String>,
}

/// A request for a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceRequest {
    /// Its name in messages: `citus 14.0.1`.
    pub name: String,
    /// The usual name of the file, for messages and for checking likely vendor files first.
    pub file_name: String,
    /// Its addresses, upstream first.
    pub urls: Vec<Address>,
    /// Accepted digests. Never empty.
    pub accepted: Vec<Sha256>,
    /// For some of them, the SHA-512 that the file must have too.
    pub sha512: BTreeMap<Sha256, Sha512>,
    /// Digest of the decompressed tar, if any compression is accepted.
    pub tar_sha256: Option<Sha256>,
    /// Largest size in bytes; [`MAX_BYTES`] if `None`.
    pub max_bytes: Option<u64>,
}

/// An address that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A URL. Plain http is allowed only with `insecure`.
    Url {
        /// The address.
        url: String,
        /// True if the manifest gives a reason for plain http.
        insecure: bool,
    },
    /// A path below the Debian archive that apt is configured to use.
    Debian(String),
    /// The package index that pip is configured to use.
    Index {
        /// The project in it.
        project: String,
        /// Its version, for messages.
        version: String,
    },
    /// The index of crates that Cargo is configured to use.
    Crate {
        /// The name of the crate.
        name: String,
        /// Its version.
        version: String,
    },
}

/// A verified source on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obtained {
    /// The file. It stays there as long as the [`Sources`] lives.
    pub path: PathBuf,
    /// Where it came from.
    pub origin: Origin,
    /// Its size.
    pub bytes: u64,
    /// Its digest. It is an accepted one, unless the digest of its tar was accepted.
    pub digest: Sha256,
}

/// Where a file came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A vendor directory.
    Vendor,
    /// The cache.
    Cache,
    /// The network, from this address.
    Network(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vendor => f.write_str("vendor"),
            Self::Cache => f.write_str("cache"),
            Self::Network(url) => f.write_str(url),
        }
    }
}

/// Progress while a source is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Another process or thread downloads the same source.
    Waiting,
    /// A request to an address begins.
    Asking(String),
    /// Received bytes, and the total if it is known.
    Advanced {
        /// Number of bytes so far.
        done: u64,
        /// The total.
        total: Option<u64>,
    },
    /// An attempt failed. It is repeated after a pause.
    Retrying {
        /// Why it failed.
        why: String,
        /// How long the pause is.
        pause: Duration,
    },
    /// A note about the source that is not a failure.
    Note(String),
    /// An address is given up.
    GivenUp {
        /// The address.
        url: String,
        /// Why.
        why: String,
    },
}

impl Sources {
    /// The sources that `options` describe.
    ///
    /// # Errors
    /// The proxy of apt is not an address.
    pub fn new(options: Options) -> anyhow::Result<Self> {
        let debian_client = match &options.debian.proxy {
            Some(proxy) => Some(
                options
                    .client
                    .with(|options| options.proxy = Some(proxy.clone()))?,
            ),
            None => None,
        };
        Ok(Self {
            vendor: Vendor::new(options.vendor),
            cache: options.cache,
            client: options.client,
            debian_client,
            offline: options.offline,
            debian: options.debian,
            content_mirrors: options.content_mirrors,
            index: OnceLock::new(),
            crates: OnceLock::new(),
        })
    }

    /// Fetches and verifies a source from the first place that has it.
    ///
    /// # Errors
    /// No place has it. The error names each, with its reason.
    pub fn obtain(&self, wanted: &SourceRequest, tell: &dyn Fn(Progress)) -> Result<Obtained, FetchError> {
        let mut tried = Vec::new();
        match self.at_hand(wanted, &mut tried) {
            Some(obtained) => Ok(obtained),
            None if self.offline => Err(FetchError::new(wanted, tried, true)),
            None => self
                .download(wanted, &mut tried, tell)
                .ok_or_else(|| FetchError::new(wanted, tried, false)),
        }
    }

    fn at_hand(&self, wanted: &SourceRequest, tried: &mut Vec<Tried>) -> Option<Obtained> {
        if let Some(obtained) = self.in_vendor(wanted, tried) {
            return Some(obtained);
        }
        let obtained = self.cached(wanted);
        if obtained.is_none() {
            tried.push(Tried::absent(
                format!("cache {}", self.cache.dir().display()),
                "not there",
            ));
        }
        obtained
    }

    fn cached(&self, wanted: &SourceRequest) -> Option<Obtained> {
        let found = |digest: Sha256, path: PathBuf| {
            Some(Obtained {
                bytes: host::local::size(&path).ok()?,
                path,
                origin: Origin::Cache,
                digest,
            })
        };
        for digest in &wanted.accepted {
            if let Some(path) = self.cache.find(digest)
                && wanted.has_right_sha512(digest, &path)
            {
                return found(*digest, path);
            }
        }
        let tar = wanted.tar_sha256?;
        let (digest, path) = self.cache.find_by_tar(&tar)?;
        if unpack::tar_digest(&path).ok()? != tar {
            return None;
        }
        found(digest, path)
    }

    fn download(
        &self,
        wanted: &SourceRequest,
        tried: &mut Vec<Tried>,
        tell: &dyn Fn(Progress),
    ) -> Option<Obtained> {
        let key = wanted.accepted.first()?;
        let partial = self
            .cache
            .partial(key, !wanted.sha512.is_empty(), || tell(Progress::Waiting));
        let mut partial = match partial {
            Ok(partial) => partial,
            Err(error) => {
                tried.push(Tried::failed(
                    format!("cache {}", self.cache.dir().display()),
                    Failure::Disk(error),
                ));
                return None;
            }
        };
        // Another process may have fetched it while this one waited.
        if let Some(obtained) = self.cached(wanted) {
            return Some(obtained);
        }
        for candidate in self.candidates(wanted) {
            let asked = match &candidate.rejected {
                Some(why) => Err(Reason::Absent(why.clone())),
                None => self.ask(wanted, &candidate, &mut partial, tell),
            };
            let reason = match asked {
                Err(reason) => reason,
                Ok((accepted, url)) => {
                    let failed = |error| tried.push(Tried::failed(candidate.url, Failure::Disk(error)));
                    return keep(partial, accepted, url).map_err(failed).ok();
                }
            };
            tell(Progress::GivenUp {
                url: candidate.url.clone(),
                why: reason.summary(),
            });
            let is_local = matches!(&reason, Reason::Failed(failure) if failure.is_local());
            tried.push(Tried {
                place: candidate.url,
                reason,
            });
            if is_local {
                return None;
            }
        }
        None
    }

    /// Downloads from one address and returns whether the right file arrived.
    fn ask(
        &self,
        wanted: &SourceRequest,
        candidate: &Candidate,
        partial: &mut Partial,
        tell: &dyn Fn(Progress),
    ) -> Result<(Accepted, String), Reason> {
        let (url, client, login) = match (candidate.kind, &self.debian_client) {
            (Kind::Index(position), _) => {
                let found =
                    self.index()
                        .map_err(Reason::Absent)?
                        .find(position, wanted, &self.cache, tell)?;
                if let Some(path) = found.file() {
                    partial
                        .fill(&path)
                        .map_err(|error| Reason::Absent(error.to_string()))?;
                    let accepted = wanted.accepts(partial).map_err(|mismatch| {
                        let is_of_index = true;
                        Reason::Mismatch(Box::new(Mismatch {
                            is_of_index,
                            ..*mismatch
                        }))
                    })?;
                    return Ok((accepted, found.url.into()));
                }
                (String::from(found.url), found.client, found.login)
            }
            (Kind::Crate, _) => {
                let (name, version) = wanted.crate_name().unwrap_or_default();
                let index = self.crate_index().map_err(Reason::Absent)?;
                let found = index.find(name, version, wanted.accepted.first(), &self.cache)?;
                if let Some(path) = found.file() {
                    partial
                        .fill(&path)
                        .map_err(|error| Reason::Absent(error.to_string()))?;
                    let accepted = wanted.accepts(partial).map_err(Reason::Mismatch)?;
                    return Ok((accepted, found.url.into()));
                }
                (String::from(found.url), found.client, found.login)
            }
            (Kind::Debian, Some(client)) => (candidate.url.clone(), client, None),
            _ => (candidate.url.clone(), &self.client, None),
        };
        let request = Request {
            url: &url,
            max_bytes: wanted.max_bytes.unwrap_or(MAX_BYTES),
            accept: None,
            login: login.as_ref(),
        };
        let pass_on = |event| {
            tell(match event {
                Event::Advanced { done, total } => Progress::Advanced { done, total },
                Event::Retrying { why, pause } => Progress::Retrying { why, pause },
            });
        };
        loop {
            tell(Progress::Asking(url.clone()));
            let answer = client
                .download(
                    request,
                    partial,
                    &|partial| wanted.accepts(partial).is_ok(),
                    &pass_on,
                )
                .map_err(Reason::Failed)?;
            let joined = answer.joined || partial.inherited();
            let result = wanted.accepts(partial);
            match result {
                Ok(accepted) => return Ok((accepted, url)),
                Err(mismatch) => {
                    let reason = Reason::Mismatch(Box::new(Mismatch {
                        is_of_index: matches!(candidate.kind, Kind::Index(_)),
                        ..mismatch.in_answer(&answer, partial, &wanted.file_name)
                    }));
                    partial
                        .restart()
                        .map_err(|error| Reason::Failed(Failure::Disk(error)))?;
                    // Parts of different files prove nothing, so the whole file is downloaded.
                    if !joined {
                        return Err(reason);
                    }
                }
            }
        }
    }
}

/// Renames the downloaded file to its name in the cache. `url` is its origin.
fn keep(partial: Partial, accepted: Accepted, url: String) -> io::Result<Obtained> {
    let (bytes, digest) = (partial.length(), partial.hashes().sha256());
    let path = partial.commit(accepted.tar.as_ref())?;
    Ok(Obtained {
        path,
        origin: Origin::Network(url),
        bytes,
        digest,
    })
}

/// What else a file was accepted for.
#[derive(Debug, Clone, Copy)]
struct Accepted {
    /// The digest of its tar, if the digest of the file itself is not an accepted one.
    tar: Option<Sha256>,
}

impl SourceRequest {
    /// Whether the downloaded file is the right one.
    fn accepts(&self, partial: &Partial) -> Result<Accepted, Box<Mismatch>> {
        let actual = partial.hashes().sha256();
        if self.accepted.contains(&actual) {
            let (expected, actual512) = (self.sha512.get(&actual), partial.hashes().sha512());
            if expected.is_none() || expected == actual512.as_ref() {
                return Ok(Accepted { tar: None });
            }
            return Err(Box::new(Mismatch {
                expected: expected.map(ToString::to_string).into_iter().collect(),
                actual: actual512.map(|digest| digest.to_string()).unwrap_or_default(),
                algorithm: "sha512",
                ..Mismatch::default()
            }));
        }
        if let Some(tar) = self.tar_sha256
            && unpack::tar_digest(partial.path()).is_ok_and(|digest| digest == tar)
        {
            return Ok(Accepted { tar: Some(tar) });
        }
        let tar = unpack::tar_digest(partial.path()).ok();
        Err(Box::new(Mismatch {
            has_other_tar: tar.is_some() && self.tar_sha256.is_some(),
            tar,
            ..self.mismatch(&actual)
        }))
    }

    fn mismatch(&self, actual: &Sha256) -> Mismatch {
        Mismatch {
            expected: self.accepted.iter().map(ToString::to_string).collect(),
            actual: actual.to_string(),
            algorithm: "sha256",
            ..Mismatch::default()
        }
    }

    fn has_right_sha512(&self, digest: &Sha256, path: &Path) -> bool {
        self.sha512.get(digest).is_none_or(|expected| {
            host::local::hashes(path)
                .is_ok_and(|hashes| hashes.sha256() == *digest && hashes.sha512().as_ref() == Some(expected))
        })
    }

    /// Whether a file of this name is likely to be meant. Names that are only a version, as GitHub's are
    /// (`v1.2.tar.gz`), mean nothing.
    fn is_called(&self, name: &str) -> bool {
        let subject = self.name.split(' ').next().unwrap_or_default();
        let last = |address: &str| address.rsplit('/').next() == Some(name) && name.contains(subject);
        self.file_name == name
            || self.urls.iter().any(|place| match place {
                Address::Url { url, .. } => last(url),
                Address::Debian(path) => last(path),
                Address::Index { .. } | Address::Crate { .. } => false,
            })
    }

    /// The project in the package index, and its version.
    fn project(&self) -> Option<(&str, &str)> {
        self.urls.iter().find_map(|place| match place {
            Address::Index { project, version } => Some((project.as_str(), version.as_str())),
            _ => None,
        })
    }

    /// The crate in the index of crates, and its version.
    fn crate_name(&self) -> Option<(&str, &str)> {
        self.urls.iter().find_map(|place| match place {
            Address::Crate { name, version } => Some((name.as_str(), version.as_str())),
            _ => None,
        })
    }
}

impl From<&Crate> for SourceRequest {
    fn from(wanted: &Crate) -> Self {
        Self {
            name: wanted.title(),
            file_name: wanted.file(),
            urls: vec![Address::Crate {
                name: wanted.name.clone(),
                version: wanted.version.clone(),
            }],
            accepted: vec![wanted.sha256],
            ..Self::default()
        }
    }
}

impl SourceRequest {
    /// A package of a lock. After the archive that apt uses, `archives` are asked, with plain http as well: they are as
    /// trusted as apt's.
    pub fn of_package(package: &LockedPackage, archives: &[String]) -> Self {
        let at = |base: &String| Address::Url {
            url: candidates::below(base, &package.path),
            insecure: true,
        };
        let own = Address::Debian(package.path.clone());
        Self {
            name: package.title(),
            file_name: package.file(),
            urls: std::iter::once(own).chain(archives.iter().map(at)).collect(),
            accepted: vec![package.sha256],
            max_bytes: Some(package.bytes),
            ..Self::default()
        }
    }
}

impl From<&Distribution> for SourceRequest {
    fn from(distribution: &Distribution) -> Self {
        Self {
            name: format!("{} {}", distribution.name, distribution.version),
            file_name: distribution.file.clone(),
            urls: vec![Address::Index {
                project: distribution.name.clone(),
                version: distribution.version.clone(),
            }],
            accepted: vec![distribution.sha256],
            ..Self::default()
        }
    }
}

impl From<&Source> for SourceRequest {
    fn from(source: &Source) -> Self {
        let place = |place: &resolve::Place| match place {
            resolve::Place::Url(url) => Address::Url {
                url: url.clone(),
                insecure: source.insecure.is_some(),
            },
            resolve::Place::Debian(path) => Address::Debian(path.clone()),
            resolve::Place::Crate(name, version) => Address::Crate {
                name: name.clone(),
                version: version.clone(),
            },
        };
        let names = source.places.iter().map(|place| match place {
            resolve::Place::Url(address) | resolve::Place::Debian(address) => {
                address.rsplit('/').next().unwrap_or_default().to_owned()
            }
            resolve::Place::Crate(name, version) => format!("{name}-{version}.crate"),
        });
        let names: Vec<String> = names.collect();
        Self {
            name: source.title.clone(),
            file_name: file_name(&source.title, names.iter().map(String::as_str)),
            urls: source.places.iter().map(place).collect(),
            accepted: source.accepted.clone(),
            sha512: source.sha512.clone(),
            tar_sha256: source.tar_sha256,
            max_bytes: source.max_bytes,
        }
    }
}

/// What a file is called that is `title` (`citus 14.0.1`) and that its places call `names`: upstream's name where it
/// says what it is, or else the title with the first suffix there is.
pub fn file_name<'a>(title: &str, names: impl Iterator<Item = &'a str>) -> String {
    const SUFFIXES: [&str; 10] = [
        ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tar", ".zip", ".whl",
    ];
    let names: Vec<&str> = names
        .map(|name| name.split(['?', '#']).next().unwrap_or_default())
        .collect();
    let subject = title.split(' ').next().unwrap_or_default();
    if let Some(upstream) = names
        .first()
        .filter(|name| !subject.is_empty() && name.contains(subject))
    {
        return (*upstream).to_owned();
    }
    let suffix_of = |name: &&str| SUFFIXES.into_iter().find(|suffix| name.ends_with(suffix));
    let suffix = names.iter().find_map(suffix_of).unwrap_or_default();
    title.replace(|c: char| c.is_whitespace() || c == '/', "-") + suffix
}

/// What is at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The file.
    File,
    /// The file, in the Debian archive.
    Debian,
    /// A page of the package index, in the place with this position, that says where the file is.
    Index(usize),
    /// A crate, in the index of crates.
    Crate,
}

impl Sources {
    /// Every candidate for `wanted`, in order.
    fn candidates(&self, wanted: &SourceRequest) -> Vec<Candidate> {
        let rejected = |why: &str| Candidate {
            url: "the package index".to_owned(),
            kind: Kind::Index(0),
            rejected: Some(why.to_owned()),
        };
        let mut all = match wanted.project().map(|(project, _)| (project, self.index())) {
            None => Vec::new(),
            Some((_, Err(why))) => vec![rejected(&why)],
            Some((project, Ok(index))) => index.candidates(project),
        };
        if wanted.project().is_some() && all.is_empty() {
            all.push(rejected(
                "pip is configured with `no-index`, and without `find-links`",
            ));
        }
        if wanted.crate_name().is_some() {
            all.push(match self.crate_index() {
                Ok(index) => Candidate {
                    url: index.shown(),
                    kind: Kind::Crate,
                    rejected: None,
                },
                Err(why) => Candidate {
                    url: "the index of crates".to_owned(),
                    kind: Kind::Crate,
                    rejected: Some(why),
                },
            });
        }
        all.extend(candidates(wanted, &self.debian.bases, &self.content_mirrors));
        all
    }

    fn crate_index(&self) -> Result<&CrateIndex, String> {
        let open = || CrateIndex::open(&self.client).map_err(|error| format!("{error:#}"));
        self.crates.get_or_init(open).as_ref().map_err(String::clone)
    }

    fn index(&self) -> Result<&Index, String> {
        let open = || Index::open(&self.client).map_err(|error| format!("{error:#}"));
        self.index.get_or_init(open).as_ref().map_err(String::clone)
    }

    /// The versions of a project in the package index.
    ///
    /// # Errors
    /// The places that were asked, each with why it has none.
    pub fn versions(&self, project: &str) -> Result<Vec<String>, Vec<(String, String)>> {
        let index = self
            .index()
            .map_err(|why| vec![("the package index".to_owned(), why)])?;
        index.versions(project, &self.cache)
    }

    fn in_vendor(&self, wanted: &SourceRequest, tried: &mut Vec<Tried>) -> Option<Obtained> {
        if self.vendor.directories().is_empty() {
            return None;
        }
        let files = self.vendor.files();
        let (likely, others): (Vec<_>, Vec<_>) = files.iter().partition(|file| wanted.is_called(&file.name));
        let mut namesakes = Vec::new();
        for file in likely.iter().chain(&others) {
            let Some((bytes, digest)) = file.digest() else {
                continue;
            };
            let obtained = Obtained {
                path: file.path.clone(),
                origin: Origin::Vendor,
                bytes,
                digest,
            };
            if wanted.accepted.contains(&digest) && wanted.has_right_sha512(&digest, &file.path) {
                return Some(obtained);
            }
            if wanted.is_called(&file.name) {
                if let Some(tar) = wanted.tar_sha256
                    && unpack::tar_digest(&file.path).is_ok_and(|digest| digest == tar)
                {
                    return Some(obtained);
                }
                let mut mismatch = wanted.mismatch(&digest);
                mismatch.bytes = Some(bytes);
                let head = host::local::head(&file.path, error::MAX_READ_BYTES).unwrap_or_default();
                mismatch.nature = error::nature(&head, None, &file.name);
                mismatch.tar = unpack::tar_digest(&file.path).ok();
                namesakes.push(Tried {
                    place: file.path.display().to_string(),
                    reason: Reason::Mismatch(Box::new(mismatch)),
                });
            }
        }
        let dirs: Vec<String> = self
            .vendor
            .directories()
            .iter()
            .map(|dir| dir.display().to_string())
            .collect();
        tried.push(Tried::absent(
            format!("vendor {}", dirs.join(", ")),
            &format!("none of {} files has an accepted digest", files.len()),
        ));
        tried.extend(namesakes);
        None
    }
}

impl Sources {
    /// The cache of downloads.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }
}

pub mod candidates;
pub mod error;
pub mod http;
#[cfg(test)]
mod tests;
pub mod vendor;

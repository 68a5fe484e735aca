//! The package index: finds the file of a Python project that has a digest, in the places that pip is configured with.
//!
//! What an index says decides where a file is asked for and nothing else: the digest in the manifest decides whether
//! it is the right one. So a `trusted-host` is honoured as pip does it: it may speak plain http, and its certificate
//! is not verified.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use percent_encoding::percent_decode_str;

use super::candidates::Candidate;
use super::error::{Mismatch, Reason};
use super::http::{self, Client, Failure, Login, Request, Url};
use super::pip::Configuration;
use super::simple::{self, Link, normalised};
use super::{Kind, Progress, SourceRequest};
use crate::digest::Sha256;
use crate::host;
use crate::lock::lock;
use crate::store::cache::Cache;

/// The longest page that is read; those of the largest projects have some megabytes.
const MAX_PAGE_BYTES: u64 = 64 * 1024 * 1024;
/// Files or versions that an error names.
const MAX_NAMED: usize = 8;

/// The package index as pip is configured to use it. Shared between threads.
#[derive(Debug)]
pub struct Index {
    places: Vec<Site>,
    configuration: Configuration,
    /// Has pip's own certificate and proxy.
    client: Client,
    /// Verifies no certificate; for trusted hosts.
    unverified: Option<Client>,
    pages: Mutex<HashMap<Url, Arc<Mutex<Option<Page>>>>>,
}

/// The files that a page links to.
type Page = Arc<Vec<Link>>;

/// A site with files of projects. Its address does not contain credentials.
#[derive(Debug)]
struct Site {
    url: Url,
    /// True for an index, which has a page for each project; false for one page of links.
    is_index: bool,
    /// Its address as it is shown, with credentials masked.
    shown: String,
    login: Option<Login>,
}

/// A file of a site.
pub struct RemoteFile<'a> {
    /// Its address.
    pub url: Url,
    /// What downloads it.
    pub client: &'a Client,
    /// The credentials for it.
    pub login: Option<Login>,
}

impl RemoteFile<'_> {
    /// The file, if it is on this machine.
    pub fn file(&self) -> Option<PathBuf> {
        let is_local = self.url.scheme() == "file";
        is_local.then(|| self.url.to_file_path().ok()).flatten()
    }
}

impl Index {
    /// The index that pip uses on this machine. `client` is what other sources are downloaded with.
    ///
    /// # Errors
    /// pip's configuration cannot be read, or names an invalid address, certificate or proxy.
    pub fn open(client: &Client) -> Result<Self> {
        let configuration = Configuration::read()?;
        let with = |is_unverified: bool| {
            client.with(|options| {
                options.ca_bundles.extend(configuration.cert.clone());
                options.proxy = configuration.proxy.clone().or(options.proxy.take());
                options.is_unverified = is_unverified;
            })
        };
        let indexes = configuration.indexes.iter().map(|address| (address, true));
        let links = configuration.find_links.iter().map(|address| (address, false));
        Ok(Self {
            places: indexes
                .chain(links)
                .map(|(address, is_index)| Site::new(address, is_index))
                .collect::<Result<_>>()?,
            client: with(false)?,
            unverified: (!configuration.trusted_hosts.is_empty())
                .then(|| with(true))
                .transpose()?,
            configuration,
            pages: Mutex::default(),
        })
    }

    /// The pages that may list files of `project`, in order.
    pub fn candidates(&self, project: &str) -> Vec<Candidate> {
        let places = self.places.iter().enumerate();
        places
            .map(|(position, place)| {
                let url = place.page(project);
                Candidate {
                    url: place.shown.clone()
                        + url.as_str().strip_prefix(place.url.as_str()).unwrap_or_default(),
                    kind: Kind::Index(position),
                    rejected: self.rejection(&url),
                }
            })
            .collect()
    }

    /// The requested file of `project` at `version` on the site with this position.
    ///
    /// # Errors
    /// The page cannot be read, or has no such file.
    pub(super) fn find(
        &self,
        position: usize,
        wanted: &SourceRequest,
        cache: &Cache,
        tell: &dyn Fn(Progress),
    ) -> Result<RemoteFile<'_>, Reason> {
        let (project, version) = wanted.project().unwrap_or_default();
        let url = self.places[position].page(project);
        let files = self.page(&url, cache).map_err(|failure| match failure {
            Failure::Status(status, _) if status.as_u16() == 404 => {
                Reason::Absent(format!("there is no project `{}`", normalised(project)))
            }
            failure => Reason::Failed(failure),
        })?;
        let is_right = |file: &&Link| {
            file.sha256
                .is_some_and(|digest| wanted.accepted.contains(&digest))
        };
        let is_named = |file: &&Link| file.name == wanted.file_name;
        let undecided = |file: &&Link| is_named(file) && file.sha256.is_none();
        let Some(file) = files
            .iter()
            .find(is_right)
            .or_else(|| files.iter().find(undecided))
        else {
            return Err(match files.iter().find(is_named).and_then(|file| file.sha256) {
                Some(actual) => Reason::Mismatch(Box::new(Mismatch {
                    is_of_index: true,
                    ..wanted.mismatch(&actual)
                })),
                None => Reason::Absent(what_is_there(&files, project, version)),
            });
        };
        if let Some(why) = self.rejection(&file.url) {
            return Err(Reason::Absent(format!("{} is at {}: {why}", file.name, file.url)));
        }
        if let Some(why) = &file.yanked {
            let because = if why.is_empty() {
                String::new()
            } else {
                format!(": {why}")
            };
            tell(Progress::Note(format!(
                "{} was withdrawn from the index (yanked){because}",
                file.name
            )));
        }
        Ok(self.found(&file.url))
    }

    /// The versions of `project` that are not withdrawn, from the first site that has any.
    ///
    /// # Errors
    /// No site has any. The error has each site with its answer.
    pub fn versions(&self, project: &str, cache: &Cache) -> Result<Vec<String>, Vec<(String, String)>> {
        let mut reasons = Vec::new();
        for candidate in self.candidates(project) {
            let Kind::Index(position) = candidate.kind else {
                continue;
            };
            let page = match candidate.rejected {
                Some(why) => Err(why),
                None => self
                    .page(&self.places[position].page(project), cache)
                    .map_err(|failure| failure.to_string()),
            };
            match page {
                Ok(files) if files.iter().any(|file| file.version(project).is_some()) => {
                    let files = files.iter().filter(|file| file.yanked.is_none());
                    return Ok(distinct(files.filter_map(|file| file.version(project))));
                }
                Ok(_) => reasons.push((candidate.url, format!("it has no file of {project}"))),
                Err(why) => reasons.push((candidate.url, why)),
            }
        }
        Err(reasons)
    }

    /// The files that the page at `url` links to. It is requested once per run.
    fn page(&self, url: &Url, cache: &Cache) -> Result<Page, Failure> {
        let slot = Arc::clone(lock(&self.pages).entry(url.clone()).or_default());
        let mut page = lock(&slot);
        if let Some(page) = &*page {
            return Ok(Arc::clone(page));
        }
        let files = match url.to_file_path() {
            Ok(path) if url.scheme() == "file" => local_page(path, url)?,
            _ => self.download_page(url, cache)?,
        };
        Ok(Arc::clone(page.insert(Arc::new(files))))
    }

    fn download_page(&self, url: &Url, cache: &Cache) -> Result<Vec<Link>, Failure> {
        let mut partial = cache
            .partial(&Sha256::of(url.as_str().as_bytes()), false, || ())
            .and_then(|mut partial| partial.restart().map(|()| partial))
            .map_err(Failure::Disk)?;
        let RemoteFile { client, login, .. } = self.found(url);
        let request = Request {
            url: url.as_str(),
            max_bytes: MAX_PAGE_BYTES,
            accept: Some(simple::ACCEPT),
            login: login.as_ref(),
        };
        let answer = client.download(request, &mut partial, &|_| false, &|_| ())?;
        let page = partial.head(MAX_PAGE_BYTES).map_err(Failure::Disk)?;
        let base = Url::parse(&answer.final_url).unwrap_or_else(|_| url.clone());
        simple::parse(&page, answer.content_type.as_deref(), &base).map_err(Failure::Protocol)
    }

    /// An address with what downloads it.
    fn found(&self, url: &Url) -> RemoteFile<'_> {
        let (plain, written) = without_login(url);
        // A file below an index is requested with the credentials of that index.
        let of_place = || {
            let places = self.places.iter().filter(|place| is_same_host(&place.url, url));
            places
                .max_by_key(|place| common_prefix(place.url.path(), url.path()))?
                .login
                .clone()
        };
        let known = written.or_else(of_place);
        let has_password = known.as_ref().is_some_and(|login| !login.password.is_empty());
        let of_netrc = || self.configuration.netrc_login(url.host_str()?).cloned();
        let login = if has_password { known } else { of_netrc().or(known) };
        RemoteFile {
            client: self
                .unverified
                .as_ref()
                .filter(|_| self.is_trusted(url))
                .unwrap_or(&self.client),
            url: plain,
            login,
        }
    }

    fn is_trusted(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        let mut hosts = self.configuration.trusted_hosts.iter();
        hosts.any(|trusted| *trusted == host || *trusted == with_port)
    }

    /// Why an address must not be requested. `None` if pip considers it secure.
    fn rejection(&self, url: &Url) -> Option<String> {
        match url.scheme() {
            "https" | "file" => None,
            "http" if http::is_loopback(url) || self.is_trusted(url) => None,
            "http" => Some("plain http, and pip's `trusted-host` does not name this host".to_owned()),
            other => Some(format!("`{other}` is neither https nor http")),
        }
    }
}

impl Site {
    fn new(address: &str, is_index: bool) -> Result<Self> {
        let path = || Url::from_file_path(std::path::absolute(address).ok()?).ok();
        let parsed = Url::parse(address);
        let url = parsed.or_else(|error| (!is_index).then(path).flatten().ok_or(error));
        let mut url = url.with_context(|| format!("pip's index `{address}` is not an address"))?;
        if is_index && !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let (plain, login) = without_login(&url);
        let shown = match &login {
            None => plain.to_string(),
            // Masked as pip does: a user without a password is a token.
            Some(login) => {
                let user = if login.password.is_empty() {
                    String::new()
                } else {
                    format!("{}:", login.user)
                };
                plain.as_str().replacen("://", &format!("://{user}****@"), 1)
            }
        };
        Ok(Self {
            url: plain,
            is_index,
            shown,
            login,
        })
    }

    /// Where it has files of `project`.
    fn page(&self, project: &str) -> Url {
        let page = self
            .is_index
            .then(|| self.url.join(&format!("{}/", normalised(project))).ok());
        page.flatten().unwrap_or_else(|| self.url.clone())
    }
}

/// An address without its credentials, and the credentials.
pub(super) fn without_login(url: &Url) -> (Url, Option<Login>) {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let login = Login {
        user: decoded(url.username()),
        password: decoded(url.password().unwrap_or_default()),
    };
    let mut plain = url.clone();
    // An address that cannot have credentials needs no change.
    let _ = plain.set_username("").and_then(|()| plain.set_password(None));
    (plain, (login != Login::default()).then_some(login))
}

fn is_same_host(one: &Url, other: &Url) -> bool {
    one.host_str() == other.host_str() && one.port_or_known_default() == other.port_or_known_default()
}

/// Length of the common prefix of two paths in bytes.
fn common_prefix(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
}

/// The files that a page on this machine links to, or those of a directory.
fn local_page(mut path: PathBuf, url: &Url) -> Result<Vec<Link>, Failure> {
    if path.is_dir() {
        let page = path.join("index.html");
        if !page.is_file() {
            let names = host::local::names(&path).map_err(|error| Failure::Address(error.to_string()))?;
            return Ok(simple::directory(&path, names));
        }
        path = page;
    }
    let page = host::local::read_bytes(&path).map_err(|error| Failure::Address(format!("{error:#}")))?;
    simple::parse(&page, None, url).map_err(Failure::Protocol)
}

/// What a page has instead of the requested file.
fn what_is_there(files: &[Link], project: &str, version: &str) -> String {
    let is_wanted = |file: &&Link| file.version(project) == Some(version);
    let of_version: Vec<&str> = files
        .iter()
        .filter(is_wanted)
        .map(|file| file.name.as_str())
        .collect();
    if !of_version.is_empty() {
        let names = listed(&of_version);
        return format!("no file has this digest; the files of {project} {version} are {names}");
    }
    let versions = distinct(files.iter().filter_map(|file| file.version(project)));
    if versions.is_empty() {
        return format!("there is no file of {project}");
    }
    // Pages name the newest last.
    let newest: Vec<&str> = versions.iter().rev().map(String::as_str).collect();
    format!(
        "there is no {project} {version}; the versions are {}",
        listed(&newest)
    )
}

fn listed(names: &[&str]) -> String {
    let shown = names[..names.len().min(MAX_NAMED)].join(", ");
    match names.len().saturating_sub(MAX_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The texts without duplicates, in order.
fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for text in texts {
        if !distinct.iter().any(|known| known == text) {
            distinct.push(text.to_owned());
        }
    }
    distinct
}

//! A temporary directory for the archives and pages that `update` and `new` read.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::setup;
use crate::archive::tree::Limits;
use crate::archive::unpack;
use crate::cli::SourceArgs;
use crate::digest::{Hashes, Sha256};
use crate::failure::{Cause, Failure, WithCause};
use crate::host::entry::FileKind;
use crate::host::net::HttpOptions;
use crate::host::{self, Host};
use crate::report::Reporter;
use crate::source::error::{MAX_READ_BYTES, nature};
use crate::source::http::{self, Client, Request};
use crate::source::{MAX_BYTES, SourceRequest, Sources, candidates};
use crate::store::cache::Cache;
use crate::upstream::survey::{self, Survey};

/// Why nothing is asked.
const OFFLINE: &str = "--offline forbids connections";
/// The longest page that is read. The tags of a repository with tens of thousands of them fit.
const MAX_PAGE_BYTES: u64 = 32 * 1024 * 1024;
/// How many bytes of a wrong file's title are shown.
const MAX_SHOWN_BYTES: usize = 60;

/// A temporary directory and the clients that fill it.
#[derive(Debug)]
pub struct Workspace<'a> {
    directory: TempDir,
    cache: Cache,
    client: Client,
    sources: Sources,
    offline: bool,
    reporter: &'a Reporter,
}

/// An archive whose digest is not verified.
#[derive(Debug)]
pub struct Archive {
    /// Its path in the temporary directory, or the user's own file.
    pub path: PathBuf,
    /// Its digests, computed from the bytes that arrived.
    pub hashes: Hashes,
}

impl<'a> Workspace<'a> {
    /// Makes the directory. Sources with a known digest come from the places that `args` name.
    ///
    /// # Errors
    /// A directory cannot be made, or a file of certificates cannot be read.
    pub fn new(args: &SourceArgs, cache: Option<&Path>, reporter: &'a Reporter) -> Result<Self, Failure> {
        let directory = host::local::temporary_directory(None).cause(Cause::Internal)?;
        let options = HttpOptions {
            ca_bundles: args.ca_bundle.clone().into_iter().collect(),
            ..HttpOptions::default()
        };
        // Sources with a known digest may stay in the user's cache. The others get a temporary one.
        let known = directory.path().join("known");
        Ok(Self {
            client: Client::new(&options).cause(Cause::Usage)?,
            sources: setup::sources(args, cache.unwrap_or(&known), &Host::new(Path::new("/")))?,
            cache: Cache::open(&directory.path().join("unknown")).cause(Cause::Internal)?,
            offline: args.offline,
            directory,
            reporter,
        })
    }

    /// The page at `url`. Plain http is allowed only if `insecure`.
    ///
    /// # Errors
    /// The page cannot be downloaded, in words.
    pub fn page(&self, url: &str, insecure: bool) -> Result<Vec<u8>, String> {
        let archive = self.get(url, insecure, MAX_PAGE_BYTES)?;
        host::local::read_bytes(&archive.path).map_err(|error| format!("{error:#}"))
    }

    /// Downloads an archive without a known digest.
    ///
    /// # Errors
    /// The archive cannot be downloaded.
    pub fn download(&self, url: &str, insecure: bool) -> Result<Archive, Failure> {
        self.reporter.line(&format!("asking {url}"));
        self.get(url, insecure, MAX_BYTES)
            .map_err(|why| Failure::new(Cause::Network, format_args!("{url}: {why}")))
    }

    /// Takes an archive from a local file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn local(path: &Path) -> Result<Archive, Failure> {
        let hashes = host::local::hashes(path).map_err(|error| {
            Failure::new(
                Cause::Usage,
                format_args!("cannot read {}: {error}", path.display()),
            )
        })?;
        let path = path.to_owned();
        Ok(Archive { path, hashes })
    }

    fn get(&self, url: &str, insecure: bool, max_bytes: u64) -> Result<Archive, String> {
        if self.offline {
            return Err(OFFLINE.to_owned());
        }
        if let Some(why) = candidates::rejection(url, insecure, "its source has no `insecure:` with a reason")
        {
            return Err(why);
        }
        let name = Sha256::of(url.as_bytes());
        let disk = |error: std::io::Error| format!("could not write to the temporary directory: {error}");
        let mut partial = self.cache.partial(&name, true, || ()).map_err(disk)?;
        let request = Request {
            url,
            max_bytes,
            ..Request::default()
        };
        self.client
            .download(request, &mut partial, &|_| false, &|_| ())
            .map_err(|failure: http::Failure| failure.to_string())?;
        let hashes = partial.hashes().clone();
        let path = self.directory.path().join(format!("file-{name}"));
        host::local::copy(partial.path(), &path).map_err(|error| format!("{error:#}"))?;
        Ok(Archive { path, hashes })
    }

    /// The verified source that a manifest names, from the first place that has it.
    ///
    /// # Errors
    /// No place has it, in words.
    pub fn known(&self, wanted: &SourceRequest) -> Result<PathBuf, String> {
        self.sources
            .obtain(wanted, &|_| ())
            .map(|obtained| obtained.path)
            .map_err(|error| error.summary())
    }

    /// The versions of a project in the package index that pip is configured to use.
    ///
    /// # Errors
    /// The places that were asked, each with why it has none.
    pub fn versions_in_index(&self, project: &str) -> Result<Vec<String>, Vec<(String, String)>> {
        if self.offline {
            return Err(vec![("the package index".to_owned(), OFFLINE.to_owned())]);
        }
        self.sources.versions(project)
    }

    /// Unpacks an archive and surveys its files. `from` names its origin in errors.
    ///
    /// # Errors
    /// The archive cannot be unpacked or read.
    pub fn survey(&self, archive: &Path, strip: u8, from: &str) -> Result<Survey, Failure> {
        let tree = host::local::temporary_directory(Some(self.directory.path())).cause(Cause::Internal)?;
        let top = tree.path().join("top");
        if let Err(error) = unpack::unpack(archive, &top, strip, &Limits::default()) {
            let mut message = format!("{from} is not an archive that can be read: {error}");
            let head = host::local::head(archive, MAX_READ_BYTES).unwrap_or_default();
            if let Some(title) = title(archive) {
                message.push_str(&format!("\n  the server sent a web page: {title}"));
            } else if let Some(says) = nature(&head, None, "").says() {
                message.push_str(&format!("\n  {says}"));
            }
            return Err(Failure::new(Cause::Checksum, message));
        }
        let entries = host::local::tree(&top)?;
        let files = entries.iter().filter_map(|entry| {
            let path = entry.path.to_str()?;
            survey::is_of_interest(path).then_some(())?;
            Some((
                path.to_owned(),
                host::local::read_foreign(&top.join(path), survey::MAX_BYTES)?,
            ))
        });
        let mut survey = survey::survey(&files.collect::<Vec<_>>());
        let all = entries.iter().filter(|entry| entry.kind != FileKind::Directory);
        survey.paths = all
            .filter_map(|entry| entry.path.to_str().map(str::to_owned))
            .collect();
        Ok(survey)
    }
}

/// The title of a file that is an HTML page.
fn title(path: &Path) -> Option<String> {
    let text = host::local::read_foreign(path, 1024 * 1024)?;
    let (_, rest) = text.split_once("<title>")?;
    let title: String = rest
        .split('<')
        .next()?
        .trim()
        .chars()
        .take(MAX_SHOWN_BYTES)
        .collect();
    (!title.is_empty()).then_some(title)
}

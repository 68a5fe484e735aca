//! A cache of artifacts on another machine, by the HTTP protocol of Bazel's remote cache: `GET` and `PUT` of `/ac/KEY` and
//! `/cas/SHA256`. bazel-remote, nginx with WebDAV, and object stores speak it.
//!
//! Such a cache only saves work. Nothing of it is used before its digest is compared and the caller has validated it. What
//! is rejected counts as missing. A key whose artifact fails later is marked in the local cache (`artifacts`) and not
//! requested again.
//!
//! All requests share one budget of time. Each wait uses a channel of a thread of its own, which is left behind when the
//! time is over, because no socket option limits a whole answer. After the first timeout or refusal the cache is not used
//! any more. Uploads run beside the builds, and files precede the result that names them. Only the wait for uploads at the
//! end counts towards the budget.
//!
//! Everyone who may write to a cache decides what its readers install. A digest proves that the bytes are those of the
//! cache, not that they were built honestly.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::blocking::{Body, Client};
use reqwest::header::{self, HeaderValue};
use reqwest::{StatusCode, Url, redirect};

use super::cache::Cache;
use super::reapi::{self, Blob};
use crate::artifact::{ArtifactEntry, Key};
use crate::digest::{Hashes, Sha256};
use crate::host::net::{self, HttpOptions};
use crate::lock::lock;

/// How much is read at a time.
const PIECE: usize = 64 * 1024;
/// Pieces that may be on their way between a connection's thread and the reader.
const MAX_PIECES: usize = 16;
/// How long an upload of one file may take. No caller waits for it; the limit ends the thread of an upload that hangs.
const MAX_UPLOAD_TIME: Duration = Duration::from_secs(600);

/// How to use a remote cache.
#[derive(Debug)]
pub struct Options {
    /// Its address; a path in it is kept.
    pub url: String,
    /// The text of a secret file: a bearer token, or a user and a password with a colon between them.
    pub secret: Option<String>,
    /// Whether nothing is uploaded.
    pub read_only: bool,
    /// How long an installation may wait for it in all.
    pub budget: Duration,
    /// A file of further certificates to trust, in PEM form.
    pub ca_bundle: Option<PathBuf>,
}

/// A remote cache in use.
#[derive(Debug)]
pub struct Remote {
    server: Arc<CacheServer>,
    /// What is left of the budget. Locked while a thread waits, so that two threads never spend the same second.
    left: Mutex<Duration>,
    uploads: Mutex<Option<Uploads>>,
}

/// What is asked of an artifact before it is kept; each returns what is wrong with it.
pub struct Validators<'j> {
    /// Of its entry.
    pub entry: &'j dyn Fn(&ArtifactEntry) -> Result<(), String>,
    /// Of its file, which has the digest of the entry. Is over soon after the given moment.
    pub packed: &'j dyn Fn(&Path, Instant) -> Result<(), String>,
}

/// An artifact on its way to the cache.
#[derive(Debug)]
struct Upload {
    entry: ArtifactEntry,
    path: PathBuf,
    /// Whether the cache may have it already.
    may_be_there: bool,
}

/// Artifacts on their way to the cache.
#[derive(Debug)]
struct Uploads {
    queue: Sender<Upload>,
    /// Closed when all of the queue is done.
    done: Receiver<()>,
}

/// The server, and what is known of it.
#[derive(Debug)]
struct CacheServer {
    client: Client,
    base: String,
    budget: Duration,
    is_off: AtomicBool,
    takes_no_uploads: AtomicBool,
    waiting: AtomicUsize,
    notes: Mutex<Vec<String>>,
}

/// Why an artifact was not fetched.
enum Trouble {
    /// The cache has something wrong under this name; it may have others.
    Wrong(String),
    /// The cache is not to be asked again.
    Down(String),
}

impl Remote {
    /// A cache with these options. Sends nothing yet.
    ///
    /// # Errors
    /// The address or the secret is not valid, or a certificate bundle cannot be read.
    pub fn new(options: &Options) -> Result<Self> {
        ensure!(
            !options.url.trim().is_empty(),
            "the artifact cache's address is empty: leave --artifact-cache out where there is none"
        );
        let url = Url::parse(&options.url).with_context(|| {
            format!(
                "the artifact cache's address is not valid: `{}`; one looks like https://cache.example.org/some/where",
                options.url
            )
        })?;
        ensure!(
            matches!(url.scheme(), "http" | "https") && url.has_host(),
            "the artifact cache's address begins with http:// or https://"
        );
        ensure!(
            url.username().is_empty() && url.password().is_none(),
            "the artifact cache's user and password belong in the file of --artifact-cache-auth, not into its address"
        );
        ensure!(
            url.query().is_none() && url.fragment().is_none(),
            "the artifact cache's address has a `?` or a `#`, but paths are appended to it"
        );
        let http_options = HttpOptions {
            ca_bundles: options.ca_bundle.clone().into_iter().collect(),
            ..HttpOptions::default()
        };
        let secret = options.secret.as_deref().map(authorization).transpose()?;
        let secret = secret.map(|value| (header::AUTHORIZATION, value));
        let client = net::builder(&http_options)?
            .connect_timeout(options.budget.min(http_options.connect_timeout))
            // The caller stops waiting before that. This ends the thread that remains.
            .timeout(options.budget + Duration::from_secs(1))
            // A secret goes to the server it is for, and to no other.
            .redirect(redirect::Policy::none())
            .default_headers(secret.into_iter().collect())
            .build()
            .context("cannot set up the artifact cache")?;
        let server = Arc::new(CacheServer {
            client,
            base: url.as_str().trim_end_matches('/').to_owned(),
            budget: options.budget,
            is_off: AtomicBool::new(false),
            takes_no_uploads: AtomicBool::new(options.read_only),
            waiting: AtomicUsize::new(0),
            notes: Mutex::default(),
        });
        let uploads = (!options.read_only).then(|| Uploads::begin(Arc::clone(&server)));
        Ok(Self {
            server,
            left: Mutex::new(options.budget),
            uploads: Mutex::new(uploads),
        })
    }

    /// Fetches the artifact of `key` into `cache`. `None` if the server does not have it, is too slow, or `validators` reject it.
    pub fn fetch(&self, key: Key, cache: &Cache, validators: &Validators<'_>) -> Option<ArtifactEntry> {
        let mut left = lock(&self.left);
        if self.server.is_off.load(Ordering::SeqCst) {
            return None;
        }
        let began = Instant::now();
        let result = self.server.fetch(key, cache, validators, began + *left);
        *left = left.saturating_sub(began.elapsed());
        match result {
            Ok(found) => found,
            Err(Trouble::Wrong(why)) => {
                self.server.note(format!(
                    "the artifact of key {key} in the artifact cache is not used: {why} ({})",
                    self.server.base
                ));
                None
            }
            Err(Trouble::Down(why)) => {
                self.server.switch_off(&why);
                None
            }
        }
    }

    /// Uploads the artifact in the file at `path` beside whatever else is done.
    pub fn upload(&self, entry: &ArtifactEntry, path: PathBuf) {
        self.queue(Upload {
            entry: entry.clone(),
            path,
            may_be_there: false,
        });
    }

    /// Uploads an artifact that existed before, if the server does not have its key.
    pub fn offer(&self, entry: &ArtifactEntry, path: PathBuf) {
        self.queue(Upload {
            entry: entry.clone(),
            path,
            may_be_there: true,
        });
    }

    fn queue(&self, upload: Upload) {
        let uploads = lock(&self.uploads);
        if let Some(uploads) = &*uploads {
            self.server.waiting.fetch_add(1, Ordering::SeqCst);
            // The thread is there for as long as the queue is.
            let _ = uploads.queue.send(upload);
        }
    }

    /// Waits for the uploads, for as long as the budget lasts.
    pub fn finish(&self) {
        let uploads = lock(&self.uploads).take();
        let Some(Uploads { queue, done }) = uploads else {
            return;
        };
        drop(queue);
        let gave_up = [&self.server.is_off, &self.server.takes_no_uploads];
        if gave_up.iter().any(|flag| flag.load(Ordering::SeqCst)) {
            return;
        }
        let left = *lock(&self.left);
        if done.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            let count = self.server.waiting.load(Ordering::SeqCst);
            self.server.note(format!(
                "the artifact cache took too long: {count} artifacts were not uploaded"
            ));
            self.server.is_off.store(true, Ordering::SeqCst);
        }
    }

    /// Messages about the cache since the last call.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.server.notes))
    }
}

impl Uploads {
    fn begin(server: Arc<CacheServer>) -> Self {
        let (queue, uploads) = mpsc::channel::<Upload>();
        let (doing, done) = mpsc::channel();
        std::thread::spawn(move || {
            for upload in uploads {
                server.upload(&upload);
                server.waiting.fetch_sub(1, Ordering::SeqCst);
            }
            drop(doing);
        });
        Self { queue, done }
    }
}

/// A piece of an answer, from the thread of its connection.
enum Piece {
    Status(StatusCode),
    Bytes(Vec<u8>),
    End,
    Broken(String),
}

impl CacheServer {
    fn note(&self, text: String) {
        lock(&self.notes).push(text);
    }

    /// Stops all requests to the server.
    fn switch_off(&self, why: &str) {
        if !self.is_off.swap(true, Ordering::SeqCst) {
            self.note(format!(
                "the artifact cache is no longer used: {why} ({})",
                self.base
            ));
        }
    }

    /// Stops all uploads.
    fn refuse_uploads(&self, why: &str) {
        if !self.takes_no_uploads.swap(true, Ordering::SeqCst) {
            self.note(format!(
                "nothing more is uploaded to the artifact cache: {why} ({})",
                self.base
            ));
        }
    }

    fn fetch(
        self: &Arc<Self>,
        key: Key,
        cache: &Cache,
        validators: &Validators<'_>,
        until: Instant,
    ) -> Result<Option<ArtifactEntry>, Trouble> {
        let Some(result) = self.small(&format!("ac/{key}"), until)? else {
            return Ok(None);
        };
        let outputs = reapi::decode(&result).map_err(Trouble::Wrong)?;
        let missing = || Trouble::Wrong("the cache names a file that it does not have".to_owned());
        let document = self
            .small(&format!("cas/{}", outputs.entry.sha256), until)?
            .ok_or_else(missing)?;
        if document.len() as u64 != outputs.entry.bytes || Sha256::of(&document) != outputs.entry.sha256 {
            return Err(Trouble::Wrong(
                "the digest of its entry is not the expected one".to_owned(),
            ));
        }
        let entry = reapi::entry(key, &outputs, &document).map_err(Trouble::Wrong)?;
        (validators.entry)(&entry).map_err(Trouble::Wrong)?;
        let validated = |path: &Path| {
            (validators.packed)(path, until).map_err(|why| match self.time_left(until) {
                Ok(_) => Trouble::Wrong(why),
                Err(trouble) => trouble,
            })
        };
        match cache.find(&entry.sha256) {
            Some(path) => validated(&path)?,
            None => self
                .download(outputs.artifact, cache, &validated, until)?
                .ok_or_else(missing)?,
        }
        cache.keep_artifact(&entry).map_err(kept)?;
        Ok(Some(entry))
    }

    /// The time that is left. An error if it is over.
    fn time_left(&self, until: Instant) -> Result<Duration, Trouble> {
        let left = until.saturating_duration_since(Instant::now());
        let budget = self.budget.as_secs_f32();
        let complaint = || Trouble::Down(format!("its time of {budget} s is used up"));
        (!left.is_zero()).then_some(left).ok_or_else(complaint)
    }

    /// A file that is held in memory. `None` if the server has none.
    fn small(self: &Arc<Self>, path: &str, until: Instant) -> Result<Option<Vec<u8>>, Trouble> {
        let mut bytes = Vec::new();
        self.get(path, until, |piece| {
            bytes.extend_from_slice(piece);
            if bytes.len() as u64 > reapi::MAX_BYTES {
                return Err(Trouble::Wrong(format!("{path} is too large")));
            }
            Ok(())
        })
        .map(|found| found.map(|()| bytes))
    }

    /// Downloads a file into the cache after `validated` has accepted it. `None` if the server does not have it.
    fn download(
        self: &Arc<Self>,
        blob: Blob,
        cache: &Cache,
        validated: &dyn Fn(&Path) -> Result<(), Trouble>,
        until: Instant,
    ) -> Result<Option<()>, Trouble> {
        let partial = cache.partial_until(&blob.sha256, until).map_err(kept)?;
        let Some(mut partial) = partial else {
            // Another pgsetup downloads the same file and does not finish.
            return self.time_left(until).map(|_| None);
        };
        // It may have finished in the meantime.
        if let Some(path) = cache.find(&blob.sha256) {
            return validated(&path).map(Some);
        }
        partial.restart().map_err(kept)?;
        let found = self.get(&format!("cas/{}", blob.sha256), until, |piece| {
            if partial.length() + piece.len() as u64 > blob.bytes {
                return Err(Trouble::Wrong("it is larger than the cache says".to_owned()));
            }
            partial.append(piece).map_err(kept)
        })?;
        if found.is_none() {
            return Ok(None);
        }
        if partial.length() != blob.bytes || partial.hashes().sha256() != blob.sha256 {
            return Err(Trouble::Wrong("its digest is not the expected one".to_owned()));
        }
        validated(partial.path())?;
        partial.commit(None).map_err(kept)?;
        Ok(Some(()))
    }

    /// Gets a file piece by piece. `None` if the server has none. Ends by `until`, whatever the server does.
    fn get(
        self: &Arc<Self>,
        path: &str,
        until: Instant,
        mut take: impl FnMut(&[u8]) -> Result<(), Trouble>,
    ) -> Result<Option<()>, Trouble> {
        let (pieces, arriving) = mpsc::sync_channel(MAX_PIECES);
        let (server, url) = (Arc::clone(self), format!("{}/{path}", self.base));
        std::thread::spawn(move || server.receive(&url, &pieces));
        loop {
            // Looked at before every piece: a channel gives away what is in it whatever the time.
            match arriving.recv_timeout(self.time_left(until)?) {
                Ok(Piece::Status(status)) => match status {
                    StatusCode::OK => {}
                    StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
                    status => return Err(Trouble::Down(refusal(status))),
                },
                Ok(Piece::Bytes(bytes)) => take(&bytes)?,
                Ok(Piece::End) => return Ok(Some(())),
                Ok(Piece::Broken(why)) => return Err(Trouble::Down(why)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Trouble::Down("its answer was lost".to_owned()));
                }
            }
        }
    }

    /// Sends on what the server answers. Ends early if the receiver is gone.
    fn receive(&self, url: &str, pieces: &SyncSender<Piece>) {
        let send = |piece| pieces.send(piece).is_ok();
        let request = self.client.get(url).header(header::ACCEPT_ENCODING, "identity");
        let mut response = match request.send() {
            Ok(response) => response,
            Err(error) => {
                send(Piece::Broken(net::cause(&error)));
                return;
            }
        };
        let status = response.status();
        if !send(Piece::Status(status)) || status != StatusCode::OK {
            return;
        }
        let mut buffer = vec![0; PIECE];
        loop {
            match response.read(&mut buffer) {
                Ok(0) => {
                    send(Piece::End);
                    return;
                }
                Ok(count) => {
                    if !send(Piece::Bytes(buffer[..count].to_vec())) {
                        return;
                    }
                }
                Err(error) => {
                    send(Piece::Broken(format!("its answer broke off: {error}")));
                    return;
                }
            }
        }
    }

    /// Whether the server has a result of this key. Any failure ends the uploads.
    fn has(&self, key: Key) -> Option<bool> {
        let request = self.client.get(format!("{}/ac/{key}", self.base));
        match request.send().map(|response| response.status()) {
            Ok(StatusCode::OK) => Some(true),
            Ok(StatusCode::NOT_FOUND | StatusCode::GONE) => Some(false),
            Ok(status) => {
                self.refuse_uploads(&refusal(status));
                None
            }
            Err(error) => {
                self.refuse_uploads(&net::cause(&error));
                None
            }
        }
    }

    /// Uploads an artifact: its file, its entry, and at last the result that names both.
    fn upload(&self, upload: &Upload) {
        let Upload {
            entry,
            path,
            may_be_there,
        } = upload;
        let is_wanted =
            || !self.takes_no_uploads.load(Ordering::SeqCst) && !self.is_off.load(Ordering::SeqCst);
        if !is_wanted() || *may_be_there && self.has(entry.key) != Some(false) {
            return;
        }
        let (result, document) = reapi::encode(entry);
        let document_digest = Sha256::of(document.as_bytes());
        let file = File::open(path).and_then(|mut file| {
            let digest = Hashes::of_reader(&mut file, false)?.sha256();
            Ok((digest == entry.sha256).then_some(File::open(path)?))
        });
        // A file that was damaged since must not be uploaded.
        let Ok(Some(file)) = file else { return };
        let steps = [
            (format!("cas/{}", entry.sha256), Body::sized(file, entry.bytes)),
            (format!("cas/{document_digest}"), Body::from(document)),
            (format!("ac/{}", entry.key), Body::from(result)),
        ];
        for (path, body) in steps {
            if !is_wanted() {
                return;
            }
            let request = self.client.put(format!("{}/{path}", self.base)).body(body);
            match request.timeout(MAX_UPLOAD_TIME).send() {
                Ok(response) if response.status().is_success() => {}
                Ok(response) if response.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                    let component = &entry.component;
                    self.note(format!(
                        "the artifact of {component}, {} bytes, is too large for the artifact cache, which answered 413; \
                         nginx's limit is client_max_body_size ({})",
                        entry.bytes, self.base
                    ));
                    return;
                }
                Ok(response) => return self.refuse_uploads(&refusal(response.status())),
                Err(error) => return self.refuse_uploads(&net::cause(&error)),
            }
        }
    }
}

/// The error of a cache directory that cannot be written.
// By value, as `map_err` passes it.
#[allow(clippy::needless_pass_by_value)]
fn kept(error: std::io::Error) -> Trouble {
    Trouble::Wrong(format!("it cannot be kept: {error}"))
}

fn refusal(status: StatusCode) -> String {
    if status.is_redirection() {
        format!("the server answered {status}, and redirects are not followed")
    } else {
        format!("the server answered {status}")
    }
}

/// The header for a secret. A bearer token has no colon (RFC 6750, section 2.1), a user with a password has one.
fn authorization(secret: &str) -> Result<HeaderValue> {
    let secret = secret.trim();
    ensure!(!secret.is_empty(), "the artifact cache's secret file is empty");
    ensure!(
        !secret.contains(char::is_control),
        "the artifact cache's secret file holds more than one line of plain text: a token, or USER:PASSWORD"
    );
    let text = if secret.contains(':') {
        format!("Basic {}", BASE64.encode(secret))
    } else {
        format!("Bearer {secret}")
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        anyhow::anyhow!("the artifact cache's secret file has characters that no HTTP header can hold")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;

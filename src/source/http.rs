//! Downloads: one file from one address, over a network and from servers that are not to be relied on.
//!
//! This module writes bytes into a [`Partial`] and returns how that ended. [`Sources`](super::Sources)
//! decides whether they are the right bytes, and which address comes next. A failure that may pass (a reset, a timeout,
//! 408, 425, 429, 5xx) is retried here, resuming where the last attempt ended. Other failures (404, a certificate) are not.
//!
//! Certificates: the roots are compiled in, and a bundle may add to them. The machine's own store decides
//! nothing, because a bare image has none, and the same command must not depend on that.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use chrono::DateTime;
use reqwest::blocking::{Client as Inner, Response};
use reqwest::header::{self, HeaderMap};
use reqwest::{StatusCode, redirect};

use crate::host::net::{HttpOptions, Proxies, builder, cause, is_certificate};
use crate::lock::lock;
use crate::store::cache::{Partial, PartialOrigin};

pub use reqwest::Url;

/// Redirects that are followed, as many as browsers and curl's users are content with.
const MAX_REDIRECTS: usize = 10;
/// Room that a download leaves on the disk, for whatever else runs.
const MAX_SPARE_BYTES: u64 = 16 * 1024 * 1024;
/// The longest `Retry-After` that is waited for; a build is better off with the next mirror.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Attempts that brought bytes do not count as failed ones, but they end somewhere.
const MAX_CONNECTIONS: u32 = 40;

/// Downloads files. Shared between threads.
#[derive(Debug)]
pub struct Client {
    inner: Inner,
    options: HttpOptions,
    proxies: Proxies,
    hosts: Hosts,
}

/// What to download.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// The address, without credentials.
    pub url: &'a str,
    /// Bytes that are too many.
    pub max_bytes: u64,
    /// The media types that are taken (`Accept`); any where it is not given.
    pub accept: Option<&'a str>,
    /// The credentials.
    pub login: Option<&'a Login>,
}

/// Credentials for a server (RFC 7617). A redirect to another host does not get them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// The user, or a token.
    pub user: String,
    /// The password; may be empty.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

/// What is told of a download while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Bytes that are there, and how many there will be, where the server says so.
    Advanced {
        /// Number of bytes so far.
        done: u64,
        /// The total.
        total: Option<u64>,
    },
    /// An attempt failed and the next one follows after a pause.
    Retrying {
        /// Why it failed.
        why: String,
        /// How long the pause is.
        pause: Duration,
    },
}

/// What a server said about the file it sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The address after all redirects.
    pub final_url: String,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`, which is never undone.
    pub content_encoding: Option<String>,
    /// The length it announced for the whole file.
    pub length: Option<u64>,
    /// True when the file was put together from the parts of several answers.
    pub joined: bool,
}

/// Why a download failed.
#[derive(Debug)]
pub enum Failure {
    /// The server answered with a status other than success.
    Status(StatusCode, String),
    /// No connection: name, route, refusal, timeout.
    Connect(String),
    /// No connection to the proxy or through it.
    Proxy {
        /// Its address.
        proxy: String,
        /// What happened.
        why: String,
    },
    /// The server's certificate is not trusted.
    Certificate(String),
    /// The server said nothing, or too little, for this long.
    Stalled(Duration),
    /// The connection broke after this many bytes, of so many.
    Cut {
        /// Bytes that arrived.
        done: u64,
        /// Bytes that were announced.
        total: Option<u64>,
        /// What happened.
        why: String,
    },
    /// A redirect that is not followed.
    Redirect(String),
    /// The file is larger than it may be.
    TooLarge {
        /// The size that is allowed.
        most: u64,
        /// The size it has at least.
        size: u64,
    },
    /// The answer breaks the protocol.
    Protocol(String),
    /// The address is not valid.
    Address(String),
    /// The disk has too little room.
    NoSpace {
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The partial file cannot be written.
    Disk(io::Error),
}

impl Failure {
    /// True when the next attempt may fare better.
    fn may_pass(&self) -> bool {
        match self {
            Self::Status(status, _) => {
                matches!(status.as_u16(), 408 | 425 | 429)
                    || (status.is_server_error() && *status != StatusCode::NOT_IMPLEMENTED)
            }
            Self::Connect(why) => !is_unknown_name(why),
            Self::Proxy { why, .. } => {
                !is_unknown_name(why) && !why.contains("407") && !why.contains("authorization")
            }
            Self::Stalled(_) | Self::Cut { .. } | Self::Protocol(_) => true,
            _ => false,
        }
    }

    /// True where the proxy is to blame.
    pub fn is_of_proxy(&self) -> bool {
        matches!(self, Self::Proxy { .. })
    }

    /// True where no server was reached.
    fn is_unreached(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Proxy { .. })
    }

    /// True when this machine is to blame, so that no other address would fare better.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::NoSpace { .. } | Self::Disk(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, url) => write!(f, "the server answered {status} ({url})"),
            Self::Connect(why) => write!(f, "no connection: {why}"),
            Self::Proxy { proxy, why } => write!(f, "no connection through the proxy {proxy}: {why}"),
            Self::Certificate(why) => write!(
                f,
                "the server's certificate is not trusted: {why} (a company's own authority is added with --ca-bundle or SSL_CERT_FILE)"
            ),
            Self::Stalled(time) => write!(
                f,
                "the server sent nothing, or almost nothing, for {} s",
                time.as_secs_f32()
            ),
            Self::Cut { done, total, why } => match total {
                Some(total) => write!(f, "the connection ended after {done} of {total} bytes: {why}"),
                None => write!(f, "the connection ended after {done} bytes: {why}"),
            },
            Self::Redirect(why) => write!(f, "a redirect was not followed: {why}"),
            Self::TooLarge { most, size } => {
                write!(f, "it has at least {size} bytes, but only {most} are allowed")
            }
            Self::Protocol(why) => write!(f, "the answer is not valid: {why}"),
            Self::Address(why) => write!(f, "not an address: {why}"),
            Self::NoSpace { needed, free } => {
                write!(f, "it needs {needed} bytes of disk, but only {free} are free")
            }
            Self::Disk(error) => write!(f, "could not write to the cache: {error}"),
        }
    }
}

impl std::error::Error for Failure {}

impl Client {
    /// A client with the certificates and proxies of `options` and of the environment.
    ///
    /// # Errors
    /// A certificate bundle cannot be read, or the proxy is not an address.
    pub fn new(options: &HttpOptions) -> Result<Self> {
        let mut builder = builder(options)?.redirect(redirect::Policy::custom(follow));
        if let Some(proxy) = &options.proxy {
            let proxy = reqwest::Proxy::all(proxy)
                .with_context(|| format!("the proxy `{proxy}` is not an address"))?;
            builder = builder.proxy(proxy);
        }
        Ok(Self {
            inner: builder.build().context("cannot set up downloads")?,
            options: options.clone(),
            proxies: Proxies::of(options),
            hosts: Hosts::default(),
        })
    }

    /// A client with other options than this one.
    ///
    /// # Errors
    /// A certificate bundle cannot be read, or the proxy is not an address.
    pub fn with(&self, change: impl FnOnce(&mut HttpOptions)) -> Result<Self> {
        let mut options = self.options.clone();
        change(&mut options);
        Self::new(&options)
    }

    /// Downloads into `partial`, and resumes a partial file of the same address. `enough` is called when the connection ends
    /// early: a server that announces a wrong length may have sent everything.
    ///
    /// # Errors
    /// Why the last attempt failed.
    pub fn download(
        &self,
        request: Request,
        partial: &mut Partial,
        enough: &dyn Fn(&Partial) -> bool,
        tell: &dyn Fn(Event),
    ) -> Result<Answer, Failure> {
        let url = Url::parse(request.url).map_err(|error| Failure::Address(error.to_string()))?;
        let host = host_of(&url);
        let (mut in_vain, mut pause) = (0, self.options.first_pause);
        for _ in 0..MAX_CONNECTIONS {
            let before = partial.length();
            let mut attempt = Attempt::default();
            let result = {
                let _permit = self.hosts.enter(&host, self.options.per_host);
                self.attempt(&url, request, partial, &mut attempt, tell)
            };
            let failure = match result {
                Ok(()) => return Ok(attempt.answer),
                Err(Failure::Cut { .. } | Failure::Stalled(_)) if partial.length() > 0 && enough(partial) => {
                    return Ok(attempt.answer);
                }
                Err(failure) => failure,
            };
            if partial.length() > before {
                (in_vain, pause) = (0, self.options.first_pause);
            } else {
                in_vain += 1;
            }
            let dead = failure.is_unreached() && self.hosts.is_unreachable(&host);
            if !failure.may_pass() || dead || in_vain >= self.options.attempts {
                if failure.is_unreached() {
                    self.hosts.mark_unreachable(&host);
                }
                return Err(failure);
            }
            let wait = match attempt.retry_after {
                Some(asked) if asked > MAX_WAIT => return Err(failure),
                Some(asked) => asked,
                None => jitter(pause),
            };
            tell(Event::Retrying {
                why: failure.to_string(),
                pause: wait,
            });
            sleep(wait);
            pause = (pause * 2).min(Duration::from_secs(20));
        }
        Err(Failure::Cut {
            done: partial.length(),
            total: None,
            why: format!("{MAX_CONNECTIONS} times"),
        })
    }

    /// One connection.
    fn attempt(
        &self,
        url: &Url,
        request: Request,
        partial: &mut Partial,
        attempt: &mut Attempt,
        tell: &dyn Fn(Event),
    ) -> Result<(), Failure> {
        let validator = partial
            .origin()
            .filter(|origin| origin.url == request.url && partial.length() > 0)
            .map(|origin| origin.validator.clone());
        // Bytes of these archives are what is verified: nothing may encode them on the way.
        let mut get = self
            .inner
            .get(url.clone())
            .header(header::ACCEPT, request.accept.unwrap_or("*/*"))
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(Login { user, password }) = request.login {
            get = get.basic_auth(user, Some(password));
        }
        if let Some(validator) = &validator {
            get = get
                .header(header::RANGE, format!("bytes={}-", partial.length()))
                .header(header::IF_RANGE, validator);
        }
        let response = get.send().map_err(|error| self.failure(&error, request.url))?;
        attempt.answer = answer(&response);
        attempt.retry_after = retry_after(response.headers());
        match response.status() {
            StatusCode::OK => {
                partial.restart().map_err(Failure::Disk)?;
                attempt.answer.length = response.content_length();
                if let Some(validator) = validator_of(response.headers()) {
                    let url = request.url.to_owned();
                    partial
                        .begin(PartialOrigin { url, validator })
                        .map_err(Failure::Disk)?;
                }
            }
            StatusCode::PARTIAL_CONTENT if validator.is_some() => {
                let (start, total) = content_range(response.headers()).unwrap_or((u64::MAX, None));
                if start != partial.length() {
                    partial.restart().map_err(Failure::Disk)?;
                    return Err(Failure::Protocol(
                        "it is not the part that was asked for".to_owned(),
                    ));
                }
                attempt.answer.length = total;
                attempt.answer.joined = true;
            }
            StatusCode::RANGE_NOT_SATISFIABLE if validator.is_some() => {
                // The file has become shorter, or all of it is here already and the digest will say so.
                let done = partial.length();
                let total = content_range_total(response.headers());
                if total != Some(done) {
                    partial.restart().map_err(Failure::Disk)?;
                }
                let why = "the server has no more of it".to_owned();
                return Err(Failure::Cut { done, total, why });
            }
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                let proxy = self.proxies.find(&attempt.answer.final_url).unwrap_or_default();
                let why = "it wants a user and a password (407 Proxy Authentication Required)".to_owned();
                return Err(Failure::Proxy { proxy, why });
            }
            status => {
                let url = &attempt.answer.final_url;
                // Over plain http, such an answer may be the proxy's own.
                let proxy = self
                    .proxies
                    .find(url)
                    .filter(|_| status.is_server_error() && url.starts_with("http:"));
                let proxy = proxy.map(|proxy| format!(", through the proxy {proxy}"));
                return Err(Failure::Status(
                    status,
                    format!("{url}{}", proxy.unwrap_or_default()),
                ));
            }
        }
        check_room(request, partial, attempt.answer.length)?;
        self.receive(response, request, partial, attempt.answer.length, tell)
    }

    fn receive(
        &self,
        mut response: Response,
        request: Request,
        partial: &mut Partial,
        total: Option<u64>,
        tell: &dyn Fn(Event),
    ) -> Result<(), Failure> {
        let mut buffer = vec![0; 64 * 1024];
        let (mut since, mut since_bytes) = (Instant::now(), partial.length());
        loop {
            let n = match response.read(&mut buffer) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.broken(&error, partial.length(), total)),
            };
            if n == 0 {
                return match total {
                    Some(total) if total > partial.length() => Err(Failure::Cut {
                        done: partial.length(),
                        total: Some(total),
                        why: "the server closed it".to_owned(),
                    }),
                    _ => Ok(()),
                };
            }
            partial.append(&buffer[..n]).map_err(Failure::Disk)?;
            let done = partial.length();
            tell(Event::Advanced { done, total });
            if done > request.max_bytes {
                return Err(Failure::TooLarge {
                    most: request.max_bytes,
                    size: done,
                });
            }
            let spent = since.elapsed();
            if spent >= self.options.patience {
                if done - since_bytes < self.options.slowest.saturating_mul(spent.as_secs()) {
                    return Err(Failure::Stalled(spent));
                }
                (since, since_bytes) = (Instant::now(), done);
            }
        }
    }

    /// What an error between two bytes means.
    fn broken(&self, error: &io::Error, done: u64, total: Option<u64>) -> Failure {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<reqwest::Error>());
        if inner.is_some_and(reqwest::Error::is_timeout) {
            return Failure::Stalled(self.options.stall_timeout);
        }
        let why = inner.map_or_else(|| error.to_string(), cause);
        Failure::Cut { done, total, why }
    }

    fn failure(&self, error: &reqwest::Error, url: &str) -> Failure {
        let why = cause(error);
        if error.is_redirect() {
            return Failure::Redirect(why);
        }
        if is_certificate(error) {
            return Failure::Certificate(why);
        }
        if error.is_connect() {
            let url = error.url().map_or(url, Url::as_str);
            return match self.proxies.find(url) {
                Some(proxy) => Failure::Proxy { proxy, why },
                None => Failure::Connect(why),
            };
        }
        if error.is_timeout() {
            return Failure::Stalled(self.options.stall_timeout);
        }
        if error.is_builder() {
            return Failure::Address(why);
        }
        Failure::Cut {
            done: 0,
            total: None,
            why,
        }
    }
}

/// Whether a file of this length may be downloaded, and fits on the disk.
fn check_room(request: Request, partial: &Partial, length: Option<u64>) -> Result<(), Failure> {
    let Some(length) = length else { return Ok(()) };
    if length > request.max_bytes {
        return Err(Failure::TooLarge {
            most: request.max_bytes,
            size: length,
        });
    }
    let needed = length.saturating_sub(partial.length()) + MAX_SPARE_BYTES;
    match free_bytes(partial.dir()) {
        Ok(free) if free < needed => Err(Failure::NoSpace { needed, free }),
        // Where the question has no answer, writing gives one.
        _ => Ok(()),
    }
}

/// What one connection has found out.
#[derive(Debug, Default)]
struct Attempt {
    answer: Answer,
    retry_after: Option<Duration>,
}

/// How many downloads run from each host, and which hosts cannot be reached at all.
#[derive(Debug, Default)]
struct Hosts {
    busy: Mutex<HashMap<String, usize>>,
    left: Condvar,
    dead: Mutex<HashSet<String>>,
}

impl Hosts {
    /// Waits for a place at `host`.
    fn enter(&self, host: &str, most: usize) -> Permit<'_> {
        let mut busy = lock(&self.busy);
        while busy.get(host).is_some_and(|n| *n >= most.max(1)) {
            busy = self.left.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        *busy.entry(host.to_owned()).or_default() += 1;
        Permit {
            hosts: self,
            host: host.to_owned(),
        }
    }

    /// Notes that no attempt has reached `host`, so that the next source does not wait as long for it again.
    fn mark_unreachable(&self, host: &str) {
        lock(&self.dead).insert(host.to_owned());
    }

    fn is_unreachable(&self, host: &str) -> bool {
        lock(&self.dead).contains(host)
    }
}

struct Permit<'a> {
    hosts: &'a Hosts,
    host: String,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(n) = lock(&self.hosts.busy).get_mut(&self.host) {
            *n -= 1;
        }
        self.hosts.left.notify_all();
    }
}

/// Follows a redirect, unless it leads in a circle or out of what is encrypted.
fn follow(attempt: redirect::Attempt) -> redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(format!("more than {MAX_REDIRECTS} in a row"));
    }
    let encrypted = attempt.previous().iter().any(|url| url.scheme() == "https");
    if encrypted && attempt.url().scheme() != "https" {
        let to = attempt.url().to_string();
        return attempt.error(format!("it leads from https to {to}"));
    }
    if attempt.previous().contains(attempt.url()) {
        let to = attempt.url().to_string();
        return attempt.error(format!("it leads in a circle, to {to}"));
    }
    attempt.follow()
}

fn answer(response: &Response) -> Answer {
    let text = |name| {
        let value: &header::HeaderValue = response.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Answer {
        final_url: response.url().to_string(),
        content_type: text(header::CONTENT_TYPE),
        content_encoding: text(header::CONTENT_ENCODING),
        length: None,
        joined: false,
    }
}

/// What `If-Range` may take: a strong `ETag`, or else the time of the last change (RFC 9110, 13.1.5).
fn validator_of(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match text(header::ETAG) {
        Some(etag) if etag.starts_with('"') => Some(etag.to_owned()),
        _ => text(header::LAST_MODIFIED).map(str::to_owned),
    }
}

/// `bytes 100-199/200`: the first byte, and the length of the whole.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = value.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

/// `bytes */200`: the length of the whole, as 416 tells it.
fn content_range_total(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    value.rsplit_once('/')?.1.trim().parse().ok()
}

/// How long the server wants to be left alone: seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // The dates of HTTP (RFC 9110, 5.6.7) are those of mail.
    let date = SystemTime::from(DateTime::parse_from_rfc2822(value).ok()?);
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Between half of `pause` and all of it, so that many builds do not come back at one moment.
fn jitter(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    let share = u32::try_from(random % 1024).unwrap_or_default();
    pause / 2 + pause / 2 * share / 1024
}

/// Whether the resolver answered that there is no such name, in the words of glibc and of musl (`EAI_NONAME`). That will
/// not pass, unlike a resolver that does not answer (`EAI_AGAIN`).
fn is_unknown_name(why: &str) -> bool {
    ["Name or service not known", "Name does not resolve"]
        .iter()
        .any(|text| why.contains(text))
}

/// Whether an address is on this machine, so that no third party can read the traffic.
pub fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback()),
        None => false,
    }
}

fn host_of(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    url.host_str().unwrap_or_default().to_owned() + &port
}

/// Bytes that an ordinary user may still write below `dir`.
fn free_bytes(dir: &Path) -> io::Result<u64> {
    let room = rustix::fs::statvfs(dir)?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_not_asked_again_and_a_silent_resolver_is() {
        let failure = |why: &str| Failure::Connect(format!("failed to lookup address information: {why}"));
        assert!(!failure("Name or service not known").may_pass());
        assert!(!failure("Name does not resolve").may_pass());
        assert!(failure("Temporary failure in name resolution").may_pass());
        assert!(failure("Try again").may_pass());
    }
}

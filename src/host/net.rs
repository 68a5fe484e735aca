//! What every connection of this program has: certificates, proxies, limits.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Certificate;
use reqwest::blocking::{Client as Inner, ClientBuilder};

use crate::manifest::secret;

/// How to download.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Files of additional certificates to trust, in PEM form.
    pub ca_bundles: Vec<PathBuf>,
    /// True if the certificates of servers are not verified.
    pub is_unverified: bool,
    /// Proxy for every address. Without it `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` decide.
    pub proxy: Option<String>,
    /// Downloads from one host at a time.
    pub per_host: usize,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a server may say nothing, before its headers and between any two bytes.
    pub stall_timeout: Duration,
    /// Over how long a server that says a little may fall below `slowest` bytes a second.
    pub patience: Duration,
    /// Bytes a second.
    pub slowest: u64,
    /// Attempts in a row that bring nothing.
    pub attempts: u32,
    /// The pause after the first failed attempt; each further one is twice as long.
    pub first_pause: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            ca_bundles: Vec::new(),
            is_unverified: false,
            proxy: None,
            per_host: 4,
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            patience: Duration::from_secs(60),
            slowest: 1024,
            attempts: 4,
            first_pause: Duration::from_millis(500),
        }
    }
}

/// A builder with the certificates, proxies and timeouts of `options` and of the environment. The caller decides about
/// redirects.
///
/// # Errors
/// A certificate bundle cannot be read.
pub fn builder(options: &HttpOptions) -> Result<ClientBuilder> {
    // An error means that this process already has a provider, which does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = Vec::new();
    for der in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        roots.push(Certificate::from_der(der).context("a certificate that is compiled in")?);
    }
    for (path, pem) in bundles(&options.ca_bundles)? {
        let more = Certificate::from_pem_bundle(pem.as_bytes())
            .ok()
            .filter(|more| !more.is_empty());
        let more = more.with_context(|| format!("{} contains no certificate in PEM form", path.display()))?;
        roots.extend(more);
    }
    Ok(Inner::builder()
        .user_agent(concat!("pgsetup/", env!("CARGO_PKG_VERSION")))
        .tls_certs_only(roots)
        .tls_danger_accept_invalid_certs(options.is_unverified)
        .connect_timeout(options.connect_timeout)
        .timeout(options.stall_timeout)
        .tcp_keepalive(Duration::from_secs(15))
        .pool_max_idle_per_host(options.per_host)
        .referer(false))
}

/// Which addresses are asked through a proxy: by the rules of the client itself, so that an error can name the proxy.
#[derive(Debug)]
pub struct Proxies(Matcher);

impl Proxies {
    /// The proxies of `options` and of the environment.
    pub fn of(options: &HttpOptions) -> Self {
        Self(match &options.proxy {
            Some(proxy) => Matcher::builder().all(proxy.clone()).build(),
            None => Matcher::from_env(),
        })
    }

    /// The proxy for an address, without its credentials.
    pub fn find(&self, url: &str) -> Option<String> {
        let proxy = self.0.intercept(&url.parse().ok()?)?;
        let text = proxy.uri().to_string();
        Some(secret::masked(text.trim_end_matches('/')).into_owned())
    }
}

/// The certificates that are compiled in and those of `bundle`, in PEM form: what other programs must be given to trust the
/// same servers.
///
/// # Errors
/// The bundle cannot be read.
pub fn trusted(bundle: &Path) -> Result<String> {
    let mut text = String::new();
    for (_, more) in bundles(&[bundle.to_owned()])? {
        text.push_str(more.trim_end());
        text.push('\n');
    }
    for der in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let encoded = STANDARD.encode(der);
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in encoded.as_bytes().chunks(64) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    Ok(text)
}

/// The additional certificates.
fn bundles(paths: &[PathBuf]) -> Result<Vec<(&Path, String)>> {
    let read = |path| {
        let pem = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the certificates in {}", Path::display(path)))?;
        Ok((path, pem))
    };
    paths.iter().map(PathBuf::as_path).map(read).collect()
}

/// The innermost reason that an error knows, which is the one that tells something.
pub fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}

pub fn is_certificate(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return matches!(tls, rustls::Error::InvalidCertificate(_));
        }
        // An IO error does not name what it wraps as its source, and may wrap another one.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

//! The index of crates: where the file of a crate is, in the place that Cargo is configured with.
//!
//! A sparse index says in its `config.json` where crates are downloaded (the Cargo Book, "Index Format"). Nothing else of it is
//! read: names, versions and digests are those of a lock.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::cargo::{Configuration, Place};
use super::error::Reason;
use super::http::{self, Client, Failure, Login, Request, Url};
use super::index::{RemoteFile, without_login};
use crate::digest::Sha256;
use crate::lock::lock;
use crate::store::cache::Cache;

/// The longest `config.json` that is read.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;
/// Marks in the address of downloads.
const MARKS: [&str; 5] = [
    "{crate}",
    "{version}",
    "{prefix}",
    "{lowerprefix}",
    "{sha256-checksum}",
];

/// The index. Shared between threads.
#[derive(Debug)]
pub struct CrateIndex {
    site: Site,
    client: Client,
    /// The address of downloads, once it was asked for.
    template: Mutex<Option<Arc<str>>>,
}

#[derive(Debug)]
enum Site {
    Sparse { url: Url, login: Option<Login> },
    Directory(PathBuf),
}

/// The `config.json` of an index.
#[derive(Deserialize)]
struct Config {
    dl: String,
}

impl CrateIndex {
    /// The index that Cargo uses on this machine. `client` is what other sources are downloaded with.
    ///
    /// # Errors
    /// Cargo's configuration cannot be read, or names an invalid address, certificate or proxy.
    pub fn open(client: &Client) -> Result<Self> {
        let configuration = Configuration::read()?;
        let client = client.with(|options| {
            options.ca_bundles.extend(configuration.cert.clone());
            options.proxy = configuration.proxy.clone().or(options.proxy.take());
        })?;
        let site = match configuration.place {
            Place::Directory(path) => Site::Directory(path),
            Place::Sparse(address) => {
                let url = Url::parse(&format!("{}/", address.trim_end_matches('/')));
                let url = url.with_context(|| format!("Cargo's index `{address}` is not an address"))?;
                let (url, login) = without_login(&url);
                Site::Sparse { url, login }
            }
        };
        Ok(Self {
            site,
            client,
            template: Mutex::default(),
        })
    }

    /// Its address, without credentials.
    pub fn shown(&self) -> String {
        match &self.site {
            Site::Sparse { url, .. } => url.to_string(),
            Site::Directory(path) => path.display().to_string(),
        }
    }

    /// The file of a crate.
    ///
    /// # Errors
    /// The index cannot be read, or its answer is not allowed.
    pub fn find(
        &self,
        name: &str,
        version: &str,
        sha256: Option<&Sha256>,
        cache: &Cache,
    ) -> Result<RemoteFile<'_>, Reason> {
        let (url, login) = match &self.site {
            Site::Directory(directory) => {
                let path = directory.join(format!("{name}-{version}.crate"));
                if !path.is_file() {
                    return Err(Reason::Absent(format!("{} does not exist", path.display())));
                }
                let url = Url::from_file_path(&path);
                (
                    url.map_err(|()| Reason::Absent("its path is relative".to_owned()))?,
                    None,
                )
            }
            Site::Sparse { url, login } => {
                let template = self.template(url, login.as_ref(), cache)?;
                let digest = sha256.map(ToString::to_string).unwrap_or_default();
                let address = download(&template, name, version, &digest);
                let wrong = |_| {
                    Reason::Absent(format!(
                        "`dl` of the index gives `{address}`, which is not an address"
                    ))
                };
                let found = Url::parse(&address).map_err(wrong)?;
                // Credentials are for the index's own host.
                let is_same = found.host_str() == url.host_str() && found.port() == url.port();
                (found, login.clone().filter(|_| is_same))
            }
        };
        if let Some(why) = rejection(&url) {
            return Err(Reason::Absent(why));
        }
        let client = &self.client;
        Ok(RemoteFile { url, client, login })
    }

    /// The address of downloads, which the index is asked for once.
    fn template(&self, url: &Url, login: Option<&Login>, cache: &Cache) -> Result<Arc<str>, Reason> {
        let mut template = lock(&self.template);
        if let Some(template) = &*template {
            return Ok(Arc::clone(template));
        }
        let wrong = |what: String| Reason::Failed(Failure::Protocol(what));
        let url = url
            .join("config.json")
            .map_err(|error| wrong(error.to_string()))?;
        if let Some(why) = rejection(&url) {
            return Err(Reason::Absent(why));
        }
        let disk = |error| Reason::Failed(Failure::Disk(error));
        let mut partial = cache
            .partial(&Sha256::of(url.as_str().as_bytes()), false, || ())
            .and_then(|mut partial| partial.restart().map(|()| partial))
            .map_err(disk)?;
        let request = Request {
            url: url.as_str(),
            max_bytes: MAX_CONFIG_BYTES,
            accept: None,
            login,
        };
        self.client
            .download(request, &mut partial, &|_| false, &|_| ())
            .map_err(Reason::Failed)?;
        let text = partial.head(MAX_CONFIG_BYTES).map_err(disk)?;
        let config: Config =
            serde_json::from_slice(&text).map_err(|error| wrong(format!("{url}: {error}")))?;
        Ok(Arc::clone(template.insert(config.dl.into())))
    }
}

/// The address of a crate.
fn download(template: &str, name: &str, version: &str, digest: &str) -> String {
    if !MARKS.iter().any(|mark| template.contains(mark)) {
        return format!("{}/{name}/{version}/download", template.trim_end_matches('/'));
    }
    let prefix = match name.len() {
        1 | 2 => name.len().to_string(),
        3 => format!("3/{}", &name[..1]),
        _ => format!("{}/{}", &name[..2], &name[2..4]),
    };
    let values = [name, version, &prefix, &prefix.to_lowercase(), digest];
    let replace = |address: String, (mark, value): (&str, &str)| address.replace(mark, value);
    MARKS.into_iter().zip(values).fold(template.to_owned(), replace)
}

/// Why an address is not asked.
fn rejection(url: &Url) -> Option<String> {
    match url.scheme() {
        "https" | "file" => None,
        "http" if http::is_loopback(url) => None,
        "http" => Some("plain http, which only this machine itself is asked by".to_owned()),
        other => Some(format!("`{other}` is neither https nor http")),
    }
}

#[cfg(test)]
mod tests {
    use super::download;

    #[test]
    fn the_address_of_a_crate_is_that_of_the_index_format() {
        let of = |template: &str, name: &str| download(template, name, "1.0.0", "abc");
        assert_eq!(
            of("https://a.example/crates", "serde"),
            "https://a.example/crates/serde/1.0.0/download"
        );
        assert_eq!(
            of(
                "https://a.example/{prefix}/{crate}-{version}?{sha256-checksum}",
                "Inflector"
            ),
            "https://a.example/In/fl/Inflector-1.0.0?abc"
        );
        assert_eq!(
            of("https://a.example/{lowerprefix}/{crate}", "Abc"),
            "https://a.example/3/a/Abc"
        );
        assert_eq!(
            of("https://a.example/{prefix}/{crate}", "cc"),
            "https://a.example/2/cc"
        );
    }
}

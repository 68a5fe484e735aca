//! Certificates that are replaced while the server runs.
//!
//! The files that the user mounts are copied, because their owner and mode are mostly not what PostgreSQL demands of a key, and because a
//! certificate and its key can only be replaced one after the other. A copy is a directory of its own with `tls.crt`, `tls.key` and
//! `ca.crt`; a link of a fixed name leads to it, and is exchanged at once. A pair whose parts do not match is not copied until it does.
//!
//! Files are looked at by their path each second, which finds a file that is written in place, one that is exchanged, and the links of
//! Kubernetes, on every file system; not all of them report changes.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal, test_kill_process};

use crate::{say, warn};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// A certificate with its key, and where its copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate, with those that lead to its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authority by which clients are verified.
    pub authority: Option<PathBuf>,
    /// The link to the copy.
    pub copy: PathBuf,
}

/// The pairs that the environment names, with their copies in a directory: PostgreSQL's in `server`, and that of Patroni's REST interface in
/// `restapi`.
pub fn pairs(directory: &Path, variable: impl Fn(&str) -> Option<String>) -> Vec<Pair> {
    let given = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    [
        (
            "server",
            "POSTGRES_TLS_CERT_FILE",
            "POSTGRES_TLS_KEY_FILE",
            "POSTGRES_TLS_CA_FILE",
        ),
        (
            "restapi",
            "PATRONI_RESTAPI_CERTFILE",
            "PATRONI_RESTAPI_KEYFILE",
            "PATRONI_RESTAPI_CAFILE",
        ),
    ]
    .into_iter()
    .filter_map(|(name, certificate, key, authority)| {
        let certificate = given(certificate)?;
        Some(Pair {
            // Patroni takes a key that is in the certificate's file.
            key: given(key).unwrap_or_else(|| certificate.clone()),
            certificate,
            authority: given(authority),
            copy: directory.join(name),
        })
    })
    .collect()
}

/// The contents of a pair's files.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authority: Option<Vec<u8>>,
}

/// Whether a certificate and a key belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    /// It cannot be told: the key is encrypted, or there is no openssl(1).
    Unknown,
}

impl Pair {
    fn files(&self) -> impl Iterator<Item = &Path> {
        let files = [Some(&self.certificate), Some(&self.key), self.authority.as_ref()];
        files.into_iter().flatten().map(PathBuf::as_path)
    }

    fn read(&self) -> io::Result<Contents> {
        Ok(Contents {
            certificate: std::fs::read(&self.certificate)?,
            key: std::fs::read(&self.key)?,
            authority: self.authority.as_deref().map(std::fs::read).transpose()?,
        })
    }

    fn is_copied(&self, contents: &Contents) -> bool {
        let copied = |name: &str| std::fs::read(self.copy.join(name)).ok();
        copied("tls.crt").as_ref() == Some(&contents.certificate)
            && copied("tls.key").as_ref() == Some(&contents.key)
            && copied("ca.crt") == contents.authority
    }

    /// Copies the files as they are, for a first start: what is wrong with them the server says.
    ///
    /// # Errors
    /// A file cannot be read, or its copy cannot be written.
    pub fn install(&self) -> Result<(), String> {
        let contents = self
            .read()
            .map_err(|error| format!("cannot read {} and its key: {error}", self.certificate.display()))?;
        if self.is_copied(&contents) {
            return Ok(());
        }
        self.store(&contents).map_err(|error| {
            format!(
                "cannot copy {} to {}: {error}",
                self.certificate.display(),
                self.copy.display()
            )
        })
    }

    /// Copies the files if they differ from their copies and belong together, and tells whether it did.
    fn refresh(&self, settled: bool) -> Result<bool, String> {
        let Ok(contents) = self.read() else {
            return Ok(false);
        };
        if self.is_copied(&contents) || !contents.is_whole() {
            return Ok(false);
        }
        match contents.matches() {
            Match::Yes => {}
            Match::Unknown if settled => {}
            Match::No | Match::Unknown => return Ok(false),
        }
        self.store(&contents).map_err(|error| {
            format!(
                "cannot copy {} to {}: {error}",
                self.certificate.display(),
                self.copy.display()
            )
        })?;
        Ok(true)
    }

    /// Says it of files that differ from their copies and are not taken.
    fn report_mismatch(&self) {
        if self.read().is_ok_and(|contents| !self.is_copied(&contents)) {
            warn(&format!(
                "{} and {} do not belong together, or one is incomplete: the former pair is served until they do",
                self.certificate.display(),
                self.key.display()
            ));
        }
    }

    fn store(&self, contents: &Contents) -> io::Result<()> {
        let parent = self.copy.parent().unwrap_or(Path::new("."));
        let name = self
            .copy
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        std::fs::create_dir_all(parent)?;
        let former = std::fs::read_link(&self.copy).ok();
        let fresh = fresh_directory(parent, &name)?;
        let write = |file: &str, mode, bytes: &[u8]| -> io::Result<()> {
            let mut options = std::fs::OpenOptions::new();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(fresh.join(file))?;
            io::Write::write_all(&mut file, bytes)
        };
        write("tls.crt", 0o644, &contents.certificate)?;
        write("tls.key", 0o600, &contents.key)?;
        if let Some(authority) = &contents.authority {
            write("ca.crt", 0o644, authority)?;
        }
        let target = fresh.file_name().unwrap_or_default();
        let link = fresh.join("link");
        symlink(target, &link)?;
        std::fs::rename(&link, &self.copy)?;
        // The former copy stays, because a server may be reading it; what is older goes.
        for entry in std::fs::read_dir(parent)?.flatten() {
            let older = entry.file_name();
            let is_of_this = older.to_string_lossy().starts_with(&format!(".{name}."));
            if is_of_this && older != target && Some(Path::new(&older)) != former.as_deref() {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Makes a directory that only this user may look into.
fn fresh_directory(parent: &Path, name: &str) -> io::Result<PathBuf> {
    for number in 0.. {
        let path = parent.join(format!(".{name}.{number}"));
        match std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| path),
        }
    }
    unreachable!("numbers do not end")
}

impl Contents {
    /// Whether no file is in the middle of being written: each block of PEM that begins also ends.
    fn is_whole(&self) -> bool {
        let files = [Some(&self.certificate), Some(&self.key), self.authority.as_ref()];
        files.into_iter().flatten().all(|bytes| {
            let text = String::from_utf8_lossy(bytes);
            let begun = text.matches("-----BEGIN ").count();
            begun > 0 && begun == text.matches("-----END ").count()
        })
    }

    /// Compares the public key of the certificate with that of the key.
    fn matches(&self) -> Match {
        if String::from_utf8_lossy(&self.key).contains("ENCRYPTED") {
            return Match::Unknown;
        }
        let certified = openssl(&["x509", "-noout", "-pubkey"], &self.certificate);
        let own = openssl(&["pkey", "-pubout"], &self.key);
        match (certified, own) {
            (Ok(certified), Ok(own)) if !certified.is_empty() && certified == own => Match::Yes,
            (Ok(_), Ok(_)) => Match::No,
            _ => Match::Unknown,
        }
    }
}

/// What openssl(1) prints when it is given the input. An error means that there is no such program.
fn openssl(arguments: &[&str], input: &[u8]) -> io::Result<Vec<u8>> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // It may have read enough before the end.
    let _ = io::Write::write_all(&mut child.stdin.take().expect("it is piped"), input);
    let output = child.wait_with_output()?;
    Ok(if output.status.success() {
        output.stdout
    } else {
        Vec::new()
    })
}

/// Copies what has been replaced and belongs together, once.
///
/// # Errors
/// A copy cannot be written.
pub fn refresh(pairs: &[Pair]) -> Result<(), String> {
    for pair in pairs {
        if pair.refresh(false)? {
            say(&format!(
                "{} was replaced and is served from now on",
                pair.certificate.display()
            ));
        }
    }
    Ok(())
}

/// Watches the pairs, and `others`, which are read where they are, for as long as process `server` lives, and sends it SIGHUP after each
/// change. Ends with its parent.
pub fn watch(pairs: &[Pair], others: &[PathBuf], server: Pid) {
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    let mut seen = Seen::default();
    seen.look(pairs, others);
    // What was replaced between the first copy and this moment.
    let mut pending: Vec<&Pair> = pairs.iter().collect();
    while test_kill_process(server).is_ok() {
        let looked = seen.look(pairs, others);
        let mut changed = looked.others;
        let mut later = Vec::new();
        for pair in pairs {
            let is_settled = !looked.pairs.contains(&pair.copy);
            if is_settled && !pending.contains(&pair) {
                continue;
            }
            match pair.refresh(is_settled) {
                Ok(true) => {
                    say(&format!(
                        "{} was replaced and is served from now on",
                        pair.certificate.display()
                    ));
                    changed = true;
                }
                // A pair whose key cannot be compared is taken when it has not changed for an interval.
                Ok(false) if !is_settled => later.push(pair),
                Ok(false) => pair.report_mismatch(),
                Err(error) => warn(&error),
            }
        }
        pending = later;
        if changed {
            let _ = kill_process(server, Signal::HUP);
        }
        std::thread::sleep(INTERVAL);
    }
}

/// What a file is, as far as stat(2) tells.
type Stamp = Option<(u64, u64, u64, i64, i64, i64, i64)>;

/// The files as they were seen last.
#[derive(Debug, Default)]
struct Seen {
    stamps: BTreeMap<PathBuf, Stamp>,
}

/// What has changed since.
#[derive(Debug, Default)]
struct Looked {
    /// The copies of the pairs that have.
    pairs: Vec<PathBuf>,
    /// Whether one of the other files has.
    others: bool,
}

impl Seen {
    /// Looks at each file by its path. At the first look none has changed.
    fn look(&mut self, pairs: &[Pair], others: &[PathBuf]) -> Looked {
        let of_pairs = pairs.iter().flat_map(Pair::files);
        let stamps: BTreeMap<PathBuf, Stamp> = of_pairs
            .chain(others.iter().map(PathBuf::as_path))
            .map(|file| (file.to_owned(), stamp(file)))
            .collect();
        let has_changed = |file: &Path| {
            let former = self.stamps.get(file);
            former.is_some_and(|former| Some(former) != stamps.get(file))
        };
        let looked = Looked {
            pairs: pairs
                .iter()
                .filter(|pair| pair.files().any(has_changed))
                .map(|pair| pair.copy.clone())
                .collect(),
            others: others.iter().any(|file| has_changed(file)),
        };
        self.stamps = stamps;
        looked
    }
}

fn stamp(file: &Path) -> Stamp {
    let it = std::fs::metadata(file).ok()?;
    Some((
        it.dev(),
        it.ino(),
        it.size(),
        it.mtime(),
        it.mtime_nsec(),
        it.ctime(),
        it.ctime_nsec(),
    ))
}

//! Where artifacts are looked up and kept: the seam between the builds and the caches.
//!
//! A store knows keys, entries and packed trees, and nothing of steps or components.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the cache is files, and another machine"
)]

pub mod artifacts;
pub mod cache;
pub mod entries;
pub mod reapi;
pub mod remote;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::archive::pack::pack;
use crate::archive::tree::{Limits, UnpackError};
use crate::archive::unpack;
use crate::artifact::{ArtifactEntry, Inputs, Key};
use artifacts::{CachedArtifact, Right};
use cache::Cache;
use remote::{Remote, Validators};

/// Limits of a stage. They are those of a source, but links may lead out: they are checked when the stage is merged.
fn limits() -> Limits {
    Limits {
        links_out: true,
        ..Limits::default()
    }
}

/// An artifact that is looked for, and what it was built from.
#[derive(Debug, Clone, Copy)]
pub struct ArtifactRequest<'w> {
    /// Its key.
    pub key: Key,
    /// What it was built from.
    pub inputs: &'w Inputs,
}

/// Returns an error if a packed tree is wrong. Its members have passed [`unpack::inspect`]. It may be unpacked for that.
pub type ValidateTree<'j> = &'j dyn Fn(&Path) -> Result<()>;

/// Inspects a packed tree and then validates it. The error says what is wrong with it.
fn validate_packed(packed: &Path, until: Instant, validate: ValidateTree<'_>) -> Result<(), String> {
    unpack::inspect(packed, &limits(), until).map_err(|error| error.to_string())?;
    validate(packed).map_err(|error| format!("{error:#}"))
}

/// Unpacks a packed tree into `into`, which must be empty.
///
/// # Errors
/// The archive is rejected or damaged, or a file cannot be written.
pub fn unpack(packed: &Path, into: &Path) -> Result<(), UnpackError> {
    unpack::unpack(packed, into, 0, &limits()).map(drop)
}

/// The artifacts that are at hand.
#[derive(Debug)]
pub struct Store<'a> {
    cache: &'a Cache,
    remote: Option<&'a Remote>,
}

/// An artifact that is at hand, verified.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// What is known of it.
    pub entry: ArtifactEntry,
    /// The packed tree.
    path: PathBuf,
}

/// The right to make the artifact of a key, which one process and thread has at a time.
#[derive(Debug)]
pub struct Pending<'a> {
    key: Key,
    right: Right<'a>,
}

impl<'a> Store<'a> {
    /// The store in `cache`, with a cache on another machine behind it.
    pub fn new(cache: &'a Cache, remote: Option<&'a Remote>) -> Self {
        Self { cache, remote }
    }

    /// The requested artifact. If there is one that cannot be used, `damaged` is called with the reason.
    pub fn look_up(&self, wanted: ArtifactRequest<'_>, damaged: impl FnOnce(&str)) -> Option<Artifact> {
        let why = match self.cache.artifact(wanted.key) {
            CachedArtifact::Whole(entry, path) => match wanted.inputs.fits(&entry) {
                Ok(()) => return Some(Artifact { entry, path }),
                Err(why) => why,
            },
            CachedArtifact::Nothing => return None,
            CachedArtifact::Damaged(why) => why,
        };
        damaged(&why);
        None
    }

    /// The artifact from this cache or from the remote one. A remote artifact is validated before it is kept. A local one is
    /// offered to the remote cache. A key that was rejected once is not requested again: its artifact is built here.
    pub fn obtain(
        &self,
        wanted: ArtifactRequest<'_>,
        validate: ValidateTree<'_>,
        damaged: impl Fn(&str),
    ) -> Option<Artifact> {
        let at_hand = self.look_up(wanted, &damaged);
        let Some(remote) = self.remote else {
            return at_hand;
        };
        if let Some(artifact) = at_hand {
            remote.offer(&artifact.entry, artifact.path.clone());
            return Some(artifact);
        }
        if let Some(why) = self.cache.rejected_artifact(wanted.key) {
            damaged(&format!(
                "an earlier run rejected the artifact of the artifact cache: {why}"
            ));
            return None;
        }
        let validate = Validators {
            entry: &|entry| wanted.inputs.fits(entry),
            packed: &|path, until| validate_packed(path, until, validate),
        };
        remote.fetch(wanted.key, self.cache, &validate)?;
        self.look_up(wanted, |_| ())
    }

    /// Removes an artifact that turned out to be wrong. The next run builds it, whatever the remote cache has.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn reject(&self, key: Key, why: &str) -> Result<()> {
        let rejected = self.cache.reject_artifact(key, why);
        rejected.with_context(|| format!("cannot write the cache {}", self.cache.dir().display()))
    }

    /// Messages about the remote cache since the last call.
    pub fn take_notes(&self) -> Vec<String> {
        self.remote.map(Remote::take_notes).unwrap_or_default()
    }

    /// Takes the right to make the artifact of `key`; `None` while another process has it. A caller that gets the
    /// right looks the artifact up again.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn begin(&self, key: Key) -> Result<Option<Pending<'a>>> {
        let right = self.cache.begin_artifact(key);
        let right =
            right.with_context(|| format!("cannot write the cache {}", self.cache.dir().display()))?;
        Ok(right.map(|right| Pending { key, right }))
    }

    /// Packs `tree` as the pending artifact.
    ///
    /// # Errors
    /// The tree cannot be packed, or the cache cannot be written. Nothing is kept then.
    pub fn publish(
        &self,
        pending: Pending<'_>,
        component: &str,
        libraries: BTreeSet<String>,
        tree: &Path,
    ) -> Result<Artifact> {
        let Pending { key, right } = pending;
        let context = || format!("cannot write the cache {}", self.cache.dir().display());
        let mut file = self.cache.pack_artifact(key).with_context(context)?;
        pack(tree, io::BufWriter::with_capacity(256 * 1024, &mut file))?;
        let entry = ArtifactEntry::new(key, component, file.hashes().sha256(), file.length(), libraries);
        let path = file.commit(None).with_context(context)?;
        self.cache.keep_artifact(&entry).with_context(context)?;
        // Not earlier: the process that waits for it then looks up the entry.
        drop(right);
        if let Some(remote) = self.remote {
            remote.upload(&entry, path.clone());
        }
        Ok(Artifact { entry, path })
    }

    /// Unpacks an artifact into `into`, which must be empty. Its digest is compared again.
    ///
    /// # Errors
    /// The file was changed since it was looked up, or cannot be unpacked.
    pub fn restore(&self, artifact: &Artifact, into: &Path) -> Result<()> {
        let entry = &artifact.entry;
        anyhow::ensure!(
            self.cache.find(&entry.sha256).is_some(),
            "the artifact of {} was removed from the cache or damaged since it was looked up; run again",
            entry.component
        );
        let Err(error) = unpack(&artifact.path, into) else {
            return Ok(());
        };
        let context = format!("cannot unpack the artifact of {}", entry.component);
        // A full disk does not make the artifact wrong.
        if matches!(error, UnpackError::Io { .. }) {
            return Err(error).context(context);
        }
        self.reject(entry.key, &error.to_string())?;
        Err(error)
            .with_context(|| format!("{context}, which was removed from the cache; run again to build it"))
    }
}

//! The cache of sources and artifacts: files named by their digest, which several processes may share.
//!
//! A file gets its name only after its digest was verified, and its digest is
//! compared again before every use, because a disk, a copied cache mount or a user can change a file at any time.
//!
//! ```text
//! DIR/lock                     shared while a process uses the cache, exclusive while it is pruned
//! DIR/sha256/<hex>             the files
//! DIR/tar/<hex of the tar>     the digest of a file that unpacks to the tar of this digest
//! DIR/artifact/<key>           which file is the artifact of a key (`artifacts`)
//! DIR/refused/<key>            why the artifact of a key was rejected; removed when it is built here
//! DIR/partial/<hex>            the bytes of an unfinished download; locked by its writer
//! DIR/partial/<hex>.origin     where those bytes come from and with which validator, for resuming
//! ```
//!
//! A process may be killed between any two system calls. A partial file is then left behind, unlocked by the
//! kernel; the next process that wants the same source resumes it, and hashes it from its first byte.

use std::fs::{self, File, FileTimes, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::entries::{ENTRIES, REJECTED, entry_in};
use crate::digest::{Hashes, Sha256};
use crate::host::local::open_or_create;

/// Age of a partial file after which it is considered abandoned.
const ABANDONED: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The pause between two attempts to lock with a time limit.
const PAUSE: Duration = Duration::from_millis(20);

/// A cache directory in use by this process.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    /// Shared lock, held as long as paths into the cache may be in use.
    _in_use: File,
}

impl Cache {
    /// The cache in `dir`, which is created if it does not exist. Waits while another process prunes it.
    ///
    /// # Errors
    /// `dir` cannot be made, written or locked.
    pub fn open(dir: &Path) -> io::Result<Self> {
        for below in ["sha256", "tar", "partial", ENTRIES, REJECTED] {
            fs::create_dir_all(dir.join(below))?;
        }
        let in_use = open_or_create(&dir.join("lock"))?;
        in_use.lock_shared()?;
        let cache = Self {
            dir: dir.to_owned(),
            _in_use: in_use,
        };
        cache.sweep(ABANDONED)?;
        Ok(cache)
    }

    /// Where the cache is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file with this digest, hashed again. A file whose digest no longer matches its name is not found.
    pub fn find(&self, digest: &Sha256) -> Option<PathBuf> {
        let path = self.path(digest);
        let file = File::open(&path).ok()?;
        (Sha256::of_reader(&file).ok()? == *digest).then(|| {
            // Pruning uses this time. A failure is ignored, because a cache on a read-only mount works too.
            let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
            path
        })
    }

    /// True if a file has this name. Its content is not verified.
    pub(super) fn has(&self, digest: &Sha256) -> bool {
        self.path(digest).exists()
    }

    /// Digest and path of a file that once unpacked to the tar with this digest. It is a hint: the caller
    /// must verify it.
    pub fn find_by_tar(&self, tar: &Sha256) -> Option<(Sha256, PathBuf)> {
        let digest = fs::read_to_string(self.dir.join("tar").join(tar.to_string())).ok()?;
        let digest = digest.trim().parse().ok()?;
        Some((digest, self.find(&digest)?))
    }

    /// Begins or resumes the download of the source that is called by `digest`. Waits, after calling
    /// `waiting`, while another process or thread downloads the same.
    ///
    /// # Errors
    /// The partial file cannot be made, read or locked.
    pub fn partial(
        &self,
        digest: &Sha256,
        with_sha512: bool,
        waiting: impl FnOnce(),
    ) -> io::Result<Partial<'_>> {
        let mut waiting = Some(waiting);
        let lock = |file: &File| {
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            file.lock().map(|()| true)
        };
        let partial = self.partial_by(digest, with_sha512, lock)?;
        Ok(partial.expect("a lock that is waited for is had in the end"))
    }

    /// The partial file of `digest`. Waits at most until `until`. `None` if another process or thread still has it.
    ///
    /// # Errors
    /// The partial file cannot be made, read or locked.
    pub fn partial_until(&self, digest: &Sha256, until: Instant) -> io::Result<Option<Partial<'_>>> {
        self.partial_by(digest, false, |file| {
            loop {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(false);
                }
                std::thread::sleep(left.min(PAUSE));
                if is_locked(file)? {
                    return Ok(true);
                }
            }
        })
    }

    /// The partial file of `digest`. If another process has it, `wait` returns whether it got the lock.
    fn partial_by(
        &self,
        digest: &Sha256,
        with_sha512: bool,
        mut wait: impl FnMut(&File) -> io::Result<bool>,
    ) -> io::Result<Option<Partial<'_>>> {
        let path = self.dir.join("partial").join(digest.to_string());
        let mut file = loop {
            let file = open_or_create(&path).map_err(|error| no_file(&path, &error))?;
            if !is_locked(&file)? && !wait(&file)? {
                return Ok(None);
            }
            // The previous holder of the lock may have renamed or removed the file; then this lock is on a file
            // that has no name any more, or on a finished one.
            let held = file.metadata()?;
            if fs::metadata(&path).is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino())) {
                break file;
            }
        };
        let origin = fs::read(origin_path(&path))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let hashes = match &origin {
            Some(_) => Hashes::of_reader(&mut file, with_sha512)?,
            None => Hashes::new(with_sha512),
        };
        let length = file.stream_position()?;
        let mut partial = Partial {
            cache: self,
            path,
            file,
            length,
            hashes,
            origin,
            with_sha512,
            inherited: length > 0,
            done: false,
        };
        if partial.origin.is_none() {
            partial.restart()?;
        }
        Ok(Some(partial))
    }

    /// The name of the file with this digest, whether it exists or not.
    fn path(&self, digest: &Sha256) -> PathBuf {
        self.dir.join("sha256").join(digest.to_string())
    }

    /// Removes partial files that are not being written and are older than `age`.
    fn sweep(&self, age: Duration) -> io::Result<()> {
        for entry in fs::read_dir(self.dir.join("partial"))? {
            let entry = entry?;
            let path = entry.path();
            // The error is reported when the name is needed.
            let is_file = entry.file_type()?.is_file();
            let Some(file) = is_file.then(|| File::open(&path).ok()).flatten() else {
                continue;
            };
            let old = |file: &File| -> io::Result<bool> {
                let modified = file.metadata()?.modified()?;
                Ok(SystemTime::now()
                    .duration_since(modified)
                    .is_ok_and(|since| since >= age))
            };
            if old(&file)? && file.try_lock().is_ok() && old(&file)? {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }
}

/// The error of an unusable file of the cache.
fn no_file(path: &Path, error: &io::Error) -> io::Error {
    let path = path.display();
    let text = if error.kind() == io::ErrorKind::IsADirectory {
        format!("{path} is a directory, where the cache has a file: remove it")
    } else {
        format!("{path}: {error}")
    };
    io::Error::new(error.kind(), text)
}

/// Tries to lock `file` without waiting. True on success.
fn is_locked(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Where the bytes of a partial file come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialOrigin {
    /// The requested address.
    pub url: String,
    /// The value for `If-Range`: a strong `ETag`, or the time of the last change.
    pub validator: String,
}

/// An unfinished download of the cache, locked against other processes. It is removed when it is dropped, so
/// only a killed process leaves something to resume.
#[derive(Debug)]
pub struct Partial<'a> {
    cache: &'a Cache,
    path: PathBuf,
    file: File,
    length: u64,
    hashes: Hashes,
    origin: Option<PartialOrigin>,
    with_sha512: bool,
    inherited: bool,
    done: bool,
}

impl Partial<'_> {
    /// Number of bytes so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Digests of the bytes so far.
    pub fn hashes(&self) -> &Hashes {
        &self.hashes
    }

    /// True if an earlier process wrote some of the bytes, which may be damaged since.
    pub fn inherited(&self) -> bool {
        self.inherited
    }

    /// Where the existing bytes come from, if that is known well enough to resume.
    pub fn origin(&self) -> Option<&PartialOrigin> {
        self.origin.as_ref()
    }

    /// The directory of the file, to determine its free space.
    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(&self.cache.dir)
    }

    /// The unfinished file. This is not its final name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Discards the bytes so far.
    ///
    /// # Errors
    /// The file cannot be truncated.
    pub fn restart(&mut self) -> io::Result<()> {
        // The origin is removed first, so that a kill in between does not leave new bytes with an old origin.
        remove_if_there(&origin_path(&self.path))?;
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.length = 0;
        self.hashes = Hashes::new(self.with_sha512);
        self.origin = None;
        self.inherited = false;
        Ok(())
    }

    /// Records the origin of the following bytes. Call it before the first of them.
    ///
    /// # Errors
    /// The note cannot be written.
    pub fn begin(&mut self, origin: PartialOrigin) -> io::Result<()> {
        fs::write(origin_path(&self.path), serde_json::to_vec(&origin)?)?;
        self.origin = Some(origin);
        Ok(())
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The file cannot be written, mostly because the disk is full.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hashes.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Replaces the bytes by those of the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or the bytes cannot be written.
    pub fn fill(&mut self, path: &Path) -> io::Result<()> {
        self.restart()?;
        io::copy(&mut File::open(path)?, self).map(drop)
    }

    /// The first bytes, at most `n`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn head(&self, n: u64) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        File::open(&self.path)?.take(n).read_to_end(&mut head)?;
        Ok(head)
    }

    /// Syncs the file and renames it to its digest. `tar` is the digest of its tar, if that is
    /// why it was accepted.
    ///
    /// # Errors
    /// The file cannot be synchronised or renamed.
    pub fn commit(mut self, tar: Option<&Sha256>) -> io::Result<PathBuf> {
        let digest = self.hashes.sha256();
        let into = self.cache.path(&digest);
        remove_if_there(&origin_path(&self.path))?;
        self.file.sync_all()?;
        fs::rename(&self.path, &into)?;
        self.done = true;
        sync_dir(&self.cache.dir.join("sha256"))?;
        if let Some(tar) = tar {
            replace(
                &self.cache.dir.join("tar"),
                &tar.to_string(),
                digest.to_string().as_bytes(),
            )?;
        }
        Ok(into)
    }
}

impl Write for Partial<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        if !self.done {
            let _ = remove_if_there(&origin_path(&self.path));
            let _ = remove_if_there(&self.path);
        }
    }
}

/// A file of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedFile {
    /// The digest it is named by.
    pub digest: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Time of its last use.
    pub used: SystemTime,
}

/// The files of the cache in `dir`, the most recently used first. Empty if there is no cache.
///
/// # Errors
/// The directory cannot be read.
pub fn list(dir: &Path) -> io::Result<Vec<CachedFile>> {
    let mut entries = Vec::new();
    let files = match fs::read_dir(dir.join("sha256")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(entries),
        files => files?,
    };
    for file in files {
        let file = file?;
        let metadata = file.metadata()?;
        entries.push(CachedFile {
            digest: file.file_name().to_string_lossy().into_owned(),
            bytes: metadata.len(),
            used: metadata.modified()?,
        });
    }
    entries.sort_by(|a, b| (b.used, &a.digest).cmp(&(a.used, &b.digest)));
    Ok(entries)
}

/// What may stay when a cache is pruned.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    /// Keeps files that were used within this time.
    pub age: Option<Duration>,
    /// Keeps the most recently used files up to this many bytes in total.
    pub bytes: Option<u64>,
}

/// The result of pruning.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Files that were removed.
    pub removed: Vec<CachedFile>,
    /// Number of files that are kept.
    pub kept: usize,
    /// Their size in bytes.
    pub kept_bytes: u64,
}

/// Removes what `keep` does not cover, and every partial file. `None` when another process uses the cache: its
/// files may be just about to be unpacked.
///
/// # Errors
/// The directory cannot be read or written.
pub fn prune(dir: &Path, keep: Keep) -> io::Result<Option<Pruned>> {
    let mut pruned = Pruned::default();
    if !dir.join("sha256").is_dir() {
        return Ok(Some(pruned));
    }
    let lock = open_or_create(&dir.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let now = SystemTime::now();
    for entry in list(dir)? {
        let old = keep
            .age
            .is_some_and(|age| now.duration_since(entry.used).is_ok_and(|since| since > age));
        let too_much = keep
            .bytes
            .is_some_and(|most| pruned.kept_bytes + entry.bytes > most);
        if old || too_much {
            remove_if_there(&dir.join("sha256").join(&entry.digest))?;
            pruned.removed.push(entry);
        } else {
            pruned.kept += 1;
            pruned.kept_bytes += entry.bytes;
        }
    }
    for below in ["partial", "tar", ENTRIES] {
        // A cache of an earlier pgsetup has no artifacts.
        let files = match fs::read_dir(dir.join(below)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            files => files?,
        };
        for file in files {
            let path = file?.path();
            let named = match below {
                "partial" => None,
                ENTRIES => entry_in(&path).map(|entry| entry.sha256.to_string()),
                _ => fs::read_to_string(&path).ok(),
            };
            let dangling = named.is_none_or(|digest| !dir.join("sha256").join(digest.trim()).exists());
            if dangling {
                remove_if_there(&path)?;
            }
        }
    }
    Ok(Some(pruned))
}

fn origin_path(partial: &Path) -> PathBuf {
    partial.with_extension("origin")
}

/// Writes a small file atomically.
///
/// # Errors
/// The file cannot be written.
pub(super) fn replace(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(dir.join(name)).map_err(|error| error.error)?;
    sync_dir(dir)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// # Errors
/// The file is there and cannot be removed.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

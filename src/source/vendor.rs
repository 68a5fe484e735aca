//! Vendor directories: local files with any name, found by their digest.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::digest::Sha256;

/// The files of the vendor directories. Each is hashed at most once, when it is first needed.
#[derive(Debug)]
pub struct Vendor {
    dirs: Vec<PathBuf>,
    files: OnceLock<Vec<VendorFile>>,
}

/// A file of a vendor directory.
#[derive(Debug)]
pub struct VendorFile {
    /// Its path.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Computed by the first thread that needs it. The others wait instead of reading the file too.
    hashed: OnceLock<Option<(Stamp, Sha256)>>,
}

/// Attributes by which a change of the file since it was hashed is detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl VendorFile {
    /// Size and digest of the current file. `None` if it cannot be read.
    pub fn digest(&self) -> Option<(u64, Sha256)> {
        let stamp_now = || {
            fs::metadata(&self.path)
                .ok()
                .map(|metadata| Stamp::from(&metadata))
        };
        let hash = || -> Option<(Stamp, Sha256)> {
            let file = File::open(&self.path).ok()?;
            let stamp = Stamp::from(&file.metadata().ok()?);
            Some((stamp, Sha256::of_reader(file).ok()?))
        };
        let hashed = *self.hashed.get_or_init(hash);
        let (stamp, digest) = match hashed {
            Some((stamp, digest)) if Some(stamp) == stamp_now() => (stamp, digest),
            _ => hash()?,
        };
        Some((stamp.bytes, digest))
    }
}

impl Vendor {
    /// The files below `dirs`, which are read when they are first needed.
    pub fn new(dirs: Vec<PathBuf>) -> Self {
        Self {
            dirs,
            files: OnceLock::new(),
        }
    }

    /// The directories.
    pub fn directories(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// Their files.
    pub fn files(&self) -> &[VendorFile] {
        self.files.get_or_init(|| list_files(&self.dirs))
    }
}

/// Every file below `dirs`, sorted by name. Unreadable files are skipped.
fn list_files(dirs: &[PathBuf]) -> Vec<VendorFile> {
    let mut files = Vec::new();
    let mut ahead: Vec<PathBuf> = dirs.iter().rev().cloned().collect();
    while let Some(dir) = ahead.pop() {
        let mut entries: Vec<_> = fs::read_dir(&dir).into_iter().flatten().flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            // Hidden files are unfinished downloads of other programs.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // A link to a file counts as the file. A link to a directory may form a loop.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                ahead.push(path);
            } else if path.is_file() {
                files.push(VendorFile {
                    name: entry.file_name().to_string_lossy().into_owned(),
                    path,
                    hashed: OnceLock::new(),
                });
            }
        }
    }
    files
}

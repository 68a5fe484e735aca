//! What is at a path, and how it is opened.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// Owner and mode of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
}

/// The kind of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link with its target.
    Link(PathBuf),
    /// Anything else: device, fifo, socket.
    Other,
}

/// One entry of a tree.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Path below the tree's top.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u32,
    /// Size in bytes.
    pub size: u64,
}

/// What messages call a kind of file.
pub fn name_of(kind: &FileKind) -> &'static str {
    match kind {
        FileKind::Directory => "a directory",
        FileKind::File => "a file",
        FileKind::Link(_) => "a link",
        FileKind::Other => "a device, a pipe or a socket",
    }
}

/// Prefix of temporary files that pgsetup renames after writing.
pub const TEMPORARY: &str = ".pgsetup-";

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
}

/// A temporary file that is going to be renamed to `path`, in the same directory.
///
/// # Errors
/// The file cannot be made.
pub(super) fn temporary_for(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(directory)
}

/// Opens a regular file for reading. Never blocks, even if another process has put a pipe in its place.
///
/// # Errors
/// It cannot be opened, or is not a regular file.
pub(super) fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let irregular = || io::Error::new(ErrorKind::InvalidInput, "it is not a regular file");
    let without_waiting = OFlags::NONBLOCK.bits().cast_signed();
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(without_waiting)
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            // A socket, or a device that does not exist.
            Some(number) if number == Errno::NXIO.raw_os_error() => irregular(),
            _ => error,
        })?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(irregular())
    }
}

/// Whether a path that gave this error leads to nothing: a component is missing, is not a directory, or
/// belongs to a loop of links.
pub fn leads_nowhere(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// Whether the error is a missing permission.
pub fn is_forbidden(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Whether `path` is `top` or lies below it.
pub fn is_below(path: &str, top: &str) -> bool {
    path.strip_prefix(top)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is at a path of this machine. Links are not followed.
///
/// # Errors
/// The path does not exist or cannot be read.
pub fn look_at(path: &Path) -> io::Result<FileFacts> {
    let metadata = path.symlink_metadata()?;
    let kind = if metadata.is_dir() {
        FileKind::Directory
    } else if metadata.is_file() {
        FileKind::File
    } else if metadata.is_symlink() {
        FileKind::Link(fs::read_link(path)?)
    } else {
        FileKind::Other
    };
    Ok(FileFacts {
        kind,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        size: metadata.len(),
    })
}

/// The names in a directory of this machine, sorted.
///
/// # Errors
/// The directory cannot be read.
pub fn entries(path: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name());
    }
    names.sort();
    Ok(names)
}

/// The text of a path below a tree.
///
/// # Errors
/// The path is not UTF-8, so it cannot be recorded.
pub fn utf8(path: &Path) -> Result<&str> {
    match path.to_str() {
        Some(text) => Ok(text),
        None => bail!("{}: the name is not UTF-8", path.display()),
    }
}

/// The names of a path, without empty ones and `.`; `..` stays.
pub fn components(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty() && *name != ".")
}

//! Unpacking: tar with gzip, bzip2, xz or zstd or plain, told apart by content and never by name.
//!
//! An archive is verified before it gets here, but its content is still not trusted. It is unpacked into a temporary
//! directory that is renamed at the end, so a rejected archive leaves nothing behind. Symbolic links are created last,
//! so no file can be written through one. Owners are not kept. Of the mode, only what a source needs is kept.
//!
//! Modification times are kept. Some archives (GitHub's) have one time for all files. Whether make then runs autoconf
//! again is up to the build.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub use super::tar::is_tar;
use super::tar::{Limited, unpack_tar};
use super::tree::{Limits, Node, Result, Tree, UnpackError, Unpacked, at};
use crate::digest::Sha256;

/// Bytes of memory that a decompressor may request. `xz -9` and `zstd --long=25` need less.
const MAX_DICTIONARY_BYTES: u64 = 72 * 1024 * 1024;

/// What would be unpacked under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link with its target.
    Link(PathBuf),
}

/// Unpacks `file` into `into` without the first `strip` components of every name. Creates `into`, which must be empty
/// or missing.
///
/// # Errors
/// The archive is rejected or damaged, or a file cannot be written. Nothing is left behind.
pub fn unpack(file: &Path, into: &Path, strip: u8, limits: &Limits) -> Result<Unpacked> {
    let source = File::open(file).map_err(|error| at(file, error))?;
    let mut tree = Tree::begin(into, strip, *limits)?;
    match open(source).map_err(|error| at(file, error))? {
        Opened::Stream(stream) => unpack_tar(stream, &mut tree)?,
        Opened::Unknown(what) => {
            let why = format!("it is not a tar (plain, gzip, bzip2, xz, zstd): it {what}");
            return Err(UnpackError::Damaged(why));
        }
    }
    tree.finish(into)
}

/// Reads the tar archive `file` to its end and validates it as [`unpack`] does, without writing. Returns what it would
/// unpack to, each directory before its content. Stops soon after `until`.
///
/// # Errors
/// [`unpack`] would reject the archive, or reading takes longer than `until`.
pub fn inspect(file: &Path, limits: &Limits, until: Instant) -> Result<Vec<(PathBuf, Member)>> {
    let mut tree = Tree::new(None, 0, *limits);
    match open(File::open(file).map_err(|error| at(file, error))?).map_err(|error| at(file, error))? {
        Opened::Stream(stream) => unpack_tar(Box::new(Timed { inner: stream, until }), &mut tree)?,
        Opened::Unknown(_) => {
            return Err(UnpackError::Damaged("it is not a tar archive".to_owned()));
        }
    }
    tree.check()?;
    let member = |node| match node {
        Node::Directory { .. } => Member::Directory,
        Node::File => Member::File,
        Node::Link(target) => Member::Link(PathBuf::from(OsStr::from_bytes(&target))),
    };
    Ok(tree
        .nodes
        .into_iter()
        .map(|(path, node)| (path, member(node)))
        .collect())
}

/// The digest of the tar archive in `file`. It does not depend on the compression.
///
/// # Errors
/// The file cannot be read or decompressed, or it is not a tar archive.
pub fn tar_digest(file: &Path) -> io::Result<Sha256> {
    match open(File::open(file)?)? {
        Opened::Stream(stream) => Sha256::of_reader(Limited {
            inner: stream,
            left: Limits::default().bytes,
        }),
        Opened::Unknown(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "not a tar")),
    }
}

enum Opened {
    Stream(Box<dyn Read>),
    /// What it does or is instead.
    Unknown(String),
}

/// Detects the format by the first bytes of a file, and returns the reader for it.
fn open(mut file: File) -> io::Result<Opened> {
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(512).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    let buffered = |file| BufReader::with_capacity(128 * 1024, file);
    Ok(match head.as_slice() {
        [0x1f, 0x8b, ..] => Opened::Stream(Box::new(flate2::bufread::MultiGzDecoder::new(buffered(file)))),
        [b'B', b'Z', b'h', ..] => {
            Opened::Stream(Box::new(bzip2::bufread::MultiBzDecoder::new(buffered(file))))
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let most = u32::try_from(MAX_DICTIONARY_BYTES / 1024).unwrap_or(u32::MAX);
            let reader = lzma_rust2::XzReader::new_mem_limit(buffered(file), true, most);
            Opened::Stream(Box::new(BufReader::with_capacity(64 * 1024, reader)))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let reader = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(
                buffered(file),
                MAX_DICTIONARY_BYTES,
            );
            let reader =
                reader.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            Opened::Stream(Box::new(reader))
        }
        [b'P', b'K', 3, 4, ..] => {
            let hint = "is a zip; the tag in upstream's repository can be downloaded as a tar";
            Opened::Unknown(hint.to_owned())
        }
        head if is_tar(head) => Opened::Stream(Box::new(buffered(file))),
        [] => Opened::Unknown("is empty".to_owned()),
        head => {
            let head = String::from_utf8_lossy(&head[..head.len().min(40)]);
            Opened::Unknown(format!("begins with {head:?}"))
        }
    })
}

/// A reader that fails when its time is over.
struct Timed<R> {
    inner: R,
    until: Instant,
}

impl<R: Read> Read for Timed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() >= self.until {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "reading it takes too long",
            ));
        }
        self.inner.read(buffer)
    }
}

#[cfg(test)]
mod tests;

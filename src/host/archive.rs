//! Unpacking: tar with gzip, bzip2, xz or zstd or plain, and zip, told apart by content and never by name.
//!
//! An archive is verified before it gets here, so what it does is what upstream did; all the same nothing in it
//! is taken on trust. It is unpacked into a directory of its own that gets its name at the end, so that a refused
//! archive leaves nothing behind. Symbolic links are made last, when every file has been written: no file can
//! be written through one. Owners are not kept, and of the mode only what a source needs.
//!
//! Modification times are kept as the archive has them. Some archives (GitHub's) carry one time for all files;
//! whether make then wants to run autoconf again is the build's business.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use tar::EntryType;
use tempfile::TempDir;

use super::{bunzip2, zip};
use crate::digest::Sha256;

/// Bytes of all names together: they are kept in memory until the end.
const NAME_BYTES: usize = 32 * 1024 * 1024;
/// The longest path that Linux takes.
const PATH_BYTES: usize = 4096;
/// The longest extended header; those in use have some hundred bytes.
const HEADER_BYTES: u64 = 1024 * 1024;
/// Links on the way to a file, as many as Linux follows.
const LINKS: usize = 40;
/// Memory that a decompressor may ask for. `xz -9` and `zstd --long=25` stay below it.
const DICTIONARY_BYTES: u64 = 72 * 1024 * 1024;
/// The end of the year 9999. What is later is no time at which anything was written.
const LATEST: u64 = 253_402_300_799;

/// What an archive may grow to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes, of all files together; for a tar, of the whole tar.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: usize,
    /// Whether links may lead out of the tree. Not in a source; a stage is judged when it is merged.
    pub links_out: bool,
}

impl Default for Limits {
    /// Ten times `PostgreSQL`, and then some.
    fn default() -> Self {
        Self {
            bytes: 4 * 1024 * 1024 * 1024,
            entries: 200_000,
            links_out: false,
        }
    }
}

/// What has been unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// Files, directories and links.
    pub entries: usize,
    /// Bytes of all files.
    pub bytes: u64,
}

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

/// Why an archive was not unpacked.
#[derive(Debug)]
pub enum UnpackError {
    /// It holds something that no source may hold.
    Refused {
        /// The name in the archive; empty where it is about the whole.
        entry: String,
        /// What is wrong with it.
        why: String,
    },
    /// It is damaged, or none of the known formats.
    Damaged(String),
    /// A file cannot be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
}

impl fmt::Display for UnpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { entry, why } if entry.is_empty() => write!(f, "the archive is refused: {why}"),
            Self::Refused { entry, why } => write!(f, "the archive is refused: {entry:?} {why}"),
            Self::Damaged(why) => write!(f, "the archive is damaged: {why}"),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for UnpackError {}

/// A shorthand for this module and for `zip`.
pub(super) type Result<T> = std::result::Result<T, UnpackError>;

/// Unpacks `file` into `into`, which is made and may not hold anything yet, leaving off the first `strip`
/// components of every name.
///
/// # Errors
/// The archive is refused or damaged, or a file cannot be written. Nothing is left behind.
pub fn unpack(file: &Path, into: &Path, strip: u8, limits: &Limits) -> Result<Unpacked> {
    let source = File::open(file).map_err(|error| at(file, error))?;
    let mut tree = Tree::begin(into, strip, *limits)?;
    match open(source).map_err(|error| at(file, error))? {
        Opened::Stream(stream) => unpack_tar(stream, &mut tree)?,
        Opened::Zip(source) => zip::unpack(source, &mut tree)?,
        Opened::Unknown(head) => {
            let why = format!(
                "it is neither a tar (plain, gzip, bzip2, xz, zstd) nor a zip; it begins with {head:?}"
            );
            return Err(UnpackError::Damaged(why));
        }
    }
    tree.finish(into)
}

/// Reads `file`, a tar, to its end and judges it as [`unpack`] would, and writes nothing. Returns what it would unpack to,
/// directories before what is in them. Is over soon after `until`.
///
/// # Errors
/// What [`unpack`] would refuse, a zip, or something that takes longer than it may.
pub fn inspect(file: &Path, limits: &Limits, until: Instant) -> Result<Vec<(PathBuf, Member)>> {
    let mut tree = Tree::new(None, 0, *limits);
    match open(File::open(file).map_err(|error| at(file, error))?).map_err(|error| at(file, error))? {
        Opened::Stream(stream) => unpack_tar(Box::new(Timed { inner: stream, until }), &mut tree)?,
        Opened::Zip(_) | Opened::Unknown(_) => {
            return Err(UnpackError::Damaged("it is no tar".to_owned()));
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

/// Digest of the tar that is in `file`, which stays the same however it is compressed.
///
/// # Errors
/// The file cannot be read or decompressed, or it is no tar.
pub fn tar_digest(file: &Path) -> io::Result<Sha256> {
    match open(File::open(file)?)? {
        Opened::Stream(stream) => Sha256::of_reader(Limited {
            inner: stream,
            left: Limits::default().bytes,
        }),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not a tar")),
    }
}

enum Opened {
    Stream(Box<dyn Read>),
    Zip(File),
    Unknown(String),
}

/// Looks at the first bytes of a file and sets up what reads the rest.
fn open(mut file: File) -> io::Result<Opened> {
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(512).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    let buffered = |file| BufReader::with_capacity(128 * 1024, file);
    Ok(match head.as_slice() {
        [0x1f, 0x8b, ..] => Opened::Stream(Box::new(flate2::bufread::MultiGzDecoder::new(buffered(file)))),
        [b'B', b'Z', b'h', ..] => Opened::Stream(bunzip2::reader(file)?),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let most = u32::try_from(DICTIONARY_BYTES / 1024).unwrap_or(u32::MAX);
            let reader = lzma_rust2::XzReader::new_mem_limit(buffered(file), true, most);
            Opened::Stream(Box::new(BufReader::with_capacity(64 * 1024, reader)))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let reader = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(
                buffered(file),
                DICTIONARY_BYTES,
            );
            let reader =
                reader.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            Opened::Stream(Box::new(reader))
        }
        [b'P', b'K', 3, 4, ..] => Opened::Zip(file),
        head if is_tar(head) => Opened::Stream(Box::new(buffered(file))),
        head => Opened::Unknown(String::from_utf8_lossy(&head[..head.len().min(40)]).into_owned()),
    })
}

/// Whether a block is a tar header: its checksum is right.
fn is_tar(block: &[u8]) -> bool {
    let Ok(block) = <&[u8; 512]>::try_from(block) else {
        return false;
    };
    let mut header = tar::Header::new_old();
    *header.as_mut_bytes() = *block;
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    header
        .cksum()
        .is_ok_and(|expected| expected == sum(&block[..148]) + 8 * 32 + sum(&block[156..]))
}

/// A reader that fails when too much comes out of it.
struct Limited<R> {
    inner: R,
    left: u64,
}

/// The error of [`Limited`], to be told apart from a damaged archive.
#[derive(Debug)]
struct TooMuch;

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it unpacks to more bytes than are allowed")
    }
}

impl std::error::Error for TooMuch {}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(n as u64)
            .ok_or_else(|| io::Error::other(TooMuch))?;
        Ok(n)
    }
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

fn unpack_tar(stream: Box<dyn Read>, tree: &mut Tree) -> Result<()> {
    let stream = Limited {
        inner: stream,
        left: tree.limits.bytes,
    };
    let mut archive = tar::Archive::new(stream);
    // Raw: extended headers are read here, with limits. The library would take any of them into memory, and would
    // let their sizes contradict the headers that follow.
    let mut extended = Extended::default();
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::XHeader => extended.read_pax(&read_header(&mut entry)?)?,
            EntryType::XGlobalHeader => {
                let mut global = Extended::default();
                global.read_pax(&read_header(&mut entry)?)?;
                global.refuse_names()?;
            }
            EntryType::GNULongName => extended.set_path(without_nul(read_header(&mut entry)?))?,
            EntryType::GNULongLink => extended.set_link(without_nul(read_header(&mut entry)?))?,
            _ => add_tar_entry(&mut entry, kind, std::mem::take(&mut extended), tree)?,
        }
    }
    if extended.path.is_some() || extended.link.is_some() {
        return Err(UnpackError::Damaged(
            "it ends after the name of a file".to_owned(),
        ));
    }
    // To the end, so that the decompressor sees its checksum.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(damaged)?;
    Ok(())
}

fn add_tar_entry(
    entry: &mut tar::Entry<impl Read>,
    kind: EntryType,
    extended: Extended,
    tree: &mut Tree,
) -> Result<()> {
    let header = entry.header();
    let name = extended.path.unwrap_or_else(|| header.path_bytes().into_owned());
    let link = extended
        .link
        .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
        .unwrap_or_default();
    let size = header.entry_size().map_err(damaged)?;
    if extended.size.is_some_and(|other| other != size) {
        return Err(refused(&name, "has two sizes"));
    }
    let mode = header.mode().map_err(damaged)?;
    let modified = extended
        .modified
        .unwrap_or_else(|| header.mtime().unwrap_or(0).min(LATEST));
    let attributes = Attributes { mode, modified };
    match kind {
        // Before there was a type for directories, the slash at the end was the sign.
        EntryType::Regular if name.ends_with(b"/") && size == 0 => tree.add_directory(&name, attributes),
        EntryType::Regular | EntryType::Continuous => tree.add_file(&name, attributes, entry, Some(size)),
        EntryType::Directory => tree.add_directory(&name, attributes),
        EntryType::Symlink => tree.add_link(&name, &link),
        EntryType::Link => tree.add_second_name(&name, &link),
        EntryType::Char | EntryType::Block => Err(refused(&name, "is a device")),
        EntryType::Fifo => Err(refused(&name, "is a fifo")),
        EntryType::GNUSparse => Err(refused(&name, "is a sparse file")),
        other => Err(refused(
            &name,
            &format!("is of the unknown type {:?}", char::from(other.as_byte())),
        )),
    }
}

/// What extended headers say about the entry that follows them.
#[derive(Debug, Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    modified: Option<u64>,
}

impl Extended {
    fn set_path(&mut self, path: Vec<u8>) -> Result<()> {
        match self.path.replace(path) {
            Some(first) => Err(refused(&first, "has two names")),
            None => Ok(()),
        }
    }

    fn set_link(&mut self, link: Vec<u8>) -> Result<()> {
        match self.link.replace(link) {
            Some(first) => Err(refused(&first, "is one of two targets of a link")),
            None => Ok(()),
        }
    }

    /// Reads pax records, `length key=value\n`, where the length counts all of the record.
    fn read_pax(&mut self, mut records: &[u8]) -> Result<()> {
        while !records.is_empty() {
            let (key, value, rest) = pax_record(records)
                .ok_or_else(|| UnpackError::Damaged("an extended header makes no sense".to_owned()))?;
            let number = || std::str::from_utf8(value).ok();
            match key {
                b"path" => self.set_path(value.to_owned())?,
                b"linkpath" => self.set_link(value.to_owned())?,
                b"size" => match number().and_then(|text| text.parse().ok()) {
                    Some(size) if self.size.is_none_or(|first| first == size) => self.size = Some(size),
                    _ => return Err(refused(value, "is no size, or the second one")),
                },
                // Whole seconds are what make, git and every other user of these times agree on.
                b"mtime" => {
                    let seconds = number().and_then(|text| text.split('.').next()?.parse::<i64>().ok());
                    self.modified = Some(u64::try_from(seconds.unwrap_or(0)).unwrap_or(0).min(LATEST));
                }
                key if key.starts_with(b"GNU.sparse.") => return Err(refused(key, "is of a sparse file")),
                _ => {}
            }
            records = rest;
        }
        Ok(())
    }

    /// For headers that hold for all entries: a name or size there would be a trap.
    fn refuse_names(&self) -> Result<()> {
        if self.path.is_some() || self.link.is_some() || self.size.is_some() {
            return Err(refused(b"", "a global header names one file"));
        }
        Ok(())
    }
}

/// Key and value of the first record, and what follows it.
fn pax_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

fn read_header(entry: &mut tar::Entry<impl Read>) -> Result<Vec<u8>> {
    if entry.size() > HEADER_BYTES {
        return Err(refused(b"", "an extended header is larger than 1 MiB"));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(damaged)?;
    if bytes.len() as u64 != entry.size() {
        return Err(UnpackError::Damaged(
            "it ends within an extended header".to_owned(),
        ));
    }
    Ok(bytes)
}

fn without_nul(mut name: Vec<u8>) -> Vec<u8> {
    if name.last() == Some(&0) {
        name.pop();
    }
    name
}

/// Mode and modification time as an archive has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970.
    pub modified: u64,
}

/// What stands under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Directory { modified: Option<u64> },
    File,
    Link(Vec<u8>),
}

/// A tree that is being unpacked. Every name goes through [`Tree::place`].
pub(super) struct Tree {
    /// Where it is written to; nowhere, where an archive is only looked at.
    staging: Option<TempDir>,
    strip: usize,
    limits: Limits,
    nodes: BTreeMap<PathBuf, Node>,
    name_bytes: usize,
    bytes: u64,
    buffer: Vec<u8>,
}

impl Tree {
    fn begin(into: &Path, strip: u8, limits: Limits) -> Result<Self> {
        let parent = into.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).map_err(|error| at(parent, error))?;
        match fs::read_dir(into).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return Err(at(into, io::ErrorKind::DirectoryNotEmpty.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(into, error)),
        }
        let staging = tempfile::Builder::new()
            .prefix(".unpack-")
            .tempdir_in(parent)
            .map_err(|error| at(parent, error))?;
        Ok(Self::new(Some(staging), strip, limits))
    }

    fn new(staging: Option<TempDir>, strip: u8, limits: Limits) -> Self {
        Self {
            staging,
            strip: strip.into(),
            limits,
            nodes: BTreeMap::new(),
            name_bytes: 0,
            bytes: 0,
            buffer: vec![0; 64 * 1024],
        }
    }

    /// Where the path of the tree is written to, where anything is.
    fn target(&self, path: &Path) -> Option<PathBuf> {
        self.staging.as_ref().map(|staging| staging.path().join(path))
    }

    /// Bytes that may still be written.
    pub(super) fn room(&self) -> u64 {
        self.limits.bytes.saturating_sub(self.bytes)
    }

    pub(super) fn add_directory(&mut self, name: &[u8], attributes: Attributes) -> Result<()> {
        if attributes.mode & 0o4000 != 0 {
            return Err(refused(name, "is set to run as its owner (setuid)"));
        }
        let Some(path) = self.place(name)? else {
            return Ok(());
        };
        let modified = Some(attributes.modified);
        match self.nodes.get_mut(&path) {
            // Archives that were put together twice name a directory twice; that changes nothing.
            Some(Node::Directory { modified: known }) => *known = modified,
            Some(_) => return Err(refused(name, "is there twice")),
            None => {
                self.make_directory(&path)?;
                self.note(path, Node::Directory { modified })?;
            }
        }
        Ok(())
    }

    /// Writes a file. `size` is what its header says; fewer bytes are an error, more are not read.
    pub(super) fn add_file(
        &mut self,
        name: &[u8],
        attributes: Attributes,
        content: &mut impl Read,
        size: Option<u64>,
    ) -> Result<()> {
        if attributes.mode & 0o6000 != 0 {
            return Err(refused(
                name,
                "is set to run as its owner or group (setuid, setgid)",
            ));
        }
        if name.ends_with(b"/") {
            return Err(refused(name, "is called like a directory and has content"));
        }
        let Some(path) = self.new_place(name)? else {
            return Ok(());
        };
        let create = |target: PathBuf| {
            let mut options = OpenOptions::new();
            let file = options.write(true).create_new(true).mode(0o600).open(&target);
            file.map_err(|error| at(&target, error))
                .map(|file| (file, target))
        };
        let mut opened = self.target(&path).map(create).transpose()?;
        self.note(path, Node::File)?;
        let mut written = 0;
        loop {
            let n = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(damaged(error)),
            };
            written += n as u64;
            if written > self.room() {
                return Err(damaged(io::Error::other(TooMuch)));
            }
            if let Some((file, target)) = &mut opened {
                file.write_all(&self.buffer[..n])
                    .map_err(|error| at(target, error))?;
            }
        }
        self.bytes += written;
        if size.is_some_and(|size| size != written) {
            let name = String::from_utf8_lossy(name);
            return Err(UnpackError::Damaged(format!("it ends within {name:?}")));
        }
        let Some((file, target)) = opened else {
            return Ok(());
        };
        // A source must be readable by whoever builds it, and writable by its owner only.
        let mode = (attributes.mode & 0o755) | 0o600;
        file.set_permissions(Permissions::from_mode(mode))
            .and_then(|()| file.set_times(FileTimes::new().set_modified(time(attributes.modified))))
            .map_err(|error| at(&target, error))
    }

    pub(super) fn add_link(&mut self, name: &[u8], target: &[u8]) -> Result<()> {
        if target.is_empty() || target.contains(&0) || target.len() >= PATH_BYTES {
            return Err(refused(name, "is a link to nowhere"));
        }
        if target.starts_with(b"/") && !self.limits.links_out {
            return Err(refused(
                name,
                &format!(
                    "is a link out of the tree, to {:?}",
                    String::from_utf8_lossy(target)
                ),
            ));
        }
        let Some(path) = self.new_place(name)? else {
            return Ok(());
        };
        self.note(path, Node::Link(target.to_owned()))
    }

    /// Adds a second name of a file that is there already (a hard link).
    fn add_second_name(&mut self, name: &[u8], first: &[u8]) -> Result<()> {
        let refusal = || {
            refused(
                name,
                &format!(
                    "is a link to {:?}, which is no file before it",
                    String::from_utf8_lossy(first)
                ),
            )
        };
        let Some(path) = self.new_place(name)? else {
            return Ok(());
        };
        let first = self.place(first).ok().flatten().ok_or_else(refusal)?;
        if self.nodes.get(&first) != Some(&Node::File) {
            return Err(refusal());
        }
        if let (Some(from), Some(to)) = (self.target(&first), self.target(&path)) {
            fs::hard_link(from, &to).map_err(|error| at(&to, error))?;
        }
        self.note(path, Node::File)
    }

    /// Judges what can be judged of the whole only.
    fn check(&self) -> Result<()> {
        if self.nodes.is_empty() {
            let why = format!(
                "nothing is left of it without the first {} components of its names",
                self.strip
            );
            return Err(refused(
                b"",
                if self.strip == 0 {
                    "there is nothing in it"
                } else {
                    &why
                },
            ));
        }
        for (path, node) in &self.nodes {
            if let Node::Link(target) = node
                && !self.limits.links_out
            {
                self.check_link(path, target)?;
            }
        }
        Ok(())
    }

    /// Makes the links, sets the times of directories, and gives the tree its name.
    fn finish(self, into: &Path) -> Result<Unpacked> {
        self.check()?;
        let unpacked = Unpacked {
            entries: self.nodes.len(),
            bytes: self.bytes,
        };
        let Some(staging) = self.staging else {
            return Ok(unpacked);
        };
        let top = staging.path();
        for (path, node) in &self.nodes {
            if let Node::Link(target) = node {
                let path = top.join(path);
                symlink(OsStr::from_bytes(target), &path).map_err(|error| at(&path, error))?;
            }
        }
        for (path, node) in &self.nodes {
            if let Node::Directory {
                modified: Some(modified),
            } = node
            {
                let path = top.join(path);
                let times = FileTimes::new().set_modified(time(*modified));
                File::open(&path)
                    .and_then(|directory| directory.set_times(times))
                    .map_err(|error| at(&path, error))?;
            }
        }
        fs::set_permissions(top, Permissions::from_mode(0o755)).map_err(|error| at(top, error))?;
        fs::rename(top, into).map_err(|error| at(into, error))?;
        // It has another name now, and is not temporary any more.
        let _ = staging.keep();
        Ok(unpacked)
    }

    /// Follows a link as Linux would, in the tree as it will be, and refuses what leaves it on the way.
    fn check_link(&self, path: &Path, target: &[u8]) -> Result<()> {
        let refusal = |why: &str| {
            let why = format!("is a link {why}, to {:?}", String::from_utf8_lossy(target));
            refused(path.as_os_str().as_bytes(), &why)
        };
        let components =
            |target: &[u8]| -> Vec<Vec<u8>> { name_parts(target).rev().map(<[u8]>::to_owned).collect() };
        let mut here = path.parent().map(Path::to_owned).unwrap_or_default();
        let (mut ahead, mut followed) = (components(target), 0);
        while let Some(part) = ahead.pop() {
            if part == b".." {
                if !here.pop() {
                    return Err(refusal("out of the tree"));
                }
                continue;
            }
            here.push(OsStr::from_bytes(&part));
            if let Some(Node::Link(next)) = self.nodes.get(&here) {
                followed += 1;
                if followed > LINKS {
                    return Err(refusal("in a circle"));
                }
                here.pop();
                ahead.extend(components(next));
            }
        }
        Ok(())
    }

    /// The path for a name that may not be taken yet.
    fn new_place(&mut self, name: &[u8]) -> Result<Option<PathBuf>> {
        match self.place(name)? {
            Some(path) if self.nodes.contains_key(&path) => Err(refused(name, "is there twice")),
            Some(path) => {
                if let Some(parent) = path.parent() {
                    self.make_directory(parent)?;
                }
                Ok(Some(path))
            }
            None => Ok(None),
        }
    }

    /// The path below the tree that a name stands for; `None` when nothing of the name is left.
    fn place(&self, name: &[u8]) -> Result<Option<PathBuf>> {
        if name.is_empty() || name.contains(&0) {
            return Err(refused(name, "is no name"));
        }
        if name.len() >= PATH_BYTES {
            return Err(refused(&name[..80], "has a name that is too long"));
        }
        if name.starts_with(b"/") {
            return Err(refused(name, "is an absolute path"));
        }
        let mut path = PathBuf::new();
        for (part, depth) in name_parts(name).zip(0..) {
            if part == b".." {
                return Err(refused(name, "leads out of the tree with `..`"));
            }
            if depth >= self.strip {
                path.push(OsStr::from_bytes(part));
            }
        }
        // What is above a name may be a directory only; above all no link.
        for above in path.ancestors().skip(1) {
            match self.nodes.get(above) {
                None => {}
                Some(Node::Directory { .. }) => break,
                Some(Node::File) => {
                    return Err(refused(
                        name,
                        &format!("is below {}, which is a file", above.display()),
                    ));
                }
                Some(Node::Link(_)) => {
                    return Err(refused(
                        name,
                        &format!("is below {}, which is a link", above.display()),
                    ));
                }
            }
        }
        Ok((!path.as_os_str().is_empty()).then_some(path))
    }

    /// Makes a directory and those above it, and takes note of them.
    fn make_directory(&mut self, path: &Path) -> Result<()> {
        let missing: Vec<PathBuf> = path
            .ancestors()
            .take_while(|above| !above.as_os_str().is_empty() && !self.nodes.contains_key(*above))
            .map(Path::to_owned)
            .collect();
        for above in missing.into_iter().rev() {
            if let Some(target) = self.target(&above) {
                fs::create_dir(&target)
                    .and_then(|()| fs::set_permissions(&target, Permissions::from_mode(0o755)))
                    .map_err(|error| at(&target, error))?;
            }
            self.note(above, Node::Directory { modified: None })?;
        }
        Ok(())
    }

    fn note(&mut self, path: PathBuf, node: Node) -> Result<()> {
        let name = path.as_os_str().as_bytes();
        self.name_bytes += name.len()
            + if let Node::Link(target) = &node {
                target.len()
            } else {
                0
            };
        if self.nodes.len() >= self.limits.entries {
            return Err(refused(
                name,
                &format!(
                    "is one more than the {} entries that are allowed",
                    self.limits.entries
                ),
            ));
        }
        if self.name_bytes > NAME_BYTES {
            return Err(refused(b"", "its names take more than 32 MiB"));
        }
        self.nodes.insert(path, node);
        Ok(())
    }
}

/// The components of a name that mean something.
fn name_parts(name: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    name.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
}

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(LATEST))
}

/// A refusal of the entry `name`.
pub(super) fn refused(name: &[u8], why: &str) -> UnpackError {
    UnpackError::Refused {
        // A name that is the attack itself fills no screen.
        entry: String::from_utf8_lossy(&name[..name.len().min(200)]).into_owned(),
        why: why.to_owned(),
    }
}

/// What an error while reading the archive means.
// Taken whole, as `map_err` gives it.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn damaged(error: io::Error) -> UnpackError {
    match error.get_ref() {
        Some(inner) if inner.is::<TooMuch>() => refused(b"", &TooMuch.to_string()),
        _ => UnpackError::Damaged(error.to_string()),
    }
}

fn at(path: &Path, error: io::Error) -> UnpackError {
    UnpackError::Io {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests;

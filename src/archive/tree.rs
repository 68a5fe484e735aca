//! The tree that an archive is unpacked to. Every name goes through [`Tree::place`]; symbolic links are made last.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// Bytes of all names together. They stay in memory until the end.
const MAX_NAME_BYTES: usize = 32 * 1024 * 1024;

/// Bytes of the longest path that Linux accepts (`PATH_MAX`).
const MAX_PATH_BYTES: usize = 4096;

/// Links on the way to a file, the number that Linux follows.
const MAX_LINKS: usize = 40;

/// The end of the year 9999. A later time is treated as damage.
pub const MAX_TIME: u64 = 253_402_300_799;

/// What an archive may grow to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes, of all files together; for a tar, of the whole tar.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: usize,
    /// Whether links may lead out of the tree. A source may not have them. A stage may: its links are checked when it is merged.
    pub links_out: bool,
}

impl Default for Limits {
    /// More than ten times the size of PostgreSQL's source.
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

/// Why an archive was not unpacked.
#[derive(Debug)]
pub enum UnpackError {
    /// It contains something that is not allowed in a source.
    Rejected {
        /// The name in the archive. Empty if the whole archive is rejected.
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
            Self::Rejected { entry, why } if entry.is_empty() => write!(f, "the archive is rejected: {why}"),
            Self::Rejected { entry, why } => write!(f, "the archive is rejected: {entry:?} {why}"),
            Self::Damaged(why) => write!(f, "the archive is damaged: {why}"),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for UnpackError {}

pub(super) type Result<T> = std::result::Result<T, UnpackError>;

/// The error of [`Limited`]. It is distinct from the error of a damaged archive.
#[derive(Debug)]
pub struct TooMuch;

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it unpacks to more bytes than are allowed")
    }
}

impl std::error::Error for TooMuch {}

/// Mode and modification time as an archive has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970.
    pub modified: u64,
}

/// What a name refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Directory { modified: Option<u64> },
    File,
    Link(Vec<u8>),
}

/// A tree that is being unpacked. Every name goes through [`Tree::place`].
pub(super) struct Tree {
    /// The directory that is written to. `None` if an archive is only inspected.
    staging: Option<TempDir>,
    strip: usize,
    pub(super) limits: Limits,
    pub(super) nodes: BTreeMap<PathBuf, Node>,
    /// The components that were left off, of everything that was placed.
    tops: BTreeSet<Vec<u8>>,
    name_bytes: usize,
    bytes: u64,
    buffer: Vec<u8>,
}

impl Tree {
    /// # Errors
    /// The directory is not empty, or cannot be made.
    pub(super) fn begin(into: &Path, strip: u8, limits: Limits) -> Result<Self> {
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

    pub(super) fn new(staging: Option<TempDir>, strip: u8, limits: Limits) -> Self {
        Self {
            staging,
            strip: strip.into(),
            limits,
            nodes: BTreeMap::new(),
            tops: BTreeSet::new(),
            name_bytes: 0,
            bytes: 0,
            buffer: vec![0; 64 * 1024],
        }
    }

    /// The path on disk of a path of the tree. `None` if nothing is written.
    fn target(&self, path: &Path) -> Option<PathBuf> {
        self.staging.as_ref().map(|staging| staging.path().join(path))
    }

    /// Bytes that may still be written.
    pub(super) fn room(&self) -> u64 {
        self.limits.bytes.saturating_sub(self.bytes)
    }

    /// # Errors
    /// The name is rejected, a limit is exceeded, or the directory cannot be made.
    pub(super) fn add_directory(&mut self, name: &[u8], attributes: Attributes) -> Result<()> {
        if attributes.mode & 0o4000 != 0 {
            return Err(rejected(name, "is set to run as its owner (setuid)"));
        }
        let Some(path) = self.place(name)? else {
            return Ok(());
        };
        let modified = Some(attributes.modified);
        match self.nodes.get_mut(&path) {
            // A concatenated archive names a directory twice, which is harmless.
            Some(Node::Directory { modified: known }) => *known = modified,
            Some(_) => return Err(rejected(name, "is there twice")),
            None => {
                self.make_directory(&path)?;
                self.note(path, Node::Directory { modified })?;
            }
        }
        Ok(())
    }

    /// Writes a file. `size` is what its header says; fewer bytes are an error, more are not read.
    ///
    /// # Errors
    /// The name is rejected, a limit is exceeded, or the file cannot be read or written.
    pub(super) fn add_file(
        &mut self,
        name: &[u8],
        attributes: Attributes,
        content: &mut impl Read,
        size: u64,
    ) -> Result<()> {
        if attributes.mode & 0o6000 != 0 {
            return Err(rejected(
                name,
                "is set to run as its owner or group (setuid, setgid)",
            ));
        }
        if name.ends_with(b"/") {
            return Err(rejected(name, "has the name of a directory, but has content"));
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
        if size != written {
            let name = String::from_utf8_lossy(name);
            return Err(UnpackError::Damaged(format!("it ends within {name:?}")));
        }
        let Some((file, target)) = opened else {
            return Ok(());
        };
        // Every user may read a source, because builds run as several users. Only its owner may write it.
        let mode = (attributes.mode & 0o755) | 0o600;
        file.set_permissions(Permissions::from_mode(mode))
            .and_then(|()| file.set_times(FileTimes::new().set_modified(time(attributes.modified))))
            .map_err(|error| at(&target, error))
    }

    /// # Errors
    /// The name or the target is rejected, or a limit is exceeded.
    pub(super) fn add_link(&mut self, name: &[u8], target: &[u8]) -> Result<()> {
        if target.is_empty() || target.contains(&0) || target.len() >= MAX_PATH_BYTES {
            return Err(rejected(name, "is a link to nowhere"));
        }
        if target.starts_with(b"/") && !self.limits.links_out {
            return Err(rejected(
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

    /// Adds a second name (a hard link) for a file that already exists.
    ///
    /// # Errors
    /// A name is rejected, the first name is not one of a file, or the file cannot be written.
    pub(super) fn add_second_name(&mut self, name: &[u8], first: &[u8]) -> Result<()> {
        let refusal = || {
            rejected(
                name,
                &format!(
                    "is a link to {:?}, which is not an earlier file",
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

    /// Validates what only the whole tree shows.
    ///
    /// # Errors
    /// The tree is empty, or a link leads out of it.
    pub(super) fn check(&self) -> Result<()> {
        if self.nodes.is_empty() {
            let why = format!(
                "nothing is left of it without the first {} components of its names",
                self.strip
            );
            return Err(rejected(
                b"",
                if self.strip == 0 {
                    "there is nothing in it"
                } else {
                    &why
                },
            ));
        }
        let mut tops = self.tops.iter().map(|top| String::from_utf8_lossy(top));
        if let (Some(first), Some(second)) = (tops.next(), tops.next()) {
            let strip = self.strip;
            let why = format!(
                "`{first}` and `{second}` at its top would be mixed by `strip: {strip}`: write `strip: 0` to keep them apart"
            );
            return Err(rejected(b"", &why));
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

    /// Creates the links, sets the times of directories, and renames the tree to its final name.
    ///
    /// # Errors
    /// The tree is empty, a link leads out of it, or it cannot be written or renamed.
    pub(super) fn finish(self, into: &Path) -> Result<Unpacked> {
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
        // The directory is renamed, so it must not be removed.
        let _ = staging.keep();
        Ok(unpacked)
    }

    /// Follows a link as Linux would, in the finished tree. A link that leaves the tree is rejected.
    fn check_link(&self, path: &Path, target: &[u8]) -> Result<()> {
        let refusal = |why: &str| {
            let why = format!("is a link {why}, to {:?}", String::from_utf8_lossy(target));
            rejected(path.as_os_str().as_bytes(), &why)
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
                if followed > MAX_LINKS {
                    return Err(refusal("in a circle"));
                }
                here.pop();
                ahead.extend(components(next));
            }
        }
        Ok(())
    }

    /// The path for a name that must not exist yet.
    fn new_place(&mut self, name: &[u8]) -> Result<Option<PathBuf>> {
        match self.place(name)? {
            Some(path) if self.nodes.contains_key(&path) => Err(rejected(name, "is there twice")),
            Some(path) => {
                if let Some(parent) = path.parent() {
                    self.make_directory(parent)?;
                }
                Ok(Some(path))
            }
            None => Ok(None),
        }
    }

    /// The path below the tree for a name. `None` if stripping leaves nothing.
    fn place(&mut self, name: &[u8]) -> Result<Option<PathBuf>> {
        if name.is_empty() || name.contains(&0) {
            return Err(rejected(name, "is not a name"));
        }
        if name.len() >= MAX_PATH_BYTES {
            return Err(rejected(&name[..80], "has a name that is too long"));
        }
        if name.starts_with(b"/") {
            return Err(rejected(name, "is an absolute path"));
        }
        let mut path = PathBuf::new();
        let mut top = Vec::new();
        for (part, depth) in name_parts(name).zip(0..) {
            if part == b".." {
                return Err(rejected(name, "leads out of the tree with `..`"));
            }
            if depth >= self.strip {
                path.push(OsStr::from_bytes(part));
            } else {
                top.extend_from_slice(if depth == 0 { b"" } else { b"/" });
                top.extend_from_slice(part);
            }
        }
        if !path.as_os_str().is_empty() && self.tops.len() < 2 {
            self.tops.insert(top);
        }
        // Every parent of a name must be a directory, never a link.
        for above in path.ancestors().skip(1) {
            match self.nodes.get(above) {
                None => {}
                Some(Node::Directory { .. }) => break,
                Some(Node::File) => {
                    return Err(rejected(
                        name,
                        &format!("is below {}, which is a file", above.display()),
                    ));
                }
                Some(Node::Link(_)) => {
                    return Err(rejected(
                        name,
                        &format!("is below {}, which is a link", above.display()),
                    ));
                }
            }
        }
        Ok((!path.as_os_str().is_empty()).then_some(path))
    }

    /// Creates a directory and its parents, and records them.
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
            return Err(rejected(
                name,
                &format!("exceeds the limit of {} entries", self.limits.entries),
            ));
        }
        if self.name_bytes > MAX_NAME_BYTES {
            return Err(rejected(b"", "its names take more than 32 MiB"));
        }
        self.nodes.insert(path, node);
        Ok(())
    }
}

/// The components of a name without empty ones and `.`.
fn name_parts(name: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    name.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
}

pub fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(MAX_TIME))
}

/// The error that rejects the entry `name`.
pub(super) fn rejected(name: &[u8], why: &str) -> UnpackError {
    UnpackError::Rejected {
        // A hostile name must not fill the screen.
        entry: String::from_utf8_lossy(&name[..name.len().min(200)]).into_owned(),
        why: why.to_owned(),
    }
}

/// What an error while reading the archive means.
// By value, as `map_err` passes it.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn damaged(error: io::Error) -> UnpackError {
    match error.get_ref() {
        Some(inner) if inner.is::<TooMuch>() => rejected(b"", &TooMuch.to_string()),
        _ => UnpackError::Damaged(error.to_string()),
    }
}

pub fn at(path: &Path, error: io::Error) -> UnpackError {
    UnpackError::Io {
        path: path.to_owned(),
        error,
    }
}

//! Files of this machine, outside any root. Every error names its path once.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags, openat};

use super::entry::{self, Entry, FileKind, look_at};
use crate::digest::Hashes;
use crate::manifest::{Fault, ManifestFile};

/// Whether something is at a path of this machine, links followed.
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// Whether a directory is at a path of this machine, links followed.
pub fn is_directory(path: &Path) -> bool {
    path.is_dir()
}

/// Whether a regular file is at a path of this machine, links followed.
pub fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// A directory that is removed with the value. It is below `above`, or in the machine's directory for temporary files.
///
/// # Errors
/// The directory cannot be created.
pub fn temporary_directory(above: Option<&Path>) -> io::Result<tempfile::TempDir> {
    match above {
        Some(above) => tempfile::tempdir_in(above),
        None => tempfile::tempdir(),
    }
}

/// The absolute path of something on this machine, links followed.
///
/// # Errors
/// Nothing is there.
pub fn canonical(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("cannot look at {}", path.display()))
}

/// The size in bytes of a file of this machine.
///
/// # Errors
/// The file does not exist or cannot be read.
pub fn size(path: &Path) -> io::Result<u64> {
    Ok(fs::metadata(path)?.len())
}

/// The first bytes of a file of this machine, at most so many.
///
/// # Errors
/// The file cannot be read.
pub fn head(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    fs::File::open(path)?.take(bytes).read_to_end(&mut head)?;
    Ok(head)
}

/// The bytes that this user may still write where a directory of this machine is. `None` if it does not exist.
pub fn free_bytes(directory: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(directory).ok()?;
    Some(about.f_bavail * about.f_frsize)
}

/// The names in a directory of this machine, sorted. Names that are not UTF-8 are left out.
///
/// # Errors
/// The directory cannot be read.
pub fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// The digests of a file of this machine.
///
/// # Errors
/// The file cannot be read.
pub fn hashes(path: &Path) -> io::Result<Hashes> {
    Hashes::of_reader(fs::File::open(path)?, true)
}

/// Creates a directory of this machine and its parents.
///
/// # Errors
/// A directory cannot be created.
pub fn make_directories(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make the directory {}", path.display()))
}

/// Removes a directory of this machine with its content, if it exists.
///
/// # Errors
/// An entry cannot be removed.
pub fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The text of a secret file.
#[derive(Clone)]
pub struct Secret {
    /// The text.
    pub text: String,
    /// Whether the file is world-readable.
    pub is_everybodys: bool,
}

/// Reads a secret at a path of this machine.
///
/// # Errors
/// The file cannot be read.
pub fn secret(path: &Path) -> Result<Secret> {
    let read = || -> io::Result<Secret> {
        let text = fs::read_to_string(path)?;
        let mode = fs::metadata(path)?.permissions().mode();
        Ok(Secret {
            text,
            is_everybodys: mode & 0o004 != 0,
        })
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

/// Opens a file of this machine to be read and written, and makes it if there is none.
///
/// # Errors
/// The file cannot be opened.
pub fn open_or_create(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Writes a file of this machine that no other process reads at the same time.
///
/// # Errors
/// The file cannot be written.
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The text of a file of this machine. A byte order mark is kept.
///
/// # Errors
/// The file cannot be read, or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The bytes of a file of this machine.
///
/// # Errors
/// The file cannot be read.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The text of a file that may be in any encoding. `None` if it is not a regular file or is larger than `most` bytes.
pub fn read_foreign(path: &Path, most: u64) -> Option<String> {
    read_foreign_below(path.parent()?, Path::new(path.file_name()?), most)
}

/// The text of the file `below` a directory that a build has filled. No link below `top` is followed, because root reads what
/// the user of the build may not. `None` if there is such a link, if it is not a regular file, or if it is larger than
/// `most` bytes.
pub fn read_foreign_below(top: &Path, below: &Path, most: u64) -> Option<String> {
    let of_directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // A fifo would be waited for.
    let of_file = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut directory = rustix::fs::open(top, of_directory, Mode::empty()).ok()?;
    let mut parts = below.components().peekable();
    while let Some(Component::Normal(name)) = parts.next() {
        if parts.peek().is_some() {
            let without_links = of_directory | OFlags::NOFOLLOW;
            directory = openat(&directory, name, without_links, Mode::empty()).ok()?;
            continue;
        }
        let file = fs::File::from(openat(&directory, name, of_file, Mode::empty()).ok()?);
        let mut bytes = Vec::new();
        let is_file = file.metadata().ok()?.is_file();
        let length = is_file.then(|| file.take(most + 1).read_to_end(&mut bytes).ok())??;
        return (length as u64 <= most).then(|| String::from_utf8_lossy(&bytes).into_owned());
    }
    None
}

/// Replaces the text of a file of this machine atomically: a reader sees the old text or the new one. The mode is
/// kept. If `path` is a link, its target is replaced.
///
/// # Errors
/// The file cannot be written.
pub fn replace_text(path: &Path, text: &str) -> Result<()> {
    let replace = || -> io::Result<()> {
        let path = path.canonicalize()?;
        let mode = fs::metadata(&path)?.permissions();
        let directory = path.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.as_file().set_permissions(mode)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    };
    replace().with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a new file of this machine.
///
/// # Errors
/// The file exists already or cannot be written.
pub fn create_text(path: &Path, text: &str) -> Result<()> {
    let create = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(text.as_bytes())
    };
    create().with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a new file of this machine with these bytes and this mode.
///
/// # Errors
/// The file exists already or cannot be written.
pub fn create_file(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let create = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(bytes)?;
        file.set_permissions(fs::Permissions::from_mode(mode))
    };
    create().with_context(|| format!("cannot write {}", path.display()))
}

/// Gives the file at `from` the name `to`, atomically. It is a hard link if `may_link` and the file system allow it, and a
/// copy otherwise.
///
/// # Errors
/// The file cannot be read, linked or written.
pub fn place(from: &Path, to: &Path, may_link: bool) -> Result<()> {
    let put = || -> io::Result<()> {
        let directory = to.parent().unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new().prefix(".place-").tempdir_in(directory)?;
        let path = temporary.path().join("file");
        if !may_link || fs::hard_link(from, &path).is_err() {
            fs::copy(from, &path)?;
            fs::File::open(&path)?.sync_all()?;
        }
        fs::rename(&path, to)
    };
    put().with_context(|| format!("cannot write {}", to.display()))
}

/// Copies a file to another path of this machine.
///
/// # Errors
/// The file cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let context = || format!("cannot copy {} to {}", from.display(), to.display());
    fs::copy(from, to).map(drop).with_context(context)
}

/// Everything below `top`, without `top` itself. Sorted by name, parents before children.
///
/// # Errors
/// A directory cannot be read.
pub fn tree(top: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    walk(top, Path::new(""), &mut entries)?;
    Ok(entries)
}

/// Appends everything below the directory `below` of `top` to `entries`.
///
/// # Errors
/// A directory cannot be read.
pub fn walk(top: &Path, below: &Path, entries: &mut Vec<Entry>) -> Result<()> {
    let directory = top.join(below);
    let context = || format!("cannot read the directory {}", directory.display());
    for name in entry::entries(&directory).with_context(context)? {
        let path = below.join(name);
        let full = top.join(&path);
        let found = look_at(&full).with_context(|| format!("cannot look at {}", full.display()))?;
        let is_directory = found.kind == FileKind::Directory;
        entries.push(Entry {
            path: path.clone(),
            kind: found.kind,
            mode: found.mode,
            size: found.size,
        });
        if is_directory {
            walk(top, &path, entries)?;
        }
    }
    Ok(())
}

/// The manifests below a directory, in the order of their names. A file that is reached twice is read once.
///
/// # Errors
/// The directory cannot be read or has no manifest.
pub fn manifests(directory: &Path) -> Result<Vec<ManifestFile>> {
    let opened = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let found = tree(opened)?.into_iter().filter(is_manifest);
    let mut paths: Vec<PathBuf> = found.map(|entry| directory.join(entry.path)).collect();
    anyhow::ensure!(
        !paths.is_empty(),
        "{}: there is no manifest (*.yaml) in it",
        opened.display()
    );
    let mut seen = BTreeSet::new();
    // What cannot be resolved cannot be read either, and reading says why.
    paths.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    Ok(paths.iter().map(|path| manifest(path)).collect())
}

/// Whether an entry of a directory is named as a manifest. Hidden files are editors' and version control's.
fn is_manifest(entry: &Entry) -> bool {
    let suffix = entry
        .path
        .extension()
        .is_some_and(|suffix| suffix.eq_ignore_ascii_case("yaml") || suffix.eq_ignore_ascii_case("yml"));
    let hidden = |part: Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b".");
    suffix && entry.kind != FileKind::Directory && !entry.path.components().any(hidden)
}

/// A manifest larger than this is a mistake: the longest real one has 10 kB.
const MAX_MANIFEST_BYTES: u64 = 1024 * 1024;

/// A manifest with its text, or with why it cannot be read: it is not a regular file, is too large, is not UTF-8, or may
/// not be read.
pub fn manifest(path: &Path) -> ManifestFile {
    let mut file = ManifestFile {
        name: path.display().to_string(),
        text: String::new(),
        fault: None,
    };
    match manifest_bytes(path) {
        Err(message) => file.fault = Some(Fault { at: 0, message }),
        Ok(bytes) => {
            // Some editors put a byte order mark in front.
            let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
            file.fault = std::str::from_utf8(bytes).err().map(|error| {
                let at = error.valid_up_to();
                let message = format!("byte {at} is not UTF-8 (0x{:02x})", bytes[at]);
                Fault { at, message }
            });
            file.text = String::from_utf8_lossy(bytes).into_owned();
        }
    }
    file
}

fn manifest_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("it cannot be read: {error}");
    // A fifo would be waited for, and a device has no end.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("a manifest must be a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(cannot)?;
    let read = file.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(cannot)?;
    if bytes.len() as u64 > MAX_MANIFEST_BYTES {
        return Err(format!(
            "more than {MAX_MANIFEST_BYTES} bytes are too many for a manifest"
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_build_left_is_read_without_its_links() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().join("top");
        fs::create_dir_all(top.join("below")).unwrap();
        fs::write(directory.path().join("secret"), "secret").unwrap();
        fs::write(top.join("below/log"), "text").unwrap();
        symlink("../secret", top.join("link")).unwrap();
        symlink("below", top.join("elsewhere")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            top.join("fifo"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
        let read = |below: &str, most| read_foreign_below(&top, Path::new(below), most);
        assert_eq!(read("below/log", 4).as_deref(), Some("text"));
        assert_eq!(read("below/log", 3), None);
        for other in ["link", "elsewhere/log", "../secret", "below", "fifo", "none", ""] {
            assert_eq!(read(other, 100), None, "{other}");
        }
        assert_eq!(read_foreign(&top.join("link"), 100), None);
    }
}

//! Packs a tree into a reproducible tar archive with gzip.
//!
//! Entries are sorted by name, belong to root and have a fixed time. Modes are kept. What unpacking would reject or
//! change is an error here, so that a packed tree always unpacks to the same tree.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

use crate::host::entry::FileKind;
use crate::host::local::tree;

/// Writes everything below `top` to `out`.
///
/// # Errors
/// A file cannot be read, `out` cannot be written, or the tree contains a device, a set-id file or a world-writable file.
pub fn pack(top: &Path, out: impl Write) -> Result<()> {
    // The fastest level: a stage is read on this machine a few times, and compiling it took minutes.
    let mut builder = tar::Builder::new(GzEncoder::new(out, Compression::fast()));
    for entry in tree(top)? {
        let path = top.join(&entry.path);
        let context = || format!("cannot pack {}", path.display());
        let is_link = matches!(entry.kind, FileKind::Link(_));
        if !is_link && entry.mode & 0o6002 != 0 {
            bail!("{}: has mode {:04o}", path.display(), entry.mode);
        }
        let mut header = Header::new_gnu();
        header.set_mode(if is_link { 0o777 } else { entry.mode });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        match &entry.kind {
            FileKind::Directory => {
                header.set_entry_type(EntryType::Directory);
                builder.append_data(&mut header, &entry.path, std::io::empty())
            }
            FileKind::File => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(entry.size);
                let file = File::open(&path).with_context(context)?;
                builder.append_data(&mut header, &entry.path, file)
            }
            FileKind::Link(target) => {
                header.set_entry_type(EntryType::Symlink);
                builder.append_link(&mut header, &entry.path, target)
            }
            FileKind::Other => bail!("{}: is neither a file, a directory nor a link", path.display()),
        }
        .with_context(context)?;
    }
    let finish = || builder.into_inner()?.finish()?.flush();
    finish().context("cannot write what was packed")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::archive::tree::Limits;
    use crate::archive::unpack::unpack;

    fn packed(top: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        pack(top, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_same_tree_gives_the_same_bytes_and_comes_back_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let long = "d".repeat(120);
        let make = |name: &str, order: [&str; 3]| {
            let top = directory.path().join(name);
            fs::create_dir_all(top.join(&long)).unwrap();
            fs::create_dir_all(top.join("empty")).unwrap();
            for file in order {
                fs::write(top.join(&long).join(file), file).unwrap();
            }
            let run = top.join(&long).join("run");
            fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
            symlink("/usr/bin/python3", top.join("python")).unwrap();
            top
        };
        let one = make("one", ["a", "b", "run"]);
        let two = make("two", ["run", "b", "a"]);
        let file = fs::File::open(two.join(&long).join("a")).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(9))
            .unwrap();
        let bytes = packed(&one);
        assert_eq!(bytes, packed(&two));

        let archive = directory.path().join("archive");
        fs::write(&archive, &bytes).unwrap();
        let into = directory.path().join("three");
        // The links of a stage may lead out of it. They are checked when it is merged.
        let limits = Limits {
            links_out: true,
            ..Limits::default()
        };
        unpack(&archive, &into, 0, &limits).unwrap();
        assert_eq!(packed(&into), bytes);
        assert!(unpack(&archive, &directory.path().join("four"), 0, &Limits::default()).is_err());
    }

    #[test]
    fn what_would_come_back_as_something_else_is_not_packed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).unwrap();
        let error = pack(directory.path(), std::io::sink()).unwrap_err().to_string();
        assert!(error.ends_with("x: has mode 4755"), "{error}");
    }
}

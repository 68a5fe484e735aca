//! Adds a further archive to a source tree: a submodule, or a library that upstream expects beside its own files.
//!
//! The archive is unpacked by itself first, with every check of [`unpack`](super::unpack), and its entries are then
//! moved. Nothing that an earlier archive brought is replaced, and nothing is put through a link.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use super::tree::{Limits, Result, Unpacked, at, rejected};
use super::unpack::unpack;

/// Unpacks `file` into the directory `below` of the tree `top`, which may have files. `below` may be empty.
///
/// # Errors
/// The archive is rejected or damaged, has a path that the tree has already, or a file cannot be written.
pub fn graft(file: &Path, top: &Path, below: &Path, strip: u8, limits: &Limits) -> Result<Unpacked> {
    let parent = top.parent().unwrap_or(Path::new("/"));
    let apart = tempfile::Builder::new()
        .prefix(".graft-")
        .tempdir_in(parent)
        .map_err(|error| at(parent, error))?;
    let tree = apart.path().join("tree");
    let unpacked = unpack(file, &tree, strip, limits)?;
    let into = directory(top, below)?;
    move_entries(&tree, &into, below)?;
    Ok(unpacked)
}

/// Makes the directory `below` of `top`, without following a link.
fn directory(top: &Path, below: &Path) -> Result<PathBuf> {
    let mut path = top.to_owned();
    for part in below.components() {
        let Component::Normal(name) = part else {
            return Err(rejected(
                below.as_os_str().as_bytes(),
                "is not a directory below the tree",
            ));
        };
        path.push(name);
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                let why = "is not a directory in an earlier archive, so nothing can be unpacked into it";
                return Err(rejected(below.as_os_str().as_bytes(), why));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(&path)
                    .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o755)))
                    .map_err(|error| at(&path, error))?;
            }
            Err(error) => return Err(at(&path, error)),
        }
    }
    Ok(path)
}

/// Moves what is in `from` to `to`. `shown` is the path of `to` in the tree.
fn move_entries(from: &Path, to: &Path, shown: &Path) -> Result<()> {
    let entries = fs::read_dir(from).map_err(|error| at(from, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| at(from, error))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let shown = shown.join(entry.file_name());
        let is_directory = entry.file_type().map_err(|error| at(&from, error))?.is_dir();
        match to.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::rename(&from, &to).map_err(|error| at(&to, error))?;
            }
            Err(error) => return Err(at(&to, error)),
            Ok(found) if found.is_dir() && is_directory => move_entries(&from, &to, &shown)?,
            Ok(_) => {
                return Err(rejected(
                    shown.as_os_str().as_bytes(),
                    "is in an earlier archive of the same build already",
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    /// An archive of files with their names as text, and of links.
    fn archive(directory: &Path, name: &str, files: &[&str], links: &[(&str, &str)]) -> PathBuf {
        let path = directory.join(name);
        let mut builder = tar::Builder::new(File::create(&path).unwrap());
        for file in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(file.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, file, file.as_bytes()).unwrap();
        }
        for (name, target) in links {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            builder.append_link(&mut header, name, target).unwrap();
        }
        builder.into_inner().unwrap();
        path
    }

    struct Case {
        directory: tempfile::TempDir,
        top: PathBuf,
    }

    /// A tree with the files of a first archive.
    fn tree(files: &[&str], links: &[(&str, &str)]) -> Case {
        let directory = tempfile::tempdir().unwrap();
        let first = archive(directory.path(), "first.tar", files, links);
        let top = directory.path().join("source");
        unpack(&first, &top, 1, &Limits::default()).unwrap();
        Case { directory, top }
    }

    impl Case {
        fn graft(&self, files: &[&str], below: &str, strip: u8) -> Result<Unpacked> {
            let second = archive(self.directory.path(), "second.tar", files, &[]);
            graft(&second, &self.top, Path::new(below), strip, &Limits::default())
        }

        fn has(&self, path: &str) -> bool {
            self.top.join(path).is_file()
        }
    }

    #[test]
    fn a_second_archive_joins_the_tree_of_the_first() {
        let case = tree(&["a-1/Makefile", "a-1/src/a.c"], &[]);
        case.graft(&["b-2/b.c", "b-2/src/b.c"], "", 0).unwrap();
        assert!(case.has("Makefile") && case.has("b-2/b.c"));
        case.graft(&["c-3/src/c.c"], "", 1).unwrap();
        assert!(case.has("src/a.c") && case.has("src/c.c"));
    }

    #[test]
    fn a_submodule_goes_into_its_own_directory() {
        let case = tree(&["a-1/Makefile", "a-1/vendor/README"], &[]);
        case.graft(&["sub-2/sub.c"], "vendor/sub", 1).unwrap();
        assert!(case.has("vendor/sub/sub.c") && case.has("vendor/README"));
    }

    #[test]
    fn nothing_of_an_earlier_archive_is_replaced() {
        let case = tree(&["a-1/src/a.c"], &[("a-1/link", "src")]);
        let said = |result: Result<Unpacked>| result.unwrap_err().to_string();
        assert_eq!(
            said(case.graft(&["b-2/src/a.c"], "", 1)),
            "the archive is rejected: \"src/a.c\" is in an earlier archive of the same build already"
        );
        // A link is neither followed nor replaced.
        assert_eq!(
            said(case.graft(&["b-2/link/b.c"], "", 1)),
            "the archive is rejected: \"link\" is in an earlier archive of the same build already"
        );
        assert_eq!(
            said(case.graft(&["b-2/b.c"], "link/x", 1)),
            "the archive is rejected: \"link/x\" is not a directory in an earlier archive, so nothing can be unpacked into it"
        );
        assert!(!case.has("src/b.c"));
    }
}

//! What was read of files, kept as long as the files are the same: nothing is hashed or parsed twice.
//!
//! A file is the same as long as its device, its inode, its size, and the times of the last change of its content and of
//! its attributes are (inode(7)). The kernel sets the last one at every change, also when another file takes the name, and
//! no program can set it. A change within the same tick of the kernel's clock as the change before, at most 10 ms, is not
//! seen on kernels before 6.13.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};

use anyhow::Result;

use super::Host;
use crate::lock::lock;

/// What tells a file from another one and from itself after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A kind of fact, and the paths inside the root that it was read from.
type Subject = (TypeId, Vec<String>);

/// What the files were, and what was read of them. `None` for a file that does not exist.
type Fact = (Vec<Option<Identity>>, Arc<dyn Any + Send + Sync>);

/// Facts about files.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<Subject, Fact>>);

impl Host {
    /// The result of `read`, which reads the files at `paths` and nothing else; the earlier result if they are the same since.
    ///
    /// # Errors
    /// `read` fails.
    pub fn remembered<T: Any + Send + Sync>(
        &self,
        paths: &[&str],
        read: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        let before = self.identities(paths);
        let subject = subject::<T>(paths);
        let known = lock(&self.memory.0).get(&subject).cloned();
        if let Some((files, fact)) = known
            && files == before
            && let Ok(fact) = fact.downcast()
        {
            return Ok(fact);
        }
        let fact = Arc::new(read()?);
        // A file that has changed meanwhile may have been read before or after that.
        if self.identities(paths) == before {
            self.remember(subject, before, Arc::clone(&fact));
        }
        Ok(fact)
    }

    /// Remembers a fact about a file that has just been written.
    pub(super) fn remember_of<T: Any + Send + Sync>(&self, path: &str, written: &Metadata, fact: T) {
        let files = vec![Some(Identity::from(written))];
        self.remember(subject::<T>(&[path]), files, Arc::new(fact));
    }

    fn remember<T: Any + Send + Sync>(&self, subject: Subject, files: Vec<Option<Identity>>, fact: Arc<T>) {
        lock(&self.memory.0).insert(subject, (files, fact));
    }

    fn identities(&self, paths: &[&str]) -> Vec<Option<Identity>> {
        let identity = |path: &&str| {
            let metadata = self.locate_target(path).and_then(std::fs::metadata);
            metadata.ok().as_ref().map(Identity::from)
        };
        paths.iter().map(identity).collect()
    }
}

fn subject<T: Any>(paths: &[&str]) -> Subject {
    let paths = paths.iter().map(|path| (*path).to_owned());
    (TypeId::of::<T>(), paths.collect())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::time::SystemTime;

    use super::*;
    use crate::digest::Sha256;

    #[test]
    fn a_file_is_read_again_only_after_it_has_changed() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let reads = Cell::new(0);
        let read = || {
            let read = || {
                reads.set(reads.get() + 1);
                Ok(fs::read_to_string(host.path("/a")).unwrap_or_default())
            };
            let text = host.remembered(&["/a", "/b"], read).unwrap();
            (text.to_string(), reads.get())
        };
        assert_eq!(read(), (String::new(), 1));
        assert_eq!(read(), (String::new(), 1));
        fs::write(host.path("/a"), "one").unwrap();
        assert_eq!(read(), ("one".to_owned(), 2));
        assert_eq!(read(), ("one".to_owned(), 2));
        // Another file of the same size and with the same time of change takes its name.
        let modified = fs::metadata(host.path("/a")).unwrap().modified().unwrap();
        fs::write(host.path("/new"), "two").unwrap();
        let new = fs::File::options().write(true).open(host.path("/new")).unwrap();
        new.set_modified(modified).unwrap();
        fs::rename(host.path("/new"), host.path("/a")).unwrap();
        assert_eq!(read(), ("two".to_owned(), 3));
        // Any of the files counts.
        fs::write(host.path("/b"), "").unwrap();
        assert_eq!(read(), ("two".to_owned(), 4));
    }

    #[test]
    fn a_digest_is_that_of_the_content_now() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let source = host.path("/source");
        fs::write(&source, "first").unwrap();
        let digest = host.install_file(&source, "/file", 0o644).unwrap();
        assert_eq!(host.sha256("/file").unwrap(), digest);
        fs::write(host.path("/file"), "other").unwrap();
        let file = fs::File::options().write(true).open(host.path("/file")).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(host.sha256("/file").unwrap(), Sha256::of(b"other"));
    }
}

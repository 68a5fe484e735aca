//! Artifacts in the cache: small files that say which of its files a key stands for.
//!
//! An entry is written after the file it names, atomically, so there is none for what is not there yet. A file that
//! was pruned or damaged since makes its entry worthless, which is found out when it is read.

use std::path::PathBuf;
use std::time::Instant;
use std::{fs, io};

use super::cache::{Cache, Partial, remove_if_there, replace};
use super::entries::{ENTRIES, REJECTED};
use crate::artifact::{ArtifactEntry, Key};
use crate::digest::Sha256;

/// What the cache has for a key.
#[derive(Debug)]
pub enum CachedArtifact {
    /// The artifact, and the file, which has the digest that the entry says.
    Whole(ArtifactEntry, PathBuf),
    /// Something that cannot be used, and why.
    Damaged(String),
    /// Nothing.
    Nothing,
}

/// The right to make an artifact: a locked file that stays empty.
#[derive(Debug)]
pub struct Right<'a>(#[allow(dead_code, reason = "it is locked, not read")] Partial<'a>);

impl Cache {
    /// The artifact of `key`. Its file is hashed again.
    pub fn artifact(&self, key: Key) -> CachedArtifact {
        let path = self.dir().join(ENTRIES).join(key.to_string());
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return CachedArtifact::Nothing,
            Err(error) => return CachedArtifact::Damaged(format!("its entry cannot be read: {error}")),
        };
        let entry = match ArtifactEntry::parse(key, &text) {
            Ok(entry) => entry,
            Err(why) => return CachedArtifact::Damaged(format!("its entry is not usable: {why}")),
        };
        match self.find(&entry.sha256) {
            Some(path) => CachedArtifact::Whole(entry, path),
            None if self.has(&entry.sha256) => {
                CachedArtifact::Damaged("its file has another digest".to_owned())
            }
            None => CachedArtifact::Nothing,
        }
    }

    /// Takes the right to make the artifact of `key`; `None` while another process or thread has it. A caller
    /// that gets it must look up the artifact again, because another process may have made it. The right ends when the result
    /// is dropped, at the latest with the process. Write the entry before that.
    ///
    /// # Errors
    /// The file for it cannot be made or locked.
    pub fn begin_artifact(&self, key: Key) -> io::Result<Option<Right<'_>>> {
        Ok(self.partial_until(&key.0, Instant::now())?.map(Right))
    }

    /// A file for the packed tree of `key`, for the holder of the right to make it.
    ///
    /// # Errors
    /// The file cannot be made or locked.
    pub fn pack_artifact(&self, key: Key) -> io::Result<Partial<'_>> {
        let name = Sha256::of(format!("the packed tree of {key}").as_bytes());
        self.partial(&name, false, || ())
    }

    /// Writes the entry of an artifact whose file is in the cache. If it was built here, an earlier rejection of its key is
    /// removed.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep_artifact(&self, entry: &ArtifactEntry) -> io::Result<()> {
        let directory = self.dir().join(ENTRIES);
        replace(&directory, &entry.key.to_string(), entry.to_json().as_bytes())?;
        if entry.fetched {
            return Ok(());
        }
        remove_if_there(&self.dir().join(REJECTED).join(entry.key.to_string()))
    }

    /// Removes the entry of `key`, so that it is made again, and notes why; its file goes when the cache is pruned.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn reject_artifact(&self, key: Key, why: &str) -> io::Result<()> {
        // The note first: a kill in between must not leave a key that is asked for again.
        replace(&self.dir().join(REJECTED), &key.to_string(), why.as_bytes())?;
        remove_if_there(&self.dir().join(ENTRIES).join(key.to_string()))
    }

    /// Why the artifact of `key` was refused, since which none was made here.
    pub fn rejected_artifact(&self, key: Key) -> Option<String> {
        fs::read_to_string(self.dir().join(REJECTED).join(key.to_string())).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::cache::{Keep, prune};
    use crate::store::entries::artifacts;

    fn kept(cache: &Cache, key: Key) -> ArtifactEntry {
        let right = cache.begin_artifact(key).unwrap();
        assert!(right.is_some(), "no other process makes it");
        assert!(cache.begin_artifact(key).unwrap().is_none(), "it is being made");
        let mut file = cache.pack_artifact(key).unwrap();
        file.append(b"packed").unwrap();
        let sha256 = file.hashes().sha256();
        file.commit(None).unwrap();
        let entry = ArtifactEntry::new(key, "citus 1", sha256, 6, BTreeSet::new());
        cache.keep_artifact(&entry).unwrap();
        entry
    }

    #[test]
    fn what_was_kept_is_found_until_it_is_damaged_or_gone() {
        let directory = tempfile::tempdir().unwrap();
        let key = Key(Sha256::of(b"inputs"));
        let cache = Cache::open(directory.path()).unwrap();
        assert!(matches!(cache.artifact(key), CachedArtifact::Nothing));
        let entry = kept(&cache, key);
        assert!(matches!(cache.artifact(key), CachedArtifact::Whole(found, _) if found == entry));
        let file = directory.path().join("sha256").join(entry.sha256.to_string());
        fs::write(&file, "packeD").unwrap();
        assert!(
            matches!(cache.artifact(key), CachedArtifact::Damaged(why) if why.contains("another digest"))
        );
        // Made again, it takes the damaged file's place.
        assert_eq!(kept(&cache, key), entry);
        assert!(matches!(cache.artifact(key), CachedArtifact::Whole(..)));
        fs::write(directory.path().join(ENTRIES).join(key.to_string()), "{}").unwrap();
        assert!(matches!(cache.artifact(key), CachedArtifact::Damaged(why) if why.contains("entry")));
        for _ in 0..2 {
            cache.reject_artifact(key, "it lies").unwrap();
        }
        assert!(matches!(cache.artifact(key), CachedArtifact::Nothing));
        // Until it is made here, however often the cache is pruned.
        prune(directory.path(), Keep::default()).unwrap_or_default();
        assert_eq!(cache.rejected_artifact(key).as_deref(), Some("it lies"));
        let fetched = ArtifactEntry {
            fetched: true,
            ..entry
        };
        cache.keep_artifact(&fetched).unwrap();
        assert_eq!(cache.rejected_artifact(key).as_deref(), Some("it lies"));
        kept(&cache, key);
        assert_eq!(cache.rejected_artifact(key), None);
    }

    #[test]
    fn pruning_takes_an_entry_with_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let key = Key(Sha256::of(b"inputs"));
        let entry = kept(&Cache::open(directory.path()).unwrap(), key);
        let listed = artifacts(directory.path()).unwrap();
        assert_eq!(listed[&entry.sha256.to_string()], entry);
        let keep = |bytes| Keep {
            bytes: Some(bytes),
            ..Keep::default()
        };
        prune(directory.path(), keep(100)).unwrap().unwrap();
        assert_eq!(artifacts(directory.path()).unwrap().len(), 1);
        prune(directory.path(), keep(0)).unwrap().unwrap();
        assert_eq!(artifacts(directory.path()).unwrap().len(), 0);
    }
}

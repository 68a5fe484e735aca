//! The entries of a cache on disk: which file is the artifact of a key.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use crate::artifact::{ArtifactEntry, Key};

/// The directory of entries in a cache.
pub(super) const ENTRIES: &str = "artifact";

/// The directory of keys whose artifact was rejected after it had been kept, each with the reason. Such a key is not
/// requested from a remote cache again. A build on this machine removes the mark.
pub(super) const REJECTED: &str = "refused";

/// The entries of the cache in `dir` by the digest of the file that each names.
///
/// # Errors
/// The directory cannot be read.
pub fn artifacts(dir: &Path) -> io::Result<BTreeMap<String, ArtifactEntry>> {
    let entries = match fs::read_dir(dir.join(ENTRIES)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        if let Some(entry) = entry_in(&entry?.path()) {
            found.insert(entry.sha256.to_string(), entry);
        }
    }
    Ok(found)
}

/// The entry in the file at `path`, which is named by its key.
pub(super) fn entry_in(path: &Path) -> Option<ArtifactEntry> {
    let key = path.file_name()?.to_str()?.parse().ok()?;
    ArtifactEntry::parse(Key(key), &fs::read_to_string(path).ok()?).ok()
}

//! Packs files of the root into an archive whose bytes depend only on names and contents.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::digest::Sha256;
use crate::host::Host;

/// An archive that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Where it is on this machine.
    pub path: PathBuf,
    /// Its digest.
    pub sha256: Sha256,
    /// Its bytes.
    pub size: u64,
}

/// Writes `files` into a gzip-compressed tar archive in `directory`. The paths are inside the root; directories are skipped.
/// Creates `directory`, which is one of this machine. The name contains the digest of the archive, and the archive
/// appears there atomically.
///
/// # Errors
/// A file cannot be read, or the archive cannot be written.
pub fn pack<'p>(host: &Host, files: impl Iterator<Item = &'p str>, directory: &Path) -> Result<Archive> {
    let context = || format!("cannot write an archive into {}", directory.display());
    std::fs::create_dir_all(directory).with_context(context)?;
    let partial = tempfile::NamedTempFile::new_in(directory).with_context(context)?;
    let mut names: Vec<&str> = files.collect();
    names.sort_unstable();
    let write = || -> io::Result<()> {
        let mut archive = tar::Builder::new(GzEncoder::new(partial.as_file(), Compression::default()));
        for name in names {
            let mut file = match host.open(name) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::InvalidInput => continue,
                Err(error) => return Err(error),
            };
            let mut header = tar::Header::new_gnu();
            header.set_size(file.metadata()?.len());
            header.set_mode(0o644);
            archive.append_data(&mut header, name.trim_start_matches('/'), &mut file)?;
        }
        archive.into_inner()?.finish()?.flush()
    };
    write().with_context(context)?;
    let sha256 = std::fs::File::open(partial.path())
        .and_then(Sha256::of_reader)
        .with_context(context)?;
    let size = partial.as_file().metadata().with_context(context)?.len();
    let name = format!("debug-symbols-{}.tar.gz", &sha256.to_string()[..16]);
    let path = directory.join(name);
    partial.persist(&path).with_context(context)?;
    Ok(Archive { path, sha256, size })
}

//! What `build.rs` packs into the binary.

use std::io::{self, Read as _};

/// A packed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path in the repository.
    pub path: String,
    /// Whether it can be executed.
    pub is_program: bool,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The files of a pack.
///
/// # Errors
/// It is not a pack.
pub fn unpack(pack: &[u8]) -> io::Result<Vec<File>> {
    let mut all = Vec::new();
    lzma_rust2::XzReader::new(pack, false).read_to_end(&mut all)?;
    let mut files = Vec::new();
    let mut rest = all.as_slice();
    while !rest.is_empty() {
        let (file, behind) = first(rest).ok_or_else(|| io::Error::other("this is not a pack of build.rs"))?;
        files.push(file);
        rest = behind;
    }
    Ok(files)
}

fn first(stream: &[u8]) -> Option<(File, &[u8])> {
    let end = stream.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&stream[..end]).ok()?;
    let (mark, rest) = head.split_once(' ')?;
    let (path, length) = rest.rsplit_once(' ')?;
    let (bytes, behind) = stream[end + 1..].split_at_checked(length.parse().ok()?)?;
    let file = File {
        path: path.to_owned(),
        is_program: mark == "x",
        bytes: bytes.to_owned(),
    };
    Some((file, behind))
}

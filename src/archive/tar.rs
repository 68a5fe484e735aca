//! Reads tar archives, with limits for extended headers.

use std::io::{self, Read};

use tar::EntryType;

use super::tree::{Attributes, MAX_TIME, Result, TooMuch, Tree, UnpackError, damaged, rejected};

/// Bytes of the longest extended header. Usual ones have some hundred bytes.
const MAX_HEADER_BYTES: u64 = 1024 * 1024;

/// Whether a block is a tar header. Its checksum decides.
pub fn is_tar(block: &[u8]) -> bool {
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

/// A reader that fails after a number of bytes.
pub struct Limited<R> {
    /// What is read.
    pub inner: R,
    /// Bytes that may still come.
    pub left: u64,
}

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

/// Unpacks a tar archive into `tree`.
///
/// # Errors
/// The archive is rejected or damaged, or a file cannot be written.
pub fn unpack_tar(stream: Box<dyn Read>, tree: &mut Tree) -> Result<()> {
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
    // Read to the end, so that the decompressor verifies its checksum.
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
        return Err(rejected(&name, "has two sizes"));
    }
    let mode = header.mode().map_err(damaged)?;
    let modified = extended
        .modified
        .unwrap_or_else(|| header.mtime().unwrap_or(0).min(MAX_TIME));
    let attributes = Attributes { mode, modified };
    match kind {
        // In the oldest format a slash at the end marks a directory.
        EntryType::Regular if name.ends_with(b"/") && size == 0 => tree.add_directory(&name, attributes),
        EntryType::Regular | EntryType::Continuous => tree.add_file(&name, attributes, entry, size),
        EntryType::Directory => tree.add_directory(&name, attributes),
        EntryType::Symlink => tree.add_link(&name, &link),
        EntryType::Link => tree.add_second_name(&name, &link),
        EntryType::Char | EntryType::Block => Err(rejected(&name, "is a device")),
        EntryType::Fifo => Err(rejected(&name, "is a fifo")),
        EntryType::GNUSparse => Err(rejected(&name, "is a sparse file")),
        other => Err(rejected(
            &name,
            &format!("is of the unknown type {:?}", char::from(other.as_byte())),
        )),
    }
}

/// What extended headers say about the next entry.
#[derive(Debug, Default)]
pub struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    modified: Option<u64>,
}

impl Extended {
    fn set_path(&mut self, path: Vec<u8>) -> Result<()> {
        match self.path.replace(path) {
            Some(first) => Err(rejected(&first, "has two names")),
            None => Ok(()),
        }
    }

    fn set_link(&mut self, link: Vec<u8>) -> Result<()> {
        match self.link.replace(link) {
            Some(first) => Err(rejected(&first, "is one of two targets of a link")),
            None => Ok(()),
        }
    }

    /// Reads pax records, `length key=value\n`, where the length counts all of the record.
    fn read_pax(&mut self, mut records: &[u8]) -> Result<()> {
        while !records.is_empty() {
            let (key, value, rest) = pax_record(records)
                .ok_or_else(|| UnpackError::Damaged("an extended header is not valid".to_owned()))?;
            let number = || std::str::from_utf8(value).ok();
            match key {
                b"path" => self.set_path(value.to_owned())?,
                b"linkpath" => self.set_link(value.to_owned())?,
                b"size" => match number().and_then(|text| text.parse().ok()) {
                    Some(size) if self.size.is_none_or(|first| first == size) => self.size = Some(size),
                    _ => return Err(rejected(value, "is not a size, or contradicts an earlier one")),
                },
                // Whole seconds are what make, git and every other user of these times agree on.
                b"mtime" => {
                    let seconds = number().and_then(|text| text.split('.').next()?.parse::<i64>().ok());
                    self.modified = Some(u64::try_from(seconds.unwrap_or(0)).unwrap_or(0).min(MAX_TIME));
                }
                key if key.starts_with(b"GNU.sparse.") => return Err(rejected(key, "is of a sparse file")),
                _ => {}
            }
            records = rest;
        }
        Ok(())
    }

    /// Rejects names and sizes in a global header, which applies to all entries.
    fn refuse_names(&self) -> Result<()> {
        if self.path.is_some() || self.link.is_some() || self.size.is_some() {
            return Err(rejected(b"", "a global header names one file"));
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
    if entry.size() > MAX_HEADER_BYTES {
        return Err(rejected(b"", "an extended header is larger than 1 MiB"));
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

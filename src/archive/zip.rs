//! Reads zip archives, for `archive`: the few sources that are published in no other form.
//!
//! The list at the end of the file (the central directory) says what is in it; the headers before each file have
//! to agree, and no two files may share bytes. Where a zip could be read in two ways, it is refused. Only
//! what sources use is read: stored and deflated files, without encryption, below 4 GiB (no zip64).

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::{Crc, read::DeflateDecoder};

use super::tree::{Attributes, Result, Tree, UnpackError, damaged, refused};

/// End of central directory: its size without the comment, and the longest comment.
const END_BYTES: u64 = 22;
const COMMENT_BYTES: u64 = 65_535;
/// The largest list of files that is read; it is held in memory.
const LIST_BYTES: u64 = 24 * 1024 * 1024;

/// A file as the central directory has it.
#[derive(Debug, Clone, Default)]
struct Member {
    name: Vec<u8>,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    offset: u64,
    mode: Option<u32>,
    modified: u64,
}

/// Unpacks the zip in `file` into `tree`.
pub(super) fn unpack(mut file: File, tree: &mut Tree) -> Result<()> {
    let (members, list_at) = read_list(&mut file)?;
    let mut free_from = 0;
    let mut by_offset: Vec<&Member> = members.iter().collect();
    by_offset.sort_by_key(|member| member.offset);
    for member in by_offset {
        if member.offset < free_from {
            return Err(refused(&member.name, "shares its bytes with another file"));
        }
        let data = check_header(&mut file, member)?;
        free_from = data.saturating_add(member.packed);
        if free_from > list_at {
            return Err(refused(&member.name, "reaches into the list of files"));
        }
    }
    for member in &members {
        add(&mut file, member, tree)?;
    }
    Ok(())
}

fn add(file: &mut File, member: &Member, tree: &mut Tree) -> Result<()> {
    let kind = member.mode.map_or(0, |mode| mode & 0o170_000);
    let attributes = Attributes {
        mode: member.mode.map_or(0o644, |mode| mode & 0o7777),
        modified: member.modified,
    };
    if member.name.contains(&b'\\') {
        return Err(refused(&member.name, "has a backslash in its name"));
    }
    let is_directory = member.name.ends_with(b"/");
    match kind {
        0o040_000 | 0 if is_directory && member.size == 0 => {
            return tree.add_directory(&member.name, attributes);
        }
        0o100_000 | 0 if !is_directory => {}
        0o120_000 => {}
        0o010_000 => return Err(refused(&member.name, "is a fifo")),
        0o020_000 | 0o060_000 => return Err(refused(&member.name, "is a device")),
        _ => return Err(refused(&member.name, "is neither a file, a directory nor a link")),
    }
    if member.size > tree.room() {
        return Err(refused(b"", "it unpacks to more bytes than are allowed"));
    }
    let data = check_header(file, member)?;
    file.seek(SeekFrom::Start(data)).map_err(damaged)?;
    let packed = BufReader::new(file.take(member.packed));
    let plain: Box<dyn Read> = match member.method {
        0 => Box::new(packed),
        8 => Box::new(DeflateDecoder::new(packed)),
        other => return Err(refused(&member.name, &format!("is packed with method {other}"))),
    };
    // One byte more than announced, to see whether there are more.
    let mut content = Checked {
        inner: plain.take(member.size + 1),
        crc: Crc::new(),
    };
    if kind == 0o120_000 {
        let mut target = Vec::new();
        Read::by_ref(&mut content)
            .take(4096)
            .read_to_end(&mut target)
            .map_err(damaged)?;
        tree.add_link(&member.name, &target)?;
    } else {
        tree.add_file(&member.name, attributes, &mut content, Some(member.size))?;
    }
    if content.crc.sum() == member.crc && u64::from(content.crc.amount()) == member.size {
        return Ok(());
    }
    let name = String::from_utf8_lossy(&member.name);
    Err(UnpackError::Damaged(format!(
        "the checksum or the size of {name:?} is wrong"
    )))
}

/// A reader that computes the checksum of zip.
struct Checked<R> {
    inner: R,
    crc: Crc,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.crc.update(&buffer[..n]);
        Ok(n)
    }
}

/// The members of the central directory, and where in the file it begins.
fn read_list(file: &mut File) -> Result<(Vec<Member>, u64)> {
    let no_end = || UnpackError::Damaged("it has no list of files at its end".to_owned());
    let length = file.seek(SeekFrom::End(0)).map_err(damaged)?;
    let tail_at = length.saturating_sub(END_BYTES + COMMENT_BYTES);
    file.seek(SeekFrom::Start(tail_at)).map_err(damaged)?;
    let mut tail = Vec::new();
    Read::by_ref(file)
        .take(END_BYTES + COMMENT_BYTES)
        .read_to_end(&mut tail)
        .map_err(damaged)?;
    // The end record is the one whose comment reaches exactly to the end of the file.
    let at = (0..tail.len().saturating_sub(21))
        .rev()
        .find(|at| {
            tail[*at..].starts_with(b"PK\x05\x06")
                && u16_at(&tail, at + 20).is_some_and(|comment| at + 22 + usize::from(comment) == tail.len())
        })
        .ok_or_else(no_end)?;
    let end = &tail[at..];
    let (count, bytes, offset) = (u16_at(end, 10), u32_at(end, 12), u32_at(end, 16));
    let (Some(count), Some(bytes), Some(offset)) = (count, bytes, offset) else {
        return Err(no_end());
    };
    if u16_at(end, 4) != Some(0) || u16_at(end, 6) != Some(0) || u16_at(end, 8) != Some(count) {
        return Err(refused(b"", "it is one part of several"));
    }
    if count == u16::MAX || bytes == u32::MAX || offset == u32::MAX {
        return Err(refused(b"", "it is a zip64 archive"));
    }
    let (bytes, offset) = (u64::from(bytes), u64::from(offset));
    if offset + bytes != tail_at + at as u64 || bytes > LIST_BYTES {
        return Err(UnpackError::Damaged(
            "its list of files is not where it should be".to_owned(),
        ));
    }
    file.seek(SeekFrom::Start(offset)).map_err(damaged)?;
    let mut list = Vec::new();
    file.take(bytes).read_to_end(&mut list).map_err(damaged)?;
    let mut rest = list.as_slice();
    let mut members = Vec::new();
    for _ in 0..count {
        let (member, after) = parse_member(rest)
            .ok_or_else(|| UnpackError::Damaged("its list of files makes no sense".to_owned()))?;
        members.push(member);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(UnpackError::Damaged(
            "its list of files is longer than it says".to_owned(),
        ));
    }
    Ok((members, offset))
}

fn parse_member(bytes: &[u8]) -> Option<(Member, &[u8])> {
    if !bytes.starts_with(b"PK\x01\x02") {
        return None;
    }
    let lengths = [28, 30, 32].map(|at| u16_at(bytes, at).map(usize::from));
    let [Some(name), Some(extra), Some(comment)] = lengths else {
        return None;
    };
    let name_end = 46 + name;
    let extra_end = name_end + extra;
    let made_on_unix = u16_at(bytes, 4)? >> 8 == 3;
    let mode = u32_at(bytes, 38)? >> 16;
    let member = Member {
        name: bytes.get(46..name_end)?.to_owned(),
        flags: u16_at(bytes, 8)?,
        method: u16_at(bytes, 10)?,
        crc: u32_at(bytes, 16)?,
        packed: u32_at(bytes, 20)?.into(),
        size: u32_at(bytes, 24)?.into(),
        offset: u32_at(bytes, 42)?.into(),
        mode: (made_on_unix && mode != 0).then_some(mode),
        modified: unix_time(bytes.get(name_end..extra_end)?)
            .unwrap_or_else(|| dos_time(u16_at(bytes, 14).unwrap_or(0), u16_at(bytes, 12).unwrap_or(0))),
    };
    Some((member, bytes.get(extra_end + comment..)?))
}

/// Where the data of a member begins, after its own header, which has to agree with the list.
fn check_header(file: &mut File, member: &Member) -> Result<u64> {
    let contradiction = || refused(&member.name, "is described in two ways");
    file.seek(SeekFrom::Start(member.offset)).map_err(damaged)?;
    let mut header = [0; 30];
    file.read_exact(&mut header).map_err(damaged)?;
    let (Some(name), Some(extra)) = (u16_at(&header, 26), u16_at(&header, 28)) else {
        return Err(contradiction());
    };
    let mut own_name = vec![0; name.into()];
    file.read_exact(&mut own_name).map_err(damaged)?;
    let agrees = header.starts_with(b"PK\x03\x04")
        && own_name == member.name
        && u16_at(&header, 6) == Some(member.flags)
        && u16_at(&header, 8) == Some(member.method);
    if !agrees {
        return Err(contradiction());
    }
    // Bit 0: encrypted. Bit 13: its header is hidden. Bit 3 puts the sizes after the data and zeros here.
    if member.flags & 0x2001 != 0 {
        return Err(refused(&member.name, "is encrypted"));
    }
    let sizes = (u32_at(&header, 14), u32_at(&header, 18), u32_at(&header, 22));
    let listed = (
        Some(member.crc),
        u32::try_from(member.packed).ok(),
        u32::try_from(member.size).ok(),
    );
    if sizes != listed && member.flags & 8 == 0 {
        return Err(contradiction());
    }
    Ok(member.offset + 30 + u64::from(name) + u64::from(extra))
}

/// Modification time in the extra field 0x5455 ("UT"), seconds since 1970.
fn unix_time(mut extra: &[u8]) -> Option<u64> {
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let data = extra.get(4..4 + length)?;
        if id == 0x5455 && data.first().is_some_and(|flags| flags & 1 == 1) {
            return u32_at(data, 1).map(u64::from);
        }
        extra = &extra[4 + length..];
    }
    None
}

/// Time as DOS has it, taken for UTC: it knows no zone.
fn dos_time(date: u16, time: u16) -> u64 {
    let (day, month, year) = (
        u64::from(date & 31).max(1),
        u64::from(date >> 5 & 15).clamp(1, 12),
        1980 + u64::from(date >> 9),
    );
    // Days from 1970 of a date in the Gregorian calendar, with the year begun in March.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let (hour, minute, second) = (
        u64::from(time >> 11),
        u64::from(time >> 5 & 63),
        u64::from(time & 31) * 2,
    );
    days * 86_400 + hour * 3600 + minute * 60 + second
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_times_are_those_of_the_calendar() {
        // date --utc --date '1980-01-01' +%s; '2024-02-29 23:59:58'; '2000-03-01'
        assert_eq!(dos_time(0x21, 0), 315_532_800);
        assert_eq!(dos_time(0x585d, 0xbf7d), 1_709_251_198);
        assert_eq!(dos_time(0x2861, 0), 951_868_800);
    }
}

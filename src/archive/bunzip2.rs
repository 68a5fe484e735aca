//! Decompresses bzip2 on several processors: PostgreSQL's archives are bzip2, and unpacking one of them takes as
//! long as downloading everything else.
//!
//! A bzip2 stream is a row of blocks that depend on nothing before them. Each begins with 48 bits that mark it, at
//! any bit, so blocks can be found without decompressing, and each can be made a stream of its own. The marks may
//! occur by chance within a block, though that takes some 2^48 bits. So whatever goes wrong here is no verdict:
//! the ordinary decompressor then reads the file from its beginning, goes on where this one stopped, and decides.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bzip2::bufread::{BzDecoder, MultiBzDecoder};

/// The mark of a block: pi.
const BLOCK: u64 = 0x3141_5926_5359;
/// The mark of the end of a stream: the square root of pi.
const END: u64 = 0x1772_4538_5090;
const MARK_BITS: usize = 48;
const CRC_BITS: usize = 32;
/// A block holds at most 900 kB before compression, and hardly more after it.
const BLOCK_BYTES: usize = 2 * 1024 * 1024;
/// Runs may make a block grow fifty-fold. Such a file is no source; it is left to the ordinary decompressor.
const PLAIN_BYTES: u64 = 4 * 1024 * 1024;
/// More threads would want more memory than the time they save is worth.
const MOST_THREADS: usize = 4;

/// A reader of what `file`, which is bzip2, decompresses to.
pub(super) fn reader(file: File) -> io::Result<Box<dyn Read>> {
    let threads = crate::host::processors().min(MOST_THREADS);
    if threads < 2 {
        return Ok(Box::new(serial(file)));
    }
    Ok(Box::new(Parallel {
        fallback: file.try_clone()?,
        blocks: Some(Blocks::new(file)),
        workers: Workers::start(threads),
        sent: 0,
        taken: 0,
        given: 0,
        plain: io::Cursor::default(),
        serial: None,
    }))
}

fn serial(file: File) -> MultiBzDecoder<BufReader<File>> {
    MultiBzDecoder::new(BufReader::with_capacity(128 * 1024, file))
}

struct Parallel {
    fallback: File,
    /// `None` when all blocks have been found.
    blocks: Option<Blocks>,
    workers: Workers,
    /// Blocks handed to workers, and blocks taken back, which keep their order.
    sent: u64,
    taken: u64,
    /// Bytes that were read from here.
    given: u64,
    plain: io::Cursor<Vec<u8>>,
    serial: Option<MultiBzDecoder<BufReader<File>>>,
}

impl Read for Parallel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(serial) = &mut self.serial {
                return serial.read(buffer);
            }
            let n = self.plain.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                self.given += n as u64;
                return Ok(n);
            }
            match self.next_plain() {
                Ok(Some(plain)) => self.plain = io::Cursor::new(plain),
                Ok(None) => return Ok(0),
                Err(NotThisWay) => self.serial = Some(self.start_over()?),
            }
        }
    }
}

impl Parallel {
    /// What the next block decompresses to; `None` at the end.
    fn next_plain(&mut self) -> Result<Option<Vec<u8>>, NotThisWay> {
        while let Some(blocks) = &mut self.blocks
            && self.sent - self.taken < 2 * self.workers.count
        {
            match blocks.next()? {
                Some(stream) => {
                    self.workers
                        .jobs
                        .send((self.sent, stream))
                        .map_err(|_| NotThisWay)?;
                    self.sent += 1;
                }
                None => self.blocks = None,
            }
        }
        if self.sent == self.taken {
            return Ok(None);
        }
        let plain = self.workers.result(self.taken)?;
        self.taken += 1;
        Ok(Some(plain))
    }

    /// The ordinary decompressor, brought to the place where this one stopped.
    fn start_over(&mut self) -> io::Result<MultiBzDecoder<BufReader<File>>> {
        self.fallback.seek(SeekFrom::Start(0))?;
        let mut serial = serial(self.fallback.try_clone()?);
        io::copy(&mut Read::by_ref(&mut serial).take(self.given), &mut io::sink())?;
        Ok(serial)
    }
}

/// Blocks cannot be told apart here, or one of them is damaged.
#[derive(Debug)]
struct NotThisWay;

type Job = (u64, Vec<u8>);
type Outcome = (u64, Option<Vec<u8>>);

/// Threads that decompress blocks. They end when nothing more can reach them.
struct Workers {
    count: u64,
    jobs: SyncSender<Job>,
    outcomes: Receiver<Outcome>,
    early: BTreeMap<u64, Option<Vec<u8>>>,
}

impl Workers {
    fn start(count: usize) -> Self {
        let (jobs, queue) = sync_channel::<Job>(2 * count);
        let (results, outcomes) = channel::<Outcome>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..count {
            let (queue, results) = (Arc::clone(&queue), results.clone());
            thread::spawn(move || work(&queue, &results));
        }
        Self {
            count: count as u64,
            jobs,
            outcomes,
            early: BTreeMap::new(),
        }
    }

    /// The result of the block with this number.
    fn result(&mut self, number: u64) -> Result<Vec<u8>, NotThisWay> {
        while !self.early.contains_key(&number) {
            let (number, outcome) = self.outcomes.recv().map_err(|_| NotThisWay)?;
            self.early.insert(number, outcome);
        }
        self.early.remove(&number).flatten().ok_or(NotThisWay)
    }
}

fn work(queue: &Mutex<Receiver<Job>>, results: &Sender<Outcome>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, stream)) = job else { return };
        let mut plain = Vec::with_capacity(900_000);
        let read = BzDecoder::new(&stream[..])
            .take(PLAIN_BYTES + 1)
            .read_to_end(&mut plain);
        let fits = read.is_ok_and(|length| length as u64 <= PLAIN_BYTES);
        if results.send((number, fits.then_some(plain))).is_err() {
            return;
        }
    }
}

/// Finds the blocks of a file.
struct Blocks {
    file: File,
    /// Part of the file, beginning at the current block.
    bytes: Vec<u8>,
    ended: bool,
    /// Where in `bytes` the next mark is, in bits; `None` before the header of a stream.
    at: Option<usize>,
    level: u8,
    /// Checksum of the stream so far, put together from those of its blocks.
    combined: u32,
}

impl Blocks {
    fn new(file: File) -> Self {
        Self {
            file,
            bytes: Vec::new(),
            ended: false,
            at: None,
            level: b'9',
            combined: 0,
        }
    }

    /// The next block as a stream of its own; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<Vec<u8>>, NotThisWay> {
        loop {
            let Some(at) = self.at else {
                if !self.header()? {
                    return Ok(None);
                }
                continue;
            };
            self.fill((at + MARK_BITS + CRC_BITS).div_ceil(8))?;
            let mark = bits(&self.bytes, at, MARK_BITS).ok_or(NotThisWay)?;
            let crc = bits(&self.bytes, at + MARK_BITS, CRC_BITS).ok_or(NotThisWay)?;
            let crc = u32::try_from(crc).map_err(|_| NotThisWay)?;
            match mark {
                BLOCK => {
                    let end = self.find_mark(at + MARK_BITS)?;
                    let stream = stream_of(&self.bytes, at..end, self.level, crc);
                    self.combined = self.combined.rotate_left(1) ^ crc;
                    self.drop_before(end);
                    return Ok(Some(stream));
                }
                END if crc == self.combined => {
                    // The rest of the last byte is padding.
                    let next = (at + MARK_BITS + CRC_BITS).div_ceil(8);
                    self.bytes.drain(..next);
                    self.at = None;
                }
                _ => return Err(NotThisWay),
            }
        }
    }

    /// Reads the header of a stream; false when there is no more of the file.
    fn header(&mut self) -> Result<bool, NotThisWay> {
        if self.bytes.len() < 4 {
            self.read_more()?;
        }
        match self.bytes.as_slice() {
            [] => Ok(false),
            [b'B', b'Z', b'h', level @ b'1'..=b'9', ..] => {
                (self.level, self.at, self.combined) = (*level, Some(32), 0);
                Ok(true)
            }
            _ => Err(NotThisWay),
        }
    }

    /// The place of the first mark from `from` on.
    fn find_mark(&mut self, from: usize) -> Result<usize, NotThisWay> {
        let mut from = from;
        loop {
            if let Some(found) = find_mark(&self.bytes, from) {
                return Ok(found);
            }
            if self.ended || self.bytes.len() > BLOCK_BYTES {
                return Err(NotThisWay);
            }
            // A mark may lie across the end of what has been read.
            from = from.max((self.bytes.len() * 8).saturating_sub(MARK_BITS));
            self.read_more()?;
        }
    }

    fn drop_before(&mut self, at: usize) {
        self.bytes.drain(..at / 8);
        self.at = Some(at % 8);
    }

    fn fill(&mut self, length: usize) -> Result<(), NotThisWay> {
        while self.bytes.len() < length && !self.ended {
            self.read_more()?;
        }
        Ok(())
    }

    fn read_more(&mut self) -> Result<(), NotThisWay> {
        let n = Read::by_ref(&mut self.file)
            .take(256 * 1024)
            .read_to_end(&mut self.bytes)
            .map_err(|_| NotThisWay)?;
        self.ended = n == 0;
        Ok(())
    }
}

/// The place of the first mark that begins at bit `from` or later.
fn find_mark(bytes: &[u8], from: usize) -> Option<usize> {
    let first = from / 8;
    let mut window = 0u64;
    for (at, byte) in bytes.iter().enumerate().skip(first) {
        window = window << 8 | u64::from(*byte);
        for shift in (0..8).rev() {
            let mark = window >> shift & ((1 << MARK_BITS) - 1);
            if mark == BLOCK || mark == END {
                let end = (at + 1) * 8 - shift;
                if end >= from + MARK_BITS {
                    return Some(end - MARK_BITS);
                }
            }
        }
    }
    None
}

/// `count` bits, at most 56, from bit `at` on.
fn bits(bytes: &[u8], at: usize, count: usize) -> Option<u64> {
    let part = bytes.get(at / 8..(at + count).div_ceil(8))?;
    let all = part.iter().fold(0u64, |all, byte| all << 8 | u64::from(*byte));
    Some(all >> (part.len() * 8 - at % 8 - count) & ((1 << count) - 1))
}

/// A stream with one block: the header, the block, the mark of the end, and the checksum, which for one block is
/// the block's own.
fn stream_of(bytes: &[u8], block: std::ops::Range<usize>, level: u8, crc: u32) -> Vec<u8> {
    let (shift, length) = (block.start % 8, block.end - block.start);
    let source = &bytes[block.start / 8..];
    let mut stream = Vec::with_capacity(length / 8 + 20);
    stream.extend([b'B', b'Z', b'h', level]);
    if shift == 0 {
        stream.extend(&source[..length / 8]);
    } else {
        stream.extend(
            source
                .windows(2)
                .take(length / 8)
                .map(|pair| pair[0] << shift | pair[1] >> (8 - shift)),
        );
    }
    let rest = length % 8;
    let mut held = bits(bytes, block.end - rest, rest.max(1))
        .filter(|_| rest > 0)
        .unwrap_or(0);
    let mut held_bits = rest;
    for (value, count) in [(END, MARK_BITS), (u64::from(crc), CRC_BITS)] {
        for byte in value.to_be_bytes().into_iter().skip(8 - count / 8) {
            held = held << 8 | u64::from(byte);
            stream.push((held >> held_bits & 0xff) as u8);
            held &= (1 << held_bits) - 1;
        }
    }
    if held_bits > 0 {
        stream.push((held << (8 - held_bits) & 0xff) as u8);
        held_bits = 0;
    }
    debug_assert_eq!(held_bits, 0);
    stream
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn compressed(plain: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(level));
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file
    }

    fn parallel(bytes: &[u8]) -> Parallel {
        let file = file_of(bytes);
        Parallel {
            fallback: file.try_clone().unwrap(),
            blocks: Some(Blocks::new(file)),
            workers: Workers::start(3),
            sent: 0,
            taken: 0,
            given: 0,
            plain: io::Cursor::default(),
            serial: None,
        }
    }

    /// Text that compresses, but not to nothing.
    fn text(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        let words = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            format!("{} ", state >> 20)
        });
        words.flat_map(String::into_bytes).take(length).collect()
    }

    #[test]
    fn many_blocks_and_streams_come_out_as_they_went_in() {
        let plain = text(1_500_000);
        let two = [compressed(&plain, 1), compressed(b"", 9), compressed(b"end", 5)].concat();
        for (bytes, expected) in [
            (compressed(&plain, 1), plain.clone()),
            (compressed(&plain, 9), plain.clone()),
            (compressed(b"", 9), Vec::new()),
            (compressed(b"x", 9), b"x".to_vec()),
            (two, [&plain[..], b"end"].concat()),
        ] {
            let mut reader = parallel(&bytes);
            let mut actual = Vec::new();
            reader.read_to_end(&mut actual).unwrap();
            assert!(actual == expected);
            assert!(reader.serial.is_none(), "the ordinary decompressor had to help");
        }
    }

    #[test]
    fn what_this_cannot_do_the_ordinary_decompressor_does() {
        // One block of a single run: 45 MB from a few bytes.
        let run = vec![b'a'; 45_000_000];
        let bytes = compressed(&run, 9);
        let mut reader = parallel(&bytes);
        let mut actual = Vec::new();
        reader.read_to_end(&mut actual).unwrap();
        assert!(actual == run);
        assert!(reader.serial.is_some());
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        let plain = text(400_000);
        let whole = compressed(&plain, 1);
        for place in (4..whole.len()).step_by(whole.len() / 40) {
            let mut bytes = whole.clone();
            bytes[place] ^= 0x10;
            let result = parallel(&bytes).read_to_end(&mut Vec::new());
            assert!(result.is_err(), "a turned bit at {place} of {}", whole.len());
        }
        for end in [5, 30, whole.len() / 2, whole.len() - 1] {
            assert!(
                parallel(&whole[..end]).read_to_end(&mut Vec::new()).is_err(),
                "cut at {end}"
            );
        }
    }
}

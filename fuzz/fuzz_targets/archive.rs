//! The unpacker: whatever the bytes, nothing is written outside of the tree, no link leads out of it, and what is
//! refused leaves nothing.

#![no_main]

/// What unpacks; not what packs, which knows the machine.
#[path = "../../src/archive"]
mod archive {
    mod tar;
    pub mod tree;
    pub mod unpack;
}
#[path = "../../src/digest.rs"]
mod digest;

use std::fs;
use std::path::Path;

use archive::tree::Limits;
use archive::unpack::unpack;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let mut bytes = bytes.to_vec();
    // Most of what is interesting is behind a checksum that chance does not find.
    if mode & 1 == 1 {
        repair_checksums(&mut bytes);
    }
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let (archive, work) = (dir.path().join("archive"), dir.path().join("work"));
    fs::write(&archive, &bytes).unwrap();
    fs::create_dir(&work).unwrap();
    fs::write(work.join("victim"), "as it was").unwrap();
    let limits = Limits {
        bytes: 1_000_000,
        entries: 200,
        ..Limits::default()
    };
    let result = unpack(&archive, &work.join("tree"), mode >> 1 & 1, &limits);
    let names = fs::read_dir(&work).unwrap().count();
    assert_eq!(names, if result.is_ok() { 2 } else { 1 });
    assert_eq!(fs::read(work.join("victim")).unwrap(), b"as it was");
    if result.is_ok() {
        check_links(&fs::canonicalize(work.join("tree")).unwrap(), &work.join("tree"));
    }
});

/// Every link that leads anywhere leads into the tree.
fn check_links(top: &Path, dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_symlink() {
            assert!(fs::canonicalize(&path).map_or(true, |target| target.starts_with(top)));
        } else if kind.is_dir() {
            check_links(top, &path);
        } else {
            assert!(kind.is_file());
        }
    }
}

/// Makes the checksum of every header right, going by the sizes that the headers have.
fn repair_checksums(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(block) = bytes.get_mut(at..at + 512) {
        let size = std::str::from_utf8(&block[124..135])
            .ok()
            .and_then(|text| usize::from_str_radix(text.trim_matches([' ', '\0']), 8).ok())
            .unwrap_or(0);
        if block.iter().any(|byte| *byte != 0) {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        at += 512 + size.min(bytes.len()).next_multiple_of(512);
    }
}

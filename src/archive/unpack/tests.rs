//! Archives that are hostile, damaged, or only odd: none writes outside its tree, and a rejected one leaves nothing
//! behind.

// Sizes in these archives are small, and the one long function is a list.
#![allow(
    clippy::cast_possible_truncation,
    clippy::format_push_string,
    clippy::too_many_lines
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::*;

/// A tar header with its content, written byte by byte, because libraries do not write such archives.
fn entry(name: &str, kind: u8, mode: u32, link: &str, content: &[u8]) -> Vec<u8> {
    sized(name, kind, mode, link, content, content.len())
}

fn sized(name: &str, kind: u8, mode: u32, link: &str, content: &[u8], size: usize) -> Vec<u8> {
    let mut block = [0u8; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"14000000000\0");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    checksum(&mut block);
    let mut bytes = block.to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn checksum(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn file(name: &str) -> Vec<u8> {
    entry(name, b'0', 0o644, "", b"content")
}

fn directory(name: &str) -> Vec<u8> {
    entry(name, b'5', 0o755, "", b"")
}

fn link(name: &str, target: &str) -> Vec<u8> {
    entry(name, b'2', 0o777, target, b"")
}

fn second_name(name: &str, first: &str) -> Vec<u8> {
    entry(name, b'1', 0o644, first, b"")
}

fn pax(kind: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let mut text = String::new();
    for (key, value) in records {
        let rest = format!(" {key}={value}\n");
        // The length counts its own digits.
        let is_length = |n: &usize| n.to_string().len() + rest.len() == *n;
        let length = (1..100_000).find(is_length).unwrap();
        text.push_str(&format!("{length}{rest}"));
    }
    entry("pax", kind, 0o644, "", text.as_bytes())
}

fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn small() -> Limits {
    Limits {
        bytes: 1_000_000,
        entries: 100,
        links_out: false,
    }
}

/// Everything below a directory: path, kind and content.
fn contents(top: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut ahead = vec![top.to_owned()];
    while let Some(dir) = ahead.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            let name = path.strip_prefix(top).unwrap().display().to_string();
            if kind.is_dir() {
                found.insert(format!("{name}/"));
                ahead.push(path);
            } else if kind.is_symlink() {
                found.insert(format!("{name} -> {}", fs::read_link(&path).unwrap().display()));
            } else {
                found.insert(format!(
                    "{name}: {}",
                    String::from_utf8_lossy(&fs::read(&path).unwrap())
                ));
            }
        }
    }
    found
}

/// Unpacks beside a file that must not change. A rejected archive must leave nothing else there.
fn unpack_bytes(bytes: &[u8], strip: u8, limits: &Limits) -> (tempfile::TempDir, Result<Unpacked>) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("archive"), bytes).unwrap();
    fs::create_dir(dir.path().join("work")).unwrap();
    fs::write(dir.path().join("work/victim"), "as it was").unwrap();
    let result = unpack(
        &dir.path().join("archive"),
        &dir.path().join("work/tree"),
        strip,
        limits,
    );
    if result.is_err() {
        let left = contents(&dir.path().join("work"));
        assert_eq!(left, BTreeSet::from(["victim: as it was".to_owned()]));
    }
    assert_eq!(
        fs::read_to_string(dir.path().join("work/victim")).unwrap(),
        "as it was"
    );
    (dir, result)
}

/// Every archive that must be rejected, with a word of the reason.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let long = "x/".repeat(2100) + "f";
    let bad_checksum = {
        let mut bytes = tar(&[file("a"), file("b")]);
        bytes[1024] = b'!';
        bytes
    };
    let huge_zero = gzip(&tar(&[entry("a", b'0', 0o644, "", &vec![0; 3_000_000])]));
    let many: Vec<Vec<u8>> = (0..101).map(|n| file(&format!("f{n}"))).collect();
    let chain: Vec<Vec<u8>> = (0..60)
        .map(|n| link(&format!("l{n}"), &format!("l{}", n + 1)))
        .collect();
    let negative = {
        let mut bytes = entry("a", b'0', 0o644, "", b"");
        bytes[124..136].fill(0xff);
        let block: &mut [u8; 512] = (&mut bytes[..512]).try_into().unwrap();
        checksum(block);
        tar(&[bytes])
    };
    vec![
        ("an absolute path", tar(&[file("/etc/passwd")]), "absolute"),
        ("two slashes", tar(&[file("//victim")]), "absolute"),
        ("a path upwards", tar(&[file("../victim")]), "`..`"),
        ("a path down and up", tar(&[file("a/../../victim")]), "`..`"),
        ("a path that ends upwards", tar(&[directory("a/..")]), "`..`"),
        (
            "a path upwards below what is stripped",
            tar(&[file("top/../../victim")]),
            "`..`",
        ),
        (
            "a path upwards in a pax header",
            tar(&[pax(b'x', &[("path", "../victim")]), file("a")]),
            "`..`",
        ),
        (
            "an absolute path in a pax header",
            tar(&[pax(b'x', &[("path", "/victim")]), file("a")]),
            "absolute",
        ),
        (
            "a path upwards in a GNU header",
            tar(&[entry("././@LongLink", b'L', 0, "", b"../victim\0"), file("a")]),
            "`..`",
        ),
        ("no name", tar(&[file("")]), "not a name"),
        (
            "a NUL in a name",
            tar(&[pax(b'x', &[("path", "a\0b")]), file("a")]),
            "not a name",
        ),
        (
            "a name that is too long",
            tar(&[pax(b'x', &[("path", &long)]), file("a")]),
            "too long",
        ),
        (
            "an absolute link",
            tar(&[link("a", "/etc/passwd")]),
            "out of the tree",
        ),
        (
            "a link upwards",
            tar(&[link("a", "../victim")]),
            "out of the tree",
        ),
        (
            "a link down and up",
            tar(&[directory("d"), link("d/a", "../../victim")]),
            "out of the tree",
        ),
        (
            "a link that leaves the tree through another",
            tar(&[directory("a/b"), link("a/b/up", "../.."), link("x", "a/b/up/..")]),
            "out of the tree",
        ),
        (
            "a link that leaves the tree through a later one",
            tar(&[
                link("x", "a/up/../victim"),
                directory("a/b"),
                link("a/up", "b/../.."),
            ]),
            "out of the tree",
        ),
        ("a link to itself", tar(&[link("a", "a")]), "in a circle"),
        (
            "two links in a circle",
            tar(&[link("a", "b"), link("b", "a")]),
            "in a circle",
        ),
        ("a chain of links", tar(&chain), "in a circle"),
        ("a link to nothing", tar(&[link("a", "")]), "nowhere"),
        (
            "a link with a NUL",
            tar(&[pax(b'x', &[("linkpath", "a\0b")]), link("a", "b")]),
            "nowhere",
        ),
        (
            "an absolute link in a pax header",
            tar(&[pax(b'x', &[("linkpath", "/etc")]), link("a", "b")]),
            "out of the tree",
        ),
        (
            "a file below a link",
            tar(&[link("d", "."), file("d/victim")]),
            "which is a link",
        ),
        (
            "a file in place of a link",
            tar(&[link("a", "b"), file("a")]),
            "twice",
        ),
        (
            "a directory in place of a link",
            tar(&[link("a", "."), directory("a")]),
            "twice",
        ),
        (
            "a link in place of a file",
            tar(&[file("a"), link("a", "b")]),
            "twice",
        ),
        (
            "a link in place of a directory",
            tar(&[directory("a"), link("a", "b")]),
            "twice",
        ),
        (
            "a hard link to a link",
            tar(&[link("a", "b"), second_name("c", "a")]),
            "not an earlier file",
        ),
        (
            "a hard link out of the tree",
            tar(&[second_name("a", "../victim")]),
            "not an earlier file",
        ),
        (
            "a hard link to an absolute path",
            tar(&[second_name("a", "/etc/passwd")]),
            "not an earlier file",
        ),
        (
            "a hard link to what comes later",
            tar(&[second_name("a", "b"), file("b")]),
            "not an earlier file",
        ),
        (
            "a hard link to a directory",
            tar(&[directory("d"), second_name("a", "d")]),
            "not an earlier file",
        ),
        ("the same file twice", tar(&[file("a"), file("a")]), "twice"),
        (
            "the same file twice in two spellings",
            tar(&[file("d/a"), file("./d//a")]),
            "twice",
        ),
        (
            "a file below a file",
            tar(&[file("a"), file("a/b")]),
            "which is a file",
        ),
        (
            "a file in place of a directory",
            tar(&[directory("a"), file("a")]),
            "twice",
        ),
        (
            "a file in place of a directory that is implied",
            tar(&[file("a/b"), file("a")]),
            "twice",
        ),
        (
            "a file that is called like a directory",
            tar(&[file("a/")]),
            "name of a directory",
        ),
        (
            "a character device",
            tar(&[entry("a", b'3', 0o644, "", b"")]),
            "device",
        ),
        (
            "a block device",
            tar(&[entry("a", b'4', 0o644, "", b"")]),
            "device",
        ),
        ("a fifo", tar(&[entry("a", b'6', 0o644, "", b"")]), "fifo"),
        (
            "an unknown kind",
            tar(&[entry("a", b'Z', 0o644, "", b"")]),
            "unknown type",
        ),
        (
            "a volume label",
            tar(&[entry("a", b'V', 0o644, "", b"")]),
            "unknown type",
        ),
        (
            "a sparse file",
            tar(&[entry("a", b'S', 0o644, "", b"")]),
            "sparse",
        ),
        (
            "a sparse file in a pax header",
            tar(&[pax(b'x', &[("GNU.sparse.major", "1")]), file("a")]),
            "sparse",
        ),
        ("setuid", tar(&[entry("a", b'0', 0o4755, "", b"x")]), "setuid"),
        ("setgid", tar(&[entry("a", b'0', 0o2755, "", b"x")]), "setgid"),
        (
            "a setuid directory",
            tar(&[entry("a", b'5', 0o4755, "", b"")]),
            "setuid",
        ),
        (
            "two sizes",
            tar(&[pax(b'x', &[("size", "3")]), file("a")]),
            "two sizes",
        ),
        (
            "two sizes in one header",
            tar(&[pax(b'x', &[("size", "7"), ("size", "8")]), file("a")]),
            "earlier one",
        ),
        (
            "two names in one header",
            tar(&[pax(b'x', &[("path", "a"), ("path", "b")]), file("a")]),
            "two names",
        ),
        (
            "two names in two headers",
            tar(&[
                entry("L", b'L', 0, "", b"x\0"),
                pax(b'x', &[("path", "y")]),
                file("a"),
            ]),
            "two names",
        ),
        (
            "a name for all",
            tar(&[pax(b'g', &[("path", "a")]), file("b")]),
            "global",
        ),
        (
            "a pax header that lies about its length",
            tar(&[entry("x", b'x', 0, "", b"99 path=a\n"), file("a")]),
            "is not valid",
        ),
        (
            "a pax header without a sense",
            tar(&[entry("x", b'x', 0, "", b"rubbish"), file("a")]),
            "is not valid",
        ),
        (
            "a very long pax header",
            gzip(&tar(&[sized(
                "x",
                b'x',
                0,
                "",
                &vec![b'0'; 2_000_000],
                2_000_000,
            )])),
            "1 MiB",
        ),
        (
            "a name without an entry",
            tar(&[file("b"), pax(b'x', &[("path", "a")])]),
            "after the name",
        ),
        ("a header with a wrong checksum", bad_checksum, "checksum"),
        ("a size that is not a number", negative, "archive"),
        (
            "the end within a file",
            entry("a", b'0', 0o644, "", &[7; 2000])[..1200].to_vec(),
            "within",
        ),
        (
            "the end within a header",
            tar(&[file("a"), file("b")])[..1300].to_vec(),
            "archive",
        ),
        (
            "more bytes than are allowed",
            huge_zero,
            "more bytes than are allowed",
        ),
        (
            "a size that is not there",
            tar(&[sized("a", b'0', 0o644, "", b"x", 1 << 32)]),
            "within",
        ),
        ("more files than are allowed", tar(&many), "100 entries"),
        (
            "directories without end",
            tar(&[file(&"d/".repeat(49)), file(&format!("{}f", "e/".repeat(49)))]),
            "name of a directory",
        ),
        (
            "deep directories",
            tar(&[
                pax(b'x', &[("path", &format!("{}f", "e/".repeat(120)))]),
                file("a"),
            ]),
            "100 entries",
        ),
        ("nothing", tar(&[]), "begins with"),
        (
            "only a comment",
            tar(&[pax(b'g', &[("comment", "x")])]),
            "nothing in it",
        ),
        ("an empty file", Vec::new(), "it is empty"),
        ("a page", b"<!DOCTYPE html><html>".to_vec(), "begins with"),
        ("gzip of a page", gzip(b"<!DOCTYPE html>"), "archive"),
        ("gzip of gzip", gzip(&gzip(&tar(&[file("a")]))), "archive"),
        (
            "gzip that is cut",
            gzip(&tar(&[file("a")]))[..40].to_vec(),
            "archive",
        ),
        (
            "gzip with a wrong checksum",
            {
                let mut b = gzip(&tar(&[file("a")]));
                let n = b.len();
                b[n - 6] ^= 1;
                b
            },
            "archive",
        ),
        (
            "bzip2 of nothing",
            b"BZh9\x17\x72\x45\x38\x50\x90\0\0\0\0".to_vec(),
            "nothing in it",
        ),
        (
            "bzip2 that is damaged",
            b"BZh91AY&SY rubbish rubbish".to_vec(),
            "archive",
        ),
        (
            "xz that is damaged",
            b"\xfd7zXZ\0 rubbish rubbish".to_vec(),
            "archive",
        ),
        (
            "zstd that is damaged",
            b"\x28\xb5\x2f\xfd rubbish rubbish".to_vec(),
            "archive",
        ),
        (
            "zstd with a window of 2 GiB",
            b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00".to_vec(),
            "",
        ),
        ("a zip", b"PK\x03\x04 and more".to_vec(), "a zip; the tag"),
    ]
}

#[test]
fn hostile_and_damaged_archives_are_refused_and_leave_nothing() {
    let corpus = hostile();
    println!("{} kinds", corpus.len());
    let mut wrong = Vec::new();
    for (what, bytes, word) in &corpus {
        let (_dir, result) = unpack_bytes(bytes, 0, &small());
        match result {
            Ok(unpacked) => wrong.push(format!("{what}: unpacked {unpacked:?}")),
            Err(error) if error.to_string().contains(word) => {}
            Err(error) => wrong.push(format!("{what}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hostile_archives_are_refused_below_a_stripped_directory_too() {
    for (what, bytes) in [
        ("a path upwards", tar(&[file("top/../victim")])),
        ("a link upwards", tar(&[link("top/a", "../victim")])),
        ("two files of one name", tar(&[file("a/x"), file("b/x")])),
        ("nothing left", tar(&[file("x")])),
    ] {
        let (_dir, result) = unpack_bytes(&bytes, 1, &small());
        assert!(result.is_err(), "{what}");
    }
}

#[test]
fn what_is_only_odd_is_unpacked() {
    let entries = [
        pax(b'g', &[("comment", "3fae22")]),
        directory("top/"),
        entry("top/run", b'0', 0o100_775, "", b"#!"),
        entry("./top/old", b'\0', 0o400, "", b"old"),
        entry("top/olddir/", b'\0', 0o755, "", b""),
        directory("top"),
        link("top/link", "olddir/../run"),
        link("top/dangling", "not/there"),
        second_name("top/second", "top/run"),
        pax(
            b'x',
            &[("path", "top/pax"), ("mtime", "1700000000.5"), ("size", "7")],
        ),
        file("ignored"),
        file("beside-the-top"),
    ];
    let expected: BTreeSet<String> = [
        "dangling -> not/there",
        "link -> olddir/../run",
        "old: old",
        "olddir/",
        "pax: content",
        "run: #!",
        "second: #!",
    ]
    .map(str::to_owned)
    .into();
    for bytes in [tar(&entries), gzip(&tar(&entries))] {
        let (dir, result) = unpack_bytes(&bytes, 1, &small());
        result.unwrap();
        let tree = dir.path().join("work/tree");
        assert_eq!(contents(&tree), expected);
        let look = |name: &str| fs::metadata(tree.join(name)).unwrap();
        assert_eq!(look("run").mode() & 0o7777, 0o755);
        assert_eq!(look("old").mode() & 0o7777, 0o600);
        assert_eq!(look("").mode() & 0o7777, 0o755);
        assert_eq!(
            (look("run").mtime(), look("pax").mtime()),
            (0o14_000_000_000, 1_700_000_000)
        );
        assert_eq!(look("run").ino(), look("second").ino());
    }
}

#[test]
fn every_format_is_told_by_its_content() {
    let plain = tar(&[file("a/b")]);
    let by = |program: &str, args: &[&str]| -> Vec<u8> {
        let output = duct::cmd(program, args)
            .stdin_bytes(plain.clone())
            .stdout_capture()
            .run();
        output.map(|output| output.stdout).unwrap_or_default()
    };
    let mut formats = vec![
        plain.clone(),
        gzip(&plain),
        [gzip(&plain[..700]), gzip(&plain[700..])].concat(),
    ];
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&plain).unwrap();
    formats.push(bzip2.finish().unwrap());
    // This program does not have compressors for these two formats. The tools are used if they are installed.
    formats.extend(
        [by("xz", &["-9"]), by("zstd", &["-19"])]
            .into_iter()
            .filter(|bytes| !bytes.is_empty()),
    );
    for bytes in formats {
        let (dir, result) = unpack_bytes(&bytes, 1, &small());
        assert_eq!(result.unwrap(), Unpacked { entries: 1, bytes: 7 });
        assert_eq!(fs::read(dir.path().join("work/tree/b")).unwrap(), b"content");
    }
}

#[test]
fn a_tree_is_not_unpacked_over_another() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("archive");
    fs::write(&archive, tar(&[file("a")])).unwrap();
    let into = dir.path().join("into");
    fs::create_dir(&into).unwrap();
    unpack(&archive, &into, 0, &small()).unwrap();
    let error = unpack(&archive, &into, 0, &small()).unwrap_err();
    assert!(
        matches!(&error, UnpackError::Io { path, .. } if *path == into),
        "{error}"
    );
}

#[test]
fn looking_at_an_archive_judges_it_as_unpacking_does_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive");
    let later = || Instant::now() + Duration::from_secs(60);
    let look = |bytes: &[u8], until| {
        fs::write(&path, bytes).unwrap();
        inspect(&path, &small(), until)
    };
    for (name, bytes, _) in hostile() {
        assert!(look(&bytes, later()).is_err(), "{name}");
    }
    let good = gzip(&tar(&[directory("a"), file("a/b"), link("a/c", "b")]));
    let found = look(&good, later()).unwrap();
    let expected = [
        (PathBuf::from("a"), Member::Directory),
        (PathBuf::from("a/b"), Member::File),
        (PathBuf::from("a/c"), Member::Link(PathBuf::from("b"))),
    ];
    assert_eq!(found, expected);
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    for wrong in [&good[..good.len() - 9], b"no tar at all", b"PK\x03\x04"] {
        assert!(look(wrong, later()).is_err(), "{wrong:?}");
    }
    let error = look(&good, Instant::now()).unwrap_err().to_string();
    assert!(error.contains("takes too long"), "{error}");
}

#[test]
fn two_directories_at_the_top_are_not_mixed() {
    let top = tempfile::tempdir().unwrap();
    let archive = top.path().join("a.tar");
    fs::write(&archive, tar(&[file("one/a"), file("two/b"), file("README")])).unwrap();
    let unpacked = |strip| unpack(&archive, &top.path().join("tree"), strip, &Limits::default());
    let error = unpacked(1).unwrap_err().to_string();
    assert!(
        error.contains("`one` and `two` at its top would be mixed by `strip: 1`: write `strip: 0`"),
        "{error}"
    );
    assert!(!top.path().join("tree").exists());
    unpacked(0).unwrap();
    // A file beside the one directory has no place in the tree.
    fs::write(
        &archive,
        tar(&[file("./one/a"), file("one/b/c"), file("package.xml")]),
    )
    .unwrap();
    fs::remove_dir_all(top.path().join("tree")).unwrap();
    unpacked(1).unwrap();
}

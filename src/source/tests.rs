//! Supplies against a server that misbehaves. What must hold: the file with the right digest arrives, or the error
//! says exactly why not; and the cache holds nothing but whole files.

#[path = "../../tests/suite/loopback.rs"]
mod loopback;

use std::fs::{self, File};
use std::io;
use std::time::Instant;

use super::*;
use crate::host::net::HttpOptions;
use crate::source::error::ErrorKind;
use loopback::{Act, Server};

/// Pauses and timeouts of a network that is next door.
fn quick() -> HttpOptions {
    HttpOptions {
        stall_timeout: Duration::from_millis(400),
        patience: Duration::from_secs(2),
        first_pause: Duration::from_millis(2),
        ..HttpOptions::default()
    }
}

struct Fixture {
    server: Server,
    sources: Sources,
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Options)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options {
            vendor: Vec::new(),
            cache: Cache::open(&dir.path().join("cache")).unwrap(),
            client: Client::new(&quick()).unwrap(),
            offline: false,
            debian: DebianArchive::default(),
            content_mirrors: Vec::new(),
        };
        change(&mut options);
        Self {
            server: Server::start(),
            sources: Sources::new(options).unwrap(),
            dir,
        }
    }

    /// Every file of the cache with its path below it; the lock aside.
    fn cached(&self) -> Vec<String> {
        let mut files: Vec<String> = ["sha256", "partial", "tar"]
            .iter()
            .flat_map(|below| fs::read_dir(self.dir.path().join("cache").join(below)).unwrap())
            .map(|entry| {
                entry
                    .unwrap()
                    .path()
                    .strip_prefix(self.dir.path().join("cache"))
                    .unwrap()
                    .display()
                    .to_string()
            })
            .collect();
        files.sort();
        files
    }

    fn obtain(&self, wanted: &SourceRequest) -> Result<Obtained, FetchError> {
        self.sources.obtain(wanted, &|_| ())
    }
}

fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random(seed);
    std::iter::repeat_with(|| u8::try_from(random.below(256)).unwrap())
        .take(length)
        .collect()
}

fn wanted(urls: &[&str], content: &[u8]) -> SourceRequest {
    SourceRequest {
        name: "citus 14.0.1".to_owned(),
        file_name: "citus-14.0.1.tar.gz".to_owned(),
        urls: urls
            .iter()
            .map(|url| Address::Url {
                url: (*url).to_owned(),
                insecure: true,
            })
            .collect(),
        accepted: vec![Sha256::of(content)],
        ..SourceRequest::default()
    }
}

/// A sequence of numbers that looks random (xorshift64*), the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

/// What passes: after it, the file has not arrived, and asking again may bring it.
const PASSING: [Act; 20] = [
    Act::CutAfterQuarters(0),
    Act::CutAfterQuarters(1),
    Act::CutAfterQuarters(2),
    Act::CutAfterQuarters(3),
    Act::CutInChunks(1),
    Act::CutInChunks(2),
    Act::CutInChunks(3),
    Act::Reset,
    Act::Garbage,
    Act::Stall,
    Act::Mute,
    Act::Status(408, ""),
    Act::Status(429, "0"),
    Act::Status(429, "Sun, 06 Nov 1994 08:49:37 GMT"),
    Act::Status(429, ""),
    Act::Status(500, ""),
    Act::Status(502, ""),
    Act::Status(503, ""),
    Act::Status(503, "0"),
    Act::Status(504, ""),
];

/// What goes wrong only where a part was asked for; else the file arrives.
const WRONG_PARTS: [Act; 4] = [Act::WrongPart, Act::StalePart, Act::NewEtag, Act::IgnoreRange];

/// What brings the file.
const GOOD: [Act; 9] = [
    Act::Serve,
    Act::Slow,
    Act::Chunks,
    Act::UntilClose,
    Act::NoValidator,
    Act::SaidToBeGzip,
    Act::LengthTooLong,
    Act::RedirectOnce,
    Act::NewEtag,
];

/// What does not, with a word of the reason that has to be given.
const BAD: [(Act, ErrorKind, &str); 9] = [
    (Act::Status(404, ""), ErrorKind::Network, "404"),
    (Act::Status(403, ""), ErrorKind::Network, "403"),
    (Act::Status(410, ""), ErrorKind::Network, "410"),
    (Act::RedirectToSelf, ErrorKind::Network, "in a circle"),
    (Act::RedirectOnAndOn, ErrorKind::Network, "more than 10 in a row"),
    (Act::Page, ErrorKind::Checksum, "<!DOCTYPE html>"),
    (Act::FlippedBit, ErrorKind::Checksum, "actual"),
    (Act::HalfUntilClose, ErrorKind::Checksum, "did not say how many"),
    (Act::LengthTooShort, ErrorKind::Checksum, "actual"),
];

/// Rounds of the randomised test; `PGSETUP_ROUNDS` asks for more.
fn rounds() -> u64 {
    std::env::var("PGSETUP_ROUNDS").map_or(120, |rounds| rounds.parse().unwrap())
}

#[test]
fn whatever_servers_do_the_right_file_arrives_or_the_error_is_exact() {
    let fixture = Fixture::new();
    let seed = std::env::var("PGSETUP_SEED").map_or(0x5eed, |seed| seed.parse().unwrap());
    let begin = Instant::now();
    let next = std::sync::atomic::AtomicU64::new(0);
    let arrived = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                loop {
                    let round = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if round >= rounds() {
                        return;
                    }
                    if random_round(&fixture, seed, round) {
                        arrived.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (arrived, files) = (arrived.into_inner(), fixture.cached());
    println!(
        "{} rounds, {arrived} files arrived, {:.1?}",
        rounds(),
        begin.elapsed()
    );
    assert!(files.iter().all(|file| file.starts_with("sha256/")), "{files:?}");
    assert_eq!(files.len() as u64, arrived);
    for file in files {
        let path = fixture.dir.path().join("cache").join(&file);
        let digest = Sha256::of_reader(File::open(path).unwrap()).unwrap();
        assert_eq!(file, format!("sha256/{digest}"));
    }
}

/// One source with up to three mirrors, each with a history of its own. Returns whether it arrived.
fn random_round(fixture: &Fixture, seed: u64, round: u64) -> bool {
    let mut random = Random(seed.wrapping_add(round.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1);
    let length = random.pick(&[8, 11, 4_000, 65_536, 100_001, 200_000]);
    let file = content(random.below(u64::MAX >> 33) + 1, length);
    let (mut urls, mut expected, mut good) = (Vec::new(), Vec::new(), false);
    let mut story = Vec::new();
    for mirror in 0..=random.below(3) {
        let mut acts: Vec<Act> = (0..random.below(4)).map(|_| random.pick(&PASSING)).collect();
        if random.below(2) == 0 {
            if random.below(2) == 0 {
                // A fourth fault in a row would be one too many.
                acts.truncate(2);
                acts.push(random.pick(&WRONG_PARTS));
            }
            acts.push(random.pick(&GOOD));
            good = true;
        } else {
            let (act, kind, word) = random.pick(&BAD);
            // Of a file that was cut before, a part of the wrong length is just another cut.
            if act == Act::LengthTooShort {
                acts.clear();
            }
            acts.push(act);
            if !good {
                expected.push((kind, word));
            }
        }
        urls.push(
            fixture
                .server
                .put(&format!("/{round}/{mirror}/file.tar.gz"), &file, &acts),
        );
        story.push(acts);
    }
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let wanted = wanted(&urls, &file);
    match fixture.obtain(&wanted) {
        Ok(obtained) => {
            assert!(good, "round {round}: {story:?} should not have brought the file");
            assert_eq!(
                fs::read(&obtained.path).unwrap(),
                file,
                "round {round}: {story:?}"
            );
            assert_eq!(obtained.bytes, file.len() as u64);
            true
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!good, "round {round}: {story:?}\n{text}");
            for ((_, word), url) in expected.iter().zip(&urls) {
                assert!(
                    text.contains(word) && text.contains(url),
                    "round {round}: {story:?} lacks {word}\n{text}"
                );
            }
            let any_checksum = expected.iter().any(|(kind, _)| *kind == ErrorKind::Checksum);
            let kind = if any_checksum {
                ErrorKind::Checksum
            } else {
                ErrorKind::Network
            };
            assert_eq!(error.kind(), kind, "round {round}: {story:?}\n{text}");
            false
        }
    }
}

#[test]
fn a_cut_download_goes_on_where_it_was_cut() {
    let fixture = Fixture::new();
    let file = content(3, 40_000);
    let cuts = [Act::CutAfterQuarters(1), Act::CutAfterQuarters(2), Act::Serve];
    let url = fixture.server.put("/x", &file, &cuts);
    fixture.obtain(&wanted(&[&url], &file)).unwrap();
    assert_eq!(fixture.server.ranges("/x"), ["", "bytes=10000-", "bytes=25000-"]);
}

#[test]
fn bytes_that_a_killed_process_left_are_gone_on_with_and_not_trusted() {
    let file = content(4, 40_000);
    for (left, ranges) in [
        (&file[..30_000], vec!["bytes=30000-"]),
        (&vec![7; 30_000][..], vec!["bytes=30000-", ""]),
        (&vec![7; 50_000][..], vec!["bytes=50000-", ""]),
    ] {
        let fixture = Fixture::new();
        let url = fixture.server.put("/x", &file, &[Act::Serve]);
        let wanted = wanted(&[&url], &file);
        let partial = fixture
            .dir
            .path()
            .join("cache/partial")
            .join(wanted.accepted[0].to_string());
        fs::write(&partial, left).unwrap();
        let origin = serde_json::json!({"url": url, "validator": "\"v1\""}).to_string();
        fs::write(partial.with_extension("origin"), origin).unwrap();
        let obtained = fixture.obtain(&wanted).unwrap();
        assert_eq!(fs::read(obtained.path).unwrap(), file);
        assert_eq!(fixture.server.ranges("/x"), ranges);
        assert_eq!(fixture.cached().len(), 1);
    }
}

#[test]
fn what_will_not_pass_is_asked_once_and_the_next_mirror_follows() {
    let fixture = Fixture::new();
    let file = content(5, 1000);
    let gone = fixture.server.put("/gone", &file, &[Act::Status(404, "")]);
    let wrong = fixture.server.put("/wrong", &file, &[Act::FlippedBit]);
    let good = fixture.server.put("/good", &file, &[Act::Serve]);
    let obtained = fixture.obtain(&wanted(&[&gone, &wrong, &good], &file)).unwrap();
    assert_eq!(obtained.origin, Origin::Network(good));
    assert_eq!(fixture.server.ranges("/gone").len(), 1);
    assert_eq!(fixture.server.ranges("/wrong").len(), 1);
}

#[test]
fn what_may_pass_is_asked_four_times() {
    let fixture = Fixture::new();
    let file = content(5, 1000);
    let url = fixture.server.put("/busy", &file, &[Act::Status(503, "")]);
    let error = fixture.obtain(&wanted(&[&url], &file)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_eq!(fixture.server.ranges("/busy").len(), 4);
}

#[test]
fn a_server_that_asks_for_a_long_pause_is_left_for_the_next() {
    let fixture = Fixture::new();
    let file = content(6, 1000);
    let busy = fixture.server.put("/busy", &file, &[Act::Status(429, "3600")]);
    let good = fixture.server.put("/good", &file, &[Act::Serve]);
    fixture.obtain(&wanted(&[&busy, &good], &file)).unwrap();
    assert_eq!(fixture.server.ranges("/busy").len(), 1);
}

#[test]
fn a_mismatch_is_explained() {
    let fixture = Fixture::new();
    let url = fixture
        .server
        .put("/v14.0.1.tar.gz", b"another file", &[Act::RedirectOnce]);
    let error = fixture.obtain(&wanted(&[&url], b"the file")).unwrap_err();
    let cache = fixture.dir.path().join("cache");
    let expected = format!(
        "citus 14.0.1 (citus-14.0.1.tar.gz) is not what its manifest says
  wanted: sha256 {right}
  cache {cache}: not there
  {url}: the sha256 is not the expected one
    expected {right}
    actual   {wrong}
    size     12 bytes
    from     {url}?hop=1
    type     application/gzip
    begins   another file
  hint: the tag may have been moved, or the archive compressed again. If upstream confirms the new file, add its \
         digest under `accepted` with the reason",
        right = Sha256::of(b"the file"),
        wrong = Sha256::of(b"another file"),
        cache = cache.display(),
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn plain_http_is_asked_only_with_a_reason_or_in_the_debian_archive() {
    let fixture = Fixture::new();
    let url = fixture.server.put("/debian/pool/x.tar.gz", b"x", &[Act::Serve]);
    let mut plain = wanted(&[], b"x");
    plain.urls = vec![Address::Url {
        url: url.clone(),
        insecure: false,
    }];
    let error = fixture.obtain(&plain).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("plain http, and the source has no `insecure:`"),
        "{error}"
    );
    assert!(fixture.server.ranges("/debian/pool/x.tar.gz").is_empty());

    let base = url.strip_suffix("/pool/x.tar.gz").unwrap().to_owned();
    let debian = Fixture::with(|options| options.debian.bases = vec![base]);
    plain.urls = vec![Address::Debian("pool/x.tar.gz".to_owned())];
    assert_eq!(debian.obtain(&plain).unwrap().origin, Origin::Network(url));
}

#[test]
fn the_order_of_supply_is_vendor_cache_url_mirrors_content_mirrors() {
    let mut source = wanted(&["https://up.example/a", "https://mirror.example/a"], b"x");
    source.urls.push(Address::Debian("/pool/a".to_owned()));
    let debian = [
        "http://one.example/debian".to_owned(),
        "http://two.example/debian".to_owned(),
    ];
    let content = [
        "https://content.example/".to_owned(),
        "http://plain.example".to_owned(),
    ];
    let urls: Vec<_> = candidates(&source, &debian, &content)
        .into_iter()
        .map(|candidate| (candidate.url, candidate.rejected.is_some()))
        .collect();
    let hex = Sha256::of(b"x");
    let expected = [
        ("https://up.example/a".to_owned(), false),
        ("https://mirror.example/a".to_owned(), false),
        ("http://one.example/debian/pool/a".to_owned(), false),
        ("http://two.example/debian/pool/a".to_owned(), false),
        (format!("https://content.example/sha256/{hex}"), false),
        (format!("http://plain.example/sha256/{hex}"), true),
    ];
    assert_eq!(urls, expected);

    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("called-anything"), b"x").unwrap();
    let fixture = Fixture::with(|options| options.vendor = vec![dir.path().to_owned()]);
    let url = fixture.server.put("/x", b"x", &[Act::Serve]);
    assert_eq!(
        fixture.obtain(&wanted(&[&url], b"x")).unwrap().origin,
        Origin::Vendor
    );
    assert!(fixture.cached().is_empty());

    let url = fixture.server.put("/y", b"y", &[Act::Serve]);
    assert_eq!(
        fixture.obtain(&wanted(&[&url], b"y")).unwrap().origin,
        Origin::Network(url.clone())
    );
    assert_eq!(
        fixture.obtain(&wanted(&[&url], b"y")).unwrap().origin,
        Origin::Cache
    );
    assert_eq!(fixture.server.ranges("/y").len(), 1);
}

#[test]
fn a_vendor_file_that_changes_during_the_run_is_hashed_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("citus-14.0.1.tar.gz");
    fs::write(&file, b"x").unwrap();
    let fixture = Fixture::with(|options| {
        options.vendor = vec![dir.path().to_owned()];
        options.offline = true;
    });
    fixture.obtain(&wanted(&[], b"x")).unwrap();
    fs::write(&file, b"y").unwrap();
    let error = fixture.obtain(&wanted(&[], b"x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checksum, "{error}");
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

#[test]
fn offline_nothing_is_asked_and_what_is_missing_is_named() {
    let fixture = Fixture::with(|options| options.offline = true);
    let url = fixture.server.put("/x", b"x", &[Act::Serve]);
    let error = fixture.obtain(&wanted(&[&url], b"x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(
        error
            .to_string()
            .starts_with("could not fetch citus 14.0.1 (citus-14.0.1.tar.gz): no vendor directory"),
        "{error}"
    );
    assert!(fixture.server.ranges("/x").is_empty());
}

#[test]
fn a_damaged_file_of_the_cache_is_replaced() {
    let fixture = Fixture::new();
    let url = fixture.server.put("/x", b"x", &[Act::Serve]);
    let wanted = wanted(&[&url], b"x");
    let path = fixture.obtain(&wanted).unwrap().path;
    fs::write(&path, b"z").unwrap();
    assert_eq!(fixture.obtain(&wanted).unwrap().origin, Origin::Network(url));
    assert_eq!(fs::read(path).unwrap(), b"x");
}

#[test]
fn sha512_has_to_be_right_as_well() {
    let fixture = Fixture::new();
    let url = fixture.server.put("/x", b"x", &[Act::Serve]);
    let mut source = wanted(&[&url], b"x");
    source.sha512.insert(source.accepted[0], Sha512::of(b"y"));
    let error = fixture.obtain(&source).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checksum);
    assert!(
        error
            .to_string()
            .contains(&format!("actual   {}", Sha512::of(b"x"))),
        "{error}"
    );
    source.sha512.insert(source.accepted[0], Sha512::of(b"x"));
    fixture.obtain(&source).unwrap();
}

#[test]
fn a_tar_that_was_compressed_anew_is_right_by_its_own_digest() {
    let compressed = |level| {
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
            Vec::new(),
            flate2::Compression::new(level),
        ));
        archive.append_data(&mut header, "a/b", &b"hello"[..]).unwrap();
        archive.into_inner().unwrap().finish().unwrap()
    };
    let (before, after) = (compressed(9), compressed(0));
    assert_ne!(before, after);
    let mut plain = Vec::new();
    io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&before[..]), &mut plain).unwrap();
    let fixture = Fixture::new();
    let url = fixture.server.put("/x", &after, &[Act::Serve]);
    let mut source = wanted(&[&url], &before);
    assert_eq!(fixture.obtain(&source).unwrap_err().kind(), ErrorKind::Checksum);
    source.tar_sha256 = Some(Sha256::of(&plain));
    assert_eq!(fixture.obtain(&source).unwrap().digest, Sha256::of(&after));
    assert_eq!(fixture.obtain(&source).unwrap().origin, Origin::Cache);
}

#[test]
fn what_is_too_large_is_not_downloaded() {
    let fixture = Fixture::new();
    let file = content(8, 100_000);
    for act in [Act::Serve, Act::Chunks] {
        let url = fixture.server.put("/x", &file, &[act]);
        let mut source = wanted(&[&url], &file);
        source.max_bytes = Some(50_000);
        let error = fixture.obtain(&source).unwrap_err();
        assert!(
            error.to_string().contains("but only 50000 are allowed"),
            "{error}"
        );
    }
    assert!(fixture.cached().is_empty());
}

#[test]
fn threads_that_want_the_same_download_it_once() {
    let fixture = Fixture::new();
    let file = content(9, 100_000);
    let url = fixture.server.put("/x", &file, &[Act::Slow]);
    let wanted = wanted(&[&url], &file);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| fixture.obtain(&wanted).unwrap().bytes))
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 100_000);
        }
    });
    assert_eq!(fixture.server.ranges("/x").len(), 1);
}

#[test]
fn a_host_that_cannot_be_reached_is_not_waited_for_again() {
    let fixture = Fixture::new();
    // No process listens there: the port was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}/x");
    let retries = |wanted: &SourceRequest| {
        let count = std::cell::Cell::new(0);
        let tell = |progress| {
            if matches!(progress, Progress::Retrying { .. }) {
                count.set(count.get() + 1);
            }
        };
        assert_eq!(
            fixture.sources.obtain(wanted, &tell).unwrap_err().kind(),
            ErrorKind::Network
        );
        count.get()
    };
    assert_eq!(retries(&wanted(&[&url], b"x")), 3);
    assert_eq!(retries(&wanted(&[&url], b"y")), 0);
}

//! `pgsetup fetch` from servers that misbehave: files are right or the failure is explained, and a process that is killed
//! leaves nothing that the next one would wrongly trust.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::skip;
use crate::loopback::{Act, Server};
use crate::support::{Ran, command, manifests, project};

const IMAGE: &str = r#"
kind: image
name: postgresql
base: debian:bookworm
postgresql: "15-apt"
extensions: [NAMES]
user: { name: postgres, uid: 999, gid: 999, home: /var/lib/postgresql, shell: /bin/bash }
locale: C.UTF-8
configuration: /etc/postgresql/image.conf
prune: {}
"#;

const SERVER: &str = r#"
kind: postgresql
name: "15-apt"
major: 15
version: "15.18"
license: PostgreSQL
homepage: https://www.postgresql.org
source: apt
packages:
  runtime: [postgresql-15]
"#;

/// The source of one extension.
struct Source<'a> {
    name: String,
    urls: Vec<String>,
    content: &'a [u8],
}

/// Manifests that select one extension for each source.
fn selection(sources: &[Source<'_>]) -> tempfile::TempDir {
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let mut files = vec![
        ("image.yaml".to_owned(), IMAGE.replace("NAMES", &names.join(", "))),
        ("server.yaml".to_owned(), SERVER.to_owned()),
    ];
    for Source { name, urls, content } in sources {
        let mirrors: Vec<String> = urls[1..]
            .iter()
            .map(|url| format!("          - url: {url}\n"))
            .collect();
        let mirrors = mirrors.concat();
        let mirrors = if mirrors.is_empty() {
            mirrors
        } else {
            format!("        mirrors:\n{mirrors}")
        };
        let (url, digest) = (&urls[0], sha256(content));
        files.push((
            format!("{name}.yaml"),
            format!(
                "kind: extension\nname: {name}\nsummary: A source\nlicense: PostgreSQL\nhomepage: https://example.org\n\
                 releases:\n  - version: \"1\"\n    postgresql: [15]\n    sources:\n      - url: {url}\n        \
                 sha256: {digest}\n        insecure: a server on the loopback interface\n{mirrors}    provides:\n      \
                 - {{ name: {name}, default_version: \"1\" }}\nbuild:\n  pgxs: {{}}\n"
            ),
        ));
    }
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    manifests(&files)
}

/// The digest as another program computes it.
pub fn sha256(content: &[u8]) -> String {
    let mut child = std::process::Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sha256sum of coreutils");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), content).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

fn content(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(length)
    .collect()
}

fn fetch(manifests: &Path, to: &Path, more: &[&str]) -> Ran {
    fetch_command(manifests, to, more).output().unwrap().into()
}

fn fetch_command(manifests: &Path, to: &Path, more: &[&str]) -> Command {
    let mut fetch = command(["fetch"]);
    fetch.arg(manifests).arg("--to").arg(to).args(more);
    fetch
}

pub fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_directory_is_filled_and_serves_without_connections() {
    let (server, to) = (Server::start(), tempfile::tempdir().unwrap());
    let (one, two) = (content(1, 100_000), content(2, 300));
    let gone = server.put("/gone", b"", &[Act::Status(404, "")]);
    let sources = [
        Source {
            name: "one".to_owned(),
            urls: vec![server.put(
                "/archive/v1.tar.gz",
                &one,
                &[Act::CutAfterQuarters(2), Act::Serve],
            )],
            content: &one,
        },
        Source {
            name: "two".to_owned(),
            urls: vec![gone, server.put("/two-1.tar.gz", &two, &[Act::Serve])],
            content: &two,
        },
    ];
    let selection = selection(&sources);
    let ran = fetch(selection.path(), to.path(), &[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(names_in(to.path()), ["one-1.tar.gz", "two-1.tar.gz"]);
    assert_eq!(fs::read(to.path().join("one-1.tar.gz")).unwrap(), one);
    assert!(
        ran.out
            .lines()
            .any(|line| line.starts_with("one 1") && line.contains("100 kB")),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .lines()
            .last()
            .unwrap()
            .starts_with("2 files, 100 kB, in "),
        "{}",
        ran.out
    );

    let again = fetch(selection.path(), to.path(), &["--offline"]);
    assert_eq!(again.status, 0, "{}", again.err);
    assert_eq!(again.out.matches("already there").count(), 2, "{}", again.out);

    fs::remove_file(to.path().join("two-1.tar.gz")).unwrap();
    let missing = fetch(selection.path(), to.path(), &["--offline"]);
    assert_eq!(missing.status, 4);
    assert!(
        missing.err.contains("1 of 2 could not be fetched"),
        "{}",
        missing.err
    );
    assert!(
        missing.err.contains(&format!("wanted: sha256 {}", sha256(&two))),
        "{}",
        missing.err
    );
    assert!(!missing.err.contains(&sha256(&one)), "{}", missing.err);
}

#[test]
fn a_flipped_bit_ends_with_the_status_of_checksums() {
    let (server, to) = (Server::start(), tempfile::tempdir().unwrap());
    let one = content(1, 1000);
    let url = server.put("/one-1.tar.gz", &one, &[Act::FlippedBit]);
    let source = Source {
        name: "one".to_owned(),
        urls: vec![url.clone()],
        content: &one,
    };
    let ran = fetch(selection(&[source]).path(), to.path(), &[]);
    let mut wrong = one.clone();
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(ran.status, 5, "{}", ran.err);
    for expected in [&sha256(&one), &sha256(&wrong), &url, "one-1.tar.gz"] {
        assert!(ran.err.contains(expected), "{expected} is not in {}", ran.err);
    }
    assert_eq!(names_in(to.path()), [".partial"]);
    for below in ["sha256", "partial"] {
        assert!(names_in(&to.path().join(".partial").join(below)).is_empty());
    }
}

#[test]
fn a_proxy_is_asked_and_hosts_without_one_are_not() {
    let (server, to) = (Server::start(), tempfile::tempdir().unwrap());
    let one = content(1, 5000);
    let url = "http://sources.invalid/one-1.tar.gz";
    // A proxy gets the whole address.
    server.put(url, &one, &[Act::Serve]);
    let proxy = server.put("/", b"", &[]);
    let source = Source {
        name: "one".to_owned(),
        urls: vec![url.to_owned()],
        content: &one,
    };
    let selection = selection(&[source]);
    let fetch = |no_proxy: &str| -> Ran {
        let mut fetch = fetch_command(selection.path(), to.path(), &[]);
        fetch
            .env("http_proxy", &proxy)
            .env("no_proxy", no_proxy)
            .output()
            .unwrap()
            .into()
    };
    let direct = fetch("sources.invalid");
    assert_eq!(direct.status, 4, "{}", direct.err);
    assert!(direct.err.contains(url), "{}", direct.err);
    let ran = fetch("");
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(fs::read(to.path().join("one-1.tar.gz")).unwrap(), one);
}

#[test]
fn a_proxy_that_fails_is_blamed_and_not_the_server() {
    let (server, to) = (Server::start(), tempfile::tempdir().unwrap());
    let one = content(1, 5000);
    let url = "http://sources.invalid/one-1.tar.gz";
    let proxy = server.put("/", b"", &[]);
    server.put(url, b"", &[Act::Status(407, "")]);
    let source = |url: &str| Source {
        name: "one".to_owned(),
        urls: vec![url.to_owned()],
        content: &one,
    };
    let fetch = |url: &str, proxy: &str| -> Ran {
        let selection = selection(&[source(url)]);
        let mut fetch = fetch_command(selection.path(), to.path(), &[]);
        let fetch = fetch
            .env("http_proxy", proxy)
            .env("https_proxy", proxy)
            .env("no_proxy", "");
        fetch.output().unwrap().into()
    };
    // Nothing listens on this port.
    let dead = "http://me:secret@127.0.0.1:1";
    for (url, proxy, says) in [
        (url, proxy.as_str(), "it wants a user and a password (407"),
        (
            "https://sources.invalid/one-1.tar.gz",
            dead,
            "no connection through the proxy http://127.0.0.1:1: ",
        ),
    ] {
        let ran = fetch(url, proxy);
        assert_eq!(ran.status, 4, "{}", ran.err);
        assert!(
            ran.err.contains(says) && ran.err.contains("hint: the proxy is that of HTTPS_PROXY"),
            "{}",
            ran.err
        );
        assert!(!ran.err.contains("secret"), "{}", ran.err);
    }
}

#[test]
fn a_certificate_is_trusted_once_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let one = content(1, 5000);
    fs::write(directory.path().join("one-1.tar.gz"), &one).unwrap();
    let Some((mut server, port)) = https_server(directory.path()) else {
        skip("there is no openssl to serve https with");
    };
    let url = format!("https://127.0.0.1:{port}/one-1.tar.gz");
    let source = Source {
        name: "one".to_owned(),
        urls: vec![url.clone()],
        content: &one,
    };
    let selection = selection(&[source]);
    let certificate = directory.path().join("certificate.pem");
    let fetch = |options: &[&str], file: Option<&Path>| -> (Ran, bool) {
        let to = tempfile::tempdir().unwrap();
        let mut fetch = fetch_command(selection.path(), to.path(), options);
        if let Some(file) = file {
            fetch.env("SSL_CERT_FILE", file);
        }
        let ran = fetch.output().unwrap().into();
        (ran, to.path().join("one-1.tar.gz").exists())
    };
    let unknown = fetch(&[], None);
    let by_option = fetch(&["--ca-bundle", certificate.to_str().unwrap()], None);
    let by_variable = fetch(&[], Some(&certificate));
    let none_in_it = fetch(&["--ca-bundle", "README.md"], None).0;
    assert_eq!(
        (
            none_in_it.status,
            none_in_it.err.contains("README.md contains no certificate")
        ),
        (2, true)
    );
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!((unknown.0.status, unknown.1), (4, false), "{}", unknown.0.err);
    assert!(unknown.0.err.contains("certificate"), "{}", unknown.0.err);
    assert_eq!(
        (by_option.0.status, by_option.1),
        (0, true),
        "{}",
        by_option.0.err
    );
    assert_eq!(
        (by_variable.0.status, by_variable.1),
        (0, true),
        "{}",
        by_variable.0.err
    );
}

/// The https server of openssl for the files of a directory, with an unknown certificate, and its port.
pub fn https_server(directory: &Path) -> Option<(Child, u16)> {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-keyout",
            "key.pem",
            "-out",
            "certificate.pem",
            "-subj",
            "/CN=127.0.0.1",
        ])
        .args([
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .current_dir(directory)
        .output()
        .ok()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut server = Command::new("openssl")
        .args([
            "s_server",
            "-accept",
            "127.0.0.1:0",
            "-key",
            "key.pem",
            "-cert",
            "certificate.pem",
            "-WWW",
        ])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let accept = lines
        .map(Result::unwrap)
        .find(|line| line.starts_with("ACCEPT"))
        .unwrap();
    let port = accept.rsplit(':').next().unwrap().trim().parse().unwrap();
    Some((server, port))
}

#[test]
fn a_fetch_killed_at_any_moment_can_be_repeated() {
    let rounds: u32 =
        std::env::var("PGSETUP_ROUNDS").map_or(12, |rounds| rounds.parse::<u32>().unwrap().min(200));
    let server = Server::start();
    let contents: Vec<Vec<u8>> = (0..4)
        .map(|n| content(n + 1, 1_500_000 + 1000 * n as usize))
        .collect();
    let acts = [Act::Slow, Act::Serve];
    let mut interrupted = 0;
    for round in 0..rounds {
        let sources: Vec<Source<'_>> = contents
            .iter()
            .enumerate()
            .map(|(n, content)| Source {
                name: format!("x{n}"),
                urls: vec![server.put(&format!("/{round}/x{n}-1.tar.gz"), content, &acts[n % 2..])],
                content,
            })
            .collect();
        let (selection, to) = (selection(&sources), tempfile::tempdir().unwrap());
        // The moments are spread over the time of a fetch, from zero on.
        let moment = Duration::from_micros(u64::from(round.wrapping_mul(2_654_435_761) % 250_000));
        let mut child = fetch_command(selection.path(), to.path(), &[])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        interrupted += u32::from(kill_at(&mut child, moment));
        let kept = to.path().join(".partial/sha256");
        for name in kept.is_dir().then(|| names_in(&kept)).into_iter().flatten() {
            assert_eq!(
                sha256(&fs::read(kept.join(&name)).unwrap()),
                name,
                "round {round}: a wrong file in the cache"
            );
        }
        let ran = fetch(selection.path(), to.path(), &[]);
        assert_eq!(
            ran.status, 0,
            "round {round}, killed after {moment:?}: {}",
            ran.err
        );
        for (n, content) in contents.iter().enumerate() {
            assert!(
                fs::read(to.path().join(format!("x{n}-1.tar.gz"))).unwrap() == *content,
                "round {round}: x{n}"
            );
        }
        let left: Vec<_> = names_in(to.path())
            .into_iter()
            .filter(|name| name.starts_with(".partial"))
            .collect();
        assert!(left.is_empty(), "round {round}: {left:?}");
    }
    assert!(
        interrupted * 4 > rounds,
        "too few fetches were still running: {interrupted} of {rounds}"
    );
}

/// Kills a process after a time by SIGKILL; gives whether it still ran.
fn kill_at(child: &mut Child, moment: Duration) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < moment {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

#[test]
fn processes_share_a_cache() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let one = content(5, 2_000_000);
    let url = server.put("/one-1.tar.gz", &one, &[Act::Slow]);
    let source = Source {
        name: "one".to_owned(),
        urls: vec![url],
        content: &one,
    };
    let selection = selection(&[source]);
    let targets: Vec<_> = (0..6).map(|_| tempfile::tempdir().unwrap()).collect();
    let children: Vec<Child> = targets
        .iter()
        .map(|to| {
            fetch_command(
                selection.path(),
                to.path(),
                &["--cache", cache.path().to_str().unwrap()],
            )
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    for to in &targets {
        assert!(fs::read(to.path().join("one-1.tar.gz")).unwrap() == one);
    }
    assert_eq!(
        server.ranges("/one-1.tar.gz"),
        [""],
        "one process downloads, the others wait for it"
    );
}

#[test]
fn an_unusable_cache_is_reported_with_a_remedy() {
    let (server, to, cache) = (
        Server::start(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let content = content(1, 1000);
    let source = Source {
        name: "one".to_owned(),
        urls: vec![server.put("/one-1.tar.gz", &content, &[Act::Serve])],
        content: &content,
    };
    let selection = selection(&[source]);
    // An old directory, where the download would be.
    let partial = cache
        .path()
        .join("partial")
        .join(crate::machine::digest(&content));
    std::fs::create_dir_all(&partial).unwrap();
    let touched = Command::new("touch")
        .args(["--date", "2020-01-01"])
        .arg(&partial)
        .status();
    assert!(touched.unwrap().success());
    let told = |cache: &Path| {
        let ran = fetch(selection.path(), to.path(), &["--cache", cache.to_str().unwrap()]);
        assert_ne!(ran.status, 0);
        ran.err
    };
    let err = told(cache.path());
    let said = format!(
        "{} is a directory, where the cache has a file: remove it",
        partial.display()
    );
    assert!(err.contains(&said), "{err}");
    let file = to.path().join("file");
    std::fs::write(&file, "").unwrap();
    let err = told(&file);
    let said = format!("cannot use the cache {}: ", file.display());
    assert!(
        err.contains(&said) && err.contains("name a writable directory with --cache DIR"),
        "{err}"
    );
}

#[test]
fn the_cache_is_listed_and_pruned_by_size() {
    let (server, to, cache) = (
        Server::start(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let contents: Vec<Vec<u8>> = (0..3).map(|n| content(n + 1, 1000)).collect();
    let sources: Vec<Source<'_>> = contents
        .iter()
        .enumerate()
        .map(|(n, content)| Source {
            name: format!("x{n}"),
            urls: vec![server.put(&format!("/x{n}-1.tar.gz"), content, &[Act::Serve])],
            content,
        })
        .collect();
    let cache = cache.path().to_str().unwrap();
    let ran = fetch(selection(&sources).path(), to.path(), &["--cache", cache]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let pgsetup = |args: &[&str]| -> Ran { command(args.iter().copied()).output().unwrap().into() };
    let list = pgsetup(&["cache", "list", "--cache", cache]);
    assert!(list.out.ends_with("3 files, 3 kB\n"), "{}", list.out);
    assert!(list.out.contains(&sha256(&contents[0])), "{}", list.out);
    let pruned = pgsetup(&["cache", "prune", "--size", "2k", "--cache", cache]);
    assert_eq!(
        pruned.out, "removed 1 files, 1 kB; kept 2 files, 2 kB\n",
        "{}",
        pruned.err
    );
    let kept = pgsetup(&["cache", "prune", "--days", "1", "--cache", cache]);
    assert_eq!(
        kept.out, "removed 0 files, 0 B; kept 2 files, 2 kB\n",
        "{}",
        kept.err
    );
}

/// An archive of GitHub, from the vendor directory.
#[test]
fn citus_arrives_byte_for_byte() {
    let vendor = std::env::var("HOME").map(|home| Path::new(&home).join(".cache/pgsetup/vendor"));
    let archive = vendor.expect("HOME is set").join("citus-14.0.1.tar.gz");
    let Ok(content) = fs::read(&archive) else {
        skip("it needs citus-14.0.1.tar.gz in ~/.cache/pgsetup/vendor");
    };
    let manifest = fs::read_to_string(project().join("manifests/extensions/citus.yaml")).unwrap();
    assert!(
        manifest.contains(&sha256(&content)),
        "the manifest names another digest"
    );
    let (server, to) = (Server::start(), tempfile::tempdir().unwrap());
    let url = server.put(
        "/citusdata/citus/archive/refs/tags/v14.0.1.tar.gz",
        &content,
        &[Act::Serve],
    );
    let source = Source {
        name: "citus".to_owned(),
        urls: vec![url],
        content: &content,
    };
    let unpacked = tempfile::tempdir().unwrap();
    let ran = fetch(
        selection(&[source]).path(),
        to.path(),
        &["--unpack", unpacked.path().to_str().unwrap()],
    );
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(fs::read(to.path().join("citus-1.tar.gz")).unwrap() == content);
    let control = fs::read_to_string(
        unpacked
            .path()
            .join("citus-1/src/backend/distributed/citus.control"),
    )
    .unwrap();
    assert!(control.contains("default_version = '14.0-1'"), "{control}");
}

//! `pgsetup update` and `pgsetup new`, with archives and git tags from the loopback interface, and manifests whose comments
//! and quotes must survive.

use std::fs;
use std::path::Path;

use crate::loopback::{Act, Server};
use crate::support::{Ran, command, manifests};

/// An image of nothing but a server.
pub const IMAGE: &str = "kind: image
name: postgresql
base: debian:bookworm
postgresql: \"15-apt\"
user: { name: postgres, uid: 999, gid: 999, home: /var/lib/postgresql, shell: /bin/bash }
locale: C.UTF-8
configuration: /etc/postgresql/image.conf
prune: {}
";

/// A server that apt brings.
pub const SERVER: &str = "kind: postgresql
name: \"15-apt\"
major: 15
version: \"15.18\"
license: PostgreSQL
homepage: https://www.postgresql.org
source: apt
packages:
  runtime: [postgresql-15]
";

/// A manifest with comments and all kinds of quotes. `URL`, `DIGEST` and `VERSION` are replaced.
const MANIFEST: &str = "# In front, about VERSION.
kind: extension   # a kind
name: 'thing'
summary: \"A thing: with VERSION in it\"
license: PostgreSQL
homepage: https://example.org

releases:
  # Before VERSION it did not work.
  - version: 'VERSION'     # quoted once, \"VERSION\"
    postgresql: [15]

    sources:
      -   url: URL/o/thing/archive/refs/tags/v${version}.tar.gz   # where
          # The digest:
          sha256:    DIGEST
          insecure: a server on the loopback interface
          mirrors:
            - debian: pool/main/t/thing/thing_VERSION.orig.tar.gz
    provides: [ {name: thing, default_version: VERSION} , { name: \"other\",default_version: \"1\" }]  # both
build:
    pgxs: {}
# The end, without a line end";

/// An archive as GitHub makes it: one directory with everything in it.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("thing/{path}"), text.as_bytes())
            .unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn release(version: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let control = format!("comment = 'A thing'\ndefault_version = '{version}'\n");
    let makefile = "EXTENSION = thing\ninclude $(PGXS)\n";
    let mut files = vec![
        ("thing.control", control.as_str()),
        ("other.control", "default_version = '1'\n"),
        ("Makefile", makefile),
    ];
    for (path, text) in more {
        files.retain(|(other, _)| other != path);
        files.push((path, text));
    }
    archive(&files)
}

fn sha256(content: &[u8]) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(content);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A git server's answer with these tags.
fn refs(tags: &[&str]) -> Vec<u8> {
    let packet = |line: String| format!("{:04x}{line}", line.len() + 4);
    let mut answer = packet("# service=git-upload-pack\n".to_owned()) + "0000";
    let sha = "1".repeat(40);
    answer += &packet(format!("{sha} HEAD\0multi_ack\n"));
    for tag in tags {
        answer += &packet(format!("{sha} refs/tags/{tag}\n"));
    }
    (answer + "0000").into_bytes()
}

/// Upstream with a release 1.0 and what `new` is.
struct Upstream {
    server: Server,
    url: String,
    old: String,
}

impl Upstream {
    fn start() -> Self {
        let server = Server::start();
        let old = release("1.0", &[]);
        let url = server.put("/o/thing/archive/refs/tags/v1.0.tar.gz", &old, &[Act::Serve]);
        let (url, _) = url.split_once("/o/thing").unwrap();
        Self {
            url: url.to_owned(),
            old: sha256(&old),
            server,
        }
    }

    fn publish(&self, version: &str, content: &[u8], acts: &[Act]) {
        let path = format!("/o/thing/archive/refs/tags/v{version}.tar.gz");
        self.server.put(&path, content, acts);
    }

    fn tags(&self, answer: &[u8]) {
        self.server.put("/o/thing.git/info/refs", answer, &[Act::Serve]);
    }

    fn manifest(&self, text: &str, version: &str, digest: &str) -> String {
        text.replace("URL", &self.url)
            .replace("DIGEST", digest)
            .replace("VERSION", version)
    }

    /// A directory with the manifest of release 1.0.
    fn directory(&self, text: &str) -> tempfile::TempDir {
        let thing = self.manifest(text, "1.0", &self.old);
        manifests(&[
            ("image.yaml", IMAGE),
            ("server.yaml", SERVER),
            ("thing.yaml", &thing),
        ])
    }
}

fn update(directory: &Path, args: &[&str]) -> Ran {
    let mut command = command(["update"]);
    command.arg(directory).args(args);
    command.output().unwrap().into()
}

fn read(directory: &Path) -> String {
    fs::read_to_string(directory.join("thing.yaml")).unwrap()
}

#[test]
fn a_newer_version_is_written_in_place() {
    let upstream = Upstream::start();
    let new = release(
        "1.10",
        &[
            ("other.control", "default_version = '2-1'\nrequires = 'thing'\n"),
            ("extra.control", "default_version = '1'\n"),
            (
                "Makefile",
                "EXTENSION = thing\nSHLIB_LINK = -lcurl\ninclude $(PGXS)\n",
            ),
        ],
    );
    upstream.publish("1.10", &new, &[Act::Serve]);
    upstream.tags(&refs(&["v1.0", "v1.9", "v1.10", "v2.0-rc1", "1.99", "v1.10^{}"]));
    let directory = upstream.directory(MANIFEST);
    let before = read(directory.path());
    let ran = update(directory.path(), &["thing"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);

    let expected = before
        .replace("version: '1.0' ", "version: '1.10' ")
        .replace(&upstream.old, &sha256(&new))
        .replace("thing_1.0.orig", "thing_1.10.orig")
        .replace(
            "{name: thing, default_version: 1.0}",
            "{name: thing, default_version: 1.10}",
        )
        .replace("default_version: \"1\" }", "default_version: \"2-1\" }");
    assert_eq!(read(directory.path()), expected);
    for line in [
        "thing 1.0 -> 1.10",
        &format!("sha256 {}", sha256(&new)),
        "which is not verified",
        "provides thing 1.10, was 1.0 (thing.control)",
        "what else changed since 1.0",
        "  new SQL extension: extra",
        "  other.control: requires: `thing`, was nothing",
        "  Makefile: SHLIB_LINK: `-lcurl`, was nothing",
        "1.0 is still in line 1, 4, 9, 10",
    ] {
        assert!(ran.out.contains(line), "{line:?} is missing in\n{}", ran.out);
    }

    let again = update(directory.path(), &["thing"]);
    assert_eq!(
        (again.status, again.out.as_str()),
        (0, "thing 1.10 is already in its manifest\n")
    );
}

#[test]
fn line_ends_marks_and_quotes_stay_unchanged() {
    let upstream = Upstream::start();
    upstream.publish("1.1", &release("1.1", &[]), &[Act::Serve]);
    let text = MANIFEST.replace("'VERSION'", "VERSION").replace('\n', "\r\n");
    let directory = upstream.directory(&format!("\u{feff}{text}"));
    let ran = update(directory.path(), &["thing", "1.1"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let after = read(directory.path());
    assert!(after.starts_with("\u{feff}# In front, about 1.0.\r\n"), "{after}");
    assert!(after.contains("- version: 1.1     # quoted once"), "{after}");
    assert_eq!(after.matches('\n').count(), after.matches("\r\n").count());
    assert!(after.ends_with("without a line end"));
}

#[test]
fn mistakes_of_upstream_leave_the_manifest_unchanged() {
    let upstream = Upstream::start();
    upstream.publish("1.1", b"", &[Act::Status(404, "")]);
    upstream.publish("1.2", b"", &[Act::Page]);
    upstream.publish("1.3", b"neither", &[Act::Serve]);
    upstream.publish("1.4", &release("1.4", &[]), &[Act::HalfUntilClose]);
    let directory = upstream.directory(MANIFEST);
    let before = read(directory.path());
    let names = || {
        let entries = fs::read_dir(directory.path()).unwrap();
        entries.count()
    };
    for (args, status, says) in [
        (&["thing", "1.1"][..], 4, "the server answered 404"),
        (&["thing", "1.2"], 5, "the server sent a web page: Sign in"),
        (&["thing", "1.3"], 5, "is not an archive that can be read"),
        (&["thing", "1.4"], 5, "is not an archive that can be read"),
        (&["thing", "9.9"], 4, "the server answered 404"),
        (&["thing"], 4, "could not look up the versions of thing"),
        (&["thing", "1.1", "--offline"], 4, "--offline"),
        (&["think", "1.1"], 2, "did you mean `thing`?"),
        (&["thing", "1.1", "--release", "0.9"], 2, "it has 1.0"),
        (
            &["thing", "1.1", "--archive", "/nowhere"],
            2,
            "cannot read /nowhere",
        ),
    ] {
        let ran = update(directory.path(), args);
        assert_eq!(ran.status, status, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{args:?}");
        assert_eq!(read(directory.path()), before, "{args:?}");
    }
    for answer in [&b"<html>"[..], &refs(&[]), &refs(&["nightly", "1.5"])] {
        upstream.tags(answer);
        let ran = update(directory.path(), &["thing"]);
        assert_eq!(ran.status, 4, "{}", ran.err);
        assert!(ran.err.contains("name the version"), "{}", ran.err);
    }
    assert_eq!((read(directory.path()), names()), (before, 3));
}

#[test]
fn a_manifest_that_cannot_be_changed_safely_is_not_changed() {
    let upstream = Upstream::start();
    upstream.publish("1.1", &release("1.1", &[]), &[Act::Serve]);
    for (was, is, version, says) in [
        (
            "license: PostgreSQL",
            "license: &l PostgreSQL",
            "1.1",
            "anchors and aliases",
        ),
        (
            "          insecure:",
            "          accepted: [{ sha256: DIGEST, reason: x }]\n          insecure:",
            "1.1",
            "remove them from",
        ),
        (
            "version: 'VERSION'",
            "version: >-\n      VERSION",
            "1.1",
            "cannot be changed in place",
        ),
        (
            "v${version}.tar.gz",
            "main.tar.gz",
            "1.1",
            "does not name the version",
        ),
    ] {
        let directory = upstream.directory(&MANIFEST.replace(was, is));
        let before = read(directory.path());
        let ran = update(directory.path(), &["thing", version]);
        assert!(matches!(ran.status, 2 | 3), "{is}: {} {}", ran.status, ran.err);
        assert!(ran.err.contains(says), "{is}: {}", ran.err);
        assert_eq!(read(directory.path()), before);
    }
}

#[test]
fn a_version_that_makes_the_manifest_wrong_is_not_written() {
    let upstream = Upstream::start();
    let directory = upstream.directory(MANIFEST);
    let before = read(directory.path());
    let file = directory.path().join("thing.tar.gz");
    fs::write(&file, release("1.1", &[])).unwrap();
    let ran = update(
        directory.path(),
        &["thing", "1 1", "--archive", file.to_str().unwrap()],
    );
    assert_eq!(ran.status, 3, "{}", ran.out);
    assert!(
        ran.err.contains("`1 1` cannot be a version") && ran.err.contains("it was not changed"),
        "{}",
        ran.err
    );
    assert_eq!(read(directory.path()), before);
}

#[test]
fn an_archive_without_control_files_is_accepted() {
    let upstream = Upstream::start();
    let directory = upstream.directory(MANIFEST);
    let archives = tempfile::tempdir().unwrap();
    let file = archives.path().join("thing-1.1.tar.gz");
    fs::write(&file, archive(&[("README", "x")])).unwrap();
    let ran = update(
        directory.path(),
        &["thing", "1.1", "--archive", file.to_str().unwrap(), "--offline"],
    );
    assert_eq!(ran.status, 0, "{}", ran.err);
    for line in [
        "the archive has no thing.control",
        "not compared with thing 1.0, which could not be fetched",
    ] {
        assert!(ran.out.contains(line), "{}", ran.out);
    }
    assert!(read(directory.path()).contains("default_version: 1.0}"));
}

#[test]
fn each_of_several_releases_stays_in_its_line() {
    let upstream = Upstream::start();
    let second = "  - version: \"2.0\"
    postgresql: [16]
    sources:
      - url: URL/o/thing/archive/refs/tags/v${version}.tar.gz
        sha256: 0000000000000000000000000000000000000000000000000000000000000001
        insecure: a server on the loopback interface
build:";
    let directory = upstream.directory(&MANIFEST.replace("build:", second));
    upstream.publish("1.2", &release("1.2", &[]), &[Act::Serve]);
    upstream.tags(&refs(&["v1.0", "v1.2", "v2.0"]));
    let ran = update(directory.path(), &["thing"]);
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(ran.err.contains("--release 1.0 or --release 2.0"), "{}", ran.err);
    let ran = update(directory.path(), &["--check"]);
    assert_eq!(ran.status, 7, "{}", ran.err);
    assert_eq!(
        ran.out,
        "thing  1.0  1.2 is available\nthing  2.0  is the newest\n"
    );
    let ran = update(directory.path(), &["thing", "--release", "1.0"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(read(directory.path()).contains("version: '1.2'"));
    let ran = update(directory.path(), &["--check", "thing"]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{}", ran.out);
}

#[test]
fn an_unreachable_upstream_is_listed_with_the_reason() {
    let upstream = Upstream::start();
    let directory = upstream.directory(MANIFEST);
    let ran = update(directory.path(), &["--check"]);
    assert_eq!(ran.status, 4, "{}", ran.out);
    assert!(
        ran.out
            .starts_with("thing  1.0  could not look up the tags of http://127.0.0.1:"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("the server answered 404"), "{}", ran.out);
    assert!(
        ran.err.contains("1 of 1 versions could not be looked up"),
        "{}",
        ran.err
    );
    let ran = update(directory.path(), &["--check", "--offline"]);
    assert!(ran.out.contains("--offline forbids connections"), "{}", ran.out);
    assert_eq!(update(directory.path(), &["--check", "nosuch"]).status, 2);
}

#[test]
fn a_new_manifest_marks_what_is_left_to_fill_in() {
    let server = Server::start();
    let content = release(
        "2.0",
        &[
            (
                "META.json",
                r#"{"version": "2.0.0", "license": "postgresql", "prereqs": {"runtime": {"requires": {"PostgreSQL": "12"}}}}"#,
            ),
            ("other.control", "default_version = '1'\nrequires = 'thing'\n"),
        ],
    );
    let url = server.put("/o/thing/archive/v2.0.0.tar.gz", &content, &[Act::Serve]);
    let directory = manifests(&[("image.yaml", IMAGE), ("server.yaml", SERVER)]);
    fs::create_dir(directory.path().join("extensions")).unwrap();
    let new = |name: &str, archive: &str| -> Ran {
        let mut command = command(["new"]);
        command
            .arg(directory.path())
            .args([name, archive])
            .output()
            .unwrap()
            .into()
    };
    let ran = new("thing", &url);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(
        ran.out.contains("`tests`: SQL that proves what it is for"),
        "{}",
        ran.out
    );
    let file = directory.path().join("extensions/thing.yaml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("- url: http://127.0.0.1:") && text.contains("/v${version}.tar.gz"),
        "{text}"
    );
    assert!(text.contains(&format!("sha256: {}", sha256(&content))), "{text}");
    let (thing, other) = (text.find("{ name: thing"), text.find("{ name: other"));
    assert!(
        thing.unwrap() < other.unwrap(),
        "what is required comes first: {text}"
    );

    let plan = || -> Ran {
        let mut command = command(["plan", "--extensions", "thing"]);
        command.arg(directory.path()).output().unwrap().into()
    };
    let ran = plan();
    assert_eq!(ran.status, 3, "{}", ran.out);
    assert!(
        ran.err
            .contains("`releases[0].sources[0].insecure` is still to be filled in")
            && ran.err.contains("extensions/thing.yaml:")
            && ran.err.contains("1 problem in 1 file"),
        "{}",
        ran.err
    );
    let (head, rest) = text.split_once("insecure: ").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    fs::write(&file, format!("{head}insecure: a loopback server\n{rest}")).unwrap();
    let ran = plan();
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.out.contains("thing 2.0.0"), "{}", ran.out);

    let again = new("thing", &url);
    assert_eq!(again.status, 2, "{}", again.err);
    assert!(again.err.contains("already exists"), "{}", again.err);
    let page = server.put("/page.tar.gz", b"", &[Act::Page]);
    for (name, archive, status) in [
        ("two", page.as_str(), 5),
        ("two", "/nowhere", 2),
        ("Two", url.as_str(), 2),
    ] {
        let ran = new(name, archive);
        assert_eq!(ran.status, status, "{archive}: {}", ran.err);
    }
    let names = fs::read_dir(directory.path().join("extensions")).unwrap();
    assert_eq!(names.count(), 1);
}

#[test]
fn an_archive_without_metadata_makes_a_manifest_of_marks() {
    let directory = manifests(&[("image.yaml", IMAGE), ("server.yaml", SERVER)]);
    let file = directory.path().join("thing.tar.gz");
    fs::write(&file, archive(&[("README", "x")])).unwrap();
    let mut new = command(["new"]);
    let ran: Ran = new
        .arg(directory.path())
        .arg("thing")
        .arg(&file)
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.status, 0, "{}", ran.err);
    let ran = crate::support::pgsetup(["plan", directory.path().to_str().unwrap(), "--with", "thing"]);
    assert_eq!(ran.status, 3);
    for path in [
        "summary",
        "license",
        "homepage",
        "releases[0].version",
        "releases[0].postgresql[0]",
    ] {
        let message = format!("`{path}` is still to be filled in");
        assert!(ran.err.contains(&message), "{message}: {}", ran.err);
    }
}

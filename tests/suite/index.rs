//! `pgsetup fetch` and the Python package index: files are found as pip is configured to find them, and what cannot be
//! fetched is explained.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::harness::skip;
use crate::sources::{https_server, names_in, sha256};
use crate::support::{Ran, command, manifests};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const HTML: &str = "text/html; charset=utf-8";
const FILE: &str = "application/octet-stream";

const IMAGE: &str = r#"
kind: image
name: postgresql
base: debian:bookworm
postgresql: "15-apt"
patroni: true
extensions: []
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
const PYTHON: &str =
    "kind: python\nname: python3\ninterpreter: /usr/bin/python3\npackages:\n  build: [python3-pip-whl]\n";

/// A file that a manifest names: project, version, file name and content.
type Distribution<'a> = (&'a str, &'a str, &'a str, &'a [u8]);

/// Manifests of an image with Patroni made of `distributions`.
fn selection(distributions: &[Distribution<'_>]) -> tempfile::TempDir {
    let mut patroni =
        "kind: patroni\nname: patroni\nversion: \"1\"\nlicense: MIT\nhomepage: https://example.org\n\
                       directory: /opt/patroni\npython: python3\ndistributions:\n"
            .to_owned();
    for (name, version, file, content) in distributions {
        let digest = sha256(content);
        writeln!(
            patroni,
            "  - name: {name}\n    version: \"{version}\"\n    license: MIT\n    files:\n      - file: {file}\n        sha256: {digest}"
        )
        .unwrap();
    }
    manifests(&[
        ("image.yaml", IMAGE),
        ("server.yaml", SERVER),
        ("python.yaml", PYTHON),
        ("patroni.yaml", &patroni),
    ])
}

/// An answer of a [`Server`].
#[derive(Clone)]
struct Answer {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
    /// The `Authorization` header that is wanted.
    authorization: Option<String>,
}

/// A web server on the loopback interface that notes what it is asked: path, and the headers in lower case.
struct Server {
    address: String,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap().to_string(),
            answers: Arc::default(),
            requests: Arc::default(),
        };
        let (answers, requests) = (Arc::clone(&server.answers), Arc::clone(&server.requests));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, requests) = (Arc::clone(&answers), Arc::clone(&requests));
                thread::spawn(move || serve(stream, &answers, &requests));
            }
        });
        server
    }

    /// The address of a path. `login` is `user:password@`, or nothing.
    fn url(&self, login: &str, path: &str) -> String {
        format!("http://{login}{}{path}", self.address)
    }

    fn put(&self, path: &str, content_type: &str, body: impl AsRef<[u8]>) {
        let headers = format!("Content-Type: {content_type}\r\n");
        self.answer(path, "200 OK", headers, body.as_ref());
    }

    fn redirect(&self, path: &str, to: &str) {
        self.answer(path, "302 Found", format!("Location: {to}\r\n"), b"");
    }

    fn answer(&self, path: &str, status: &'static str, headers: String, body: &[u8]) {
        let answer = Answer {
            status,
            headers,
            body: body.to_owned(),
            authorization: None,
        };
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Wants these credentials, in base64, for everything it has.
    fn protect(&self, credentials: &str) {
        for answer in self.answers.lock().unwrap().values_mut() {
            answer.authorization = Some(format!("authorization: basic {}", credentials.to_lowercase()));
        }
    }

    /// The paths that were asked for, in order of their names.
    fn asked(&self) -> Vec<String> {
        let mut paths: Vec<String> = self
            .requests
            .lock()
            .unwrap()
            .iter()
            .map(|(path, _)| path.clone())
            .collect();
        paths.sort();
        paths
    }

    /// The headers of all requests.
    fn headers(&self) -> String {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .map(|(_, headers)| headers.as_str())
            .collect()
    }
}

fn serve(
    mut stream: TcpStream,
    answers: &Mutex<HashMap<String, Answer>>,
    requests: &Mutex<Vec<(String, String)>>,
) {
    let mut lines = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map_while(Result::ok);
    let Some(path) = lines
        .next()
        .and_then(|line| line.split(' ').nth(1).map(str::to_owned))
    else {
        return;
    };
    let headers: String = lines
        .take_while(|line| !line.is_empty())
        .fold(String::new(), |headers, line| {
            headers + &line.to_lowercase() + "\n"
        });
    requests.lock().unwrap().push((path.clone(), headers.clone()));
    let answer = answers.lock().unwrap().get(&path).cloned();
    let refused = |status| Answer {
        status,
        headers: String::new(),
        body: Vec::new(),
        authorization: None,
    };
    let answer = match answer {
        None => refused("404 Not Found"),
        Some(answer)
            if answer
                .authorization
                .as_ref()
                .is_some_and(|wanted| !headers.contains(wanted)) =>
        {
            refused("401 Unauthorized")
        }
        Some(answer) => answer,
    };
    let head = format!(
        "HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n",
        answer.status,
        answer.body.len(),
        answer.headers
    );
    // The other side may have gone away.
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(&answer.body));
}

/// `pgsetup fetch`, where pip is configured with nothing but `variables`.
struct Fetch {
    home: tempfile::TempDir,
    to: tempfile::TempDir,
}

impl Fetch {
    fn new() -> Self {
        let directory = || tempfile::tempdir().unwrap();
        Self {
            home: directory(),
            to: directory(),
        }
    }

    fn command(&self, manifests: &Path, variables: &[(&str, &str)]) -> Command {
        let mut fetch = command(["fetch"]);
        fetch
            .arg(manifests)
            .arg("--to")
            .arg(self.to.path())
            .env("HOME", self.home.path())
            .envs(variables.iter().copied());
        fetch
    }

    fn run(&self, manifests: &Path, variables: &[(&str, &str)]) -> Ran {
        self.command(manifests, variables).output().unwrap().into()
    }

    /// What was fetched, by name.
    fn fetched(&self) -> Vec<String> {
        names_in(self.to.path())
    }
}

const WHEEL: &str = "friendly_bard-1.0-py3-none-any.whl";
const CONTENT: &[u8] = b"a wheel";

/// The manifests of one wheel, and an HTML page of its project that links to `target`.
fn one_wheel(target: &str) -> (tempfile::TempDir, String) {
    let selection = selection(&[("Friendly.Bard", "1.0", WHEEL, CONTENT)]);
    (
        selection,
        format!("<html><body><a href=\"{target}\">{WHEEL}</a></body></html>"),
    )
}

/// Fetches that wheel from a server with this page and this file; what came of it.
fn fetch_from_page(page: &str, file: &[u8]) -> (Ran, Vec<String>, Server) {
    let server = Server::start();
    server.put("/simple/friendly-bard/", HTML, page);
    server.put(&format!("/files/{WHEEL}"), FILE, file);
    let (selection, _) = one_wheel("");
    let fetch = Fetch::new();
    let ran = fetch.run(selection.path(), &[("PIP_INDEX_URL", &server.url("", "/simple"))]);
    (ran, fetch.fetched(), server)
}

#[test]
fn many_files_come_from_html_pages_each_asked_once() {
    let server = Server::start();
    let names: Vec<(String, String, Vec<u8>)> = (0..40)
        .map(|n| {
            (
                format!("Project_{n}"),
                format!("project_{n}-1.{n}.tar.gz"),
                vec![n; 2000 + usize::from(n)],
            )
        })
        .collect();
    let mut distributions: Vec<Distribution<'_>> = Vec::new();
    for (name, file, content) in &names {
        let version = &file[name.len() + 1..file.len() - ".tar.gz".len()];
        distributions.push((name, version, file, content));
        let page = format!(
            "<a href='../../files/{file}#sha256={}'>{file}</a>",
            sha256(content)
        );
        server.put(
            &format!("/simple/{}/", name.to_lowercase().replace('_', "-")),
            HTML,
            page,
        );
        server.put(&format!("/files/{file}"), FILE, content);
    }
    let (selection, fetch) = (selection(&distributions), Fetch::new());
    let index = server.url("", "/simple/");
    let ran = fetch.run(selection.path(), &[("PIP_INDEX_URL", &index)]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(fetch.fetched().len(), 40);
    for (_, file, content) in &names {
        assert_eq!(&fs::read(fetch.to.path().join(file)).unwrap(), content);
    }
    let asked = server.asked();
    assert_eq!(asked.len(), 80);
    assert!(asked.windows(2).all(|pair| pair[0] != pair[1]), "{asked:?}");
    assert!(
        server.headers().contains(&format!("accept: {JSON}")),
        "{}",
        server.headers()
    );

    let again = fetch.run(selection.path(), &[("PIP_INDEX_URL", &index)]);
    assert_eq!(again.status, 0, "{}", again.err);
    assert_eq!(server.asked().len(), 80, "what is there was asked for again");
}

#[test]
fn a_json_page_behind_a_redirect_is_the_base_of_its_links() {
    let server = Server::start();
    server.redirect("/simple/friendly-bard/", "/mirror/v2/friendly-bard/");
    let page = serde_json::json!({
        "meta": {"api-version": "1.1"}, "name": "friendly-bard",
        "files": [{"filename": WHEEL, "url": "../files/x", "hashes": {"sha256": sha256(CONTENT)}, "yanked": "it is old"}],
    });
    server.put("/mirror/v2/friendly-bard/", JSON, page.to_string());
    server.redirect("/mirror/v2/files/x", "/elsewhere");
    server.put("/elsewhere", FILE, CONTENT);
    let ((selection, _), fetch) = (one_wheel(""), Fetch::new());
    let ran = fetch.run(selection.path(), &[("PIP_INDEX_URL", &server.url("", "/simple"))]);
    assert_eq!(
        (ran.status, fetch.fetched()),
        (0, vec![WHEEL.to_owned()]),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains(&format!(
            "{WHEEL} was withdrawn from the index (yanked): it is old"
        )),
        "{}",
        ran.err
    );
}

#[test]
fn a_link_without_a_digest_is_followed_and_its_file_verified() {
    let page = format!("<A HREF='/files/{WHEEL}' data-yanked>x</A>");
    let (ran, fetched, _) = fetch_from_page(&page, CONTENT);
    assert_eq!((ran.status, fetched), (0, vec![WHEEL.to_owned()]), "{}", ran.err);

    let (ran, fetched, _) = fetch_from_page(&page, b"other bytes");
    assert_eq!(
        (ran.status, fetched),
        (5, vec![".partial".to_owned()]),
        "{}",
        ran.err
    );
    for expected in [
        sha256(CONTENT),
        sha256(b"other bytes"),
        "an index never changes a file".to_owned(),
    ] {
        assert!(ran.err.contains(&expected), "{expected} is not in {}", ran.err);
    }
}

#[test]
fn a_file_that_is_not_what_its_page_says_fails_as_a_checksum() {
    let page = format!("<a href='/files/{WHEEL}#sha256={}'>x</a>", sha256(CONTENT));
    let (ran, fetched, server) = fetch_from_page(&page, b"other bytes");
    assert_eq!(
        (ran.status, fetched),
        (5, vec![".partial".to_owned()]),
        "{}",
        ran.err
    );
    assert!(ran.err.contains(&sha256(b"other bytes")), "{}", ran.err);
    assert!(
        ran.err.contains(&server.url("", &format!("/files/{WHEEL}"))),
        "{}",
        ran.err
    );
}

#[test]
fn another_digest_under_the_same_name_is_reported_without_a_download() {
    let other = sha256(b"other bytes");
    let page = format!("<a href='/files/{WHEEL}#sha256={other}'>x</a>");
    let (ran, _, server) = fetch_from_page(&page, b"other bytes");
    assert_eq!(ran.status, 5, "{}", ran.err);
    assert!(
        ran.err.contains(&other) && ran.err.contains(&sha256(CONTENT)),
        "{}",
        ran.err
    );
    assert_eq!(server.asked(), ["/simple/friendly-bard/"]);
}

#[test]
fn what_the_index_has_instead_is_named() {
    let other = sha256(b"other bytes");
    let link = |file: &str| format!("<a href='/files/{file}#sha256={other}'>x</a>");
    let of_version = link("friendly-bard-1.0.tar.gz") + &link("friendly_bard-0.9-py3-none-any.whl");
    for (page, expected) in [
        (
            of_version,
            "no file has this digest; the files of Friendly.Bard 1.0 are friendly-bard-1.0.tar.gz",
        ),
        (
            link("friendly_bard-0.8.tar.gz") + &link("friendly_bard-0.9.tar.gz"),
            "there is no Friendly.Bard 1.0; the versions are 0.9, 0.8",
        ),
        (String::new(), "there is no file of Friendly.Bard"),
        (
            "<meta name='pypi:repository-version' content='2.0'>".to_owned(),
            "version `2.0` of the simple API; 1 is known",
        ),
    ] {
        let (ran, _, server) = fetch_from_page(&page, CONTENT);
        assert_eq!(ran.status, 4, "{}", ran.err);
        let place = format!("{}: ", server.url("", "/simple/friendly-bard/"));
        assert!(ran.err.contains(&place), "{}", ran.err);
        assert!(ran.err.contains(expected), "{expected} is not in {}", ran.err);
    }
}

#[test]
fn an_unknown_project_and_an_unreachable_index_fail_as_the_network() {
    let server = Server::start();
    let ((selection, _), fetch) = (one_wheel(""), Fetch::new());
    let unknown = fetch.run(selection.path(), &[("PIP_INDEX_URL", &server.url("", "/simple"))]);
    let expected = format!(
        "{}: there is no project `friendly-bard`",
        server.url("", "/simple/friendly-bard/")
    );
    assert_eq!(unknown.status, 4, "{}", unknown.err);
    assert!(unknown.err.contains(&expected), "{}", unknown.err);

    // The port was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let index = format!("http://me:secret@127.0.0.1:{port}/simple");
    let unreachable = fetch.run(selection.path(), &[("PIP_INDEX_URL", &index)]);
    assert_eq!(unreachable.status, 4, "{}", unreachable.err);
    let expected = format!("http://me:****@127.0.0.1:{port}/simple/friendly-bard/: no connection");
    assert!(unreachable.err.contains(&expected), "{}", unreachable.err);
    assert!(!unreachable.err.contains("secret"), "{}", unreachable.err);
}

#[test]
fn credentials_come_from_the_address_and_from_netrc_and_go_to_no_other_host() {
    let (index, files) = (Server::start(), Server::start());
    let (selection, page) = one_wheel(&format!(
        "{}#sha256={}",
        files.url("", &format!("/{WHEEL}")),
        sha256(CONTENT)
    ));
    files.put(&format!("/{WHEEL}"), FILE, CONTENT);
    index.put("/simple/friendly-bard/", HTML, page);
    // me:p@ss
    index.protect("bWU6cEBzcw==");
    let fetch = |login: &str, netrc: &str| {
        let fetch = Fetch::new();
        fs::write(fetch.home.path().join(".netrc"), netrc).unwrap();
        fetch.run(
            selection.path(),
            &[("PIP_INDEX_URL", &index.url(login, "/simple"))],
        )
    };
    for (login, netrc) in [
        ("me:p%40ss@", ""),
        ("", "machine 127.0.0.1 login me password p@ss\n"),
        ("", "default login me password p@ss\n"),
        ("me:p%40ss@", "machine 127.0.0.1 login you password wrong\n"),
    ] {
        let ran = fetch(login, netrc);
        assert_eq!(ran.status, 0, "{login} {netrc}: {}", ran.err);
        assert!(!(ran.err + &ran.out).contains("p%40ss"));
    }
    let from_netrc = files.headers().contains("authorization");
    assert!(
        from_netrc,
        "netrc knows hosts and no ports, so the other server has what it says of them"
    );
    assert_eq!(
        files
            .headers()
            .matches("authorization: basic bwu6cebzcw==")
            .count(),
        2
    );

    let denied = fetch("me:wr0ng@", "");
    assert_eq!(denied.status, 4, "{}", denied.err);
    assert!(!denied.err.contains("wr0ng"), "{}", denied.err);
    for expected in ["me:****@", "401 Unauthorized", "PIP_INDEX_URL", "~/.netrc"] {
        assert!(
            denied.err.contains(expected),
            "{expected} is not in {}",
            denied.err
        );
    }
}

#[test]
fn a_file_beside_its_index_is_asked_for_with_the_same_credentials() {
    let server = Server::start();
    let (selection, page) = one_wheel(&format!("/files/{WHEEL}#sha256={}", sha256(CONTENT)));
    server.put("/simple/friendly-bard/", HTML, page);
    server.put(&format!("/files/{WHEEL}"), FILE, CONTENT);
    // token: without a password
    server.protect("dG9rZW46");
    let fetch = Fetch::new();
    let ran = fetch.run(
        selection.path(),
        &[("PIP_INDEX_URL", &server.url("token@", "/simple"))],
    );
    assert_eq!(
        (ran.status, fetch.fetched()),
        (0, vec![WHEEL.to_owned()]),
        "{}",
        ran.err
    );
}

#[test]
fn extra_indexes_of_a_configuration_file_are_asked_in_their_order() {
    let (first, second) = (Server::start(), Server::start());
    let (selection, page) = one_wheel(&format!("/{WHEEL}#sha256={}", sha256(CONTENT)));
    first.put(
        "/simple/friendly-bard/",
        HTML,
        "<a href='/friendly_bard-2.0.tar.gz'>x</a>",
    );
    second.put("/simple/friendly-bard/", HTML, page);
    second.put(&format!("/{WHEEL}"), FILE, CONTENT);
    let fetch = Fetch::new();
    let directory = fetch.home.path().join(".config/pip");
    fs::create_dir_all(&directory).unwrap();
    let text = format!(
        "[global]\nindex-url = {}\nextra-index-url =\n    {}\n    {}\n",
        first.url("", "/none"),
        first.url("", "/simple"),
        second.url("", "/simple")
    );
    fs::write(directory.join("pip.conf"), text).unwrap();
    let ran = fetch.run(selection.path(), &[]);
    assert_eq!(
        (ran.status, fetch.fetched()),
        (0, vec![WHEEL.to_owned()]),
        "{}",
        ran.err
    );
    assert_eq!(first.asked(), ["/none/friendly-bard/", "/simple/friendly-bard/"]);

    let named = fetch.home.path().join("broken.conf");
    fs::write(&named, "index-url = x\n").unwrap();
    fs::remove_file(fetch.to.path().join(WHEEL)).unwrap();
    let ran = fetch.run(selection.path(), &[("PIP_CONFIG_FILE", named.to_str().unwrap())]);
    assert_eq!(ran.status, 4, "{}", ran.err);
    assert!(
        ran.err
            .contains("broken.conf is not a configuration of pip: line 1"),
        "{}",
        ran.err
    );
}

#[test]
fn directories_and_pages_of_links_serve_without_an_index() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start());
    let (selection, page) = one_wheel(&format!("/{WHEEL}"));
    server.put("/links.html", HTML, page);
    server.put(&format!("/{WHEEL}"), FILE, CONTENT);
    fs::write(directory.path().join(WHEEL), CONTENT).unwrap();
    let path = directory.path().to_str().unwrap();
    for links in [
        path.to_owned(),
        format!("file://{path}"),
        server.url("", "/links.html"),
    ] {
        let fetch = Fetch::new();
        let ran = fetch.run(
            selection.path(),
            &[("PIP_NO_INDEX", "true"), ("PIP_FIND_LINKS", &links)],
        );
        assert_eq!(
            (ran.status, fetch.fetched()),
            (0, vec![WHEEL.to_owned()]),
            "{links}: {}",
            ran.err
        );
    }
    fs::write(directory.path().join(WHEEL), "other bytes").unwrap();
    let wrong = Fetch::new().run(
        selection.path(),
        &[("PIP_NO_INDEX", "true"), ("PIP_FIND_LINKS", path)],
    );
    assert_eq!(wrong.status, 5, "{}", wrong.err);
    let none = Fetch::new().run(selection.path(), &[("PIP_NO_INDEX", "true")]);
    assert_eq!(none.status, 4, "{}", none.err);
    assert!(
        none.err.contains("pip is configured with `no-index`"),
        "{}",
        none.err
    );
}

#[test]
fn plain_http_is_spoken_to_trusted_hosts_and_through_pips_proxy() {
    let server = Server::start();
    let (selection, page) = one_wheel(&format!("/{WHEEL}#sha256={}", sha256(CONTENT)));
    // A proxy is asked for whole addresses.
    server.put("http://index.invalid/simple/friendly-bard/", HTML, page);
    server.put(&format!("http://index.invalid/{WHEEL}"), FILE, CONTENT);
    let (proxy, index) = (server.url("", ""), "http://index.invalid/simple");
    let variables = [
        ("PIP_INDEX_URL", index),
        ("PIP_PROXY", &proxy),
        ("PIP_TRUSTED_HOST", "other index.invalid"),
    ];
    let untrusted = Fetch::new().run(selection.path(), &variables[..2]);
    assert_eq!(
        (untrusted.status, server.asked().len()),
        (4, 0),
        "{}",
        untrusted.err
    );
    assert!(
        untrusted.err.contains("plain http, and pip's `trusted-host`"),
        "{}",
        untrusted.err
    );
    let trusted = Fetch::new().run(selection.path(), &variables);
    assert_eq!((trusted.status, server.asked().len()), (0, 2), "{}", trusted.err);
}

#[test]
fn pips_certificate_is_trusted_and_a_trusted_host_needs_none() {
    let directory = tempfile::tempdir().unwrap();
    let (selection, page) = one_wheel(&format!("/{WHEEL}#sha256={}", sha256(CONTENT)));
    fs::write(directory.path().join("links.html"), page).unwrap();
    fs::write(directory.path().join(WHEEL), CONTENT).unwrap();
    let Some((mut server, port)) = https_server(directory.path()) else {
        skip("there is no openssl to serve https with");
    };
    let links = format!("https://127.0.0.1:{port}/links.html");
    let certificate = directory.path().join("certificate.pem").display().to_string();
    let host = format!("127.0.0.1:{port}");
    let fetch = |more: &[(&str, &str)]| {
        let variables = [&[("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", links.as_str())], more].concat();
        Fetch::new().run(selection.path(), &variables)
    };
    let (unknown, by_certificate, by_host) = (
        fetch(&[]),
        fetch(&[("PIP_CERT", &certificate)]),
        fetch(&[("PIP_TRUSTED_HOST", &host)]),
    );
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(unknown.status, 4, "{}", unknown.err);
    assert!(
        unknown.err.contains("certificate is not trusted"),
        "{}",
        unknown.err
    );
    assert_eq!(by_certificate.status, 0, "{}", by_certificate.err);
    assert_eq!(by_host.status, 0, "{}", by_host.err);
}

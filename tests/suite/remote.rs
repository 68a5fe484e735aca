//! A cache of artifacts on another machine: short-lived machines share work through it, and nothing that it does breaks
//! an installation or costs it more than the agreed time.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::cache_server::{CacheServer, Seen, Trick};
use crate::harness::skip;
use crate::machine::{Machine, Recipe, archive_of, files_below, linking_a_stray};
use crate::support::{Ran, in_time, wait_for};

/// The extensions, which note their builds.
const BUILT: [&str; 2] = ["alpha", "beta"];

/// A bare machine with an empty cache. Two of them have the same plan, so their keys are the same.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.image(&BUILT, "");
    for (name, make) in BUILT.into_iter().zip([
        "@echo alpha >>$(TRACE)/compiled",
        "@echo beta >>$(TRACE)/compiled",
    ]) {
        machine.extension(name, Recipe::new().make(&[make]));
    }
    machine
}

/// The extensions that were compiled, in order.
fn compiled(machine: &Machine) -> Vec<String> {
    let mut names: Vec<String> = machine.trace("compiled").lines().map(str::to_owned).collect();
    names.sort();
    names
}

/// Installs with a remote cache, and fails unless the installation is complete.
#[track_caller]
fn installed(machine: &Machine, url: &str, more: &[&str]) -> Ran {
    let ran = machine.install(&[&["--artifact-cache", url], more].concat());
    assert_eq!(ran.status, 0, "{}{}", ran.out, machine.neutral(&ran.err));
    for name in BUILT {
        let control = format!("/usr/share/postgresql/18/extension/{name}.control");
        assert!(machine.root(&control).exists());
    }
    ran
}

/// The lines about the remote cache.
fn said(ran: &Ran) -> Vec<&str> {
    ran.err
        .lines()
        .filter(|line| line.contains("artifact cache"))
        .collect()
}

/// A cache that a machine has filled.
fn filled() -> CacheServer {
    let server = CacheServer::start();
    let ran = installed(&machine(), &server.url, &[]);
    assert_eq!(said(&ran), Vec::<&str>::new());
    server
}

#[test]
fn a_second_short_lived_machine_compiles_nothing() {
    let server = CacheServer::start();
    let first = machine();
    let ran = installed(&first, &server.url, &[]);
    assert_eq!(compiled(&first), BUILT);
    assert_eq!(said(&ran), Vec::<&str>::new());
    // Three results; each names an artifact and an entry, which precede it.
    let paths = server.paths();
    let count = |prefix: &str| paths.iter().filter(|path| path.starts_with(prefix)).count();
    assert_eq!(
        (count("/ac/"), count("/cas/"), paths.len()),
        (3, 6, 9),
        "{paths:?}"
    );
    let puts: Vec<String> = server
        .seen()
        .into_iter()
        .filter(|(method, ..)| method == "PUT")
        .map(|(_, path, _)| path[..4].to_owned())
        .collect();
    assert_eq!(puts.join(" "), ["/cas /cas /ac/"; 3].join(" "));

    let second = machine();
    let ran = installed(&second, &server.url, &[]);
    assert_eq!(compiled(&second), Vec::<String>::new());
    assert_eq!(said(&ran), Vec::<&str>::new());
    assert!(ran.err.contains("3 of 3 at hand"), "{}", ran.err);
    // The artifacts are in the local cache now, so the remote one is only asked whether it still has them.
    let before = server.seen().len();
    second.fresh();
    installed(&second, &server.url, &[]);
    let asked = server.seen().split_off(before);
    let is_question = |(method, path, _): &Seen| method == "GET" && path.starts_with("/ac/");
    assert!(asked.len() == 3 && asked.iter().all(is_question), "{asked:?}");
    let trees = [&first, &second].map(|machine| files_below(&machine.root("/usr/share/postgresql")));
    assert_eq!(trees[0], trees[1]);
}

#[test]
fn a_read_only_cache_is_read_and_never_written() {
    let server = CacheServer::start();
    let ran = installed(&machine(), &server.url, &["--artifact-cache-readonly"]);
    assert_eq!(said(&ran), Vec::<&str>::new());
    assert_eq!(server.paths(), Vec::<String>::new());
    let seen = server.seen();
    assert!(
        !seen.is_empty() && seen.iter().all(|(method, ..)| method == "GET"),
        "{seen:?}"
    );
}

#[test]
fn a_cache_that_answers_wrong_is_reported_in_one_line() {
    // What goes wrong, in which requests, the line about it, and how often: once if the cache is not used any more, else for each.
    let cases = [
        (
            "GET",
            "/ac/",
            Trick::Status(500),
            "no longer used: the server answered 500",
            1,
        ),
        (
            "GET",
            "/ac/",
            Trick::Status(401),
            "no longer used: the server answered 401",
            1,
        ),
        ("GET", "/ac/", Trick::Redirect, "redirects are not followed", 1),
        ("GET", "/ac/", Trick::Garbage, "no longer used: ", 1),
        (
            "GET",
            "/ac/",
            Trick::Page,
            "is not used: it is not the result of an action",
            3,
        ),
        ("GET", "/ac/", Trick::Cut, "no longer used: ", 1),
        ("GET", "/ac/", Trick::FlippedBit, "is not used: ", 3),
        ("GET", "/ac/", Trick::Endless, "is too large", 3),
        (
            "GET",
            "/cas/",
            Trick::Status(404),
            "is not used: the cache names a file that it does not have",
            3,
        ),
        (
            "GET",
            "/cas/",
            Trick::FlippedBit,
            "is not used: the digest of its entry",
            3,
        ),
        ("GET", "/cas/", Trick::Cut, "no longer used: ", 1),
    ];
    for (method, path, trick, words, count) in cases {
        let server = filled();
        server.trick(method, path, trick);
        let machine = machine();
        let ran = installed(&machine, &server.url, &[]);
        assert_eq!(compiled(&machine), BUILT, "{trick:?}");
        let said = said(&ran);
        assert_eq!(said.len(), count, "{trick:?}: {said:?}");
        assert!(
            said.iter().all(|line| line.contains(words)),
            "{trick:?}: {said:?}"
        );
        // If the cache is still in use, the artifacts are uploaded again and serve the next machine.
        if count > 1 {
            server.behave();
            let next = self::machine();
            installed(&next, &server.url, &[]);
            assert_eq!(compiled(&next), Vec::<String>::new(), "{trick:?}");
        }
    }
}

#[test]
fn an_artifact_with_another_digest_is_never_unpacked() {
    let server = filled();
    // The artifacts, not their entries.
    server.change(|files| {
        for (path, bytes) in files {
            if path.starts_with("/cas/") && !bytes.starts_with(b"{") {
                *bytes.last_mut().unwrap() ^= 1;
            }
        }
    });
    let machine = machine();
    let ran = installed(&machine, &server.url, &["--artifact-cache-readonly"]);
    assert_eq!(compiled(&machine), BUILT);
    let said = said(&ran);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(
        said.iter()
            .all(|line| line.contains("is not used: its digest is not the expected one")),
        "{said:?}"
    );
}

/// A packed tree of one file.
fn packed(name: &str) -> Vec<u8> {
    let (top, name) = name.split_once('/').unwrap();
    archive_of(top, &[(name.to_owned(), "x".to_owned())]).0
}

#[test]
fn a_cache_with_consistent_lies_breaks_nothing() {
    type Lie = fn(&mut Vec<u8>, &mut serde_json::Value);
    let cases: [(Lie, &str); 7] = [
        (
            |packed, _| *packed = b"<html>Log in!</html>".to_vec(),
            "is not used: the archive is damaged: it is not a tar archive",
        ),
        (
            |packed, _| packed.truncate(packed.len() / 2),
            "is not used: the archive is damaged: ",
        ),
        (
            |packed, _| *packed = self::packed("root/.bashrc"),
            "is not used: /root: is outside of /etc, /opt, /usr",
        ),
        (
            |packed, _| *packed = self::packed("usr/bin/dpkg"),
            "is not used: /usr/bin/dpkg: is a file of the Debian package dpkg already",
        ),
        (
            |_, entry| entry["libraries"] = ["nosuch"].into(),
            "is not used: its entry names the package \"nosuch\"",
        ),
        (
            |_, entry| entry["libraries"] = ["-oDPkg::Pre-Invoke::=touch /evil"].into(),
            "is not used: its entry names the package \"-oDPkg::Pre-Invoke",
        ),
        (
            |_, entry| entry["component"] = "another 1".into(),
            "is not used: its entry belongs to another component",
        ),
    ];
    for (lie, words) in cases {
        let server = filled();
        server.lie(lie);
        let machine = machine();
        let ran = installed(&machine, &server.url, &["--artifact-cache-readonly"]);
        assert_eq!(compiled(&machine), BUILT, "{words}");
        let said = said(&ran);
        assert_eq!(said.len(), 3, "{words}: {said:?}");
        let names_it = |line: &&str| line.contains(words) && line.ends_with(&format!("({})", server.url));
        assert!(said.iter().all(names_it), "{words}: {said:?}");
        let apt = machine.trace("apt-get");
        assert!(!apt.contains("nosuch") && !apt.contains("Pre-Invoke"), "{apt}");
        // Only artifacts that were built here are kept.
        machine.fresh();
        let ran = machine.install(&[]);
        assert_eq!(ran.status, 0, "{words}: {}", ran.err);
        assert_eq!(compiled(&machine), Vec::<String>::new(), "{words}");
    }
}

/// A machine on which alpha links a library of the package libstray1.
fn linking_machine() -> Machine {
    let machine = machine();
    let recipe = linking_a_stray().packages(&["libstray1"]);
    machine.extension("alpha", recipe);
    libstray_is_a_packages(&machine);
    machine
}

/// Adds the file that the stub of apt-get does not install to dpkg's lists.
fn libstray_is_a_packages(machine: &Machine) {
    machine.write(
        "/var/lib/dpkg/info/libstray1.list",
        "/.\n/usr/lib/libstray.so.1\n",
    );
}

#[test]
fn a_lie_found_at_installation_fails_once() {
    type Lie = fn(&mut Vec<u8>, &mut serde_json::Value);
    let cases: [(Lie, i32, &str); 2] = [
        (
            |_, entry| entry["libraries"] = serde_json::json!([]),
            6,
            "alpha: the artifact does not declare all that it needs:\n  /usr/lib/postgresql/18/lib/alpha.so links \
             libstray.so.1, which does not exist\n",
        ),
        (
            |packed, _| {
                let script = ("bin/tool".to_owned(), "#!/usr/bin/nosuch\n".to_owned());
                *packed = archive_of("usr", &[script]).0;
            },
            7,
            "/usr/bin/tool",
        ),
    ];
    for (lie, status, words) in cases {
        let server = CacheServer::start();
        installed(&linking_machine(), &server.url, &[]);
        server.lie(|packed, entry| {
            if entry["component"] == "alpha 1.0" {
                lie(packed, entry);
            }
        });
        let machine = linking_machine();
        let ran = machine.install(&["--artifact-cache", &server.url]);
        assert_eq!(ran.status, status, "{}", ran.err);
        let refused = "\n  the artifact of alpha 1.0 was removed from the cache; run again to build it\n";
        assert!(
            ran.err.contains(words) && ran.err.contains(refused),
            "{}",
            ran.err
        );
        assert_eq!(compiled(&machine), Vec::<String>::new());
        // The cache still has it, and it is not fetched again.
        assert_ne!(files_below(&machine.path("cache/refused")), Vec::<String>::new());
        machine.fresh();
        libstray_is_a_packages(&machine);
        let ran = installed(&machine, &server.url, &[]);
        assert_eq!(compiled(&machine), ["alpha"]);
        let line = "the artifact of alpha 1.0 is not used and is built again: an earlier run rejected the artifact of the artifact cache: ";
        assert!(ran.err.contains(line), "{}", ran.err);
        assert_eq!(files_below(&machine.path("cache/refused")), Vec::<String>::new());
    }
}

#[test]
fn earlier_artifacts_are_uploaded_to_a_new_cache_once() {
    let first = machine();
    let ran = first.install(&[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let server = CacheServer::start();
    first.fresh();
    let ran = installed(&first, &server.url, &["--artifact-cache-readonly"]);
    assert_eq!((said(&ran), server.seen()), (vec![], vec![]));
    for puts in [9, 0] {
        let before = server.seen().len();
        first.fresh();
        let ran = installed(&first, &server.url, &[]);
        assert_eq!(said(&ran), Vec::<&str>::new());
        assert_eq!(compiled(&first), Vec::<String>::new());
        let seen = server.seen().split_off(before);
        let count = |wanted: &str| seen.iter().filter(|(method, ..)| method == wanted).count();
        assert_eq!((count("GET"), count("PUT")), (3, puts), "{seen:?}");
    }
    let second = machine();
    installed(&second, &server.url, &[]);
    assert_eq!(compiled(&second), Vec::<String>::new());
}

#[test]
fn a_result_of_another_key_is_not_taken_for_this_one() {
    let server = filled();
    // Every key answers with the result of the next.
    server.change(|files| {
        let keys: Vec<String> = files
            .keys()
            .filter(|path| path.starts_with("/ac/"))
            .cloned()
            .collect();
        let results: Vec<Vec<u8>> = keys.iter().map(|key| files[key].clone()).collect();
        for (position, key) in keys.iter().enumerate() {
            files.insert(key.clone(), results[(position + 1) % keys.len()].clone());
        }
    });
    let machine = machine();
    let ran = installed(&machine, &server.url, &["--artifact-cache-readonly"]);
    assert_eq!(compiled(&machine), BUILT);
    let said = said(&ran);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(
        said.iter().all(|line| line.contains("it belongs to another key")),
        "{said:?}"
    );
}

#[test]
fn a_slow_cache_costs_no_more_than_its_time() {
    let cases = [
        ("GET", "/ac/", Trick::Mute),
        ("GET", "/ac/", Trick::Drip),
        ("GET", "/cas/", Trick::Mute),
        ("GET", "/cas/", Trick::Drip),
    ];
    for (method, path, trick) in cases {
        let server = filled();
        server.trick(method, path, trick);
        let before = server.seen().len();
        let machine = machine();
        let options = ["--artifact-cache-timeout", "1"];
        let ran = in_time("a cache that hangs", || {
            installed(&machine, &server.url, &options)
        });
        assert_eq!(compiled(&machine), BUILT, "{trick:?}");
        let said = said(&ran);
        assert_eq!(said.len(), 1, "{trick:?}: {said:?}");
        assert!(
            said[0].contains("its time of 1 s is used up"),
            "{trick:?}: {said:?}"
        );
        // It is not asked again, and nothing is sent to it.
        let asked = &server.seen()[before..];
        let results = asked.iter().filter(|(_, path, _)| path.starts_with("/ac/"));
        assert_eq!(results.count(), 1, "{asked:?}");
        assert!(asked.iter().all(|(method, ..)| method == "GET"), "{asked:?}");
    }
}

#[test]
fn rejected_or_hanging_uploads_are_reported_once() {
    let cases = [
        (
            "/",
            Trick::Status(403),
            "nothing more is uploaded to the artifact cache: the server answered 403",
            1,
        ),
        (
            "/",
            Trick::Status(405),
            "nothing more is uploaded to the artifact cache: the server answered 405",
            1,
        ),
        (
            "/cas/",
            Trick::Status(413),
            "is too large for the artifact cache, which answered 413; nginx's limit is client_max_body_size",
            3,
        ),
        ("/", Trick::Mute, "artifacts were not uploaded", 1),
        ("/", Trick::StopsReading, "artifacts were not uploaded", 1),
    ];
    for (path, trick, words, count) in cases {
        let server = CacheServer::start();
        server.trick("PUT", path, trick);
        let machine = machine();
        let options = ["--artifact-cache-timeout", "2"];
        let ran = in_time("an upload that hangs", || {
            installed(&machine, &server.url, &options)
        });
        let said = said(&ran);
        // An upload that hangs may notice its time limit before the end of the installation does.
        let hangs = matches!(trick, Trick::Mute | Trick::StopsReading);
        let by_itself = "nothing more is uploaded to the artifact cache: ";
        let is_expected = |line: &&str| line.contains(words) || hangs && line.contains(by_itself);
        assert!(said.iter().all(is_expected), "{trick:?}: {said:?}");
        assert_eq!(said.len(), count, "{trick:?}: {said:?}");
        // No result names a missing file.
        assert!(
            !server.paths().iter().any(|path| path.starts_with("/ac/")),
            "{:?}",
            server.paths()
        );
    }
}

#[test]
fn an_unreachable_cache_is_reported_once() {
    let port = free_port();
    let machine = machine();
    let ran = installed(&machine, &format!("http://127.0.0.1:{port}"), &[]);
    assert_eq!(compiled(&machine), BUILT);
    let said = said(&ran);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("no longer used") && said[0].contains("refused"),
        "{said:?}"
    );
}

#[test]
fn a_secret_is_sent_to_the_cache_and_printed_nowhere() {
    for (secret, header) in [
        ("s3cr3t-token", "Bearer s3cr3t-token"),
        ("me:s3cr3t-password", "Basic bWU6czNjcjN0LXBhc3N3b3Jk"),
    ] {
        let server = CacheServer::start();
        let machine = machine();
        let file = machine.path("secret");
        std::fs::write(&file, format!("{secret}\n")).unwrap();
        server.trick("PUT", "/cas/", Trick::Status(401));
        let trace = machine.path("trace.json");
        let more = [
            "--artifact-cache-auth",
            file.to_str().unwrap(),
            "--trace",
            trace.to_str().unwrap(),
        ];
        let ran = installed(&machine, &server.url, &more);
        let seen = server.seen();
        assert!(
            !seen.is_empty() && seen.iter().all(|(_, _, sent)| sent == header),
            "{seen:?}"
        );
        assert!(
            !ran.err.contains("s3cr3t") && !ran.out.contains("s3cr3t"),
            "{}",
            ran.err
        );
        for place in ["root", "cache", "trace.json"] {
            let found = Command::new("grep")
                .args(["--recursive", "--quiet", "s3cr3t"])
                .arg(machine.path(place))
                .status();
            assert_eq!(found.unwrap().code(), Some(1), "{place}");
        }
    }
}

#[test]
fn what_is_wrong_with_the_options_is_said_before_anything_begins() {
    let machine = machine();
    let [file, two_lines] = ["secret", "two-lines"].map(|name| machine.path(name));
    std::fs::write(&file, "").unwrap();
    std::fs::write(&two_lines, "user:pass\nmore\n").unwrap();
    let [file, two_lines] = [&file, &two_lines].map(|path| path.to_str().unwrap());
    for (more, words) in [
        (
            &["--artifact-cache", ""][..],
            "address is empty: leave --artifact-cache out where there is none",
        ),
        (
            &["--artifact-cache", "cache"],
            "is not valid: `cache`; one looks like https://",
        ),
        (
            &["--artifact-cache", "http://x", "--artifact-cache-auth", two_lines],
            "more than one line of plain text: a token, or USER:PASSWORD",
        ),
        (
            &["--artifact-cache", "ftp://x"],
            "begins with http:// or https://",
        ),
        (&["--artifact-cache", "http://me:pw@x"], "--artifact-cache-auth"),
        (
            &["--artifact-cache", "http://x", "--artifact-cache-auth", file],
            "is empty",
        ),
        (
            &[
                "--artifact-cache",
                "http://x",
                "--artifact-cache-auth",
                "/nonexistent",
            ],
            "/nonexistent",
        ),
        (&["--artifact-cache", "http://x", "--offline"], "--offline"),
        (&["--artifact-cache-readonly"], "--artifact-cache"),
    ] {
        let ran = machine.install(more);
        assert_eq!(ran.status, 2, "{more:?}: {}", ran.err);
        assert!(
            ran.err.contains(words) && !ran.err.contains(":pw"),
            "{more:?}: {}",
            ran.err
        );
        assert_eq!(machine.trace("apt-get"), "");
    }
}

/// A port without a listener.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Debian's nginx with WebDAV and a password. It ends when it is dropped.
struct Nginx {
    process: Child,
    url: String,
    store: PathBuf,
    _directory: tempfile::TempDir,
}

impl Nginx {
    /// Starts it; `None` if there is no nginx.
    fn start() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["store", "tmp"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        std::fs::write(path("passwords"), "me:{PLAIN}secret\n").unwrap();
        let port = free_port();
        let root = Path::new("/proc/self").metadata().is_ok_and(|own| {
            use std::os::unix::fs::MetadataExt;
            own.uid() == 0
        });
        let user = if root { "user root;" } else { "" };
        let here = directory.path().display();
        let configuration = format!(
            "{user} daemon off; master_process off; pid {here}/pid; error_log {here}/errors;\n\
             events {{}}\n\
             http {{\n\
               access_log off; client_body_temp_path {here}/tmp; proxy_temp_path {here}/tmp; fastcgi_temp_path {here}/tmp;\n\
               uwsgi_temp_path {here}/tmp; scgi_temp_path {here}/tmp; client_max_body_size 0;\n\
               server {{\n\
                 listen 127.0.0.1:{port};\n\
                 location /builds/ {{\n\
                   alias {here}/store/; dav_methods PUT; create_full_put_path on;\n\
                   auth_basic cache; auth_basic_user_file {here}/passwords;\n\
                 }}\n\
               }}\n\
             }}\n"
        );
        std::fs::write(path("nginx.conf"), configuration).unwrap();
        let process = Command::new("nginx")
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(path("nginx.conf"))
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stderr(Stdio::null())
            .spawn();
        let nginx = Self {
            process: process.ok()?,
            url: format!("http://127.0.0.1:{port}/builds"),
            store: path("store"),
            _directory: directory,
        };
        wait_for("nginx listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn two_machines_share_through_nginx_with_a_password() {
    let Some(nginx) = Nginx::start() else {
        skip("there is no nginx");
    };
    let first = machine();
    let file = first.path("secret");
    std::fs::write(&file, "me:secret\n").unwrap();
    let auth = ["--artifact-cache-auth", file.to_str().unwrap()];
    let ran = installed(&first, &nginx.url, &auth);
    assert_eq!(compiled(&first), BUILT);
    assert_eq!(said(&ran), Vec::<&str>::new());
    assert_eq!(files_below(&nginx.store).len(), 9);

    let second = machine();
    let ran = installed(&second, &nginx.url, &auth);
    assert_eq!(compiled(&second), Vec::<String>::new());
    assert_eq!(said(&ran), Vec::<&str>::new());

    // Without the password nothing is available, and nothing breaks.
    let third = machine();
    let ran = installed(&third, &nginx.url, &[]);
    assert_eq!(compiled(&third), BUILT);
    assert_eq!(said(&ran).len(), 1);
    assert!(
        said(&ran)[0].contains("the server answered 401"),
        "{:?}",
        said(&ran)
    );
}

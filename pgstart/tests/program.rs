//! The program as the entrypoint calls it: real lock files, leases, processes, sockets and certificates.

use std::fs::File;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

/// A server that was ready when it ended.
const READY: &str = "4194999\n/data\n1796062744\n5432\n/nowhere\n*\n  1 2\nready   \n";

/// The variable that overrules a lock file.
const ON_STALE_LOCK: &str = "POSTGRES_ON_STALE_LOCK";

fn pgstart(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgstart"));
    command
        .args(arguments)
        .env("PGDATA", data)
        .env_remove(ON_STALE_LOCK);
    command
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A data directory with a lock file, written an hour ago.
fn cluster(lock_file: &[u8]) -> TempDir {
    let data = tempfile::tempdir().expect("a directory");
    for directory in ["base/1", "global"] {
        std::fs::create_dir_all(data.path().join(directory)).expect("a directory");
    }
    for file in ["PG_VERSION", "base/1/1259", "global/pg_control"] {
        std::fs::write(data.path().join(file), "18\n").expect("a file");
    }
    let path = data.path().join("postmaster.pid");
    std::fs::write(&path, lock_file).expect("a file");
    age(&path);
    data
}

fn age(path: &Path) {
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let file = File::options().write(true).open(path).expect("it opens");
    file.set_modified(hour_ago).expect("its time is set");
}

fn is_locked(data: &TempDir) -> bool {
    data.path().join("postmaster.pid").exists()
}

/// Runs a command to its end.
fn run(command: &mut Command) -> Output {
    command.output().expect("it runs")
}

fn remove_lock(data: &TempDir, on_stale_lock: Option<&str>) -> Output {
    let mut command = pgstart(data.path(), &["locks", "remove"]);
    run(command.envs(on_stale_lock.map(|word| (ON_STALE_LOCK, word))))
}

/// Asks for the removal of a lock file that has to stay, and returns why it does.
fn keeps_lock(data: &TempDir, on_stale_lock: Option<&str>) -> String {
    let ran = remove_lock(data, on_stale_lock);
    let said = text(&ran);
    assert!(!ran.status.success() && is_locked(data), "{said}");
    said
}

/// Asks for the removal of a lock file that has to go, and returns why it does.
fn removes_lock(data: &TempDir, on_stale_lock: Option<&str>) -> String {
    let ran = remove_lock(data, on_stale_lock);
    let said = text(&ran);
    assert!(ran.status.success() && !is_locked(data), "{said}");
    said
}

#[test]
fn a_lock_file_of_a_dead_server_goes_whatever_it_says() {
    for lock_file in [READY.as_bytes(), b"", &[0; 94]] {
        let data = cluster(lock_file);
        let checked = pgstart(data.path(), &["locks", "check"])
            .output()
            .expect("it runs");
        assert!(checked.status.success() && is_locked(&data), "{}", text(&checked));
        let removed = removes_lock(&data, None);
        assert!(removed.contains("no process has a file of the data directory open"));
    }
}

#[test]
fn a_lock_file_stays_while_a_file_of_the_directory_is_open() {
    for lock_file in [READY.as_bytes(), b""] {
        let data = cluster(lock_file);
        let path = data.path().join("base/1/1259");
        let open = File::open(&path).expect("it opens");
        let refused = keeps_lock(&data, None);
        for part in [
            "postmaster.pid",
            path.to_str().expect("UTF-8"),
            "POSTGRES_ON_STALE_LOCK=remove",
        ] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        if lock_file.is_empty() {
            assert!(refused.contains("empty or damaged"), "{refused}");
        } else {
            assert!(refused.contains("process 4194999, port 5432, started 2026-11-30 18:19:04 UTC"));
        }
        removes_lock(&data, Some("remove"));
        drop(open);
    }
}

#[test]
fn a_lock_file_that_is_not_a_file_is_left_alone() {
    let data = cluster(b"");
    let path = data.path().join("postmaster.pid");
    for (make, found) in [
        ("mkdir", "a directory"),
        ("mkfifo", "a named pipe"),
        ("ln --symbolic /nowhere", "a link that leads nowhere"),
    ] {
        let made = Command::new("sh")
            .args(["-c", &format!("rm -r \"$0\" && {make} \"$0\"")])
            .arg(&path)
            .status();
        assert!(made.expect("sh starts").success(), "{make}");
        for command in ["check", "remove"] {
            // A pipe would be waited for.
            let refused = Command::new("timeout")
                .args(["10", env!("CARGO_BIN_EXE_pgstart"), "locks", command])
                .env("PGDATA", data.path())
                .env("POSTGRES_ON_STALE_LOCK", "remove")
                .output()
                .expect("timeout of coreutils starts");
            assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
            assert!(
                path.symlink_metadata().is_ok()
                    && text(&refused).contains(&format!("postmaster.pid is {found}")),
                "{}",
                text(&refused)
            );
        }
    }
}

#[test]
fn what_cannot_be_seen_is_not_taken_for_unused() {
    let data = cluster(b"");
    std::fs::remove_file(data.path().join("postmaster.pid")).expect("it is removed");
    let check = || {
        let mut check = pgstart(data.path(), &["locks", "check"]);
        let plain = check.output().expect("it runs");
        let forced = check.env("POSTGRES_ON_STALE_LOCK", "remove").output();
        (plain, forced.expect("it runs").status.success())
    };
    let (seen, _) = check();
    assert!(seen.status.success(), "{}", text(&seen));
    std::fs::create_dir(data.path().join("pg_tblspc")).expect("a directory");
    std::os::unix::fs::symlink("/nowhere", data.path().join("pg_tblspc/1")).expect("a link");
    let (hidden, forced) = check();
    assert!(!hidden.status.success() && forced, "{}", text(&hidden));
    for part in [
        "although it has no lock file",
        "/pg_tblspc/1 cannot be read",
        "POSTGRES_ON_STALE_LOCK=remove",
    ] {
        assert!(text(&hidden).contains(part), "{part}: {}", text(&hidden));
    }
    // What this image's server left that was shut down at once, and what another one has left since.
    let options = data.path().join("postmaster.opts");
    std::fs::write(&options, "").expect("a file");
    std::fs::write(data.path().join(".server-start"), "71\n1000\n").expect("a file");
    let (own, _) = check();
    assert!(own.status.success(), "{}", text(&own));
    age(&data.path().join(".server-start"));
    let (other, _) = check();
    assert!(!other.status.success(), "{}", text(&other));
    // A copy by pg_basebackup, from which no server has started yet.
    std::fs::write(data.path().join("backup_label"), "").expect("a file");
    let (copy, _) = check();
    assert!(copy.status.success(), "{}", text(&copy));
}

#[test]
fn a_word_of_the_users_that_is_none_is_refused() {
    let data = cluster(b"");
    let refused = keeps_lock(&data, Some("yes"));
    assert!(refused.contains("may be: refuse remove"), "{refused}");
}

/// A program called `postgres` that sleeps, below a directory.
fn dummy_server(directory: &Path) -> PathBuf {
    let program = directory.join("postgres");
    std::fs::copy("/bin/sleep", &program).expect("sleep(1) is copied");
    program
}

fn end(mut child: Child) {
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
}

#[test]
fn a_server_of_this_process_namespace_is_never_overruled() {
    let data = cluster(b"");
    let programs = tempfile::tempdir().expect("a directory");
    let program = dummy_server(programs.path());
    let server = Command::new(program)
        .arg("60")
        .current_dir(data.path())
        .spawn()
        .expect("it starts");
    // The name comes a moment after the program.
    let name = format!("/proc/{}/comm", server.id());
    while std::fs::read_to_string(&name).expect("it lives").trim_end() != "postgres" {
        std::thread::yield_now();
    }
    let refused = keeps_lock(&data, Some("remove"));
    assert!(
        refused.contains(&format!("process {} of this container", server.id())),
        "{refused}"
    );
    end(server);
}

/// `pgstart run` of a program that writes its lock file as a server does, and then sleeps.
fn run_server(data: &Path, programs: &Path) -> Child {
    let program = programs.join("server");
    if !program.exists() {
        let script = "#!/bin/sh\nprintf '%s\\n/data\\n%s\\n5432\\n/nowhere\\n*\\n\\nready\\n' $$ \"$(date +%s)\" >\"$PGDATA/postmaster.pid\"\n\
                      exec sleep 60\n";
        std::fs::write(&program, script).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("its mode is set");
    }
    let child = pgstart(data, &["run", program.to_str().expect("UTF-8"), "-F"])
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let deadline = Instant::now() + Duration::from_secs(30);
    let is_of_child = || {
        std::fs::read_to_string(data.join("postmaster.pid"))
            .is_ok_and(|text| text.starts_with(&format!("{}\n", child.id())) && text.ends_with("ready\n"))
    };
    while !is_of_child() {
        assert!(Instant::now() < deadline, "the server did not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

#[test]
fn a_server_that_was_run_here_is_known_while_it_lives_and_when_it_is_dead() {
    let data = cluster(b"");
    let programs = tempfile::tempdir().expect("a directory");
    let server = run_server(data.path(), programs.path());
    let refused = keeps_lock(&data, Some("remove"));
    assert!(refused.contains("holds the lock on"), "{refused}");
    end(server);
    // A file that is open makes a proof fail, so it is the marker that decides.
    let open = File::open(data.path().join("base/1/1259")).expect("it opens");
    let removed = removes_lock(&data, None);
    assert!(removed.contains("this image's server wrote it"), "{removed}");

    // The lock file of another start than the marker's.
    std::fs::write(data.path().join("postmaster.pid"), READY).expect("a file");
    age(&data.path().join("postmaster.pid"));
    keeps_lock(&data, None);
    drop(open);
}

#[test]
fn a_server_starts_again_after_a_kill_and_not_beside_a_living_one() {
    let data = cluster(b"");
    let programs = tempfile::tempdir().expect("a directory");
    end(run_server(data.path(), programs.path()));
    let again = run_server(data.path(), programs.path());
    let second = pgstart(data.path(), &["run", "sleep", "0"])
        .output()
        .expect("it runs");
    assert!(!second.status.success(), "{}", text(&second));
    assert!(text(&second).contains("holds the lock on"), "{}", text(&second));
    end(again);
    let version = pgstart(data.path(), &["run", "sleep", "--version"])
        .output()
        .expect("it runs");
    assert!(
        version.status.success() && is_locked(&data),
        "a question removes nothing: {}",
        text(&version)
    );
}

#[test]
fn a_link_called_postgres_runs_the_next_postgres_on_the_path() {
    let data = cluster(READY.as_bytes());
    let programs = tempfile::tempdir().expect("a directory");
    let link = programs.path().join("first/postgres");
    std::fs::create_dir(programs.path().join("first")).expect("a directory");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_pgstart"), &link).expect("a link");
    dummy_server(programs.path());
    let path = format!("{0}/first:{0}:/usr/bin:/bin", programs.path().display());
    let ran = Command::new(&link)
        .arg("0")
        .env("PGDATA", data.path())
        .env("PATH", path)
        .output()
        .expect("it runs");
    assert!(ran.status.success() && !is_locked(&data), "{}", text(&ran));
}

#[test]
fn the_lock_of_a_socket_goes_when_nobody_listens() {
    let data = cluster(b"");
    let sockets = tempfile::tempdir().expect("a directory");
    for (port, listened_on) in [(5432, false), (5433, true), (5434, false)] {
        let lock = sockets.path().join(format!(".s.PGSQL.{port}.lock"));
        std::fs::write(&lock, if port == 5434 { "" } else { READY }).expect("a file");
        age(&lock);
        let listener = UnixListener::bind(sockets.path().join(format!(".s.PGSQL.{port}"))).expect("a socket");
        if listened_on {
            std::mem::forget(listener);
        }
    }
    let option = format!("unix_socket_directories={}", sockets.path().display());
    let ran = pgstart(data.path(), &["run", "true", "-c", &option])
        .output()
        .expect("it runs");
    assert!(ran.status.success(), "{}", text(&ran));
    let left = |port: u16| sockets.path().join(format!(".s.PGSQL.{port}.lock")).exists();
    assert_eq!(
        (left(5432), left(5433), left(5434)),
        (false, true, false),
        "{}",
        text(&ran)
    );
}

#[test]
fn a_socket_that_another_server_listens_on_is_not_taken_over() {
    let data = cluster(READY.as_bytes());
    let programs = tempfile::tempdir().expect("a directory");
    let sockets = programs.path().join("sockets");
    std::fs::create_dir(&sockets).expect("a directory");
    let lock = sockets.join(".s.PGSQL.5432.lock");
    std::fs::write(&lock, READY).expect("a file");
    age(&lock);
    let _listener = UnixListener::bind(sockets.join(".s.PGSQL.5432")).expect("a socket");
    for (port, refused) in [(5432, true), (5433, false)] {
        let program = programs.path().join("server");
        let answers = format!(
            "#!/bin/sh\ncase \"$*\" in *'-C port') echo {port};; *'-C unix_socket_directories') echo '{}, /tmp';; esac\n",
            sockets.display()
        );
        std::fs::write(&program, answers).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("its mode is set");
        let option = format!("unix_socket_directories={}", sockets.display());
        let ran = pgstart(
            data.path(),
            &["run", program.to_str().expect("UTF-8"), "-c", &option],
        )
        .output()
        .expect("it runs");
        assert_eq!(!ran.status.success(), refused, "{port}: {}", text(&ran));
        assert_eq!(is_locked(&data), refused, "the lock of the data goes last");
    }
}

/// A certificate and its key of a kind, in a directory.
fn certificate(directory: &Path, subject: &str, kind: &[&str]) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-nodes",
            "-days",
            "2",
            "-subj",
            &format!("/CN={subject}"),
        ])
        .args(["-keyout", "new.key", "-out", "new.crt"])
        .args(kind)
        .current_dir(directory)
        .output()
        .expect("openssl(1) starts");
    assert!(made.status.success(), "{}", text(&made));
}

fn replace(directory: &Path, parts: &[&str]) {
    for part in parts {
        std::fs::copy(
            directory.join(format!("new.{part}")),
            directory.join(format!("tls.{part}")),
        )
        .expect("it is copied");
    }
}

fn tls(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgstart"));
    command
        .args(arguments)
        .env("POSTGRES_TLS_CERT_FILE", directory.join("tls.crt"))
        .env("POSTGRES_TLS_KEY_FILE", directory.join("tls.key"))
        .env("PATRONI_RESTAPI_CERTFILE", directory.join("tls.crt"))
        .env("PATRONI_RESTAPI_KEYFILE", directory.join("tls.key"));
    command
}

/// Whether both copies, PostgreSQL's and that of Patroni's REST interface, are of the newest pair.
fn is_served(directory: &Path, copies: &Path) -> bool {
    [
        "server/tls.crt",
        "server/tls.key",
        "restapi/tls.crt",
        "restapi/tls.key",
    ]
    .iter()
    .all(|copy| {
        let (_, part) = copy.rsplit_once('.').expect("it has an ending");
        std::fs::read(directory.join(format!("new.{part}"))).ok() == std::fs::read(copies.join(copy)).ok()
    })
}

#[test]
fn a_pair_is_copied_when_its_parts_belong_together() {
    let mounted = tempfile::tempdir().expect("a directory");
    let copies = tempfile::tempdir().expect("a directory");
    let place = copies.path().to_str().expect("UTF-8");
    let kinds: [&[&str]; 3] = [
        &["-newkey", "rsa:2048"],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["-newkey", "ed25519"],
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        certificate(mounted.path(), &format!("name{number}"), kind);
        if number == 0 {
            replace(mounted.path(), &["crt", "key"]);
            assert!(
                tls(mounted.path(), &["tls", "install", place])
                    .status()
                    .expect("it runs")
                    .success()
            );
        }
        replace(mounted.path(), &["crt"]);
        let half = tls(mounted.path(), &["tls", "refresh", place])
            .output()
            .expect("it runs");
        assert!(half.status.success(), "{}", text(&half));
        assert_eq!(is_served(mounted.path(), copies.path()), number == 0);
        replace(mounted.path(), &["key"]);
        let whole = tls(mounted.path(), &["tls", "refresh", place])
            .output()
            .expect("it runs");
        assert!(
            is_served(mounted.path(), copies.path()),
            "{kind:?}: {}",
            text(&whole)
        );
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(copies.path().join("server/tls.key"))
            .expect("it is there")
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let kept = std::fs::read_dir(copies.path()).expect("it is there").count();
    assert_eq!(
        kept, 6,
        "for each pair the link, its directory, and the one before"
    );
}

#[test]
fn a_watcher_reloads_for_files_written_in_place_and_for_links_that_are_exchanged() {
    let mounted = tempfile::tempdir().expect("a directory");
    let copies = tempfile::tempdir().expect("a directory");
    let place = copies.path().to_str().expect("UTF-8");
    // As Kubernetes mounts a secret: links to a directory behind a link.
    let exchange = |number: u32| {
        certificate(
            mounted.path(),
            &format!("name{number}"),
            &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        );
        let version = mounted.path().join(format!("..{number}"));
        std::fs::create_dir(&version).expect("a directory");
        for part in ["crt", "key"] {
            std::fs::copy(
                mounted.path().join(format!("new.{part}")),
                version.join(format!("tls.{part}")),
            )
            .expect("it is copied");
        }
        let link = mounted.path().join("..data_tmp");
        std::os::unix::fs::symlink(&version, &link).expect("a link");
        std::fs::rename(&link, mounted.path().join("..data")).expect("it is renamed");
    };
    exchange(1);
    for part in ["crt", "key"] {
        std::os::unix::fs::symlink(
            format!("..data/tls.{part}"),
            mounted.path().join(format!("tls.{part}")),
        )
        .expect("a link");
    }
    assert!(
        tls(mounted.path(), &["tls", "install", place])
            .status()
            .expect("it runs")
            .success()
    );
    let log = mounted.path().join("log");
    let script = "trap 'echo reloaded >>\"$0\"' HUP; echo ready >>\"$0\"; while :; do sleep 0.1; done";
    let server = Command::new("sh")
        .args(["-c", script])
        .arg(&log)
        .spawn()
        .expect("it starts");
    let count = |word: &str| {
        std::fs::read_to_string(&log)
            .unwrap_or_default()
            .matches(word)
            .count()
    };
    let wait_for = |word: &str, times: usize| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while count(word) < times {
            assert!(Instant::now() < deadline, "{word} did not come {times} times");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for("ready", 1);
    let other = mounted.path().join("other.pem");
    std::fs::write(&other, "1").expect("a file");
    let pid = server.id().to_string();
    let mut watcher = tls(
        mounted.path(),
        &["tls", "watch", place, &pid, other.to_str().expect("UTF-8")],
    )
    .stderr(File::options().append(true).open(&log).expect("it opens"))
    .spawn()
    .expect("it starts");
    exchange(2);
    wait_for("reloaded", 1);
    assert!(is_served(mounted.path(), copies.path()));
    // In place, one file after the other: nothing is served that does not match.
    certificate(
        mounted.path(),
        "name3",
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    );
    replace(mounted.path(), &["crt"]);
    wait_for("do not belong together", 1);
    assert_eq!(count("reloaded"), 1);
    replace(mounted.path(), &["key"]);
    wait_for("reloaded", 2);
    assert!(is_served(mounted.path(), copies.path()));
    std::fs::write(&other, "22").expect("a file");
    wait_for("reloaded", 3);
    end(server);
    assert!(watcher.wait().expect("it ends with its server").success());
}

#[test]
fn a_container_of_another_command_is_healthy() {
    let data = tempfile::tempdir().expect("a directory");
    for arguments in [&["health"][..], &["health", "--wait"]] {
        let asked = pgstart(data.path(), arguments)
            .env("TMPDIR", data.path())
            .output()
            .expect("it runs");
        assert!(asked.status.success(), "{}", text(&asked));
        assert_eq!(text(&asked), "another command than a server is run\n");
    }
}

#[test]
fn a_start_that_is_under_way_is_waited_for_and_an_absent_server_is_not() {
    let data = tempfile::tempdir().expect("a directory");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    std::fs::write(data.path().join(".health"), format!("{} server\n", host.trim())).expect("a file");
    let initialising = data.path().join(".initialising");
    std::fs::create_dir(&initialising).expect("a directory");
    let asked = |arguments: &[&str]| {
        let mut command = pgstart(data.path(), arguments);
        command.env("TMPDIR", data.path()).stdout(Stdio::piped());
        command
    };
    let now = asked(&["health"]).output().expect("it runs");
    assert_eq!(
        (now.status.code(), text(&now).as_str()),
        (Some(1), "the database is being initialised\n")
    );
    let mut waiting = asked(&["health", "--wait"]).spawn().expect("it runs");
    std::thread::sleep(Duration::from_secs(9));
    assert_eq!(
        waiting.try_wait().expect("it can be asked"),
        None,
        "it waits for as long as it takes"
    );
    std::fs::remove_dir(&initialising).expect("it is empty");
    let output = waiting.wait_with_output().expect("it ends");
    assert_eq!(
        (output.status.code(), text(&output).as_str()),
        (Some(1), "PostgreSQL is not running\n")
    );
}

#[test]
fn the_kind_of_a_start_decides_what_is_asked() {
    let data = tempfile::tempdir().expect("a directory");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let asked = |owner: &str, kind: &str| {
        std::fs::write(data.path().join(".health"), format!("{owner} {kind}\n")).expect("a file");
        let output = pgstart(data.path(), &["health"])
            .env("TMPDIR", data.path())
            .output()
            .expect("it runs");
        (output.status.code(), text(&output))
    };
    let host = host.trim();
    assert_eq!(
        asked(host, "upgrade"),
        (Some(1), "the database is being upgraded\n".to_owned())
    );
    assert_eq!(
        asked(host, "patroni"),
        (Some(1), "Patroni is being prepared\n".to_owned())
    );
    assert_eq!(
        asked("another", "server").0,
        Some(0),
        "the file is another container's"
    );
    for (status, code) in [("200 OK", 0), ("503 Service Unavailable", 1)] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = [0; 64];
            let length = std::io::Read::read(&mut stream, &mut request).expect("a request");
            assert!(request[..length].starts_with(b"GET /liveness "));
            std::io::Write::write_all(&mut stream, format!("HTTP/1.0 {status}\r\n\r\n").as_bytes())
                .expect("an answer");
        });
        let (found, said) = asked(host, &format!("patroni http 127.0.0.1 {port}"));
        assert_eq!(found, Some(code), "{said}");
        assert!(said.contains(&status[..3]), "{said}");
    }
}

#[test]
fn a_wrong_call_shows_the_right_ones() {
    for arguments in [
        &[][..],
        &["locks"],
        &["tls", "watch", "/tmp"],
        &["health", "--quiet"],
    ] {
        let ran = pgstart(Path::new("/tmp"), arguments).output().expect("it runs");
        assert_eq!(ran.status.code(), Some(2), "{arguments:?}");
        assert!(text(&ran).starts_with("usage: pgstart run"), "{}", text(&ran));
    }
}

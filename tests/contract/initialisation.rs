//! How a cluster is initialised, and what happens to an existing one.

use std::io::Write as _;

use super::container::{Container, DATA, PASSWORD, SCRIPTS, Volume};
use super::needs::needs_image;

#[test(line_10)]
fn wal_directory_is_made_private_and_used() {
    needs_image();
    let container = Container::serving(
        &[
            "--env",
            PASSWORD,
            "--env=POSTGRES_INITDB_WALDIR=/var/lib/postgresql/wal",
        ],
        &[],
    );
    assert_eq!(
        container
            .shell("readlink $PGDATA/pg_wal; stat -c %a /var/lib/postgresql/wal")
            .ok(),
        "/var/lib/postgresql/wal\n700"
    );
    assert_ne!(container.shell("ls /var/lib/postgresql/wal").ok(), "");
}

#[test(line_11)]
fn quotes_in_initdb_arguments_stay_intact() {
    needs_image();
    let arguments = r#"POSTGRES_INITDB_ARGS=--waldir '/var/lib/postgresql/my "wal' --auth-local="scram-sha-256" -k $(touch$IFS/tmp/x)"#;
    let refused = Container::to_the_end(&["--env", PASSWORD, "--env", arguments], &[]);
    assert!(
        refused.err.contains("$(touch$IFS/tmp/x)"),
        "initdb gets the words, not a shell: {refused:?}"
    );
    let arguments = arguments.replace(" $(touch$IFS/tmp/x)", "");
    let container = Container::serving(&["--env", PASSWORD, "--env", &arguments], &[]);
    assert_eq!(
        container.shell("readlink $PGDATA/pg_wal").ok(),
        "/var/lib/postgresql/my \"wal"
    );
    let asked = container.shell("PGPASSWORD=secret psql --username=postgres -Atc 'SHOW data_checksums'");
    assert_eq!(asked.ok(), "on");
    assert_eq!(
        container.shell("psql --no-password --username=postgres").status,
        2
    );
}

#[test(line_12)]
fn unreadable_scripts_fail_before_initdb() {
    needs_image();
    let volume = Volume::new();
    let scripts = Volume::new();
    scripts.shell(&format!("chown 0:0 {DATA}; chmod 0700 {DATA}"));
    let hidden = format!("--volume={}:{SCRIPTS}:nocopy", scripts.0);
    let ran = Container::to_the_end(&[&volume.as_data(), &hidden, "--env", PASSWORD], &[]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(
        ran.err.contains("/docker-entrypoint-initdb.d cannot be read"),
        "{ran:?}"
    );
    let container = Container::create(&[&volume.as_data(), "--env", PASSWORD], &[]);
    container.copy_script("a.sql", 0o600, "SELECT 1;");
    let ran = container.run();
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.err.contains("a.sql cannot be read"), "{ran:?}");
    assert_eq!(volume.shell(&format!("ls -A {DATA}")), "");
}

#[test(line_13)]
fn no_tcp_address_is_open_during_initialisation() {
    needs_image();
    let container = Container::create(&["--env", PASSWORD], &[]);
    container.copy_script(
        "a.sh",
        0o755,
        "#!/bin/bash\nset -e\npsql -U postgres -Atc \"SELECT 'listening on <' || setting || '>' FROM pg_settings WHERE name = 'listen_addresses'\"\n\
         for host in 127.0.0.1 $(hostname -i); do if (exec 3<>/dev/tcp/$host/5432) 2>/dev/null; then echo open; else echo closed; fi; done\n\
         pg_isready --host=/var/run/postgresql || true\n",
    );
    container.start();
    container.wait_until_serving();
    let log = container.log();
    assert!(log.contains("listening on <>\nclosed\nclosed\n"), "{log}");
    assert!(
        log.contains("/var/run/postgresql:5432 - no response"),
        "the usual socket is closed too: {log}"
    );
    assert_eq!(container.shell("(exec 3<>/dev/tcp/127.0.0.1/5432)").status, 0);
}

#[test(line_14)]
fn names_and_passwords_may_have_spaces_and_quotes() {
    needs_image();
    let (user, database, password) = (r#"us er'"$x\"#, r#"d=b'"$y\"#, r#"p w'"$z\"#);
    let options = [
        format!("POSTGRES_USER={user}"),
        format!("POSTGRES_DB={database}"),
        format!("POSTGRES_PASSWORD={password}"),
    ];
    let container = Container::create(
        &["--env", &options[0], "--env", &options[1], "--env", &options[2]],
        &[],
    );
    container.copy_script("a.sql", 0o644, "CREATE TABLE here (i int);");
    container.start();
    container.wait_until_serving();
    let login = "PGPASSWORD=\"$POSTGRES_PASSWORD\" psql --host=$(hostname -i) --username=\"$POSTGRES_USER\" \
                 --dbname=\"dbname='d=b\\\\'\\\"\\$y\\\\\\\\'\" -Atc 'SELECT current_user, current_database(), count(*) FROM here'";
    assert_eq!(container.shell(login).ok(), format!("{user}|{database}|0"));
}

#[test(line_15)]
fn executable_scripts_run_and_others_are_sourced() {
    needs_image();
    let container = Container::create(&["--env", PASSWORD], &[]);
    container.copy_script(
        "1.sh",
        0o644,
        "export LEFT=behind; echo \"one ${NEVER_SET}.\"; docker_process_sql <<<'CREATE TABLE one ()'\n",
    );
    container.copy_script("2.sh", 0o755, "#!/bin/bash\necho \"two $LEFT\"; LEFT=changed\n");
    container.copy_script(
        "3.sh",
        0o644,
        "echo \"three $LEFT\"; \"${psql[@]}\" -c 'CREATE TABLE three ()'\n",
    );
    container.start();
    container.wait_until_serving();
    let log = container.log();
    for expected in [
        "/entrypoint.sh: sourcing /docker-entrypoint-initdb.d/1.sh\none .\n",
        "/entrypoint.sh: running /docker-entrypoint-initdb.d/2.sh\ntwo behind\n",
        "/entrypoint.sh: sourcing /docker-entrypoint-initdb.d/3.sh\nthree behind\n",
    ] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    assert_eq!(
        container.sql(
            "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname IN ('one', 'three')"
        ),
        "one three"
    );
}

#[test(line_16)]
fn sql_files_plain_and_compressed() {
    needs_image();
    let container = Container::create(&["--env", PASSWORD], &[]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"INSERT INTO t VALUES (2);")
        .expect("gzip into memory");
    container.copy("/var/lib/postgresql/.psqlrc", 0o644, "\\echo psqlrc was read\n");
    container.copy_script(
        "1.sql",
        0o644,
        "CREATE TABLE t (i int); INSERT INTO t VALUES (1);",
    );
    container.copy_script("2.sql.gz", 0o644, gzip.finish().expect("gzip into memory"));
    container.copy_script("3.sql.xz", 0o644, XZ);
    container.copy_script("4.sql.zst", 0o644, ZSTD);
    container.start();
    container.wait_until_serving();
    assert_eq!(
        container.sql("SELECT array_agg(i ORDER BY i) FROM t"),
        "{1,2,3,4}"
    );
    assert!(!container.log().contains("psqlrc was read"));
    let read = container.shell("psql -U postgres -c 'SELECT 1'").ok();
    assert!(read.contains("psqlrc was read"), "psql finds the file: {read}");
}

/// `INSERT INTO t VALUES (3);` as xz -6 writes it.
const XZ: &[u8] = &[
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01, 0x16,
    0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x18, 0x49, 0x4e, 0x53, 0x45, 0x52, 0x54, 0x20,
    0x49, 0x4e, 0x54, 0x4f, 0x20, 0x74, 0x20, 0x56, 0x41, 0x4c, 0x55, 0x45, 0x53, 0x20, 0x28, 0x33, 0x29,
    0x3b, 0x00, 0x00, 0x00, 0x00, 0xf3, 0x67, 0x49, 0xc2, 0x0d, 0x14, 0x60, 0x3e, 0x00, 0x01, 0x31, 0x19,
    0x59, 0x1a, 0xb0, 0x82, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
];
/// `INSERT INTO t VALUES (4);` as zstd -3 writes it.
const ZSTD: &[u8] = &[
    0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0xc9, 0x00, 0x00, 0x49, 0x4e, 0x53, 0x45, 0x52, 0x54, 0x20, 0x49,
    0x4e, 0x54, 0x4f, 0x20, 0x74, 0x20, 0x56, 0x41, 0x4c, 0x55, 0x45, 0x53, 0x20, 0x28, 0x34, 0x29, 0x3b,
    0xb3, 0x15, 0xce, 0x06,
];

#[test(line_16)]
fn an_error_in_a_sql_file_stops_the_initialisation() {
    needs_image();
    let container = Container::create(&["--env", PASSWORD], &[]);
    container.copy_script("a.sql", 0o644, "SELECT 1 / 0; SELECT 'not reached';");
    let ran = container.run();
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(
        ran.err.contains("division by zero")
            && ran
                .err
                .contains("failed (status 3) in: /docker-entrypoint-initdb.d/a.sql"),
        "{ran:?}"
    );
    assert!(!ran.out.contains("not reached"), "{ran:?}");
}

#[test(line_17)]
fn other_files_are_named_as_ignored() {
    needs_image();
    let container = Container::create(&["--env", PASSWORD], &[]);
    container.copy_script("README.txt", 0o644, "nothing");
    container.start();
    container.wait_until_serving();
    assert!(
        container
            .log()
            .contains("/entrypoint.sh: ignoring /docker-entrypoint-initdb.d/README.txt")
    );
}

#[test(line_18)]
fn scripts_run_in_the_order_of_their_names() {
    needs_image();
    let container = Container::create(&["--env", PASSWORD], &[]);
    for name in ["b.sh", "10.sh", "B.sh", "a b.sh", "2.sh"] {
        container.copy_script(name, 0o755, format!("#!/bin/bash\necho 'turn of {name}'\n"));
    }
    container.start();
    container.wait_until_serving();
    let log = container.log();
    let turns: Vec<&str> = log
        .lines()
        .filter_map(|line| line.strip_prefix("turn of "))
        .collect();
    assert_eq!(turns, ["10.sh", "2.sh", "B.sh", "a b.sh", "b.sh"]);
}

#[test(line_19)]
fn hosts_log_in_by_the_method_of_password_encryption() {
    needs_image();
    let cases: [(&[&str], &[&str], &str); 3] = [
        (&[], &[], "scram-sha-256"),
        (&[], &["-c", "password_encryption=md5"], "md5"),
        (
            &["--env=POSTGRES_HOST_AUTH_METHOD=reject"],
            &["-c", "password_encryption=md5"],
            "reject",
        ),
    ];
    for (options, command, method) in cases {
        let container = Container::serving(&[options, &["--env", PASSWORD]].concat(), command);
        let last = container.shell("tail -n 1 $PGDATA/pg_hba.conf").ok();
        assert_eq!(last, format!("host all all all {method}"));
    }
}

#[test(line_20)]
fn initialisation_ends_with_a_fast_stop_and_a_start() {
    needs_image();
    let container = Container::serving(&["--env", PASSWORD], &[]);
    let log = container.log();
    assert!(
        log.contains("\nPostgreSQL init process complete; ready for start up.\n"),
        "{log}"
    );
    assert_eq!(log.matches("received fast shutdown request").count(), 1, "{log}");
    assert_eq!(
        log.matches("database system is ready to accept connections")
            .count(),
        2,
        "{log}"
    );
    assert!(!log.contains("not properly shut down"), "{log}");
}

#[test(line_21)]
fn an_initialised_directory_is_started_as_it_is() {
    needs_image();
    let volume = Volume::new();
    let first = Container::serving(&[&volume.as_data(), "--env", PASSWORD], &[]);
    first.sql("CREATE TABLE kept AS SELECT 42 AS answer");
    assert_eq!(first.end_by("TERM"), 0);
    drop(first);
    let second = Container::create(&[&volume.as_data()], &[]);
    second.copy_script("a.sql", 0o644, "SELECT 1 / 0;");
    second.start();
    second.wait_until_serving();
    assert_eq!(second.sql("SELECT answer FROM kept"), "42");
    let line = "\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n";
    assert!(second.log().contains(line), "{}", second.log());
}

#[test(line_22)]
fn data_of_another_major_is_rejected_untouched() {
    needs_image();
    let volume = Volume::new();
    volume.shell(&format!(
        "echo 9.6 > {DATA}/PG_VERSION; chown -R 4444:4444 {DATA}; chmod 0755 {DATA}"
    ));
    let state = || volume.shell(&format!("find {DATA} -printf '%p %u %g %m %T@\\n' | sort"));
    let before = state();
    let mount = format!("{}:nocopy", volume.as_data());
    let ran = Container::to_the_end(&["--user=root", &mount, "--env", PASSWORD], &[]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(
        ran.err
            .contains("holds data of PostgreSQL 9.6, and this image is PostgreSQL 1"),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("pg_upgrade") && ran.err.contains("pg_dumpall"),
        "{ran:?}"
    );
    assert_eq!(state(), before);
}

//! Mistakes that can be known before initdb are found before it, and a failure after it leaves nothing behind.

use super::container::{Container, DATA, PASSWORD, Volume};
use super::needs::needs_image;

/// A start with these files, options and arguments is rejected for each of the reasons, and the data directory stays empty.
#[track_caller]
fn refused_untouched(files: &[(&str, &str)], options: &[&str], command: &[&str], reasons: &[&str]) {
    let volume = Volume::new();
    let data = volume.as_data();
    let all = [&[&data, "--env", PASSWORD], options].concat();
    let container = Container::create(&all, command);
    for (path, text) in files {
        container.copy(path, 0o644, text);
    }
    let ran = container.run();
    assert_eq!(ran.status, 1, "{ran:?}");
    for reason in reasons {
        assert!(ran.err.contains(reason), "{reason}: {ran:?}");
    }
    assert!(!ran.text().contains("creating the cluster"), "{ran:?}");
    assert_eq!(volume.shell(&format!("ls -A {DATA}")), "");
}

#[test(line_30)]
fn settings_the_server_rejects_are_found_before_initdb() {
    needs_image();
    refused_untouched(
        &[],
        &[],
        &["-c", "shared_buffers=lots", "--wal-levle=x", "-c", "work_mem=1"],
        &[
            "'shared_buffers=lots', which PostgreSQL",
            "invalid value for parameter \"shared_buffers\"",
            "'wal_levle=x', which PostgreSQL",
            "1 kB is outside the valid range",
        ],
    );
    refused_untouched(
        &[],
        &[],
        &["-c", "wal_level=minimal"],
        &["WAL streaming", "\"wal_level\" to be"],
    );
    refused_untouched(
        &[],
        &[],
        &[
            "-c",
            "max_connections=5",
            "-c",
            "superuser_reserved_connections=6",
        ],
        &["must be less than"],
    );
    refused_untouched(
        &[],
        &[],
        &["--hba-file=/nowhere"],
        &["hba_file '/nowhere' on the command line does not exist"],
    );
    refused_untouched(&[], &[], &["-x"], &["invalid option -- 'x'"]);
    refused_untouched(
        &[],
        &[],
        &["-c", "shared_preload_libraries=none_such"],
        &["could not access file \"none_such\""],
    );
}

#[test(line_30)]
fn mistakes_in_mounted_files_are_found_before_initdb() {
    needs_image();
    let directory = ["--volume=/etc/postgresql/conf.d"];
    let file = "/etc/postgresql/conf.d/own.conf";
    refused_untouched(
        &[(file, "work_mem = 4MB\nwal_levle = x\nshared_buffers = lots\n")],
        &directory,
        &["-c", "port=none"],
        &[
            "'port=none', which PostgreSQL",
            "unrecognized configuration parameter \"wal_levle\" in file \"/etc/postgresql/conf.d/own.conf\" line 2",
        ],
    );
    refused_untouched(
        &[(file, "shared_buffers = lots\n")],
        &directory,
        &[],
        &["invalid value for parameter \"shared_buffers\": \"lots\""],
    );
    refused_untouched(
        &[(file, "work_mem = 4MB\nthis is nothing\n")],
        &directory,
        &[],
        &["syntax error in file \"/etc/postgresql/conf.d/own.conf\" line 2"],
    );
    refused_untouched(
        &[("/own.conf", "wal_levle = x\n")],
        &[],
        &["-c", "config_file=/own.conf"],
        &["in file \"/own.conf\" line 1"],
    );
}

#[test(line_30)]
fn tls_key_that_only_root_may_read_is_named() {
    needs_image();
    let files = [
        "--env=POSTGRES_TLS_CERT_FILE=/tls.crt",
        "--env=POSTGRES_TLS_KEY_FILE=/tls.key",
        "--env",
        PASSWORD,
    ];
    // A start as root has read its secrets by then, but a key is read all the time.
    for user in ["--user=postgres", "--user=root"] {
        let container = Container::create(&[&[user], &files[..]].concat(), &[]);
        container.copy("/tls.crt", 0o644, include_str!("tls.crt"));
        container.copy("/tls.key", 0o600, include_str!("tls.key"));
        let ran = container.run();
        assert_eq!(ran.status, 1, "{ran:?}");
        let problem = "POSTGRES_TLS_KEY_FILE is '/tls.key', which cannot be read by uid 999: it belongs to uid 0 and gid 0 (mode 600)";
        assert!(
            ran.err.contains(problem) && ran.err.contains("Give it to uid 999"),
            "{ran:?}"
        );
    }
}

#[test(line_30)]
fn mismatched_tls_files_are_found_before_initdb() {
    needs_image();
    let options = [
        "--env=POSTGRES_TLS_CERT_FILE=/tls.crt",
        "--env=POSTGRES_TLS_KEY_FILE=/tls.key",
    ];
    let certificate = ("/tls.crt", include_str!("tls.crt"));
    let other = ("/tls.key", include_str!("other.key"));
    refused_untouched(&[certificate, other], &options, &[], &["key values mismatch"]);
    let nonsense = ("/tls.key", "nonsense");
    refused_untouched(
        &[certificate, nonsense],
        &options,
        &[],
        &["could not load private key file \"/tls.key\""],
    );
    let (certificate, key) = (
        ("/own.crt", include_str!("tls.crt")),
        ("/own.key", include_str!("tls.key")),
    );
    let named = [
        "-c",
        "ssl=on",
        "-c",
        "ssl_cert_file=/own.crt",
        "-c",
        "ssl_key_file=/own.key",
    ];
    refused_untouched(
        &[certificate, key],
        &[],
        &named,
        &["private key file \"/own.key\" has group or world access"],
    );
}

#[test(line_30)]
fn impossible_hba_methods_are_found_before_initdb() {
    needs_image();
    for (method, reason) in [
        (
            "ldap",
            "that method needs options: ldapurl or ldapserver or ldapbasedn",
        ),
        (
            "ldap ldapserver=x",
            "that method needs options: ldapurl or ldapbasedn or ldapprefix or ldapsuffix",
        ),
        (
            "radius radiussecrets=x",
            "that method needs options: radiusservers",
        ),
        ("cert", "it is for lines `hostssl`"),
        ("peer", "it is for lines `local`"),
    ] {
        let method = format!("--env=POSTGRES_HOST_AUTH_METHOD={method}");
        refused_untouched(&[], &[&method], &[], &[reason, "mount a pg_hba.conf of your own"]);
    }
}

#[test(line_30)]
fn contradictory_initdb_options_are_rejected() {
    needs_image();
    refused_untouched(
        &[],
        &[
            "--env=POSTGRES_INITDB_ARGS=-kU app --pgd /elsewhere --waldir=/wal",
            "--env=POSTGRES_INITDB_WALDIR=/var/lib/postgresql/data/pg_wal",
        ],
        &[],
        &[
            "Set POSTGRES_USER=app instead",
            "Set PGDATA=/elsewhere instead",
            "the write-ahead log is given twice",
            "POSTGRES_INITDB_WALDIR is '/var/lib/postgresql/data/pg_wal', which is in the data directory",
        ],
    );
    refused_untouched(
        &[],
        &["--env=POSTGRES_INITDB_ARGS=-X/var/lib/postgresql/data/../data/wal"],
        &[],
        &[
            "--waldir in POSTGRES_INITDB_ARGS is",
            "which is in the data directory",
        ],
    );
    let wal = Volume::new();
    refused_untouched(
        &[],
        &[
            "--user=postgres",
            &format!("--volume={}:/wal", wal.0),
            "--env=POSTGRES_INITDB_WALDIR=/wal",
        ],
        &[],
        &["POSTGRES_INITDB_WALDIR is '/wal', which belongs to uid 0 and has to belong to uid 999"],
    );
}

#[test]
fn settings_that_need_initdb_options_are_accepted() {
    needs_image();
    let container = Container::serving(
        &[
            "--env",
            PASSWORD,
            "--env=POSTGRES_INITDB_ARGS=-c max_wal_senders=0 --set=work_mem=5MB",
        ],
        &["-c", "wal_level=minimal", "-c", "citus.shard_count=7", "-D", DATA],
    );
    assert_eq!(container.sql("SHOW wal_level"), "minimal");
    assert_eq!(container.sql("SHOW work_mem"), "5MB");
}

#[test(line_25)]
fn a_failure_before_any_script_leaves_nothing() {
    needs_image();
    let (volume, wal) = (Volume::new(), Volume::new());
    wal.shell(&format!("chown -R 999:999 {DATA}"));
    let mounted = format!("--volume={}:/wal", wal.0);
    let options = [
        &volume.as_data(),
        &mounted,
        "--env",
        PASSWORD,
        "--env=POSTGRES_INITDB_WALDIR=/wal",
    ];
    let container = Container::create(&options, &["-c", "hba_file=/hba.conf"]);
    container.copy("/hba.conf", 0o644, "nonsense\n");
    container.copy_script("a.sh", 0o755, "#!/bin/bash\necho 'it has begun'\n");
    let ran = container.run();
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(
        ran.err
            .contains("failed (status 1) in: start of the temporary server")
            && ran.err.contains("a corrected start begins afresh"),
        "{ran:?}"
    );
    assert!(!ran.text().contains("it has begun"), "{ran:?}");
    for of in [&volume, &wal] {
        assert_eq!(of.shell(&format!("ls -A {DATA}")), "");
    }
    drop(container);
    let container = Container::serving(&options, &[]);
    assert_eq!(container.shell("readlink $PGDATA/pg_wal").ok(), "/wal");
}

#[test(line_09)]
fn an_arbitrary_uid_works_in_a_directory_of_root() {
    needs_image();
    let volume = Volume::new();
    volume.shell(&format!(
        "chown 0:0 {DATA}; chmod 2777 {DATA}; mkdir {DATA}/lost+found"
    ));
    let mount = format!("{}:nocopy", volume.as_data());
    let options = ["--user=12345:0", &mount, "--env", PASSWORD];
    let first = Container::serving(&options, &[]);
    assert_eq!(first.sql("SHOW data_directory"), format!("{DATA}/pgdata"));
    assert_eq!(first.health().status, 0);
    first.sql("CREATE TABLE kept AS SELECT 1 AS i");
    assert_eq!(first.end_by("TERM"), 0);
    drop(first);
    let second = Container::serving(&options, &[]);
    assert_eq!(second.sql("SELECT i FROM kept"), "1");
    assert!(second.log().contains("Skipping initialization"));
    assert_eq!(second.end_by("TERM"), 0);
    drop(second);
    let ran = Container::to_the_end(&["--user=4444:0", &mount], &[]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.err.contains("data/pgdata belongs to uid 12345"), "{ran:?}");
    let root = Container::serving(&["--user=root", &mount], &[]);
    assert_eq!(root.sql("SELECT i FROM kept"), "1");
    assert_eq!(root.health().status, 0, "{}", root.log());
}

#[test(line_09)]
fn another_users_directory_with_files_is_rejected() {
    needs_image();
    let volume = Volume::new();
    volume.shell(&format!(
        "touch {DATA}/precious; chown 0:0 {DATA}; chmod 777 {DATA}"
    ));
    let mount = format!("{}:nocopy", volume.as_data());
    let ran = Container::to_the_end(&["--user=12345:0", &mount, "--env", PASSWORD], &[]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(
        ran.err.contains("belongs to uid 0") && ran.err.contains("owns its data directory"),
        "{ran:?}"
    );
    assert_eq!(volume.shell(&format!("ls -A {DATA}")).trim(), "precious");
}

#[test(config_1)]
fn explain_masks_secrets_and_fails_for_bad_settings() {
    needs_image();
    let volume = Volume::new();
    let command = [
        "--explain",
        "-c",
        "primary_conninfo=host=h password='top secret' user=u",
        "-c",
        "ssl_passphrase_command=echo top secret",
        "-c",
        "app.url=postgresql://u:topsecret@h/d",
        "-c",
        "wal_levle=x",
    ];
    let options = [&volume.as_data(), "--env", PASSWORD];
    let absent = Container::to_the_end(&options, &command);
    let container = Container::serving(&options, &[]);
    assert_eq!(container.end_by("TERM"), 0);
    drop(container);
    for ran in [absent, Container::to_the_end(&options, &command)] {
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(!ran.text().contains("secret"), "{ran:?}");
        let squeezed = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            squeezed.contains("primary_conninfo = host=h password=*** user=u command line"),
            "{ran:?}"
        );
        assert!(
            squeezed.contains("ssl_passphrase_command = *** command line"),
            "{ran:?}"
        );
        assert!(ran.err.contains("'wal_levle=x', which PostgreSQL"), "{ran:?}");
    }
    let volume = volume.as_data();
    let ran = Container::to_the_end(
        &[&volume, "--env", PASSWORD],
        &["--explain", "-c", "work_mem=5MB"],
    );
    assert_eq!(ran.status, 0, "{ran:?}");
}

#[test(line_31)]
fn preload_libraries_accept_the_libdir_prefix() {
    needs_image();
    let libraries = "--env=POSTGRES_PRELOAD_LIBRARIES=$libdir/auto_explain,$libdir/pgaudit";
    let container = Container::serving(&["--env", PASSWORD, libraries], &[]);
    let preloaded = container.sql("SHOW shared_preload_libraries");
    assert!(preloaded.ends_with(",$libdir/auto_explain"), "{preloaded}");
    assert_eq!(preloaded.matches("pgaudit").count(), 1, "{preloaded}");
    drop(container);
    let missing = "--env=POSTGRES_PRELOAD_LIBRARIES=$libdir/none_such";
    refused_untouched(
        &[],
        &[missing],
        &[],
        &["'$libdir/none_such' is not in this image"],
    );
}

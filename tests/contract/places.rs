//! Directories that are not what they seem: links, directories of other users, logs of other clusters, locales of other images.

use super::container::{Container, DATA, PASSWORD, Volume};
use super::needs::needs_image;

const START_OVER: &str = "--env=POSTGRES_ON_FAILED_INIT=start-over";

/// Starts with a script that fails, which leaves an incomplete cluster.
#[track_caller]
fn fails_half_way(options: &[&str]) {
    let container = Container::create(options, &[]);
    container.copy_script("a.sql", 0o644, "CREATE TABLE half (); SELECT 1 / 0;");
    assert_eq!(container.run().status, 1);
}

/// A start with these options is rejected for each of the reasons.
#[track_caller]
fn refused(options: &[&str], reasons: &[&str]) {
    let ran = Container::to_the_end(options, &[]);
    assert_eq!(ran.status, 1, "{ran:?}");
    for reason in reasons {
        assert!(ran.err.contains(reason), "{reason}: {ran:?}");
    }
}

#[test(line_25)]
fn a_linked_data_directory_is_the_target_of_the_link() {
    needs_image();
    let volume = Volume::new();
    volume.shell(&format!(
        "mkdir {DATA}/real; ln -s real {DATA}/link; echo precious > {DATA}/real/postgresql.conf; chown -R -h 999:999 {DATA}; chmod 0700 {DATA}/real"
    ));
    let mounted = format!("--volume={}:/m", volume.0);
    let options = [mounted.as_str(), "--env=PGDATA=/m/link", "--env", PASSWORD];
    refused(&options, &["/m/real is not empty"]);
    assert_eq!(
        volume.shell(&format!("cat {DATA}/real/postgresql.conf")),
        "precious"
    );
    volume.shell(&format!("rm {DATA}/real/postgresql.conf"));

    fails_half_way(&options);
    refused(&options, &["did not complete"]);
    let container = Container::serving(&[&options[..], &[START_OVER]].concat(), &[]);
    assert_eq!(
        container.sql("SELECT count(*) FROM pg_class WHERE relname = 'half'"),
        "0"
    );
    assert_eq!(container.health().status, 0);
    drop(container);
    let ran = Container::to_the_end(&options, &["-c", "shared_buffers=lots"]);
    assert_eq!(ran.status, 1, "an existing cluster is left alone: {ran:?}");
    assert_ne!(volume.shell(&format!("cat {DATA}/real/PG_VERSION")), "");
}

#[test(line_25)]
fn starting_over_spares_the_wal_of_another_cluster() {
    needs_image();
    let (first, second, wal) = (Volume::new(), Volume::new(), Volume::new());
    wal.shell(&format!("chown 999:999 {DATA}"));
    let mounted = format!("--volume={}:/wal", wal.0);
    let common = [
        mounted.as_str(),
        "--env=POSTGRES_INITDB_WALDIR=/wal",
        "--env",
        PASSWORD,
    ];
    let (first, second) = (first.as_data(), second.as_data());
    let of_first = [&[first.as_str()][..], &common].concat();
    let of_second = [&[second.as_str()][..], &common].concat();
    fails_half_way(&of_first);
    wal.shell(&format!("find {DATA} -mindepth 1 -delete"));
    let container = Container::serving(&of_second, &[]);
    container.sql("CREATE TABLE kept AS SELECT 1 AS one");
    refused(
        &[&of_first[..], &[START_OVER]].concat(),
        &["'/wal', which is not empty"],
    );
    // Without the variable the new log has a new directory.
    let mounted_only = [first.as_str(), mounted.as_str(), START_OVER, "--env", PASSWORD];
    let again = Container::serving(&mounted_only, &[]);
    assert!(again.log().contains("/wal is left as it is"), "{}", again.log());
    drop(again);
    assert_eq!(container.end_by("KILL"), 137);
    drop(container);
    let container = Container::serving(&of_second, &[]);
    assert_eq!(container.sql("TABLE kept"), "1");
}

#[test]
fn a_wal_directory_with_files_is_left_untouched() {
    needs_image();
    let wal = Volume::new();
    wal.shell(&format!(
        "mkdir {DATA}/stuff; chown -R 4444:4444 {DATA}; chmod 0755 {DATA}"
    ));
    let mounted = format!("--volume={}:/wal", wal.0);
    let state = || wal.shell(&format!("find {DATA} -printf '%p %u %m\\n' | sort"));
    let before = state();
    refused(
        &[
            "--user=root",
            &mounted,
            "--env=POSTGRES_INITDB_WALDIR=/wal",
            "--env",
            PASSWORD,
        ],
        &["'/wal', which is not empty"],
    );
    assert_eq!(state(), before);
}

#[test(config_2)]
fn data_directory_in_a_file_must_be_pgdata() {
    needs_image();
    let volume = Volume::new();
    volume.shell(&format!("chown 999:999 {DATA}"));
    let container = Container::create(
        &[
            &volume.as_data(),
            "--volume=/etc/postgresql/conf.d",
            "--env",
            PASSWORD,
        ],
        &[],
    );
    container.copy(
        "/etc/postgresql/conf.d/a.conf",
        0o644,
        "data_directory = '/srv/other'\n",
    );
    let ran = container.run();
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(
        ran.err
            .contains("data_directory is /srv/other (/etc/postgresql/conf.d/a.conf:1)"),
        "{ran:?}"
    );
    assert_eq!(volume.shell(&format!("ls -A {DATA}")), "");
    let with_a_slash = format!("{DATA}/");
    let container = Container::serving(&["--env", PASSWORD], &["-D", &with_a_slash]);
    assert_eq!(container.sql("SHOW data_directory"), DATA);
}

#[test(line_30)]
fn missing_locales_are_named_before_initdb() {
    needs_image();
    let volume = Volume::new();
    let data = volume.as_data();
    for (variable, reason) in [
        (
            "POSTGRES_INITDB_ARGS=--locale=de_DE.UTF-8",
            "--locale=de_DE.UTF-8",
        ),
        ("POSTGRES_INITDB_ARGS=--lc-time de_DE", "--lc-time=de_DE"),
        ("LANG=fr_FR.utf8", "LANG=fr_FR.utf8"),
        ("POSTGRES_USER=pg_me", "names that begin with pg_"),
    ] {
        refused(&[&data, "--env", PASSWORD, "--env", variable], &[reason]);
        assert_eq!(volume.shell(&format!("ls -A {DATA}")), "", "{variable}");
    }
    let container = Container::serving(&[&data, "--env", PASSWORD], &[]);
    assert_eq!(container.end_by("TERM"), 0);
    drop(container);
    volume.shell(&format!(
        "sed -i \"s/^lc_messages = .*/lc_messages = 'fr_FR.utf8'/\" {DATA}/postgresql.conf"
    ));
    refused(
        &[&data],
        &["lc_messages is 'fr_FR.utf8'", "postgresql.conf:", "Locales"],
    );
    let container = Container::create(&[&data, "--volume=/etc/postgresql/conf.d"], &[]);
    container.copy("/etc/postgresql/conf.d/a.conf", 0o644, "lc_messages = C.UTF-8\n");
    container.start();
    container.wait_until_serving();
    assert_eq!(container.sql("SHOW lc_messages"), "C.UTF-8");
}

#[test(line_25)]
fn an_initialisation_in_progress_is_not_incomplete() {
    needs_image();
    let volume = Volume::new();
    let data = volume.as_data();
    let container = Container::create(&[&data, "--env", PASSWORD], &[]);
    container.copy_script("a.sql", 0o644, "CREATE TABLE slow (); SELECT pg_sleep(600);");
    container.start();
    container.wait_for("grep -q ready $PGDATA/postmaster.pid");
    refused(
        &[&data, "--env", PASSWORD],
        &["another container is initialising"],
    );
}

#[test]
fn a_data_directory_that_cannot_be_created_is_explained() {
    needs_image();
    let volume = Volume::new();
    volume.shell(&format!("chown 0:0 {DATA}; chmod 0755 {DATA}"));
    let mounted = format!("--volume={}:/m", volume.0);
    refused(
        &[
            "--user=postgres",
            &mounted,
            "--env=PGDATA=/m/pgdata",
            "--env",
            PASSWORD,
        ],
        &["cannot be made by uid 999", "--user root"],
    );
}

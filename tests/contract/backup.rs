//! Backups and restores of a server alone, with a repository in a volume.

use super::container::{Container, PASSWORD, Ran, Volume};
use super::needs::needs_pgbackrest;

/// The variables of a repository in a volume.
const VARIABLES: [&str; 5] = [
    "PGBACKREST_STANZA=main",
    "PGBACKREST_REPO1_TYPE=posix",
    "PGBACKREST_REPO1_PATH=/backups",
    "PGBACKREST_REPO1_RETENTION_FULL=2",
    "PGBACKREST_ARCHIVE_PUSH_QUEUE_MAX=4PiB",
];
/// Those of an object store.
const OBJECT_STORE: [&str; 10] = [
    "PGBACKREST_STANZA=main",
    "PGBACKREST_REPO1_TYPE=s3",
    "PGBACKREST_REPO1_PATH=/backups",
    "PGBACKREST_REPO1_RETENTION_FULL=2",
    "PGBACKREST_ARCHIVE_PUSH_QUEUE_MAX=4PiB",
    "PGBACKREST_REPO1_S3_BUCKET=bucket",
    "PGBACKREST_REPO1_S3_ENDPOINT=127.0.0.1",
    "PGBACKREST_REPO1_S3_REGION=here",
    "PGBACKREST_REPO1_S3_KEY=key",
    "PGBACKREST_REPO1_S3_KEY_SECRET=secret",
];

/// A volume that the server's user may write to.
fn repository() -> Volume {
    let volume = Volume::new();
    volume.shell("chown 999:999 $PGDATA");
    volume
}

/// Options of a container with a repository; more of them come later and win.
fn options(repository: &Volume, more: &[&str]) -> Vec<String> {
    let mut options = vec![
        format!("--volume={}:/backups", repository.0),
        "--env".to_owned(),
        PASSWORD.to_owned(),
    ];
    let variables = VARIABLES.iter().chain(more);
    options.extend(variables.map(|variable| format!("--env={variable}")));
    options
}

fn texts(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

/// A server whose archive is in the repository.
fn serving(repository: &Volume, more: &[&str]) -> Container {
    let container = Container::serving(&texts(&options(repository, more)), &[]);
    container.wait_for("[[ $(psql -U postgres -Atc 'SELECT pg_is_in_recovery()') == f ]]");
    container
}

/// A start that must fail.
#[track_caller]
fn refused(options: &[&str], expected: &str) -> Ran {
    let ran = Container::to_the_end(options, &[]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.err.contains(expected), "{expected}\n{ran:?}");
    assert!(!ran.text().contains("creating the cluster"), "{ran:?}");
    ran
}

fn rows(container: &Container) -> String {
    container.sql("SELECT string_agg(n::text, ',' ORDER BY n) FROM rows")
}

#[test(line_80)]
fn each_variable_left_out_is_named_and_no_cluster_is_made() {
    needs_pgbackrest();
    for (position, left_out) in OBJECT_STORE.iter().enumerate() {
        let name = left_out.split('=').next().expect("a name");
        for more in [&[][..], &["RESTORE_FROM=latest"]] {
            let others = OBJECT_STORE
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != position);
            let variables = others.map(|(_, variable)| *variable).chain(more.iter().copied());
            let mut options = vec!["--env".to_owned(), PASSWORD.to_owned()];
            options.extend(variables.map(|variable| format!("--env={variable}")));
            refused(&texts(&options), &format!("{name} is not set"));
        }
    }
    let alone = ["--env", PASSWORD, "--env=RESTORE_FROM=latest"];
    refused(&alone, "PGBACKREST_REPO1_TYPE is not set");
}

#[test(line_80)]
fn an_empty_directory_is_not_a_new_cluster_where_one_is_archived() {
    needs_pgbackrest();
    let repository = repository();
    drop(serving(&repository, &[]));
    let options = options(&repository, &[]);
    let ran = refused(
        &texts(&options),
        "RESTORE_FROM is not set, the data directory is empty",
    );
    assert!(ran.err.contains("Set RESTORE_FROM=latest"), "{ran:?}");
    let in_the_container = [
        "--env",
        PASSWORD,
        "--env=PGBACKREST_STANZA=main",
        "--env=PGBACKREST_REPO1_TYPE=posix",
        "--env=PGBACKREST_REPO1_PATH=/var/lib/postgresql",
        "--env=PGBACKREST_REPO1_RETENTION_FULL=2",
        "--env=PGBACKREST_ARCHIVE_PUSH_QUEUE_MAX=4PiB",
    ];
    refused(
        &in_the_container,
        "backups there are lost with it: mount a volume there",
    );
}

#[test(line_81)]
fn backups_are_made_listed_and_checked() {
    needs_pgbackrest();
    let repository = repository();
    let container = serving(&repository, &[]);
    let explained = container.shell("backup full --explain").ok();
    assert!(
        explained.contains("pgbackrest --config=") && explained.contains("--type=full"),
        "{explained}"
    );
    assert_eq!(container.shell("backup list").ok(), "no backup of main");
    let made = container.shell("backup full --format json").ok();
    let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    assert_eq!(made["type"], "full");
    container.shell("backup incr").ok();
    let listed = container.shell("backup list --format=json").ok();
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let backups = listed["backups"].as_array().expect("a list");
    let kinds: Vec<&str> = backups.iter().filter_map(|one| one["type"].as_str()).collect();
    assert_eq!(kinds, ["full", "incr"]);
    assert_eq!(backups[0]["label"], made["label"]);
    let text = container.shell("backup list").ok();
    assert!(
        text.starts_with(made["label"].as_str().expect("a label")),
        "{text}"
    );
    assert_eq!(
        container.shell("backup check").ok(),
        "main: WAL reaches the repository"
    );
    let wrong = container.shell("backup everything");
    assert!(
        wrong.status == 2 && wrong.err.starts_with("usage: backup"),
        "{wrong:?}"
    );
    let secret =
        container.sql("SELECT count(*) FROM pg_settings WHERE name = 'archive_mode' AND setting = 'on'");
    assert_eq!(secret, "1");
}

#[test(line_81)]
fn archiving_that_fails_is_logged_and_told_by_the_health_check() {
    needs_pgbackrest();
    let repository = repository();
    let container = serving(&repository, &[]);
    assert!(!container.health().out.contains("archiving"));
    repository.shell("chmod 0 $PGDATA/archive/main/*");
    container.sql("SELECT pg_switch_wal()");
    container.wait_for_log("archiving is behind: 1 segment waits");
    let health = container.health();
    assert!(
        health.status == 0 && health.out.contains("; archiving is behind: "),
        "{health:?}"
    );
    repository.shell("chmod 0750 $PGDATA/archive/main/*");
    container.wait_for_log("archiving has caught up");
}

#[test(line_82)]
fn a_cluster_is_restored_to_each_kind_of_moment() {
    needs_pgbackrest();
    let repository = repository();
    let container = serving(&repository, &[]);
    container.sql("CREATE TABLE rows AS SELECT 1 AS n");
    container.shell("backup full").ok();
    container.sql("INSERT INTO rows VALUES (2)");
    let point = container.shell("restore-point before").ok();
    assert!(point.starts_with("restore point 'before' at "), "{point}");
    container.sql("INSERT INTO rows VALUES (3)");
    let time = container.sql("SELECT pg_sleep(0.1); SELECT clock_timestamp()");
    let time = time.trim().to_owned();
    container.sql("SELECT pg_sleep(0.1)");
    container.sql("INSERT INTO rows VALUES (4)");
    // The row is committed in this segment, and the switch is another transaction.
    container.sql("SELECT pg_switch_wal()");
    container.shell("backup check").ok();
    assert_eq!(container.end_by("TERM"), 0);
    drop(container);

    let time = format!("RESTORE_FROM={time}");
    let clones = [
        ("RESTORE_FROM=name=before", "one", "1,2"),
        (time.as_str(), "two", "1,2,3"),
    ];
    for (from, name, expected) in clones {
        let stanza = format!("PGBACKREST_STANZA={name}");
        let clone = serving(&repository, &[from, "RESTORE_STANZA=main", &stanza]);
        assert_eq!(rows(&clone), expected, "{from}");
        clone.shell("backup check").ok();
        clone.shell("backup full").ok();
        let of_original = clone
            .shell("pgbackrest --config=/etc/postgresql/pgbackrest.conf --stanza=main info")
            .ok();
        assert_eq!(of_original.matches("full backup: ").count(), 1, "{of_original}");
    }

    let volume = Volume::new();
    let data = volume.as_data();
    let mut again = options(&repository, &["RESTORE_FROM=latest"]);
    again.push(data);
    let restored = Container::serving(&texts(&again), &[]);
    restored.wait_for("[[ $(psql -U postgres -Atc 'SELECT pg_is_in_recovery()') == f ]]");
    assert_eq!(rows(&restored), "1,2,3,4");
    assert_eq!(restored.end_by("TERM"), 0);
    drop(restored);
    // A restart has the same variables.
    let restored = Container::serving(&texts(&again), &[]);
    assert_eq!(rows(&restored), "1,2,3,4");
}

#[test(line_83)]
fn a_restore_changes_no_data_that_are_there() {
    needs_pgbackrest();
    let (repository, volume) = (repository(), Volume::new());
    let with_data = |more: &[&str]| {
        let mut all = options(&repository, more);
        all.push(volume.as_data());
        all
    };
    let container = Container::serving(&texts(&with_data(&[])), &[]);
    container.sql("CREATE TABLE rows AS SELECT 1 AS n");
    container.shell("backup full").ok();
    let running = container.shell("restore --latest");
    assert!(
        running.status == 1 && running.err.contains("stop it first"),
        "{running:?}"
    );
    assert_eq!(container.end_by("TERM"), 0);
    drop(container);
    refused(
        &texts(&with_data(&["RESTORE_FROM=latest"])),
        "holds a cluster already. Nothing was changed",
    );
    // What is restored by command goes beside, and only into an empty directory.
    let all = with_data(&[]);
    let beside = Container::create(&texts(&all), &["restore", "--latest", "--to", "/tmp/restored"]).run();
    assert!(
        beside.status == 0 && beside.out.contains("/tmp/restored is restored"),
        "{beside:?}"
    );
    let ran = Container::create(&texts(&all), &["restore", "--latest"]).run();
    assert!(
        ran.status == 1 && ran.err.contains("is not empty, and is left as it is"),
        "{ran:?}"
    );
    let container = Container::serving(&texts(&all), &[]);
    assert_eq!(rows(&container), "1");
}

#[test(line_83)]
fn a_repository_of_another_cluster_and_an_impossible_moment_are_refused() {
    needs_pgbackrest();
    let (repository, volume) = (repository(), Volume::new());
    let original = serving(&repository, &[]);
    original.shell("backup full").ok();
    let plain = Container::serving(&[&volume.as_data(), "--env", PASSWORD], &[]);
    assert_eq!(plain.end_by("TERM"), 0);
    drop(plain);
    let mut other = options(&repository, &[]);
    other.push(volume.as_data());
    refused(
        &texts(&other),
        "the repository's 'main' is of another cluster: its system identifier is ",
    );
    for (from, expected) in [
        ("RESTORE_FROM=2999-01-01", "is still to come"),
        ("RESTORE_FROM=2001-01-01", "before the end of the oldest backup"),
        (
            "RESTORE_FROM=yesterday",
            "may be latest, a time, name=NAME or lsn=LSN",
        ),
    ] {
        refused(&texts(&options(&repository, &[from])), expected);
    }
    let unknown = options(&repository, &["RESTORE_FROM=latest", "PGBACKREST_STANZA=absent"]);
    refused(&texts(&unknown), "the repository has no backup of 'absent'");
}

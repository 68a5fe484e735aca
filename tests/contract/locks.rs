//! Lock files that a start finds: of a server that lives in another container, of one that is dead, and what is left after a power loss.

use super::container::{Container, DATA, PASSWORD, Volume};
use super::needs::needs_image;

/// The lock file of the data directory.
const LOCK: &str = "/var/lib/postgresql/data/postmaster.pid";

/// A cluster with a table, shut down.
fn cluster() -> Volume {
    let volume = Volume::new();
    let container = Container::serving(&[&volume.as_data(), "--env", PASSWORD], &[]);
    container.sql("CREATE TABLE kept (n int)");
    assert_eq!(container.end_by("TERM"), 0);
    volume
}

/// A server as other images run it: the postmaster is process 1, and nothing of this image's entrypoint is there.
fn of_another_image(volume: &Volume) -> Container {
    Container::serving(
        &[&volume.as_data(), "--user=postgres", "--entrypoint=postgres"],
        &[],
    )
}

#[test(line_50)]
fn lock_file_of_a_live_server_in_another_container_stays() {
    needs_image();
    let volume = cluster();
    let other = of_another_image(&volume);
    let before = other
        .shell(&format!("stat --format='%i %Y %u' {LOCK}; head -n 7 {LOCK}"))
        .ok();
    let mount = volume.as_data();
    let starts: [(&[&str], &[&str]); 7] = [
        (&[], &[]),
        (&[], &[]),
        (&[], &[]),
        (&["--user=root"], &[]),
        (&[], &["--explain"]),
        (&["--env=PATRONI_SCOPE=test"], &["patroni"]),
        (&[], &["upgrade"]),
    ];
    for (number, (options, command)) in starts.into_iter().enumerate() {
        other.sql(&format!(
            "INSERT INTO kept SELECT {number} FROM generate_series(1, 100)"
        ));
        let refused = Container::to_the_end(&[&[mount.as_str()], options].concat(), command);
        assert_eq!(refused.status, 1, "{command:?}: {refused:?}");
        for part in [
            LOCK,
            "process 1, port 5432, started ",
            " UTC",
            " open",
            "POSTGRES_ON_STALE_LOCK=remove",
        ] {
            assert!(refused.err.contains(part), "{command:?}: {part}: {refused:?}");
        }
    }
    assert_eq!(
        other
            .shell(&format!("stat --format='%i %Y %u' {LOCK}; head -n 7 {LOCK}"))
            .ok(),
        before
    );
    assert_eq!(other.sql("SELECT count(*) FROM kept"), "700");
    assert_eq!(other.end_by("INT"), 0);
    let own = Container::serving(&[&mount], &[]);
    assert_eq!(own.sql("SELECT count(*) FROM kept"), "700");
}

#[test(line_50)]
fn a_live_server_without_its_lock_file_is_not_joined() {
    needs_image();
    let volume = cluster();
    let other = of_another_image(&volume);
    other.shell(&format!("rm {LOCK}")).ok();
    for options in [&[][..], &["--user=root"]] {
        let refused = Container::to_the_end(&[&[volume.as_data().as_str()], options].concat(), &[]);
        assert_eq!(refused.status, 1, "{refused:?}");
        assert!(
            refused.err.contains("although it has no lock file"),
            "{refused:?}"
        );
    }
    assert_eq!(other.sql("SELECT count(*) FROM kept"), "0");
    // A directory that no server uses has none either, whatever its control file says.
    assert_eq!(other.end_by("KILL"), 137);
    drop(other);
    assert_eq!(
        Container::serving(&[&volume.as_data()], &[]).sql("SELECT count(*) FROM kept"),
        "0"
    );
}

#[test(line_51)]
fn lock_file_of_a_dead_server_goes_last() {
    needs_image();
    let volume = cluster();
    let other = of_another_image(&volume);
    other.sql("INSERT INTO kept VALUES (1)");
    assert_eq!(other.end_by("KILL"), 137);
    drop(other);
    // What is refused for another reason leaves it.
    let refused = Container::to_the_end(&[&volume.as_data(), "--env=POSTGRES_LOG=journal"], &[]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(volume.shell(&format!("cat {LOCK}")).starts_with("1\n"));

    let own = Container::serving(&[&volume.as_data()], &[]);
    assert!(
        own.log()
            .contains("no process has a file of the data directory open"),
        "{}",
        own.log()
    );
    own.sql("INSERT INTO kept VALUES (2)");
    assert_eq!(own.end_by("KILL"), 137);
    drop(own);
    let again = Container::serving(&[&volume.as_data()], &[]);
    assert!(
        again.log().contains("this image's server wrote it"),
        "{}",
        again.log()
    );
    assert_eq!(again.sql("SELECT count(*) FROM kept"), "2");
}

#[test(line_51)]
fn lock_files_that_a_power_loss_has_emptied_go() {
    needs_image();
    let sockets = Volume::new();
    let mounted = format!("--volume={}:/var/run/postgresql", sockets.0);
    let volume = cluster();
    for contents in [": >", "head -c 94 /dev/zero >"] {
        volume.shell(&format!("{contents}{LOCK}; chown 999:999 {LOCK}"));
        sockets.shell(&format!(
            "{contents}{DATA}/.s.PGSQL.5432.lock; chown 999:999 {DATA} {DATA}/.s.PGSQL.5432.lock"
        ));
        let container = Container::serving(&[&volume.as_data(), &mounted], &[]);
        assert_eq!(container.sql("SELECT count(*) FROM kept"), "0");
        assert!(container.log().contains("removing "), "{}", container.log());
        assert_eq!(container.end_by("TERM"), 0);
    }
}

#[test(line_50)]
fn socket_that_a_server_in_another_container_listens_on_is_not_taken() {
    needs_image();
    let sockets = Volume::new();
    sockets.shell(&format!("chown 999:999 {DATA}"));
    let mounted = format!("--volume={}:/var/run/postgresql", sockets.0);
    let first = Container::serving(&[&mounted, "--env", PASSWORD], &[]);
    let second = cluster();
    let refused = Container::to_the_end(&[&mounted, &second.as_data()], &[]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.err.contains("another server's socket"), "{refused:?}");
    assert_eq!(first.sql("SELECT 1"), "1");
    let beside = Container::create(&[&mounted, &second.as_data()], &["-p", "5433"]);
    beside.start();
    beside.wait_for("pg_isready --quiet --host=127.0.0.1 --port=5433");
}

#[test(line_50)]
fn lock_file_that_cannot_be_read_is_left_alone() {
    needs_image();
    let volume = cluster();
    for (make, problem) in [
        (
            format!("mkdir {LOCK}"),
            "postmaster.pid is a directory, where PostgreSQL keeps the lock file",
        ),
        (
            format!("rmdir {LOCK}; mkfifo {LOCK}; chown 999:999 {LOCK}"),
            "postmaster.pid is a named pipe, where PostgreSQL keeps the lock file",
        ),
        (
            format!("rm {LOCK}; ln --symbolic /nowhere {LOCK}"),
            "postmaster.pid is a link that leads nowhere, where PostgreSQL keeps the lock file",
        ),
        (
            format!("rm {LOCK}; echo 1 >{LOCK}; chmod 600 {LOCK}"),
            "postmaster.pid cannot be read by uid 999: it belongs to uid 0 (mode 600)",
        ),
    ] {
        volume.shell(&make);
        let refused = Container::to_the_end(&["--user=postgres", &volume.as_data()], &[]);
        assert_eq!(refused.status, 1, "{refused:?}");
        assert!(refused.err.contains(problem), "{refused:?}");
    }
}

#[test(line_52)]
fn user_may_say_that_a_lock_file_is_stale() {
    needs_image();
    let volume = cluster();
    let other = of_another_image(&volume);
    assert_eq!(other.end_by("KILL"), 137);
    drop(other);
    // A program that reads the data, such as a backup, is not a server, but looks like one from outside.
    let reader = Container::create(
        &[&volume.as_data(), "--entrypoint=bash"],
        &[
            "-c",
            "exec 3<$PGDATA/global/pg_control; touch /tmp/open; exec sleep 600",
        ],
    );
    reader.start();
    reader.wait_for("[[ -e /tmp/open ]]");
    let refused = Container::to_the_end(&[&volume.as_data()], &[]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.err.contains("global/pg_control open"), "{refused:?}");
    let forced = Container::serving(&[&volume.as_data(), "--env=POSTGRES_ON_STALE_LOCK=remove"], &[]);
    assert_eq!(forced.sql("SELECT count(*) FROM kept"), "0");
    let mistaken = Container::to_the_end(&["--env=POSTGRES_ON_STALE_LOCK=yes", "--env", PASSWORD], &[]);
    assert!(
        mistaken
            .err
            .contains("POSTGRES_ON_STALE_LOCK is 'yes', but may be: refuse remove"),
        "{mistaken:?}"
    );
}

//! A first start under Patroni that did not complete is rejected, or started over on request. Patroni itself would make its remains the
//! leader.

use super::container::{DATA, Volume};
use super::needs::needs_store;
use super::patroni::{Cluster, REPLICATES};

const START_OVER: &str = "--env=POSTGRES_ON_FAILED_INIT=start-over";

/// A start on the volume is rejected, each time.
#[track_caller]
fn refused(cluster: &Cluster, volume: &Volume) {
    for _ in 0..2 {
        let ran = cluster.create(&[REPLICATES, &volume.as_data()]).run();
        assert_eq!(ran.status, 1, "{ran:?}");
        for text in [
            "did not complete",
            "POSTGRES_ON_FAILED_INIT=start-over",
            "patronictl remove test",
        ] {
            assert!(ran.err.contains(text), "{ran:?}");
        }
    }
}

/// A member that may start over becomes the leader of a complete cluster without a marker, and another one joins it.
#[track_caller]
fn started_over(cluster: &mut Cluster, volume: &Volume, options: &[&str]) {
    let leader = cluster.add(&[&[REPLICATES, &volume.as_data(), START_OVER], options].concat());
    cluster.wait_for(leader, "Leader\trunning");
    let replica = cluster.add(&[REPLICATES]);
    cluster.wait_for(replica, "Replica\tstreaming");
    for member in [leader, replica] {
        let member = &cluster.members[member];
        assert_eq!(
            member
                .sql("SELECT string_agg(relname, ' ') FROM pg_class WHERE relname IN ('half', 'made_once')"),
            "made_once"
        );
        member.lacks("$PGDATA/.initialising");
    }
    let leader = &cluster.members[leader];
    assert_eq!(
        leader.sql("SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolcanlogin"),
        "postgres replicator rewinder"
    );
    let log = leader.log();
    assert!(log.contains("removing the incomplete cluster"), "{log}");
    assert!(!log.contains("replicates") && !log.contains("rewinds"), "{log}");
}

#[test(patroni_10, line_25)]
fn a_failed_script_leaves_nothing_to_serve() {
    needs_store();
    let (volume, mut cluster) = (Volume::new(), Cluster::new());
    for (name, text) in [
        ("b.sql", "CREATE TABLE half (); SELECT 1 / 0;"),
        ("b.sh", "exit 0\n"),
    ] {
        let failing = cluster.create(&[REPLICATES, &volume.as_data(), START_OVER]);
        failing.copy_script(name, 0o644, text);
        let ran = failing.run();
        assert_eq!(ran.status, 1, "{ran:?}");
        let named = format!("the initialisation ended in: /docker-entrypoint-initdb.d/{name}");
        assert!(ran.err.contains(&named), "{ran:?}");
        refused(&cluster, &volume);
    }
    let arguments = r#"--env=POSTGRES_INITDB_ARGS=--locale-provider icu --icu-locale de -kE UTF8 -c 'work_mem=5MB' --icu-rules="&V << w""#;
    started_over(&mut cluster, &volume, &[arguments]);
    assert_eq!(
        cluster.members[0].sql(
            "SELECT datlocprovider, datlocale, daticurules, current_setting('work_mem') FROM pg_database WHERE datname = 'postgres'"
        ),
        "i|de|&V << w|5MB"
    );
}

#[test(patroni_10, line_25)]
fn a_member_killed_during_initialisation_is_not_served() {
    needs_store();
    let (volume, mut cluster) = (Volume::new(), Cluster::new());
    for moment in [
        "[[ -e $PGDATA/.initialising/data/PG_VERSION ]]",
        "psql -U postgres -c 'SELECT FROM half'",
    ] {
        let killed = cluster.create(&[REPLICATES, &volume.as_data(), START_OVER]);
        killed.copy_script("b.sql", 0o644, "CREATE TABLE half (); SELECT pg_sleep(60);");
        killed.start();
        killed.wait_for(moment);
        killed.end_by("KILL");
        refused(&cluster, &volume);
    }
    started_over(&mut cluster, &volume, &[]);
}

#[test(patroni_10)]
fn a_renamed_member_starts_over_once_the_store_forgets() {
    needs_store();
    let (volume, mut cluster) = (Volume::new(), Cluster::new());
    let killed = cluster.create(&[REPLICATES, &volume.as_data(), "--env=PATRONI_NAME=other"]);
    killed.copy_script("b.sql", 0o644, "SELECT pg_sleep(60);");
    killed.start();
    killed.wait_for("patronictl list --format=tsv | grep -P 'other\t.*running'");
    killed.end_by("KILL");
    started_over(&mut cluster, &volume, &[]);
    let log = cluster.members[0].log();
    assert!(log.contains("waiting for other to succeed"), "{log}");
}

#[test(patroni_10)]
fn a_failure_before_any_script_leaves_nothing() {
    needs_store();
    let (volume, mut cluster) = (Volume::new(), Cluster::new());
    let mount = volume.as_data();
    // The second one fails when the server starts.
    for (options, file) in [("POSTGRES_INITDB_ARGS=--wal-segsize=3", ""), ("A=", "ssl = on\n")] {
        let failing = cluster.create(&[
            REPLICATES,
            &mount,
            "--env",
            options,
            "--volume=/etc/postgresql/conf.d",
        ]);
        failing.copy("/etc/postgresql/conf.d/a.conf", 0o644, file);
        let ran = failing.run();
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(ran.err.contains("a corrected start begins afresh"), "{ran:?}");
        assert_eq!(volume.shell(&format!("ls -A {DATA}")), "");
    }
    let leader = cluster.add(&[REPLICATES, &mount]);
    cluster.wait_for(leader, "Leader\trunning");
}

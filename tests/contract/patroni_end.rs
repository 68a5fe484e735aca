//! How a member ends: the engine learns whether Patroni failed, and PostgreSQL is stopped in any case.

use super::container::{Container, Volume, docker};
use super::needs::{needs_patroni, needs_store};
use super::patroni::{Cluster, REPLICATES};

/// The state in which the last server left the data directory.
#[track_caller]
fn data_state(volume: &Volume) -> String {
    volume.shell("pg_controldata | sed -n 's/^Database cluster state: *//p'")
}

/// Patroni's own process; the brackets keep the search from finding itself.
const PATRONI: &str = "$(grep --files-with-matches --null-data --line-regexp '/opt/patroni/bin/patron[i]' /proc/[0-9]*/cmdline | cut -d / -f 3)";

#[test(patroni_9)]
fn the_container_ends_with_the_status_of_patroni() {
    needs_patroni();
    // Raft's library is not in the image, which only Patroni finds out.
    let options = [
        "--env=PATRONI_SCOPE=test",
        "--env=PATRONI_RAFT_SELF_ADDR=127.0.0.1:2222",
        "--env=POSTGRES_PASSWORD=secret",
        REPLICATES,
    ];
    for command in [&[][..], &["patroni"][..]] {
        let ran = Container::to_the_end(&options, command);
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(
            ran.err.contains("Patroni has ended with status 1") && ran.err.contains("configuration store"),
            "{ran:?}"
        );
    }
    let own = Container::create(&[], &["patroni", "/etc/my.yml"]);
    let text = "scope: a\nname: b\netcd3: {host: 'localhost:1'}\nrestapi: {listen: 'nonsense'}\n\
                postgresql: {listen: 'nonsense', data_dir: /var/lib/postgresql/data}\n";
    own.copy("/etc/my.yml", 0o644, text);
    own.start();
    own.wait_for(&format!("[[ {PATRONI} -gt 1 ]]"));
    assert_eq!(own.shell(&format!("kill -KILL {PATRONI}")).status, 0);
    assert_eq!(own.wait(), 137, "{}", own.log());
}

#[test(patroni_9)]
fn postgresql_stops_cleanly_however_patroni_ends() {
    needs_store();
    let volume = Volume::new();
    let mut cluster = Cluster::new();
    let leader = cluster.add(&[REPLICATES, &volume.as_data()]);
    let member = |cluster: &Cluster| cluster.members[leader].name.clone();
    // The engine's default of ten seconds is enough on an idle machine only.
    let stop = |name: &str| docker(["stop", "--time=60", name]).ok();

    // The store also remembers the previous start, so the server is asked.
    let serves = |cluster: &Cluster| {
        cluster.wait_for(leader, "Leader\trunning");
        cluster.members[leader]
            .wait_for("psql -U postgres -Atc 'SELECT pg_is_in_recovery()' | grep --quiet f");
    };

    // Sessions do not hold it up.
    serves(&cluster);
    cluster.members[leader].open_session();
    stop(&member(&cluster));
    assert_eq!(
        cluster.members[leader].wait(),
        0,
        "{}",
        cluster.members[leader].log()
    );
    assert_eq!(data_state(&volume), "shut down");

    for (signal, status) in [("KILL", 137), ("INT", 0)] {
        cluster.members[leader].start();
        serves(&cluster);
        let first = &cluster.members[leader];
        first.shell(&format!("kill -{signal} {PATRONI}")).ok();
        assert_eq!(first.wait(), status, "{}", first.log());
        assert_eq!(data_state(&volume), "shut down", "{signal}: {}", first.log());
    }

    // In a paused cluster Patroni leaves PostgreSQL running when it ends.
    cluster.members[leader].start();
    serves(&cluster);
    cluster.members[leader].shell("patronictl pause --wait").ok();
    stop(&member(&cluster));
    let first = &cluster.members[leader];
    assert_eq!(first.wait(), 0, "{}", first.log());
    assert!(
        first
            .log()
            .contains("stopping PostgreSQL, which Patroni has left running"),
        "{}",
        first.log()
    );
    assert_eq!(data_state(&volume), "shut down");
}

#[test(patroni_9)]
fn process_1_reaps_and_forwards_signals() {
    needs_store();
    let mut cluster = Cluster::new();
    let leader = cluster.add(&[REPLICATES]);
    cluster.wait_for(leader, "Leader\trunning");
    let first = &cluster.members[leader];
    assert_ne!(first.shell(&format!("echo {PATRONI}")).ok(), "1");
    // When Patroni restarts PostgreSQL, it is a child of process 1 only.
    first.shell("pg_ctl stop --mode=immediate").ok();
    first.wait_for("psql -U postgres -Atc 'SELECT pg_is_in_recovery()' | grep f");
    super::process::leave_orphans(first);
    docker(["kill", "--signal=HUP", &first.name]).ok();
    first.wait_for_log("No local configuration items changed");
}

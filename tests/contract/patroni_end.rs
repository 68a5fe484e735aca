//! How a member ends: the engine learns whether Patroni has failed, and PostgreSQL is stopped whatever became of Patroni.

use std::time::{Duration, Instant};

use super::container::{Container, Volume, docker};
use super::needs::{needs_patroni, needs_store};
use super::patroni::{Cluster, REPLICATES};

/// The state in which the last server has left the data directory.
#[track_caller]
fn data_state(volume: &Volume) -> String {
    volume.shell("pg_controldata | sed -n 's/^Database cluster state: *//p'")
}

/// Patroni's own process; the brackets keep the search from finding itself.
const PATRONI: &str = "$(grep --files-with-matches --null-data --line-regexp '/opt/patroni/bin/patron[i]' /proc/[0-9]*/cmdline | cut -d / -f 3)";

#[test(patroni_9)]
fn a_failure_is_the_containers() {
    needs_patroni();
    // Its library is not in the image, which only Patroni finds out.
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
fn postgresql_is_stopped_cleanly_whatever_ends_patroni() {
    needs_store();
    let volume = Volume::new();
    let mut cluster = Cluster::new();
    let leader = cluster.add(&[REPLICATES, &volume.as_data()]);
    let member = |cluster: &Cluster| cluster.members[leader].name.clone();
    // Ten seconds, the engine's default, are enough where a machine does nothing else.
    let stop = |name: &str| docker(["stop", "--time=60", name]).ok();

    // The store tells of the former life as well, so the server is asked.
    let serves = |cluster: &Cluster| {
        cluster.wait_for(leader, "Leader\trunning");
        cluster.members[leader]
            .wait_for("psql -U postgres -Atc 'SELECT pg_is_in_recovery()' | grep --quiet f");
    };

    // Sessions do not hold it up.
    serves(&cluster);
    let session = "psql -U postgres -c 'SELECT pg_sleep(600)' </dev/null >/dev/null 2>&1 & disown";
    assert_eq!(cluster.members[leader].shell(session).status, 0);
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

    // Patroni leaves PostgreSQL running when it ends in a cluster that is paused.
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
fn process_1_reaps_and_passes_signals_on() {
    needs_store();
    let mut cluster = Cluster::new();
    let leader = cluster.add(&[REPLICATES]);
    cluster.wait_for(leader, "Leader\trunning");
    let first = &cluster.members[leader];
    assert_ne!(first.shell(&format!("echo {PATRONI}")).ok(), "1");
    // PostgreSQL is nobody's child but process 1's when Patroni starts it anew.
    first.shell("pg_ctl stop --mode=immediate").ok();
    first.wait_for("psql -U postgres -Atc 'SELECT pg_is_in_recovery()' | grep f");
    super::process::leave_orphans(first);
    docker(["kill", "--signal=HUP", &first.name]).ok();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !first.log().contains("No local configuration items changed") {
        assert!(Instant::now() < deadline, "no reload: {}", first.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

//! The health check is right in each state, is one process, and ends inside its own timeout.

use super::container::{Container, HEALTH_CHECK, Network, PASSWORD, Volume};
use super::needs::needs_image;

#[test(line_27)]
fn health_is_right_while_initialising_serving_and_hung() {
    needs_image();
    let container = Container::create(&["--env", PASSWORD], &[]);
    container.copy_script(
        "a.sh",
        0o755,
        "#!/bin/bash\nuntil [[ -e /tmp/seen ]]; do sleep 0.05; done\n",
    );
    container.start();
    container.wait_for("grep -q ready $PGDATA/postmaster.pid");
    let initialising = container.health();
    assert_eq!(
        (initialising.status, initialising.out.as_str()),
        (1, "the database is being initialised\n")
    );
    container.shell("touch /tmp/seen").ok();
    container.wait_until_serving();
    assert_eq!(container.health().status, 0);

    let postmaster = "$(head -n 1 $PGDATA/postmaster.pid)";
    container.shell(&format!("kill -STOP {postmaster}")).ok();
    // The engine gives it 10 seconds; three times as many allow for a machine under load.
    let hung = container.shell(&format!("timeout 30 {HEALTH_CHECK}"));
    assert!(
        ![0, 124].contains(&hung.status) && !hung.out.is_empty(),
        "a server that does not answer is unhealthy: {hung:?}"
    );
    container.shell(&format!("kill -CONT {postmaster}")).ok();
    container.wait_until_serving();
    assert_eq!(container.health().status, 0);
}

#[test(line_27)]
fn health_check_is_one_process_without_orphans() {
    needs_image();
    let container = Container::serving(&["--env", PASSWORD], &[]);
    // With the server stopped, the check hangs in its connection and can be examined.
    let script = format!(
        "kill -STOP $(head -n 1 $PGDATA/postmaster.pid); {HEALTH_CHECK} >/dev/null & check=$!; \
         until [[ $(</proc/$check/comm) == pg_isready ]]; do sleep 0.05; done; \
         cat /proc/$check/comm /proc/$check/task/*/children; kill -KILL $check; wait $check 2>/dev/null; \
         grep -l pg_isready /proc/[0-9]*/comm; kill -CONT $(head -n 1 $PGDATA/postmaster.pid)"
    );
    assert_eq!(container.shell(&script).out, "pg_isready\n");
    container.wait_until_serving();
    assert!(
        !container
            .log()
            .contains("terminating any other active server processes")
    );
}

#[test(line_27)]
fn health_follows_port_and_addresses() {
    needs_image();
    let cases: [&[&str]; 4] = [
        &["-p", "6543"],
        &["-c", "listen_addresses=localhost"],
        &["-c", "listen_addresses=::1"],
        &["-c", "listen_addresses="],
    ];
    let volume = Volume::new();
    for command in cases {
        let container = Container::create(
            &[
                &volume.as_data(),
                "--env",
                PASSWORD,
                "--sysctl=net.ipv6.conf.lo.disable_ipv6=0",
            ],
            command,
        );
        container.start();
        container.wait_for(&format!("[[ ! -e $PGDATA/.initialising ]] && {HEALTH_CHECK}"));
        let health = container.health();
        assert_eq!(health.status, 0, "{command:?}: {health:?}");
        assert_eq!(container.end_by("TERM"), 0);
    }
}

#[test(line_27)]
fn health_is_right_on_a_standby_and_while_stopping() {
    needs_image();
    let network = Network::new();
    let on_network = format!("--network={}", network.0);
    let primary = Container::create(&[&on_network, "--env", PASSWORD], &[]);
    primary.copy_script(
        "a.sh",
        0o644,
        "echo 'host replication all all scram-sha-256' >>\"$PGDATA/pg_hba.conf\"\n",
    );
    primary.start();
    primary.wait_until_serving();
    let copy = format!(
        "chmod 0700 $PGDATA; PGPASSWORD=secret pg_basebackup --host={} --username=postgres --pgdata=$PGDATA --write-recovery-conf \
         --checkpoint=fast && exec /entrypoint.sh postgres",
        primary.name
    );
    let standby = Container::create(&[&on_network, "--entrypoint=bash"], &["-c", &copy]);
    standby.start();
    standby.wait_until_serving();
    assert_eq!(standby.sql("SELECT pg_is_in_recovery()"), "t");
    assert_eq!(
        standby.health().status,
        0,
        "a standby that serves reads is healthy"
    );

    // A smart shutdown waits for the session.
    primary.open_session();
    primary.shell("pg_ctl stop --mode=smart --no-wait").ok();
    primary.wait_for("grep -q stopping $PGDATA/postmaster.pid");
    let stopping = primary.health();
    assert_eq!(
        (stopping.status, stopping.out.as_str()),
        (1, "PostgreSQL is stopping\n")
    );
}

//! The health check is right in each state, is one process, and ends inside its own timeout.

use std::time::{Duration, Instant};

use super::container::{Container, DATA, HEALTH_CHECK, Network, PASSWORD, Volume};
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
         until [[ $(</proc/$check/comm) == pgstart ]]; do sleep 0.05; done; \
         cat /proc/$check/comm /proc/$check/task/*/children; kill -KILL $check; wait $check 2>/dev/null; \
         grep -l pgstart /proc/[0-9]*/comm; kill -CONT $(head -n 1 $PGDATA/postmaster.pid)"
    );
    assert_eq!(container.shell(&script).out, "pgstart\n");
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
    let standby = Container::create(
        &[&on_network, "--user=postgres", "--entrypoint=bash"],
        &["-c", &copy],
    );
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

/// What an engine asks often, and gives no second chance.
const IMPATIENT: [&str; 3] = [
    "--health-interval=1s",
    "--health-start-period=0s",
    "--health-retries=1",
];
/// A shell condition: a check of the engine's is waiting.
const CHECK_IS_WAITING: &str = "grep -q -a -e --wait /proc/[0-9]*/cmdline";

/// Waits until the engine says so of the container.
#[track_caller]
fn wait_for_state(container: &Container, state: &str) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let now = container.inspect("{{.State.Health.Status}}");
        if now == state {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{now}, not {state}: {}",
            container.log()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether no check has failed so far.
#[track_caller]
fn assert_no_check_has_failed(container: &Container) {
    let statuses = container.inspect("{{range .State.Health.Log}}{{.ExitCode}} {{end}}");
    assert!(
        statuses.split_whitespace().all(|status| status == "0"),
        "{statuses}"
    );
}

#[test(line_55)]
fn container_that_initialises_or_recovers_is_starting() {
    needs_image();
    let volume = Volume::new();
    let mount = volume.as_data();
    let container = Container::create(&[&IMPATIENT[..], &[&mount, "--env", PASSWORD]].concat(), &[]);
    container.copy_script(
        "a.sh",
        0o755,
        "#!/bin/bash\nuntil [[ -e /tmp/go ]]; do sleep 0.05; done\n",
    );
    container.start();
    container.wait_for(CHECK_IS_WAITING);
    assert_eq!(container.inspect("{{.State.Health.Status}}"), "starting");
    container.shell("touch /tmp/go").ok();
    wait_for_state(&container, "healthy");
    assert_no_check_has_failed(&container);
    assert_eq!(container.end_by("TERM"), 0);
    drop(container);

    // A server that has not read enough of its log to be consistent.
    volume.shell(&format!(
        "touch {DATA}/standby.signal; rm {DATA}/global/pg_control.old 2>/dev/null; true"
    ));
    let restore = "restore_command=until [ -e /tmp/go ]; do sleep 0.05; done; false";
    let recovering = Container::create(&[&IMPATIENT[..], &[&mount]].concat(), &["-c", restore]);
    recovering.start();
    recovering.wait_for(CHECK_IS_WAITING);
    assert_eq!(recovering.inspect("{{.State.Health.Status}}"), "starting");
    recovering.shell("touch /tmp/go").ok();
    wait_for_state(&recovering, "healthy");
    assert_no_check_has_failed(&recovering);
}

#[test(line_55)]
fn container_of_another_command_is_healthy() {
    needs_image();
    let container = Container::create(&IMPATIENT, &["sleep", "600"]);
    container.start();
    wait_for_state(&container, "healthy");
    assert_no_check_has_failed(&container);
}

#[test(line_56)]
fn container_with_a_hung_server_is_unhealthy_until_it_answers() {
    needs_image();
    let container = Container::create(&["--health-interval=1s", "--env", PASSWORD], &[]);
    container.start();
    wait_for_state(&container, "healthy");
    let postmaster = "$(head -n 1 $PGDATA/postmaster.pid)";
    container.shell(&format!("kill -STOP {postmaster}")).ok();
    wait_for_state(&container, "unhealthy");
    let failures = container.inspect("{{range .State.Health.Log}}{{.ExitCode}}{{end}}");
    assert!(failures.ends_with("011"), "two checks decide: {failures}");
    container.shell(&format!("kill -CONT {postmaster}")).ok();
    wait_for_state(&container, "healthy");
}

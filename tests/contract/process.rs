//! Lines 23, 24, 26, 28, 29 and 32: signals, children, and the rights a container is given.

use std::time::{Duration, Instant};

use super::container::{Container, PASSWORD};
use super::needs::needs_image;

/// Opens a session that would hold up a shutdown that waits for sessions.
fn open_session(container: &Container) {
    let session =
        "psql --username=postgres --command='SELECT pg_sleep(600)' </dev/null >/dev/null 2>&1 & disown";
    assert_eq!(container.shell(session).status, 0);
    container.wait_for("[[ $(psql -U postgres -Atc \"SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'\") == 1 ]]");
}

#[test(line_23)]
fn signals_end_it_fast_and_cleanly() {
    needs_image();
    let container = Container::serving(&["--env", PASSWORD], &[]);
    for (signal, kind, recovers) in [
        ("TERM", "fast", false),
        ("INT", "fast", false),
        ("QUIT", "immediate", true),
    ] {
        open_session(&container);
        let before = container.log().len();
        let asked = Instant::now();
        assert_eq!(container.end_by(signal), 0, "{signal}: {}", container.log());
        assert!(
            asked.elapsed() < Duration::from_secs(8),
            "{signal} took {:?}",
            asked.elapsed()
        );
        container.start();
        container.wait_until_serving();
        let log = container.log();
        // Standard output comes first in it and does not grow here, so what is new is at the end.
        let new = &log[before..];
        assert!(
            new.contains(&format!("received {kind} shutdown request")),
            "{signal}: {new}"
        );
        assert_eq!(
            new.contains("not properly shut down"),
            recovers,
            "{signal}: {new}"
        );
    }
}

#[test(line_23)]
fn a_reload_signal_reaches_the_server() {
    needs_image();
    let container = Container::serving(&["--env", PASSWORD], &[]);
    container.sql("ALTER SYSTEM SET work_mem = '9MB'");
    super::container::docker(["kill", "--signal=HUP", &container.name]).ok();
    container.wait_for("[[ $(psql -U postgres -Atc 'SHOW work_mem') == 9MB ]]");
}

#[test(line_24)]
fn sourcing_the_entrypoint_defines_functions_and_no_more() {
    needs_image();
    let script = "state() { set +o; shopt; trap; pwd; ls -A $PGDATA; }; before=$(state); source /entrypoint.sh; \
                  [[ $(state) == \"$before\" ]] && type -t _main docker_process_sql run_standalone";
    let ran = Container::to_the_end(&[], &["bash", "-c", script]);
    assert_eq!(
        (ran.status, ran.out.as_str()),
        (0, "function\nfunction\nfunction\n"),
        "{ran:?}"
    );
}

#[test(line_26)]
fn a_stop_during_initialisation_is_at_once() {
    needs_image();
    let scripts = [
        ("a.sql", 0o644, "SELECT pg_sleep(600);"),
        ("a.sh", 0o755, "#!/bin/bash\ntrap '' TERM INT\nsleep 600\n"),
        ("a.sh", 0o644, "sleep 600\n"),
    ];
    for (name, mode, text) in scripts {
        let container = Container::create(&["--env", PASSWORD], &[]);
        container.copy_script(name, mode, text);
        container.start();
        container
            .wait_for("[[ -e $PGDATA/postmaster.pid ]] && grep -q ready $PGDATA/postmaster.pid && sleep 0.5");
        let asked = Instant::now();
        let stopped = super::container::docker(["stop", "--time=60", &container.name]);
        assert_eq!(stopped.status, 0);
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{name} took {:?}",
            asked.elapsed()
        );
        assert_eq!(
            container.inspect("{{.State.ExitCode}}"),
            "143",
            "neither success nor a kill"
        );
        assert!(
            container
                .log()
                .contains("stopped by SIGTERM before the initialisation was complete")
        );
    }
}

/// Leaves two orphans to process 1: one ends with 3, one by SIGKILL. The postmaster would take either for a crashed backend.
pub fn leave_orphans(container: &Container) {
    assert_eq!(
        container
            .shell("(sleep 0.2; exit 3) & (sleep 0.3; kill -KILL $BASHPID) & disown -a")
            .status,
        0
    );
    std::thread::sleep(Duration::from_millis(800));
    let zombies = "for stat in /proc/[0-9]*/stat; do read -r _ _ state _ <$stat 2>/dev/null && [[ $state != Z ]] || echo $stat; done";
    assert_eq!(container.shell(zombies).ok(), "", "what ended has been reaped");
}

#[test(line_28)]
fn a_stray_child_is_reaped_and_never_a_crash() {
    needs_image();
    let container = Container::serving(&["--env", PASSWORD], &[]);
    let started = container.sql("SELECT pg_postmaster_start_time()");
    open_session(&container);
    leave_orphans(&container);
    let log = container.log();
    assert!(
        !log.contains("terminating any other active server processes"),
        "{log}"
    );
    assert_eq!(container.sql("SELECT pg_postmaster_start_time()"), started);
    assert_eq!(
        container.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"),
        "1"
    );
}

#[test(line_29)]
fn a_read_only_root_works() {
    needs_image();
    let options = [
        "--read-only",
        "--tmpfs=/tmp",
        "--tmpfs=/var/run/postgresql",
        "--env",
        PASSWORD,
    ];
    let container = Container::serving(&options, &[]);
    assert_eq!(
        container.sql("SELECT setting <> '' FROM pg_settings WHERE name = 'shared_preload_libraries'"),
        "t"
    );
    assert_eq!(container.health().status, 0);
    assert_eq!(container.end_by("TERM"), 0);
    container.start();
    container.wait_until_serving();
    assert_eq!(container.sql("SELECT 1"), "1");
}

#[test(line_32)]
fn no_capability_is_needed() {
    needs_image();
    let options = [
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--env",
        PASSWORD,
    ];
    let container = Container::serving(&options, &[]);
    assert_eq!(container.sql("SELECT 1"), "1");
    assert_eq!(container.health().status, 0);
    assert_eq!(container.end_by("TERM"), 0);
}

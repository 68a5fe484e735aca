//! Signals, children, and the rights of the container.

use super::container::{Container, PASSWORD, SESSIONS};
use super::needs::needs_image;

#[test(line_23)]
fn signals_shut_it_down_cleanly() {
    needs_image();
    let container = Container::serving(&["--env", PASSWORD], &[]);
    for (signal, kind, recovers) in [
        ("TERM", "fast", false),
        ("INT", "fast", false),
        ("QUIT", "immediate", true),
    ] {
        // A shutdown that waited for the session would end as a hang of `docker wait`.
        container.open_session();
        let before = container.log().len();
        assert_eq!(container.end_by(signal), 0, "{signal}: {}", container.log());
        container.start();
        container.wait_until_serving();
        let log = container.log();
        // Standard output comes first and does not grow here, so the new lines are at the end.
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
fn sourcing_the_entrypoint_only_defines_functions() {
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
fn a_stop_during_initialisation_is_immediate() {
    needs_image();
    let scripts = [
        ("a.sql", 0o644, "\\! touch /tmp/began\nSELECT pg_sleep(600);"),
        (
            "a.sh",
            0o755,
            "#!/bin/bash\ntrap '' TERM INT\ntouch /tmp/began\nsleep 600\n",
        ),
        ("a.sh", 0o644, "touch /tmp/began\nsleep 600\n"),
    ];
    for (name, mode, text) in scripts {
        let container = Container::create(&["--env", PASSWORD], &[]);
        container.copy_script(name, mode, text);
        container.start();
        container.wait_for("[[ -e /tmp/began ]]");
        // The engine would kill it after a minute, and the status would be 137.
        super::container::docker(["stop", "--time=60", &container.name]).ok();
        assert_eq!(container.inspect("{{.State.ExitCode}}"), "143", "{name}");
        assert!(
            container
                .log()
                .contains("stopped by SIGTERM before the initialisation was complete")
        );
    }
}

/// Leaves two orphans to process 1, and waits until both are reaped: one ends with 3, the other by SIGKILL. The postmaster would
/// take either for a crashed backend.
#[track_caller]
pub fn leave_orphans(container: &Container) {
    let orphans = "(until [[ -e /tmp/orphaned ]]; do sleep 0.05; done; exit 3) & \
                   (until [[ -e /tmp/orphaned ]]; do sleep 0.05; done; kill -KILL $BASHPID) & \
                   jobs -p | xargs >/tmp/orphans; disown -a";
    container.shell(orphans).ok();
    // A zombie keeps its directory in /proc.
    let parents =
        "read -r a b </tmp/orphans && grep --no-filename PPid: /proc/$a/status /proc/$b/status | sort -u";
    assert_eq!(container.shell(parents).ok(), "PPid:\t1");
    container.shell("touch /tmp/orphaned").ok();
    container.wait_for("read -r a b </tmp/orphans && [[ ! -e /proc/$a && ! -e /proc/$b ]]");
    container.shell("rm /tmp/orphaned /tmp/orphans").ok();
}

#[test(line_28)]
fn a_stray_child_is_reaped_and_never_a_crash() {
    needs_image();
    let container = Container::serving(&["--env", PASSWORD], &[]);
    let started = container.sql("SELECT pg_postmaster_start_time()");
    container.open_session();
    leave_orphans(&container);
    let log = container.log();
    assert!(
        !log.contains("terminating any other active server processes"),
        "{log}"
    );
    assert_eq!(container.sql("SELECT pg_postmaster_start_time()"), started);
    assert_eq!(container.sql(SESSIONS), "1");
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
fn it_works_without_capabilities() {
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

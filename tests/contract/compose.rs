//! Lines 33 to 35: what compose files bring that were written for the official image, with nothing but the image's name replaced.
//!
//! A start with `--user=root` is what the tag that starts as root does: one build makes both.

use super::container::{Container, DATA, PASSWORD, Volume, docker};
use super::needs::needs_image;

/// A volume as the engine makes a directory: it belongs to root, and nothing is copied into it.
fn directory_of_root() -> (Volume, String) {
    let volume = Volume::new();
    volume.shell(&format!("chown 0:0 {DATA}; chmod 0755 {DATA}"));
    let mounted = format!("--volume={}:{DATA}:nocopy", volume.0);
    (volume, mounted)
}

#[test(line_33)]
fn a_tmpfs_for_the_data_is_served() {
    needs_image();
    let mounted = format!("--tmpfs={DATA}");
    let container = Container::serving(&["--env", PASSWORD, &mounted], &["-c", "fsync=off"]);
    assert_eq!(container.sql("SELECT 1"), "1");
    assert_eq!(container.health().status, 0);
}

#[test(line_33)]
fn a_read_only_root_with_a_tmpfs_on_run_is_served() {
    needs_image();
    let options = ["--read-only", "--tmpfs=/run", "--tmpfs=/tmp", "--env", PASSWORD];
    let container = Container::serving(&options, &[]);
    assert_eq!(container.sql("SELECT 1"), "1");
    assert_eq!(container.health().status, 0);
    let as_root = Container::serving(&[&options[..], &["--user=root"]].concat(), &[]);
    assert_eq!(
        as_root.sql("SHOW unix_socket_directories"),
        "/var/run/postgresql, /tmp"
    );
}

#[test(line_33)]
fn a_volume_above_the_data_is_used_as_by_the_official_image() {
    needs_image();
    let volume = Volume::new();
    let mounted = format!("--volume={}:/var/lib/postgresql", volume.0);
    let container = Container::serving(&["--env", PASSWORD, &mounted], &[]);
    let place = container.sql("SHOW data_directory");
    assert!(
        place.starts_with("/var/lib/postgresql/") && place.ends_with("/docker"),
        "{place}"
    );
    container.sql("CREATE TABLE kept AS SELECT 1 AS one");
    assert_eq!(container.health().status, 0);
    assert_eq!(container.end_by("TERM"), 0);
    drop(container);
    let container = Container::serving(&[&mounted], &[]);
    assert_eq!(container.sql("TABLE kept"), "1");
    drop(container);
    let container = Container::serving(&[&mounted, "--user=root"], &[]);
    assert_eq!(container.sql("TABLE kept"), "1");
}

#[test(line_33)]
fn a_wrapper_may_copy_scripts_and_exec_the_entrypoint() {
    needs_image();
    for user in ["--user=postgres", "--user=root"] {
        let container = Container::create(
            &[user, "--env", PASSWORD, "--entrypoint=/wrapper.sh"],
            &["postgres", "-c", "wal_level=logical"],
        );
        container.copy(
            "/wrapper.sh",
            0o755,
            "#!/bin/bash\nset -e\ncp /script.sql /docker-entrypoint-initdb.d/\nexec docker-entrypoint.sh \"$@\"\n",
        );
        container.copy("/script.sql", 0o644, "CREATE TABLE made (n int);\n");
        container.start();
        container.wait_until_serving();
        assert_eq!(
            container.sql("SELECT current_setting('wal_level'), count(*) FROM made"),
            "logical|0"
        );
    }
}

#[test(line_33)]
fn what_only_root_can_serve_names_the_tag_that_does() {
    needs_image();
    let (volume, mounted) = directory_of_root();
    let container = Container::create(
        &[
            "--user=postgres",
            &mounted,
            "--env=POSTGRES_PASSWORD_FILE=/secret",
        ],
        &[],
    );
    container.copy("/secret", 0o600, "secret\n");
    let ran = container.run();
    assert_eq!(ran.status, 1, "{ran:?}");
    for reason in [
        "/var/lib/postgresql/data belongs to uid 0",
        "POSTGRES_PASSWORD_FILE is '/secret', which cannot be read by uid 999: it belongs to uid 0 (mode 600)",
        "-root` of this image, which starts as root",
        "--user root",
    ] {
        assert!(ran.err.contains(reason), "{reason}: {ran:?}");
    }
    assert_eq!(volume.shell(&format!("ls -A {DATA}")), "");
}

#[test(line_34)]
fn a_start_as_root_serves_all_and_gives_up_every_privilege() {
    needs_image();
    let (volume, mounted) = directory_of_root();
    let options = [
        "--user=root",
        mounted.as_str(),
        "--env=POSTGRES_PASSWORD_FILE=/secret",
    ];
    let container = Container::create(&options, &[]);
    container.copy("/secret", 0o600, "from a file\n");
    container.copy_script(
        "a.sh",
        0o755,
        "#!/bin/bash\ngrep -E '^(Uid|Gid|Cap|NoNewPrivs)' /proc/self/status >/tmp/script\n",
    );
    container.start();
    container.wait_until_serving();
    let statuses = "cat /tmp/script; for one in /proc/[0-9]*; do \
                    [[ $(<$one/comm) == @(postgres|entrypoint.sh|bash) && $one != /proc/$BASHPID && $one != /proc/$$ ]] && cat $one/status; done";
    let found = container.shell(statuses).out;
    for line in found.lines() {
        let (name, value) = line.split_once(':').unwrap_or_default();
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        match name {
            "Uid" | "Gid" => assert_eq!(value, "999 999 999 999", "{found}"),
            "CapInh" | "CapPrm" | "CapEff" | "CapAmb" => assert_eq!(value, "0000000000000000", "{found}"),
            "CapBnd" if found.matches("NoNewPrivs:\t1").count() < 2 => panic!("{found}"),
            _ => {}
        }
    }
    let started = docker([
        "exec",
        &container.name,
        "bash",
        "-c",
        "grep -E '^(CapBnd|NoNewPrivs)' /proc/1/status",
    ])
    .ok();
    assert_eq!(started, "CapBnd:\t0000000000000000\nNoNewPrivs:\t1");
    let log_in = "PGPASSWORD='from a file' psql --host=127.0.0.1 --username=postgres --tuples-only --no-align --command='SELECT 1'";
    assert_eq!(container.shell(log_in).ok(), "1");
    drop(container);
    assert_eq!(volume.shell(&format!("find {DATA} ! -user 999 | wc -l")), "0");
}

#[test(line_34)]
fn a_start_as_root_needs_no_capability_that_it_does_not_use() {
    needs_image();
    let volume = Volume::new();
    let data = volume.as_data();
    let container = Container::serving(&[&data, "--env", PASSWORD], &[]);
    assert_eq!(container.end_by("TERM"), 0);
    drop(container);
    let few = ["--user=root", "--cap-drop=ALL", data.as_str()];
    let container = Container::serving(
        &[&few[..], &["--cap-add=SETUID", "--cap-add=SETGID"]].concat(),
        &[],
    );
    assert_eq!(container.sql("SELECT 1"), "1");
    assert_eq!(container.health().status, 0);
    drop(container);
    let ran = Container::to_the_end(&few, &[]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(
        ran.err
            .contains("started as root without the capabilities SETGID and SETUID"),
        "{ran:?}"
    );
}

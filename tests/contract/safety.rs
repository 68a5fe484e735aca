//! What keeps data and settings safe: unfinished initialisations, mistakes, preloaded libraries, layers of settings.

use super::container::{Container, DATA, PASSWORD, Volume};
use super::needs::needs_image;

const START_OVER: &str = "--env=POSTGRES_ON_FAILED_INIT=start-over";

/// A start on the volume is rejected as incomplete, twice; one that may start over serves.
#[track_caller]
fn refused_until_told(volume: &Volume) {
    for _ in 0..2 {
        let ran = Container::to_the_end(&[&volume.as_data(), "--env", PASSWORD], &[]);
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(
            ran.err.contains("did not complete") && ran.err.contains("POSTGRES_ON_FAILED_INIT=start-over"),
            "{ran:?}"
        );
        assert!(!ran.text().contains("kipping initialization"), "{ran:?}");
    }
    let container = Container::serving(&[&volume.as_data(), "--env", PASSWORD, START_OVER], &[]);
    assert_eq!(
        container.sql("SELECT count(*) FROM pg_class WHERE relname = 'half'"),
        "0"
    );
    assert!(container.log().contains("removing the incomplete cluster"));
    assert_eq!(container.end_by("TERM"), 0);
    drop(container);
    let container = Container::serving(&[&volume.as_data()], &[]);
    assert!(container.log().contains("Skipping initialization"));
}

#[test(line_25)]
fn a_failed_script_leaves_nothing_to_serve() {
    needs_image();
    let volume = Volume::new();
    let container = Container::create(&[&volume.as_data(), "--env", PASSWORD], &[]);
    container.copy_script("a.sql", 0o644, "CREATE TABLE half (); SELECT 1 / 0;");
    assert_eq!(container.run().status, 1);
    drop(container);
    refused_until_told(&volume);
}

#[test(line_25)]
fn starting_over_spares_a_wal_directory_not_its_own() {
    needs_image();
    let (volume, wal) = (Volume::new(), Volume::new());
    wal.shell(&format!("touch {DATA}/precious; chown -R 999:999 {DATA}"));
    let failing = [&volume.as_data(), "--env", PASSWORD];
    let container = Container::create(&failing, &[]);
    container.copy_script("a.sql", 0o644, "SELECT 1 / 0;");
    assert_eq!(container.run().status, 1);
    drop(container);
    let mounted = format!("--volume={}:/wal", wal.0);
    let again = [
        &volume.as_data(),
        &mounted,
        START_OVER,
        "--env",
        PASSWORD,
        "--env=POSTGRES_INITDB_WALDIR=/wal",
    ];
    let ran = Container::to_the_end(&again, &[]);
    assert_eq!(ran.status, 1, "initdb wants an empty directory: {ran:?}");
    assert_eq!(wal.shell(&format!("ls {DATA}")).trim(), "precious");

    // It empties its own.
    wal.shell(&format!("rm {DATA}/precious"));
    let container = Container::create(&again, &[]);
    container.copy_script("a.sql", 0o644, "SELECT 1 / 0;");
    assert_eq!(container.run().status, 1);
    drop(container);
    assert_ne!(wal.shell(&format!("ls {DATA}")).trim(), "");
    let container = Container::serving(&again, &[]);
    assert_eq!(container.shell("readlink $PGDATA/pg_wal").ok(), "/wal");
}

#[test]
fn a_cluster_in_the_official_images_directory_is_found() {
    needs_image();
    let volume = Volume::new();
    let above = format!("--volume={}:/var/lib/postgresql", volume.0);
    let place = "--env=PGDATA=/var/lib/postgresql/18/docker";
    volume.shell(&format!("mkdir -p {DATA}/18/docker; chown -R 999:999 {DATA}"));
    let container = Container::serving(&[&above, place, "--env", PASSWORD], &[]);
    assert_eq!(container.end_by("TERM"), 0);
    drop(container);
    for options in [&[above.as_str()][..], &[&above, place]] {
        let container = Container::serving(options, &[]);
        assert!(container.log().contains("Skipping initialization"));
        assert_eq!(
            container.sql("SHOW data_directory"),
            "/var/lib/postgresql/18/docker"
        );
    }
    volume.shell(&format!(
        "mv {DATA}/18 {DATA}/17; echo 17 >{DATA}/17/docker/PG_VERSION"
    ));
    let ran = Container::to_the_end(&[&above, "--env", PASSWORD], &[]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(
        ran.err
            .contains("/var/lib/postgresql/17/docker holds a cluster of PostgreSQL 17"),
        "{ran:?}"
    );
}

#[test(line_25)]
fn a_script_that_exits_successfully_is_a_failure() {
    needs_image();
    let container = Container::create(&["--env", PASSWORD], &[]);
    container.copy_script("a.sh", 0o644, "exit 0\n");
    let ran = container.run();
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(
        ran.err
            .contains("ended with status 0 by: /docker-entrypoint-initdb.d/a.sh"),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("not completely initialised and is not served"),
        "{ran:?}"
    );
}

#[test]
fn a_script_may_restart_or_stop_the_server() {
    needs_image();
    let container = Container::create(&["--env", PASSWORD], &[]);
    container.copy_script(
        "1.sh",
        0o755,
        "#!/bin/bash\nset -e\npsql -c 'ALTER SYSTEM SET max_connections = 77'\npg_ctl restart -D \"$PGDATA\"\n",
    );
    container.copy_script(
        "2.sql",
        0o644,
        "CREATE TABLE seen AS SELECT current_setting('max_connections');",
    );
    container.start();
    container.wait_until_serving();
    assert_eq!(container.sql("TABLE seen"), "77");
    drop(container);

    let container = Container::create(&["--env", PASSWORD], &[]);
    container.copy_script("1.sh", 0o644, "pg_ctl stop --mode=fast\n");
    container.start();
    container.wait_until_serving();
    drop(container);

    let container = Container::create(&["--env", PASSWORD], &[]);
    container.copy_script("1.sh", 0o644, "pg_ctl stop --mode=immediate\n");
    let ran = container.run();
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.err.contains("was not shut down cleanly"), "{ran:?}");
}

#[test]
fn an_unusable_data_directory_is_rejected_with_a_reason() {
    needs_image();
    let volume = Volume::new();
    volume.shell(&format!("chown 999:999 {DATA}"));
    for (contents, option, reason) in [
        (None, ":ro", "mounted read-only"),
        (Some(""), "", "PG_VERSION is missing or empty"),
        (Some("eighteen"), "", "which is not a version of PostgreSQL"),
    ] {
        if let Some(contents) = contents {
            volume.shell(&format!("printf '{contents}' > {DATA}/PG_VERSION"));
        }
        let mounted = format!("{}{option}", volume.as_data());
        let ran = Container::to_the_end(&[&mounted, "--env", PASSWORD], &[]);
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(ran.err.contains(reason), "{reason}: {ran:?}");
    }
}

#[test(line_25)]
fn a_cluster_killed_during_initialisation_is_not_served() {
    needs_image();
    // In initdb, while files are moved or the server starts, and in a script.
    for condition in [
        "[[ -e $PGDATA/.initialising/data/PG_VERSION ]]",
        "[[ -e $PGDATA/PG_VERSION ]]",
        "[[ -e /tmp/half ]]",
    ] {
        let volume = Volume::new();
        let container = Container::create(&[&volume.as_data(), "--env", PASSWORD], &[]);
        let script = "CREATE TABLE half ();\n\\! touch /tmp/half\nSELECT pg_sleep(600);";
        container.copy_script("a.sql", 0o644, script);
        container.start();
        container.wait_for(condition);
        assert_eq!(container.end_by("KILL"), 137);
        drop(container);
        if condition.contains("half") {
            refused_until_told(&volume);
        } else {
            let ran = Container::to_the_end(&[&volume.as_data()], &[]);
            assert!(
                ran.status == 1 && ran.err.contains("did not complete"),
                "{condition}: {ran:?}"
            );
        }
    }
}

#[test(line_25)]
fn a_wrong_initdb_argument_can_be_corrected() {
    needs_image();
    let volume = Volume::new();
    let ran = Container::to_the_end(
        &[
            &volume.as_data(),
            "--env",
            PASSWORD,
            "--env=POSTGRES_INITDB_ARGS=--nonsense",
        ],
        &[],
    );
    assert_eq!(ran.status, 1, "{ran:?}");
    let container = Container::serving(&[&volume.as_data(), "--env", PASSWORD], &[]);
    assert_eq!(container.sql("SELECT 1"), "1");
}

#[test(line_30)]
fn all_mistakes_are_reported_together() {
    needs_image();
    let options = [
        "--env=POSTGRES_USER=a",
        "--env=POSTGRES_USER_FILE=/b",
        "--env=POSTGRES_DB_FILE=/nowhere",
        "--env=POSTGRES_INITDB_ARGS=--x='a",
        "--env=POSTGRES_HOST_AUTH_METHOD=scram",
        "--env=POSTGRES_LOG=journal",
        "--env=POSTGRES_PRELOAD_LIBRARIES=no_such_library",
        "--env=POSTGRES_TLS_CERT_FILE=/nowhere.pem",
    ];
    let ran = Container::to_the_end(&options, &["-c", "config_file=/nowhere.conf"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    for mistake in [
        "both POSTGRES_USER and POSTGRES_USER_FILE",
        "POSTGRES_DB_FILE is '/nowhere'",
        "POSTGRES_INITDB_ARGS has an unmatched quote",
        "POSTGRES_HOST_AUTH_METHOD is 'scram'",
        "POSTGRES_LOG is 'journal', but may be: stderr file",
        "'no_such_library' is not in this image",
        "POSTGRES_TLS_CERT_FILE is '/nowhere.pem'",
        "both POSTGRES_TLS_CERT_FILE and POSTGRES_TLS_KEY_FILE",
        "config_file '/nowhere.conf'",
        "superuser password is not specified",
    ] {
        assert!(ran.err.contains(mistake), "{mistake}: {ran:?}");
    }
}

#[test(line_31)]
fn preload_is_one_list_in_order_and_checked() {
    needs_image();
    let libraries = "--env=POSTGRES_PRELOAD_LIBRARIES=auto_explain, pg_stat_statements,auto_explain";
    let container = Container::serving(&["--env", PASSWORD, libraries], &[]);
    let preloaded = container.sql("SHOW shared_preload_libraries");
    let image = container
        .shell("sed -n \"s/^shared_preload_libraries *= *'\\(.*\\)'.*/\\1/p\" /etc/postgresql/image.conf")
        .ok();
    let image: Vec<&str> = image
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let expected: Vec<&str> = image
        .iter()
        .copied()
        .chain(["auto_explain", "pg_stat_statements"])
        .collect();
    assert_eq!(preloaded.split(',').collect::<Vec<_>>(), expected);
    assert!(
        !preloaded.contains("citus") || preloaded.starts_with("citus,"),
        "citus insists on being first: {preloaded}"
    );
    drop(container);
    let own = Container::serving(
        &["--env", PASSWORD, libraries],
        &["-c", "shared_preload_libraries=auto_explain"],
    );
    assert_eq!(
        own.sql("SHOW shared_preload_libraries"),
        "auto_explain",
        "the command line wins"
    );
}

#[test(config_1)]
fn settings_win_in_the_documented_order() {
    needs_image();
    let volume = Volume::new();
    let initdb = format!(
        "setpriv --reuid=999 --regid=999 --clear-groups initdb --username=postgres --pgdata={DATA} >/dev/null; \
         printf '%s\\n' 'work_mem = 5MB' 'vacuum_cost_limit = 205' 'lock_timeout = 5s' >>{DATA}/postgresql.conf; md5sum {DATA}/postgresql.conf"
    );
    let before = volume.shell(&format!("chown 999:999 {DATA}; chmod 0700 {DATA}; {initdb}"));
    let options = ["--memory=1g", &volume.as_data(), "--env=POSTGRES_LOG=file"];
    let container = Container::create(&options, &["-c", "lock_timeout=8s"]);
    container.copy(
        "/etc/postgresql/image.conf",
        0o644,
        "work_mem = 2MB\nstatement_timeout = 2s\n",
    );
    container.start();
    container.wait_until_serving();
    container.sql("ALTER SYSTEM SET vacuum_cost_limit = 207");
    container.sql("SELECT pg_reload_conf()");
    let settings = "SELECT string_agg(current_setting(name), ' ' ORDER BY name) FROM unnest(ARRAY['effective_cache_size', \
                    'listen_addresses', 'lock_timeout', 'logging_collector', 'statement_timeout', 'vacuum_cost_limit', 'work_mem']) AS name";
    assert_eq!(container.sql(settings), "768MB * 8s on 2s 207 5MB");
    assert_ne!(container.shell("cat /var/log/postgresql/*.log").ok(), "");
    assert_eq!(
        container.shell(&format!("md5sum {DATA}/postgresql.conf")).ok(),
        before
    );
    drop(container);
    let explained = Container::to_the_end(&[options[0], options[1]], &["--explain", "-c", "lock_timeout=8s"]);
    assert_eq!(explained.status, 0, "{explained:?}");
    for line in [
        "vacuum_cost_limit = 207 /var/lib/postgresql/data/postgresql.auto.conf:",
        "lock_timeout = 8s command line",
        "listen_addresses = * default of the container",
        "effective_cache_size = 768MB memory limit of the container",
    ] {
        let squeezed = explained.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed.contains(line), "{line}: {}", explained.out);
    }
}

#[test(config_2)]
fn shared_buffers_follow_the_memory_limit() {
    needs_image();
    let container = Container::serving(&["--memory=1g", "--env", PASSWORD], &[]);
    assert_eq!(container.sql("SHOW shared_buffers"), "256MB");
    drop(container);
    let told = Container::serving(
        &["--memory=1g", "--env=POSTGRES_AUTO_MEMORY=off", "--env", PASSWORD],
        &[],
    );
    assert_eq!(told.sql("SHOW shared_buffers"), "128MB");
}

#[test(config_3)]
fn a_mounted_file_overrides_the_settings_of_the_image() {
    needs_image();
    let container = Container::create(
        &["--env", PASSWORD],
        &["-c", "config_file=/etc/postgresql/postgresql.conf"],
    );
    container.copy("/etc/postgresql/postgresql.conf", 0o644, "work_mem = 13MB\n");
    container.start();
    container.wait_until_serving();
    assert_eq!(container.sql("SHOW work_mem"), "13MB");
    assert_eq!(container.sql("SHOW listen_addresses"), "*");
    assert_eq!(
        container.sql("SELECT setting <> '' FROM pg_settings WHERE name = 'shared_preload_libraries'"),
        "t"
    );
}

#[test]
fn two_containers_cannot_use_one_data_directory() {
    needs_image();
    let volume = Volume::new();
    let first = Container::serving(&[&volume.as_data(), "--env", PASSWORD], &[]);
    let second = Container::to_the_end(&[&volume.as_data()], &[]);
    assert_eq!(second.status, 1, "{second:?}");
    assert!(second.err.contains("another container is using"), "{second:?}");
    assert_eq!(first.sql("SELECT 1"), "1");
}

#[test]
fn stale_pid_files_do_not_block_a_restart() {
    needs_image();
    let container = Container::serving(&["--env", PASSWORD], &[]);
    container.sql("CREATE TABLE kept AS SELECT 1 AS i");
    assert_eq!(container.end_by("KILL"), 137);
    // The stale pid is that of a live process that is not the server's parent. The lock file of the socket names a pid that is free
    // now, and may be in use when the server starts.
    let holder = "exec -a held sleep 600 & pid=$!; sed -i \"1s/.*/$pid/\" $PGDATA/postmaster.pid; \
                  echo 30000 >/tmp/.s.PGSQL.5432.lock; exec /entrypoint.sh postgres";
    let volume = container.inspect("{{range .Mounts}}{{.Name}}{{end}}");
    let mount = format!("--volume={volume}:{DATA}");
    let again = Container::create(&[&mount, "--entrypoint=bash"], &["-c", holder]);
    again.start();
    again.wait_until_serving();
    let log = again.log();
    for file in [&format!("{DATA}/postmaster.pid"), "/tmp/.s.PGSQL.5432.lock"] {
        assert!(log.contains(&format!("removing {file}: ")), "{file}: {log}");
    }
    assert_eq!(again.sql("SELECT i FROM kept"), "1");
}

#[test]
fn passwords_are_not_in_the_servers_environment() {
    needs_image();
    let container = Container::serving(&["--env", PASSWORD], &[]);
    let environment = "tr '\\0' '\\n' </proc/$(head -n 1 $PGDATA/postmaster.pid)/environ";
    let environment = container.shell(environment).ok();
    assert!(
        environment.lines().any(|line| line == format!("PGDATA={DATA}")),
        "{environment}"
    );
    // The switch beside a password does not hold one.
    let is_secret = |line: &str| line.contains("PASSWORD") && line != "POSTGRES_PASSWORD_SYNC=off";
    assert!(
        !environment.lines().any(is_secret) && !environment.contains("secret"),
        "{environment}"
    );
}

#[test(config_4)]
fn tls_works_from_mounted_files() {
    needs_image();
    let container = Container::create(
        &[
            "--env",
            PASSWORD,
            "--env=POSTGRES_TLS_CERT_FILE=/tls.crt",
            "--env=POSTGRES_TLS_KEY_FILE=/tls.key",
        ],
        &[],
    );
    container.copy("/tls.crt", 0o644, include_str!("tls.crt"));
    // PostgreSQL rejects this mode, which mounted files usually have.
    container.copy("/tls.key", 0o644, include_str!("tls.key"));
    container.start();
    container.wait_until_serving();
    let asked = "psql 'host=127.0.0.1 user=postgres sslmode=require' -Atc 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'";
    assert_eq!(container.shell(asked).ok(), "t");
}

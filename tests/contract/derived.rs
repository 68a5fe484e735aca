//! Lines 35 to 37: the official image's files, functions and programs, as images derived from it use them.

use super::container::{Container, DATA, PASSWORD, Ran, build_image, docker};
use super::needs::needs_image;
use crate::harness::skip;

/// Runs a script in the place of the entrypoint, as a derived image does.
#[track_caller]
fn wrapper(options: &[&str], script: &str, command: &[&str]) -> Container {
    let container = Container::create(&[options, &["--entrypoint=/wrapper.sh"]].concat(), command);
    container.copy(
        "/wrapper.sh",
        0o755,
        format!("#!/usr/bin/env bash\nset -Eeo pipefail\nsource \"$(which docker-entrypoint.sh)\"\n{script}"),
    );
    container
}

/// The same, to its end.
#[track_caller]
fn ends(options: &[&str], script: &str) -> Ran {
    wrapper(options, script, &[]).run()
}

/// What the official image's page and many repositories do: scripts that run at every start.
const ALWAYS: &str = r#"
docker_setup_env
docker_create_db_directories
if [ "$(id -u)" = '0' ]; then
  exec gosu postgres "$BASH_SOURCE" "$@"
fi
if [ -z "$DATABASE_ALREADY_EXISTS" ]; then
  docker_verify_minimum_env
  docker_error_old_databases
  ls /docker-entrypoint-initdb.d/ >/dev/null
  docker_init_database_dir
  pg_setup_hba_conf "$@"
  export PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}"
  docker_temp_server_start "$@" -c max_wal_size=2GB
  docker_setup_db
  docker_process_init_files /docker-entrypoint-initdb.d/*
  docker_process_sql <<<'CREATE TABLE starts (n int)'
  docker_temp_server_stop
fi
docker_temp_server_start "$@"
docker_process_init_files /always-initdb.d/*
docker_temp_server_stop
exec "$@"
"#;

#[test(line_35)]
fn the_functions_of_the_official_script_do_what_they_do_there() {
    needs_image();
    for user in ["--user=postgres", "--user=root"] {
        let options = [user, "--env", PASSWORD, "--env=POSTGRES_DB=app"];
        let container = wrapper(&options, ALWAYS, &["postgres", "-c", "work_mem=5MB"]);
        container.copy_script("a.sql", 0o644, "CREATE TABLE once (n int);\n");
        let always = format!("{}:/always-initdb.d", container.name);
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join("a.sql"), "INSERT INTO starts VALUES (1);\n")
            .expect("a script is written");
        docker(["cp", directory.path().to_str().expect("a UTF-8 path"), &always]).ok();
        for starts in ["1", "2"] {
            container.start();
            container.wait_until_serving();
            let found = container.shell(
                "psql --username=postgres --dbname=app --no-align --tuples-only --command=\"SELECT count(*), \
                 current_setting('work_mem'), to_regclass('once'), current_setting('listen_addresses') FROM starts\"",
            );
            assert_eq!(found.ok(), format!("{starts}|5MB|once|*"), "{}", container.log());
            assert!(
                container
                    .shell(&format!("tail -n 1 {DATA}/pg_hba.conf"))
                    .ok()
                    .starts_with("host all all all scram-sha-256")
            );
            assert_eq!(container.end_by("INT"), 0);
        }
    }
}

#[test(line_35)]
fn functions_of_a_derived_image_replace_ours() {
    needs_image();
    let script = r#"
docker_process_init_files() {
  printf 'files: %s\n' "$*"
  docker_process_sql --command 'CREATE TABLE made_by_the_derived_image (n int)'
}
docker_verify_minimum_env() { printf 'any environment will do\n'; }
_main "$@"
"#;
    let container = wrapper(&[], script, &["postgres"]);
    container.copy_script("a.sql", 0o644, "SELECT 1 / 0;\n");
    container.start();
    container.wait_until_serving();
    assert_eq!(
        container.sql("SELECT count(*) FROM made_by_the_derived_image"),
        "0"
    );
    let log = container.log();
    assert!(log.contains("files: /docker-entrypoint-initdb.d/a.sql"), "{log}");
    assert!(log.contains("any environment will do"), "{log}");
}

#[test(line_35)]
fn mistakes_end_the_functions_at_once_as_they_do_there() {
    needs_image();
    let minimum = "docker_setup_env; docker_verify_minimum_env; echo went on";
    let ran = ends(&[], minimum);
    assert!(
        ran.status == 1 && ran.err.contains("superuser password is not specified") && ran.out.is_empty(),
        "{ran:?}"
    );
    let ran = ends(&["--env", PASSWORD], minimum);
    assert_eq!((ran.status, ran.out.as_str()), (0, "went on\n"), "{ran:?}");
    let both = "export A=x A_FILE=/etc/hostname; file_env A; echo went on";
    let ran = ends(&[], both);
    assert!(
        ran.status == 1 && ran.err.contains("both A and A_FILE are set") && ran.out.is_empty(),
        "{ran:?}"
    );
    let default =
        "file_env A fallback; printf '%s %s\\n' \"$A\" \"$(_is_sourced && echo sourced || echo called)\"";
    assert_eq!(ends(&[], default).out, "fallback called\n");
    let old = "mkdir -p /var/lib/postgresql/16/docker/global; echo 16 >/var/lib/postgresql/16/docker/PG_VERSION; \
               docker_setup_env; printf '%s\\n' \"${OLD_DATABASES[@]}\"; docker_error_old_databases; echo went on";
    let ran = ends(&["--env", PASSWORD], old);
    assert_eq!(
        (ran.status, ran.out.as_str()),
        (1, "/var/lib/postgresql/16/docker\n"),
        "{ran:?}"
    );
}

#[test(line_35)]
fn a_database_can_be_made_while_an_image_is_built() {
    let under_test = needs_image();
    let name = format!("{under_test}-built");
    for edit in [
        r#"sed -i 's/exec "$@"/echo "skipping..."/' /usr/local/bin/docker-entrypoint.sh && docker-entrypoint.sh postgres"#,
        r#"grep -v 'exec "$@"' /usr/local/bin/docker-entrypoint.sh >/init.sh && chmod 755 /init.sh && /init.sh postgres"#,
    ] {
        let recipe = format!(
            "FROM {under_test}\nUSER root\nENV PGDATA=/built POSTGRES_PASSWORD=secret\n\
             RUN echo 'CREATE TABLE made AS SELECT 7 AS n' >/docker-entrypoint-initdb.d/a.sql\nRUN {edit}\nUSER postgres\n"
        );
        if let Err(why) = build_image(&name, &recipe) {
            let registry = docker(["image", "inspect", under_test]);
            assert!(registry.status != 0, "{why}");
            skip(&why);
        }
        let container = Container::create_from(&name, &[], &[]);
        container.start();
        container.wait_until_serving();
        assert_eq!(container.sql("TABLE made"), "7");
        drop(container);
        docker(["image", "rm", &name]);
    }
}

#[test(line_36)]
fn gosu_steps_down_and_runs_the_command_as_oneself() {
    needs_image();
    let run = |user: &str, command: &[&str]| Container::to_the_end(&[user, "--entrypoint=gosu"], command);
    let who = ["bash", "-c", "echo $(id -u):$(id -g):$HOME"];
    for (user, given, expected) in [
        ("--user=root", "postgres", "999:999:/var/lib/postgresql"),
        ("--user=root", "postgres:root", "999:0:/var/lib/postgresql"),
        ("--user=root", "1000:1001", "1000:1001:/"),
        ("--user=root", "root", "0:0:/root"),
        ("--user=postgres", "postgres", "999:999:/var/lib/postgresql"),
    ] {
        let ran = run(user, &[&[given], &who[..]].concat());
        assert_eq!(ran.out.trim(), expected, "{user} {given}: {ran:?}");
    }
    for (user, given, reason) in [
        ("--user=root", "nosuchuser", "user 'nosuchuser' does not exist"),
        (
            "--user=root",
            "postgres:nosuchgroup",
            "group 'nosuchgroup' does not exist",
        ),
        ("--user=postgres", "root", "uid 999 cannot become 0:0"),
    ] {
        let ran = run(user, &[given, "true"]);
        assert!(ran.status != 0 && ran.err.contains(reason), "{ran:?}");
    }
    let ran = run("--user=root", &["postgres", "bash", "-c", "exit 7"]);
    assert_eq!(ran.status, 7, "{ran:?}");
}

#[test(line_36)]
fn programs_are_found_without_the_images_path() {
    needs_image();
    let container = Container::serving(&["--env", PASSWORD], &[]);
    let dump = |command: &[&str]| {
        let arguments = [&["exec"], command].concat();
        let ran = docker(arguments);
        assert!(ran.out.contains("PostgreSQL database"), "{command:?}: {ran:?}");
    };
    let name = container.name.as_str();
    dump(&[name, "bash", "-lc", "pg_dump --username=postgres"]);
    dump(&["--user=root", name, "su", "-", "postgres", "-c", "pg_dumpall"]);
    dump(&[
        name,
        "env",
        "-i",
        "PATH=/usr/bin:/bin",
        "pg_dump",
        "--username=postgres",
    ]);
    let missing = "for program in /usr/lib/postgresql/*/bin/*; do PATH=/usr/bin:/bin type -P ${program##*/} >/dev/null || echo $program; done";
    assert_eq!(container.shell(missing).ok(), "");
}

#[test(line_37)]
fn a_script_may_stop_and_start_the_server() {
    needs_image();
    let container = Container::create(&["--env", PASSWORD], &[]);
    container.copy_script(
        "1.sh",
        0o755,
        "#!/bin/bash\nset -e\necho 'work_mem = 5MB' >>$PGDATA/postgresql.conf\npg_ctl -D $PGDATA -m fast -w stop\n\
         pg_ctl -D $PGDATA -w start\npsql -U postgres -c 'CREATE TABLE same_script (n int)'\n",
    );
    container.copy_script(
        "2.sql",
        0o644,
        "CREATE TABLE next_script AS SELECT current_setting('work_mem') AS value;\n",
    );
    container.copy_script("3.sh", 0o644, "pg_ctl restart\npg_dump -U postgres >/dev/null\n");
    container.copy_script(
        "4.sql",
        0o644,
        "CREATE EXTENSION IF NOT EXISTS plpgsql; CREATE TABLE last_script (n int);\n",
    );
    container.start();
    container.wait_until_serving();
    assert_eq!(container.sql("TABLE next_script"), "5MB");
    assert_eq!(
        container.sql("SELECT count(*) FROM pg_class WHERE relname IN ('same_script', 'last_script')"),
        "2"
    );
}

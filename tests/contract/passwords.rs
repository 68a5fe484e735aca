//! A password that differs from the one which the database has.

use super::container::{Container, PASSWORD, Volume, docker};
use super::needs::{needs_image, needs_patroni, needs_store};
use super::patroni::{Cluster, REPLICATES};

/// What the entrypoint says of a password that is not the database's.
const DIFFERS: &str = "differs from the password of role";

/// The lines of a container's log about passwords.
fn lines_about_passwords(log: &str) -> Vec<&str> {
    log.lines()
        .filter(|line| line.starts_with("entrypoint:") && line.contains("password"))
        .collect()
}

/// Whether a password is good for a login over TCP.
fn is_accepted(container: &Container, password: &str) -> bool {
    let login = format!("PGPASSWORD={password}");
    let address = container.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
    let psql = ["psql", "-h", &address, "-U", "postgres", "-Atc", "SELECT 1"];
    let ran = docker([&["exec", "--env", &login, &container.name], &psql[..]].concat());
    assert!(
        ran.status == 0 || ran.err.contains("password authentication failed"),
        "{ran:?}"
    );
    ran.status == 0
}

/// A server on the volume with other options, after the one before it has ended.
fn serving_on(volume: &Volume, options: &[&str], command: &[&str]) -> Container {
    Container::serving(&[&[volume.as_data().as_str()], options].concat(), command)
}

/// A volume with a database whose password is `secret`.
fn database(options: &[&str], command: &[&str]) -> Volume {
    let volume = Volume::new();
    let first = serving_on(&volume, &[&["--env", PASSWORD], options].concat(), command);
    let log = first.log();
    assert_eq!(
        lines_about_passwords(&log),
        Vec::<&str>::new(),
        "a new database has the password"
    );
    assert_eq!(first.end_by("TERM"), 0);
    volume
}

#[test(line_70)]
fn a_changed_password_is_named_in_one_line() {
    needs_image();
    for encryption in ["scram-sha-256", "md5"] {
        let setting = format!("password_encryption={encryption}");
        let command = ["-c", setting.as_str()];
        let volume = database(&[], &command);
        let changed = Container::create(
            &["--env=POSTGRES_PASSWORD_FILE=/secret", &volume.as_data()],
            &command,
        );
        changed.copy("/secret", 0o644, "other\n");
        changed.start();
        changed.wait_for_log(DIFFERS);
        let log = changed.log();
        assert_eq!(
            lines_about_passwords(&log),
            [
                "entrypoint: warning: POSTGRES_PASSWORD differs from the password of role postgres, which stays as it is: set POSTGRES_PASSWORD_SYNC=on to apply it"
            ],
            "{log}"
        );
        assert!(!log.contains("FATAL"), "{log}");
        assert!(is_accepted(&changed, "secret") && !is_accepted(&changed, "other"));
    }
}

#[test(line_70)]
fn an_unchanged_password_is_not_mentioned() {
    needs_image();
    // A no-break space is a space to the server (SASLprep).
    let odd = "--env=POSTGRES_PASSWORD=a\u{a0}'\\\"b%:e\u{301}";
    let volume = Volume::new();
    let first = serving_on(&volume, &[odd], &[]);
    assert_eq!(first.end_by("TERM"), 0);
    for options in [&[odd, "--env=POSTGRES_PASSWORD_SYNC=on"][..], &[][..]] {
        let again = serving_on(
            &volume,
            options,
            &["-c", "log_statement=all", "-c", "log_connections=on"],
        );
        if !options.is_empty() {
            again.wait_for_log("rolpassword");
        }
        assert_eq!(again.end_by("TERM"), 0);
        let log = again.log();
        assert_eq!(lines_about_passwords(&log), Vec::<&str>::new(), "{log}");
        assert!(!log.contains("ALTER ROLE"), "{log}");
    }
}

#[test(line_70)]
fn a_role_without_a_password_differs_from_any() {
    needs_image();
    let volume = Volume::new();
    let trusting = serving_on(&volume, &["--env=POSTGRES_HOST_AUTH_METHOD=trust"], &[]);
    assert_eq!(trusting.end_by("TERM"), 0);
    serving_on(&volume, &["--env", PASSWORD], &[]).wait_for_log(DIFFERS);
}

#[test(line_70)]
fn a_socket_that_asks_for_a_password_tells_too() {
    needs_image();
    let volume = database(&["--env=POSTGRES_INITDB_ARGS=--auth-local=scram-sha-256"], &[]);
    let other = ["--env=POSTGRES_PASSWORD=other", "--env=POSTGRES_PASSWORD_SYNC=on"];
    let changed = serving_on(&volume, &other, &[]);
    changed.wait_for_log("cannot be applied because local connections need that password");
    assert!(is_accepted(&changed, "secret") && !is_accepted(&changed, "other"));
    let log = changed.log();
    assert_eq!(lines_about_passwords(&log).len(), 1, "{log}");
    assert_eq!(changed.end_by("TERM"), 0);
    let same = serving_on(&volume, &["--env", PASSWORD], &["-c", "log_statement=all"]);
    same.wait_for_log("rolpassword");
    assert_eq!(same.end_by("TERM"), 0);
    let log = same.log();
    assert_eq!(lines_about_passwords(&log), Vec::<&str>::new(), "{log}");
}

#[test(line_70)]
fn a_role_that_cannot_be_asked_is_named() {
    needs_image();
    let volume = database(&[], &[]);
    let other = serving_on(&volume, &["--env", PASSWORD, "--env=POSTGRES_USER=stranger"], &[]);
    other.wait_for_log("POSTGRES_PASSWORD could not be compared with the password of role stranger: ");
}

#[test(line_70)]
fn the_password_of_a_standby_is_its_primarys() {
    needs_image();
    let volume = database(&[], &[]);
    volume.shell("touch /var/lib/postgresql/data/standby.signal && chown 999:999 /var/lib/postgresql/data/standby.signal");
    let options = ["--env=POSTGRES_PASSWORD=other", "--env=POSTGRES_PASSWORD_SYNC=on"];
    let standby = serving_on(&volume, &options, &["-c", "log_statement=all"]);
    standby.wait_for_log("rolpassword");
    assert_eq!(standby.end_by("TERM"), 0);
    let log = standby.log();
    assert_eq!(lines_about_passwords(&log), Vec::<&str>::new(), "{log}");
}

#[test(line_70)]
fn a_member_of_a_cluster_names_a_changed_password() {
    needs_store();
    let cluster = Cluster::new();
    let volume = Volume::new();
    let data = volume.as_data();
    let first = cluster.create(&[REPLICATES, &data]);
    first.start();
    first.wait_for("patronictl list | grep -E 'p0 .*Leader .*running'");
    assert_eq!(first.end_by("TERM"), 0);
    let log = first.log();
    assert!(!log.contains(DIFFERS), "{log}");
    drop(first);
    let other = "--env=PATRONI_SUPERUSER_PASSWORD=other";
    let changed = cluster.create(&[REPLICATES, &data, other]);
    changed.start();
    changed.wait_for_log(
        "entrypoint: warning: PATRONI_SUPERUSER_PASSWORD differs from the password of role postgres, which stays as it is",
    );
    changed.wait_for("patronictl list | grep -E 'p0 .*Leader .*running'");
    assert!(is_accepted(&changed, "secret") && !is_accepted(&changed, "other"));
}

#[test(line_71)]
fn a_changed_password_is_applied_where_asked() {
    needs_image();
    let volume = database(&[], &[]);
    let sync = [
        "--env=POSTGRES_PASSWORD=o'th\\er$x",
        "--env=POSTGRES_PASSWORD_SYNC=on",
    ];
    // Whatever could write the statement to the log, and what makes a commit wait for ever or refuses writes.
    let command = [
        "-c",
        "log_statement=all",
        "-c",
        "log_min_duration_statement=0",
        "-c",
        "log_transaction_sample_rate=1",
        "-c",
        "synchronous_standby_names=nowhere",
        "-c",
        "default_transaction_read_only=on",
    ];
    let changed = serving_on(&volume, &sync, &command);
    changed.wait_for_log("and was applied");
    let log = changed.log();
    assert_eq!(
        lines_about_passwords(&log),
        [
            "entrypoint: POSTGRES_PASSWORD differs from the password of role postgres, and was applied (POSTGRES_PASSWORD_SYNC=on)"
        ],
        "{log}"
    );
    assert!(!log.contains("th\\er") && !log.contains("ALTER ROLE"), "{log}");
    assert!(is_accepted(&changed, "o'th\\er$x") && !is_accepted(&changed, "secret"));
    assert_eq!(changed.end_by("TERM"), 0);
    let again = serving_on(&volume, &sync, &["-c", "log_statement=all"]);
    again.wait_for_log("rolpassword");
    assert_eq!(again.end_by("TERM"), 0);
    let log = again.log();
    assert_eq!(lines_about_passwords(&log), Vec::<&str>::new(), "{log}");
}

#[test(line_71)]
fn a_refused_password_is_not_applied() {
    needs_image();
    let volume = database(&[], &[]);
    let sync = ["--env=POSTGRES_PASSWORD=short", "--env=POSTGRES_PASSWORD_SYNC=on"];
    let changed = serving_on(&volume, &sync, &["-c", "shared_preload_libraries=passwordcheck"]);
    changed.wait_for_log("and could not be applied: ");
    assert!(is_accepted(&changed, "secret") && !is_accepted(&changed, "short"));
}

#[test(line_71)]
fn sync_is_on_or_off() {
    needs_image();
    let ran = Container::to_the_end(&["--env", PASSWORD, "--env=POSTGRES_PASSWORD_SYNC=yes"], &[]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(
        ran.err
            .contains("POSTGRES_PASSWORD_SYNC is 'yes', but may be: off on"),
        "{ran:?}"
    );
}

#[test(line_71)]
fn sync_is_refused_under_patroni() {
    needs_image();
    needs_patroni();
    let ran = Container::to_the_end(
        &[
            "--env=PATRONI_SCOPE=a",
            "--env",
            PASSWORD,
            "--env=POSTGRES_PASSWORD_SYNC=on",
        ],
        &["--explain"],
    );
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(
        ran.err
            .contains("POSTGRES_PASSWORD_SYNC is for a server without Patroni"),
        "{ran:?}"
    );
}

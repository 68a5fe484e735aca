//! The command, the environment, and the user that the container runs as.

use super::container::{Container, DATA, PASSWORD, Volume, docker};
use super::needs::needs_image;

#[test(line_01)]
fn options_alone_are_given_to_postgres() {
    needs_image();
    let container = Container::serving(&["--env", PASSWORD], &["-c", "work_mem=7MB"]);
    assert_eq!(container.sql("SHOW work_mem"), "7MB");
}

#[test(line_02)]
fn other_commands_and_reports_initialise_nothing() {
    needs_image();
    let volume = Volume::new();
    let cases: [(&[&str], &str); 6] = [
        (&["--version"], "postgres (PostgreSQL)"),
        (&["postgres", "-V"], "postgres (PostgreSQL)"),
        (&["--help"], "Usage:"),
        (&["postgres", "--describe-config"], "shared_buffers"),
        (&["psql", "--version"], "psql (PostgreSQL)"),
        (&["bash", "-c", "echo $((6 * 7))"], "42"),
    ];
    for (command, expected) in cases {
        let ran = Container::to_the_end(&[&volume.as_data()], command);
        assert_eq!(ran.status, 0, "{command:?}: {ran:?}");
        assert!(ran.out.contains(expected), "{command:?}: {ran:?}");
    }
    assert_eq!(volume.shell(&format!("ls -A {DATA}")), "");
}

#[test(line_03)]
fn setting_both_variable_and_file_is_rejected() {
    needs_image();
    let names = [
        "POSTGRES_PASSWORD",
        "POSTGRES_USER",
        "POSTGRES_DB",
        "POSTGRES_INITDB_ARGS",
    ];
    let options: Vec<String> = names
        .iter()
        .flat_map(|name| {
            [
                format!("--env={name}=a"),
                format!("--env={name}_FILE=/etc/hostname"),
            ]
        })
        .collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let ran = Container::to_the_end(&options, &[]);
    assert_eq!(ran.status, 1, "{ran:?}");
    for name in names {
        assert!(
            ran.err.contains(&format!("both {name} and {name}_FILE are set")),
            "{name}: {ran:?}"
        );
    }
}

#[test(line_04)]
fn the_value_is_the_content_of_the_file() {
    needs_image();
    let container = Container::create(&["--env=POSTGRES_PASSWORD_FILE=/secret"], &[]);
    container.copy("/secret", 0o644, "from a file\n");
    container.copy_script(
        "a.sh",
        0o755,
        "#!/bin/bash\necho \"file=${POSTGRES_PASSWORD_FILE-unset}\"\n",
    );
    container.start();
    container.wait_until_serving();
    assert!(container.log().contains("file=unset"), "{}", container.log());
    let login = "PGPASSWORD='from a file' psql --host=$(hostname -i) --username=postgres -Atc 'SELECT 1'";
    assert_eq!(container.shell(login).ok(), "1");
    let wrong =
        container.shell("PGPASSWORD=other psql --host=$(hostname -i) --username=postgres -c 'SELECT 1'");
    assert_eq!(wrong.status, 2, "{wrong:?}");
}

#[test(line_05)]
fn the_database_is_named_after_the_user() {
    needs_image();
    let plain = Container::serving(&["--env", PASSWORD], &[]);
    assert_eq!(
        plain.sql("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = 'postgres'"),
        "postgres|t"
    );
    drop(plain);
    let named = Container::serving(&["--env", PASSWORD, "--env=POSTGRES_USER=app"], &[]);
    let asked = named.shell("psql --username=app -Atc 'SELECT current_user, current_database()'");
    assert_eq!(asked.ok(), "app|app");
}

#[test(line_06)]
fn a_missing_password_is_rejected() {
    needs_image();
    let volume = Volume::new();
    let ran = Container::to_the_end(&[&volume.as_data()], &[]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.err.contains("superuser password is not specified"), "{ran:?}");
    assert!(ran.err.contains("POSTGRES_PASSWORD="), "{ran:?}");
    assert_eq!(volume.shell(&format!("ls -A {DATA}")), "");
}

#[test(line_07)]
fn trust_is_warned_of() {
    needs_image();
    let container = Container::serving(&["--env=POSTGRES_HOST_AUTH_METHOD=trust"], &[]);
    assert!(
        container
            .log()
            .contains("WARNING: POSTGRES_HOST_AUTH_METHOD has been set to \"trust\"")
    );
    assert_eq!(
        container
            .shell("psql --host=$(hostname -i) --username=postgres -Atc 'SELECT 1'")
            .ok(),
        "1"
    );
}

#[test(line_07)]
fn trust_with_blanks_or_options_is_warned_of() {
    needs_image();
    for method in [" trust ", "trust # for now"] {
        let variable = format!("--env=POSTGRES_HOST_AUTH_METHOD={method}");
        let container = Container::serving(&[&variable], &[]);
        let log = container.log();
        assert!(
            log.contains("WARNING: POSTGRES_HOST_AUTH_METHOD has been set"),
            "'{method}': {log}"
        );
        let last = container.shell("tail -n 1 $PGDATA/pg_hba.conf").ok();
        assert_eq!(last, format!("host all all all {}", method.trim()));
    }
}

#[test(line_08)]
fn root_corrects_owners_and_steps_down() {
    needs_image();
    let volume = Volume::new();
    volume.shell(&format!("chown 4444:4444 {DATA}; chmod 0755 {DATA}"));
    let mount = format!("{}:nocopy", volume.as_data());
    let container = Container::create(
        &["--user=root", &mount, "--env=POSTGRES_PASSWORD_FILE=/secret"],
        &[],
    );
    // Only root can read it, so it is read before stepping down.
    container.copy("/secret", 0o400, "secret");
    container.start();
    container.wait_until_serving();
    // The process that looks is not root either.
    let rights = "grep -h -E '^(Uid|CapEff)' /proc/[0-9]*/status | sort -u | tr '\\t\\n' '  '";
    let rights = docker(["exec", "--user=999", &container.name, "bash", "-c", rights]).ok();
    assert_eq!(rights.trim(), "CapEff: 0000000000000000 Uid: 999 999 999 999");
    assert_eq!(
        volume.shell(&format!("find {DATA} ! -uid 999 | wc -l; stat -c %a {DATA}")),
        "0\n700"
    );
}

#[test(line_09)]
fn an_arbitrary_uid_works() {
    needs_image();
    let volume = Volume::new();
    volume.shell(&format!("chown 12345:0 {DATA}"));
    let mount = format!("{}:nocopy", volume.as_data());
    let container = Container::serving(&["--user=12345:0", &mount, "--env", PASSWORD], &[]);
    assert_eq!(container.sql("SELECT 1"), "1");
    assert_eq!(container.health().status, 0);
    assert_eq!(container.end_by("TERM"), 0);
    let refused = Container::to_the_end(&[&mount, "--env", PASSWORD], &[]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.err.contains("belongs to uid 12345"), "{refused:?}");
}

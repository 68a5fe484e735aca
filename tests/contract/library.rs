//! The entrypoint's functions in this machine's bash, without a container or an image.

use std::io::Write as _;
use std::process::Command;

use crate::support::project;

/// Sources the entrypoint and runs a script; gives its standard output.
#[track_caller]
fn shell(script: &str, environment: &[(&str, &str)]) -> String {
    let entrypoint = project().join("entrypoint.d/entrypoint.sh");
    let output = Command::new("bash")
        .args([
            "-c",
            &format!("source '{}'; set -Eeuo pipefail; {script}", entrypoint.display()),
        ])
        .envs(environment.iter().copied())
        .output()
        .expect("bash starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{script}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn words_are_split_and_never_evaluated() {
    let split = "split_words words \"$TEXT\"; printf '<%s>' \"${words[@]}\"";
    for (text, expected) in [
        (
            r#"-k --locale='C UTF' -E "UTF8""#,
            "<-k><--locale=C UTF><-E><UTF8>",
        ),
        (
            r"a\ b $(touch x) `id` $HOME *",
            "<a b><$(touch><x)><`id`><$HOME><*>",
        ),
        (r#"'' "it's""#, "<><it's>"),
    ] {
        assert_eq!(shell(split, &[("TEXT", text)]), expected, "{text}");
    }
    assert_eq!(
        shell(
            "split_words words \"$TEXT\" || echo refused",
            &[("TEXT", "--x='a")]
        ),
        "refused\n"
    );
}

#[test]
fn settings_files_are_read_as_the_manual_says() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    let text = "# comment\nwork_mem = 4MB # note\nPort 5433\nx.y='it''s # no comment' # comment\nempty = ''\n  work_mem='8MB'\n";
    file.write_all(text.as_bytes()).expect("the file is written");
    let path = file.path().to_str().expect("a UTF-8 path");
    assert_eq!(
        shell("list_settings \"$FILE\"", &[("FILE", path)]),
        "work_mem\t4MB\t2\nport\t5433\t3\nx.y\tit's # no comment\t4\nempty\t\t5\nwork_mem\t8MB\t6\n"
    );
    assert_eq!(
        shell(
            "setting_in \"$FILE\" work_mem; setting_in \"$FILE\" absent",
            &[("FILE", path)]
        ),
        "8MB\n"
    );
}

#[test]
fn the_kind_of_start_depends_on_words_alone() {
    for (command, scope, kind) in [
        ("postgres", "", "standalone"),
        ("postgres -c work_mem=1MB", "", "standalone"),
        ("postgres", "cluster", "patroni"),
        ("patroni /etc/patroni.yml", "", "patroni"),
        ("postgres --single", "cluster", "other"),
        ("postgres -C port", "", "other"),
        ("postgres --describe-config", "", "other"),
        ("patroni --validate-config x", "cluster", "other"),
        ("psql --version", "cluster", "other"),
    ] {
        let found = shell(&format!("command_kind {command}"), &[("PATRONI_SCOPE", scope)]);
        assert_eq!(found.trim(), kind, "{command} with scope '{scope}'");
    }
}

#[test]
fn config_file_is_taken_from_the_arguments() {
    let script = "take_config_file \"${ARGS[@]}\"; printf '%s|' \"$REPLY\" \"${REPLY_ARGUMENTS[@]}\"";
    for (arguments, expected) in [
        ("-c config_file=/a -c port=1", "/a|-c|port=1|"),
        ("--config-file=/b -p 2", "/b|-p|2|"),
        ("-c port=3", "/data/postgresql.conf|-c|port=3|"),
    ] {
        let found = shell(&format!("ARGS=({arguments}); {script}"), &[("PGDATA", "/data")]);
        assert_eq!(found, expected, "{arguments}");
    }
}

#[test]
fn values_are_quoted_for_each_kind_of_file() {
    let text = [("TEXT", r"it's a \ back")];
    assert_eq!(shell("quote_setting \"$TEXT\"", &text), r"'it''s a \\ back'");
    assert_eq!(shell("quote_yaml \"$TEXT\"", &text), r"'it''s a \ back'");
    assert_eq!(
        shell("quote_hba plain_1; quote_hba 'O\"dd'", &[]),
        "plain_1\"O\"\"dd\""
    );
}

#[test]
fn defaults_do_not_override_a_mounted_patroni_file() {
    let script = "read_environment; read_patroni_environment patroni; printf '%s|%s' \"$PATRONI_SUPERUSER_USERNAME\" \"$PATRONI_REPLICATION_USERNAME\"";
    let plain = [("POSTGRES_USER", "me"), ("POSTGRES_PASSWORD", "x")];
    assert_eq!(shell(script, &plain), "me|replicator");
    let own = [plain[0], plain[1], ("PATRONI_CONFIGURATION", "scope: mine")];
    assert_eq!(shell(script, &own), "|");
}

#[test]
fn settings_on_the_command_line_are_read_in_every_form() {
    let script = "argument_settings \"${ARGS[@]}\" | cut -f 1,2 | tr '\\t\\n' '= '";
    for (arguments, expected) in [
        (
            "-c work_mem=1MB --max-wal-size=2GB -cport=1",
            "work_mem=1MB max_wal_size=2GB port=1 ",
        ),
        (
            "-p 2 -p3 -N 5 -B64MB -h ''",
            "port=2 port=3 max_connections=5 shared_buffers=64MB listen_addresses= ",
        ),
        (
            "-F -i -D /d -k /s",
            "fsync=off listen_addresses=* data_directory=/d unix_socket_directories=/s ",
        ),
        ("-c", ""),
    ] {
        assert_eq!(
            shell(&format!("ARGS=({arguments}); {script}"), &[]),
            expected,
            "{arguments}"
        );
    }
}

#[test]
fn upgrade_knows_its_options() {
    let script = "read_upgrade_options \"${ARGS[@]}\"; printf '%s %s' \"$upgrade_action\" \"$upgrade_mode\"; printf ' %s' \"${problems[@]}\"";
    for (arguments, expected) in [
        ("", "upgrade copy "),
        ("--check --link --jobs=3", "check link "),
        ("--discard-old", "discard copy "),
        (
            "--jobs=many",
            "upgrade copy upgrade: --jobs=many: a number was expected",
        ),
    ] {
        assert_eq!(
            shell(&format!("ARGS=({arguments}); {script}"), &[]),
            expected,
            "{arguments}"
        );
    }
}

#[test]
fn exchanging_two_clusters_can_be_repeated() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().to_str().expect("a UTF-8 path");
    let script = "mkdir -p $PGDATA/.upgrade/{old,new} $PGDATA/base; touch $PGDATA/PG_VERSION $PGDATA/.upgrade/new/{PG_VERSION,base}
                  upgrade_from=15 upgrade_mode=copy; enter_upgrade_state moving-out
                  move_entries $PGDATA $PGDATA/.upgrade/old; move_entries $PGDATA $PGDATA/.upgrade/old
                  upgrade_is_unfinished && data_directory_state && echo $REPLY $upgrade_state $upgrade_from
                  move_entries $PGDATA/.upgrade/new $PGDATA; enter_upgrade_state done
                  upgrade_is_unfinished || echo done; ls -A $PGDATA $PGDATA/.upgrade/old | tr '\\n' ' '";
    let found = shell(script, &[("PGDATA", data)]);
    let expected = format!(
        "upgrading moving-out 15\ndone\n{data}: .upgrade PG_VERSION base  {data}/.upgrade/old: PG_VERSION base "
    );
    assert_eq!(found, expected);
}

#[test]
fn kubernetes_service_links_are_not_settings() {
    let script = "forget_service_links CITUS_ PATRONI_; given_variables CITUS_; printf '%s ' \"${REPLY_VARIABLES[@]}\"; \
                  given_variables PATRONI_; printf '%s ' \"${REPLY_VARIABLES[@]}\"";
    let variables = [
        ("CITUS_COORDINATOR_PORT", "tcp://10.0.0.1:5432"),
        ("CITUS_COORDINATOR_PORT_5432_TCP", "tcp://10.0.0.1:5432"),
        ("CITUS_COORDINATOR_PORT_5432_TCP_PROTO", "tcp"),
        ("CITUS_COORDINATOR_SERVICE_HOST", "10.0.0.1"),
        ("CITUS_COORDINATOR_SERVICE_PORT_SQL", "5432"),
        ("CITUS_COORDINATOR_HOST", "citus-coordinator"),
        ("PATRONI_CONSUL_PORT", "8500"),
        ("PATRONI_SCOPE", ""),
    ];
    assert_eq!(
        shell(script, &variables),
        "CITUS_COORDINATOR_HOST PATRONI_CONSUL_PORT "
    );
}

#[test]
fn only_numbers_of_ports_are_ports() {
    let script = "for port in 1 5432 65535 0 00 65536 99999 123456 -1 5432a '' 08; do ! is_port \"$port\" || printf '%s ' \"$port\"; done";
    assert_eq!(shell(script, &[]), "1 5432 65535 08 ");
}

#[test]
fn blanks_around_a_value_are_removed() {
    for (value, expected) in [(" trust\t\n", "trust"), ("a b", "a b"), ("  ", ""), ("", "")] {
        assert_eq!(
            shell("trim VALUE; printf '%s' \"$VALUE\"", &[("VALUE", value)]),
            expected
        );
    }
}

#[test]
fn a_password_file_is_quoted_as_libpq_reads_it() {
    assert_eq!(shell("quote_pgpass \"$TEXT\"", &[("TEXT", r"a:b\c")]), r"a\:b\\c");
}

#[test]
fn a_file_without_a_value_is_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let place = |name: &str| {
        directory
            .path()
            .join(name)
            .to_str()
            .expect("a UTF-8 path")
            .to_owned()
    };
    for (name, contents) in [
        ("lines", "two\nlines\n\n"),
        ("empty", "\n"),
        ("utf16", "s\0e\0c\0r\0e\0t\0"),
    ] {
        std::fs::write(place(name), contents).expect("a file is written");
    }
    let read = "collect_problems; file_env VALUE default; printf '<%s>' \"$VALUE\" \"${empty_files[VALUE]:-}\" \"${problems[@]}\"";
    let given = |file: &str| shell(read, &[("VALUE_FILE", file)]);
    assert_eq!(given(&place("lines")), "<two\nlines><>");
    assert_eq!(given(&place("empty")), format!("<><{}>", place("empty")));
    for (file, reason) in [
        (place("utf16"), "contains a zero byte"),
        (place(""), "is a directory"),
        (place("absent"), "does not exist"),
    ] {
        let said = given(&file);
        assert!(
            said.contains(&format!("VALUE_FILE is '{file}'")) && said.contains(reason),
            "{said}"
        );
    }
}

#[test]
fn a_database_name_is_quoted_as_libpq_reads_it() {
    for (name, expected) in [
        ("app", "dbname='app'"),
        (r"a=b'c", r"dbname='a=b\'c'"),
        (r"back\slash & more", r"dbname='back\\slash & more'"),
        ("postgresql://elsewhere/x", "dbname='postgresql://elsewhere/x'"),
    ] {
        assert_eq!(
            shell("conninfo_of_database \"$NAME\"", &[("NAME", name)]),
            expected
        );
    }
}

#[test]
fn options_of_initdb_are_read_as_initdb_reads_them() {
    for (text, expected) in [
        (
            r#"-kU "a b" --pgd=/d -X/w --set work_mem=1 -c'port = 2'"#,
            "data-checksums\t\nusername\ta b\npgdata\t/d\nwaldir\t/w\nset\twork_mem=1\nset\tport = 2\n",
        ),
        (
            "--locale-provider icu -E UTF8 -n",
            "locale-provider\ticu\nencoding\tUTF8\nno-clean\t\n",
        ),
        ("", ""),
    ] {
        let found = shell("initdb_options", &[("POSTGRES_INITDB_ARGS", text)]);
        assert_eq!(found, expected, "{text}");
    }
    for (text, expected) in [
        ("-k --set 'a= --b' --locale=''", ""),
        ("--nonsense", "initdb: unrecognized option '--nonsense'\n"),
        ("-k -- b", "initdb: a word that is not an option: 'b'\n"),
    ] {
        assert_eq!(
            shell("initdb_strays", &[("POSTGRES_INITDB_ARGS", text)]),
            expected,
            "{text}"
        );
    }
}

#[test]
fn seconds_are_whole_numbers() {
    for (value, problems) in [
        ("", "0"),
        ("60", "0"),
        ("60s", "1"),
        ("08", "1"),
        ("1.5", "1"),
        ("a[0]", "1"),
    ] {
        assert_eq!(
            shell(
                "seconds PGCTLTIMEOUT; echo -n ${#problems[@]}",
                &[("PGCTLTIMEOUT", value)]
            ),
            problems,
            "{value}"
        );
    }
}

#[test]
fn only_the_secret_part_is_masked() {
    for (text, expected) in [
        ("host=h password=a user=u", "host=h password=*** user=u"),
        (r"password = 'it\'s a' user=u", "password = *** user=u"),
        ("sslpassword=\"a b\" x=1", "sslpassword=*** x=1"),
        ("x: 'password=''a b'' user=u'", "x: 'password=*** user=u'"),
        (
            "postgresql://u:p@h:5432/d?password=a&x=1",
            "postgresql://u:***@h:5432/d?password=***&x=1",
        ),
        ("ssl_passphrase_command: 'echo a'", "ssl_passphrase_command: ***"),
        ("password_encryption=md5", "password_encryption=md5"),
        ("https://h:80/a@b", "https://h:80/a@b"),
    ] {
        assert_eq!(
            shell("mask_secrets <<<\"$TEXT\"", &[("TEXT", text)]).trim(),
            expected,
            "{text}"
        );
    }
    assert_eq!(
        shell("mask_setting app.jwt_secret 'a b'; mask_setting port 5432", &[]),
        "app.jwt_secret=***port=5432"
    );
}

#[test]
fn a_link_and_its_target_are_the_same_path() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let above = directory.path().to_str().expect("a UTF-8 path");
    std::fs::create_dir(format!("{above}/real")).expect("a directory is made");
    std::os::unix::fs::symlink("real", format!("{above}/link")).expect("a link is made");
    let same = "PGDATA=\"$ABOVE/link\"; resolve_data_directory; printf '%s ' \"${PGDATA##*/}\"; \
                for path in link/ real//. other; do is_same_path \"$ABOVE/$path\" \"$PGDATA\" && printf 'same ' || printf 'other '; done";
    assert_eq!(shell(same, &[("ABOVE", above)]), "real same same other ");
}

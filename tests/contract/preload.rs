//! Lines 60 and 61: data are never served without the libraries that they need preloaded.

use std::os::unix::fs::PermissionsExt;

use super::container::{Container, DATA, PASSWORD, Volume};
use super::needs::{needs_citus, needs_image, needs_patroni};
use crate::harness::skip;

/// A distributed table with a thousand rows.
const DISTRIBUTED: &str = "CREATE EXTENSION citus; CREATE TABLE d (n int PRIMARY KEY); \
                           SELECT create_distributed_table('d', 'n'); INSERT INTO d SELECT generate_series(1, 1000)";

/// A cluster that holds such a table, stopped.
fn distributed() -> Volume {
    needs_citus();
    let volume = Volume::new();
    let container = Container::serving(&[&volume.as_data(), "--env", PASSWORD], &[]);
    for statement in DISTRIBUTED.split("; ") {
        container.sql(statement);
    }
    volume
}

/// The libraries that the server has loaded, and the rows of the table.
fn served(container: &Container) -> (String, String) {
    (
        container.sql("SHOW shared_preload_libraries"),
        container.sql("SELECT count(*) FROM d"),
    )
}

#[test(line_60)]
fn a_list_on_the_command_line_gets_what_the_data_need() {
    let volume = distributed();
    let command = ["-c", "shared_preload_libraries=pg_stat_statements"];
    let container = Container::serving(&[&volume.as_data()], &command);
    let (libraries, rows) = served(&container);
    assert_eq!(
        (libraries.as_str(), rows.as_str()),
        ("citus,pg_stat_statements", "1000")
    );
    let log = container.log();
    let warning = "shared_preload_libraries is 'pg_stat_statements' (command line), which leaves out citus";
    assert!(log.contains(warning), "{log}");
    drop(container);
    let explained = Container::to_the_end(&[&volume.as_data()], &["--explain", command[0], command[1]]);
    let shown = explained.out.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = "shared_preload_libraries = citus,pg_stat_statements the layers, and what the data need";
    assert!(shown.contains(expected), "{explained:?}");
}

#[test(line_60)]
fn a_list_in_a_file_or_by_alter_system_gets_what_the_data_need() {
    let volume = distributed();
    let settings = tempfile::tempdir().expect("a temporary directory");
    std::fs::set_permissions(settings.path(), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let list = "shared_preload_libraries = '$libdir/auto_explain'\n";
    std::fs::write(settings.path().join("own.conf"), list).expect("a file");
    let mount = format!("--volume={}:/etc/postgresql/conf.d:ro", settings.path().display());
    let mounted = Container::serving(&[&volume.as_data(), &mount], &[]);
    let (libraries, rows) = served(&mounted);
    assert_eq!(
        (libraries.as_str(), rows.as_str()),
        ("citus,$libdir/auto_explain", "1000")
    );
    mounted.sql("ALTER SYSTEM SET shared_preload_libraries = ''");
    drop(mounted);
    let container = Container::serving(&[&volume.as_data()], &[]);
    let (libraries, rows) = served(&container);
    assert_eq!((libraries.as_str(), rows.as_str()), ("citus", "1000"));
    assert!(container.log().contains(&format!("{DATA}/postgresql.auto.conf")));
}

#[test(line_60)]
fn an_initialisation_script_cannot_leave_out_what_the_data_need() {
    needs_citus();
    let container = Container::create(&["--env", PASSWORD], &[]);
    container.copy_script("10.sql", 0o644, format!("{DISTRIBUTED};\n"));
    let list = "ALTER SYSTEM SET shared_preload_libraries = 'auto_explain';\n";
    container.copy_script("20.sql", 0o644, list);
    container.start();
    container.wait_until_serving();
    let (libraries, rows) = served(&container);
    assert_eq!(
        (libraries.as_str(), rows.as_str()),
        ("citus,auto_explain", "1000")
    );
}

#[test(line_60)]
fn a_list_that_leaves_out_nothing_needed_stays() {
    needs_image();
    let volume = Volume::new();
    drop(Container::serving(&[&volume.as_data(), "--env", PASSWORD], &[]));
    let command = ["-c", "shared_preload_libraries=auto_explain"];
    let container = Container::serving(&[&volume.as_data()], &command);
    assert_eq!(container.sql("SHOW shared_preload_libraries"), "auto_explain");
    assert!(
        !container.log().contains("which leaves out"),
        "{}",
        container.log()
    );
}

#[test(line_61)]
fn data_that_need_a_library_the_image_lacks_are_refused() {
    needs_image();
    let volume = Volume::new();
    let container = Container::serving(&[&volume.as_data(), "--env", PASSWORD], &[]);
    if container
        .shell("ls /usr/lib/postgresql/*/lib/timescaledb.so")
        .status
        == 0
    {
        skip("the image has TimescaleDB");
    }
    // What TimescaleDB leaves in a database: functions in its library.
    container.sql(
        "CREATE FUNCTION f() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler'; \
         SET allow_system_table_mods = on; UPDATE pg_proc SET probin = '$libdir/timescaledb' WHERE proname = 'f'",
    );
    drop(container);
    let refused = Container::to_the_end(&[&volume.as_data()], &[]);
    assert_eq!(refused.status, 1, "{refused:?}");
    let reason = "need the library 'timescaledb' preloaded, and this image does not have it";
    assert!(refused.err.contains(reason), "{refused:?}");
}

#[test(line_61)]
fn a_member_whose_list_leaves_out_what_the_data_need_is_refused() {
    needs_patroni();
    let volume = distributed();
    let container = Container::serving(&[&volume.as_data()], &[]);
    container.sql("ALTER SYSTEM SET shared_preload_libraries = 'auto_explain'");
    drop(container);
    let environment = [
        "--env=PATRONI_SCOPE=c",
        "--env=PATRONI_ETCD3_HOST=127.0.0.1:2379",
        "--env=PATRONI_REPLICATION_PASSWORD=r",
        "--env",
        PASSWORD,
        &volume.as_data(),
    ];
    let refused = Container::to_the_end(&environment, &["patroni"]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(
        refused
            .err
            .contains("written by ALTER SYSTEM), which leaves out citus"),
        "{refused:?}"
    );
}

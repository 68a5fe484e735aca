//! A Citus cluster without Patroni: a coordinator and workers that register themselves, and stay registered under any address.

use super::container::{Container, Network, Volume};
use super::needs::{needs_citus, needs_image};

/// Creates a node of one cluster. Its password needs quoting in libpq's password file.
fn node(network: &Network, options: &[&str]) -> Container {
    let network = format!("--network={}", network.0);
    let fixed = [
        network.as_str(),
        "--env=POSTGRES_PASSWORD_FILE=/secret",
        "--env=POSTGRES_DB=app",
    ];
    let container = Container::create(&[&fixed, options].concat(), &[]);
    container.copy("/secret", 0o644, "p:w\\d\n");
    container
}

/// The coordinator's nodes: group, whether it is active, whether its metadata is synchronised.
const STATE: &str = "SELECT string_agg(format('%s %s %s', groupid, isactive, metadatasynced), ', ' ORDER BY groupid) FROM pg_dist_node";

fn wait_for_nodes(coordinator: &Container, count: u32) {
    coordinator.wait_for(&format!(
        "[[ $(psql -U postgres app -Atc \"SELECT count(*) FROM pg_dist_node WHERE isactive AND metadatasynced AND nodename NOT LIKE '%.invalid'\") == {count} ]]"
    ));
}

#[test(citus_1)]
fn workers_register_again_under_new_addresses() {
    needs_citus();
    let network = Network::new();
    let coordinator = node(&network, &["--env=CITUS_ROLE=coordinator"]);
    let to = format!("--env=CITUS_COORDINATOR_HOST={}", coordinator.name);
    let early = node(&network, &["--env=CITUS_ROLE=worker", &to]);
    early.start();
    early.wait_until_serving();
    coordinator.start();
    wait_for_nodes(&coordinator, 2);
    let late = node(&network, &["--env=CITUS_ROLE=worker", &to]);
    late.start();
    wait_for_nodes(&coordinator, 3);
    let app = |container: &Container, sql: &str| {
        container
            .shell(&format!("psql -X -U postgres app -Atqc \"{sql}\""))
            .ok()
    };
    app(&coordinator, "CREATE TABLE events (id int PRIMARY KEY)");
    app(
        &coordinator,
        "SELECT create_distributed_table('events', 'id', shard_count => 8)",
    );
    app(&coordinator, "INSERT INTO events SELECT generate_series(1, 1000)");
    let placed = "SELECT count(*), count(DISTINCT groupid) FROM pg_dist_placement";
    assert_eq!(app(&coordinator, placed), "8|2");

    // An engine that assigns the lowest free address swaps the workers' addresses in this order.
    let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let before = (early.inspect(address), late.inspect(address));
    for container in [&early, &late, &coordinator] {
        assert_eq!(container.end_by("TERM"), 0, "{}", container.log());
    }
    for container in [&late, &coordinator, &early] {
        container.start();
    }
    let after = (early.inspect(address), late.inspect(address));
    assert_ne!(before, after, "the addresses have changed");
    coordinator.wait_for("psql -U postgres app -Atc 'SELECT sum(id) FROM events'");
    wait_for_nodes(&coordinator, 3);
    assert_eq!(
        app(&coordinator, "SELECT count(*), sum(id) FROM events"),
        "1000|500500"
    );
    assert_eq!(app(&coordinator, STATE), "0 t t, 1 t t, 2 t t");
    assert_eq!(
        app(&early, "SELECT count(*) FROM events"),
        "1000",
        "a worker answers too"
    );
    assert_eq!(app(&early, "SELECT groupid FROM pg_dist_local_group"), "1");
}

#[test(citus_2)]
fn an_empty_worker_does_not_replace_the_registered_one() {
    needs_citus();
    let network = Network::new();
    let coordinator = node(
        &network,
        &[
            "--env=CITUS_ROLE=coordinator",
            "--network-alias=coordinator",
            "--env=CITUS_NODE_NAME=coordinator",
        ],
    );
    coordinator.start();
    let as_worker = [
        "--env=CITUS_ROLE=worker",
        "--env=CITUS_COORDINATOR_HOST=coordinator",
        "--network-alias=worker",
        "--env=CITUS_NODE_NAME=worker",
    ];
    let volume = Volume::new();
    let worker = node(&network, &[&as_worker[..], &[&volume.as_data()]].concat());
    worker.start();
    wait_for_nodes(&coordinator, 2);
    coordinator
        .shell("psql -U postgres app -c 'CREATE TABLE t (i int)' -c \"SELECT create_distributed_table('t', 'i')\"")
        .ok();
    drop(worker);
    let empty = node(&network, &as_worker);
    empty.start();
    empty.wait_until_serving();
    empty.wait_for_log("this data directory has none; restore it");
    drop(empty);
    let back = node(&network, &[&as_worker[..], &[&volume.as_data()]].concat());
    back.start();
    coordinator.wait_for("psql -U postgres app -Atc 'SELECT count(*) FROM t'");
}

#[test(citus_1)]
fn a_database_may_be_named_like_a_connection_string() {
    needs_citus();
    let name = "a=b'c";
    let volume = Volume::new();
    let before = Container::serving(&["--env=POSTGRES_PASSWORD=secret", &volume.as_data()], &[]);
    before.sql(&format!("CREATE DATABASE \"{name}\""));
    assert_eq!(before.end_by("TERM"), 0);
    drop(before);
    let database = format!("--env=POSTGRES_DB={name}");
    let options = [
        "--env=POSTGRES_PASSWORD=secret",
        "--env=CITUS_ROLE=coordinator",
        &database,
        &volume.as_data(),
    ];
    let coordinator = Container::serving(&options, &[]);
    coordinator.wait_for(
        "PGDATABASE=\"a=b'c\" psql -U postgres -Atc 'SELECT count(*) FROM pg_dist_node WHERE groupid = 0' | grep 1",
    );
    let log = coordinator.log();
    assert!(log.contains("Citus: this coordinator is registered as"), "{log}");
}

#[test(citus_3)]
fn mistakes_are_reported_together() {
    needs_image();
    let ran = Container::to_the_end(&["--env=CITUS_ROLE=worker", "--env=CITUS_NODE_PORT=five"], &[]);
    assert_eq!(ran.status, 1, "{ran:?}");
    for mistake in [
        "CITUS_COORDINATOR_HOST is not set",
        "CITUS_NODE_PORT is 'five'",
        "superuser password is not specified",
    ] {
        assert!(ran.err.contains(mistake), "{mistake}: {ran:?}");
    }
    let strays = Container::to_the_end(
        &[
            "--env=POSTGRES_PASSWORD=secret",
            "--env=CITUS_COORDINATOR_HOST=a",
            "--env=CITUS_COORDINATOR_PORT=99999",
            "--env=CITUS_NODE_NAME=b",
        ],
        &[],
    );
    assert_eq!(strays.status, 1, "{strays:?}");
    for mistake in [
        "CITUS_COORDINATOR_HOST is set, and CITUS_ROLE is not",
        "CITUS_COORDINATOR_PORT is set, and CITUS_ROLE is not",
        "CITUS_COORDINATOR_PORT is '99999', but must be a number from 1 to 65535",
        "CITUS_NODE_NAME is set, and CITUS_ROLE is not",
    ] {
        assert!(strays.err.contains(mistake), "{mistake}: {strays:?}");
    }
    let level = Container::create(
        &[
            "--env=POSTGRES_PASSWORD=secret",
            "--env=CITUS_ROLE=coordinator",
            "--volume=/etc/postgresql/conf.d",
        ],
        &[],
    );
    level.copy("/etc/postgresql/conf.d/own.conf", 0o644, "wal_level = minimal\n");
    let level = level.run();
    assert_eq!(level.status, 1, "{level:?}");
    assert!(
        level
            .err
            .contains("wal_level is minimal (/etc/postgresql/conf.d/own.conf:1), but Citus"),
        "{level:?}"
    );
    let under_patroni = Container::to_the_end(
        &["--env=CITUS_ROLE=coordinator", "--env=PATRONI_SCOPE=a"],
        &["--explain"],
    );
    assert!(
        under_patroni
            .err
            .contains("CITUS_ROLE is for a server without Patroni"),
        "{under_patroni:?}"
    );
}

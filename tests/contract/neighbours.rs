//! Lines 38 to 42: what was there before, and who comes after: other images' data, scripts that cannot run, a cluster without the entrypoint.

use super::container::{Container, DATA, Network, PASSWORD, Ran, Volume, docker, image};
use super::needs::{needs_image, needs_patroni, needs_store};
use super::patroni::{Cluster, REPLICATES};
use crate::harness::skip;

/// Must be refused, and change nothing in the volume.
#[track_caller]
fn refused(volume: &Volume, options: &[&str], reasons: &[&str]) -> Ran {
    let state = format!("find {DATA} -printf '%p %u %m %s\\n' | sort");
    let before = volume.shell(&state);
    let ran = Container::to_the_end(options, &[]);
    assert_eq!(ran.status, 1, "{ran:?}");
    for reason in reasons {
        assert!(ran.err.contains(reason), "{reason}: {ran:?}");
    }
    assert_eq!(volume.shell(&state), before, "{ran:?}");
    ran
}

#[test(line_38)]
fn data_that_cannot_be_read_are_not_uninitialised() {
    needs_image();
    let volume = Volume::new();
    let data = volume.as_data();
    let container = Container::serving(&[&data, "--env", PASSWORD], &[]);
    assert_eq!(container.end_by("TERM"), 0);
    drop(container);
    for (change, reason) in [
        (
            "chown 4444:4444 DATA",
            "cannot be looked into by uid 999, and may hold a cluster",
        ),
        (
            "chown -R 4444:4444 DATA; chmod 0777 DATA",
            "holds a cluster whose files uid 999 cannot read",
        ),
    ] {
        volume.shell(&change.replace("DATA", DATA));
        let ran = refused(
            &volume,
            &["--user=postgres", &data, "--env", PASSWORD],
            &[reason, "uid 4444"],
        );
        assert!(!ran.err.contains("uninitialized"), "{ran:?}");
        let ran = refused(&volume, &["--user=postgres", &data], &[reason]);
        assert!(!ran.err.contains("POSTGRES_PASSWORD"), "{ran:?}");
    }
    volume.shell(&format!(
        "chown 4444:4444 {DATA}; chmod 0700 {DATA}; chown -R 999:999 {DATA}/*"
    ));
    let below = format!("--volume={}:/m", volume.0);
    refused(
        &volume,
        &[
            "--user=postgres",
            &below,
            "--env=PGDATA=/m/base",
            "--env",
            PASSWORD,
        ],
        &[
            "/m/base cannot be looked into by uid 999",
            "/m belongs to uid 4444",
        ],
    );
    let container = Container::serving(&[&data, "--user=root"], &[]);
    assert_eq!(container.sql("SELECT 1"), "1");
}

#[test(line_38)]
fn a_cluster_below_beside_or_above_the_directory_is_named() {
    needs_image();
    let volume = Volume::new();
    let mounted = format!("--volume={}:/m", volume.0);
    let data = volume.as_data();
    for place in ["data", "pgdata", "17/main", "18/docker"] {
        volume.shell(&format!(
            "mkdir -p {DATA}/{place}/global; touch {DATA}/other; echo 17 >{DATA}/{place}/PG_VERSION; chown -R 999:999 {DATA}; chmod -R 0700 {DATA}"
        ));
        let expected = format!("Set PGDATA={DATA}/{place} to use that one");
        refused(
            &volume,
            &[&data, "--env", PASSWORD],
            &["of PostgreSQL 17", &expected],
        );
        volume.shell(&format!("find {DATA} -mindepth 1 -delete"));
    }
    volume.shell(&format!(
        "mkdir -p {DATA}/global {DATA}/new; echo 18 >{DATA}/PG_VERSION; chown -R 999:999 {DATA}; chmod 0700 {DATA} {DATA}/new"
    ));
    refused(
        &volume,
        &[&mounted, "--env=PGDATA=/m/new", "--env", PASSWORD],
        &["/m/new is empty, and /m holds a cluster of PostgreSQL 18"],
    );
    volume.shell(&format!(
        "find {DATA} -mindepth 1 -delete; mkdir -p {DATA}/data/global; echo 17 >{DATA}/data/PG_VERSION; chown -R 999:999 {DATA}"
    ));
    refused(
        &volume,
        &[&mounted, "--env=PGDATA=/m/18/docker", "--env", PASSWORD],
        &["/m/data holds a cluster of PostgreSQL 17"],
    );
}

#[test(line_39)]
fn scripts_that_cannot_run_are_found_before_initdb() {
    needs_image();
    let volume = Volume::new();
    let data = volume.as_data();
    let scripts: [(&str, u32, &[u8], &str); 10] = [
        (
            "a.sh",
            0o755,
            b"#!/bin/bash\r\ntrue\r\n",
            "a.sh has the line ends of Windows",
        ),
        ("b.sh", 0o644, b"true\r\n", "b.sh has the line ends of Windows"),
        (
            "bb.sh",
            0o755,
            b"#!/bin/bash\ncat >/dev/null <<-'END'\n\ta\r\n\tEND\ntrue\r\n",
            "bb.sh has the line ends of Windows (CRLF, first in line 5)",
        ),
        (
            "c.sh",
            0o755,
            b"#!/usr/bin/fish\ntrue\n",
            "c.sh is to be run by '/usr/bin/fish'",
        ),
        (
            "d.sh",
            0o755,
            b"#!/usr/bin/env -S nosuchprogram -x\n",
            "d.sh is to be run by 'nosuchprogram'",
        ),
        (
            "e.sql.gz",
            0o644,
            b"SELECT 1;\n",
            "e.sql.gz is not compressed by gzip",
        ),
        ("f.sql.xz", 0o644, b"", "f.sql.xz is not compressed by xz"),
        (
            "g.sql.zst",
            0o644,
            b"\x1f\x8b\x08",
            "g.sql.zst is not compressed by zstd",
        ),
        ("h.sh", 0o755, b"#!/usr/bin/env bash\ntrue\n", ""),
        ("i.sql", 0o644, b"SELECT 1;\r\n", ""),
    ];
    let container = Container::create(&[&data, "--env", PASSWORD], &[]);
    for (name, mode, text, _) in scripts {
        container.copy_script(name, mode, text);
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let source = directory.path().to_str().expect("a UTF-8 path");
    for name in ["j.sql", "k.sh", "l.sql.gz"] {
        let place = format!("{}:/docker-entrypoint-initdb.d/{name}", container.name);
        docker(["cp", source, &place]).ok();
    }
    let ran = container.run();
    assert_eq!(ran.status, 1, "{ran:?}");
    for (name, _, _, reason) in scripts {
        let found = ran.err.contains(&format!("/{name}"));
        assert!(
            ran.err.contains(reason) && found != reason.is_empty(),
            "{name}: {ran:?}"
        );
    }
    for name in ["j.sql", "k.sh", "l.sql.gz"] {
        assert!(
            ran.err.contains(&format!("{name} is a directory")),
            "{name}: {ran:?}"
        );
    }
    assert_eq!(volume.shell(&format!("ls -A {DATA}")), "");
    drop(container);
    let container = Container::create(&[&data, "--env", PASSWORD], &[]);
    for (name, mode, text, reason) in scripts {
        if reason.is_empty() {
            container.copy_script(name, mode, text);
        }
    }
    container.start();
    container.wait_until_serving();
}

/// What another container gets from a server over the network.
#[track_caller]
fn reaches(network: &Network, host: &str, sql: &str) -> String {
    let image = image().expect("a test with a container has an image");
    let network = format!("--network={}", network.0);
    let client = [
        "run",
        "--rm",
        &network,
        "--env=PGPASSWORD=secret",
        "--entrypoint=psql",
        image,
        "--host",
        host,
    ];
    docker(
        [
            &client[..],
            &[
                "--username=postgres",
                "--no-align",
                "--tuples-only",
                "--command",
                sql,
            ],
        ]
        .concat(),
    )
    .ok()
}

#[test(line_40)]
fn a_cluster_serves_without_the_entrypoint() {
    needs_image();
    let (volume, network) = (Volume::new(), Network::new());
    let data = volume.as_data();
    let joined = format!("--network={}", network.0);
    let container = Container::serving(&[&data, "--env", PASSWORD], &[]);
    let preloaded = container.sql("SHOW shared_preload_libraries");
    assert_eq!(container.end_by("TERM"), 0);
    drop(container);
    let plain = Container::create(&[&data, &joined, "--user=postgres", "--entrypoint=postgres"], &[]);
    plain.start();
    plain.wait_until_serving();
    assert_eq!(
        reaches(&network, &plain.name, "SHOW shared_preload_libraries"),
        preloaded
    );
    drop(plain);
    // As another image has it, without this image's settings and libraries.
    let other = Container::create(
        &[
            &data,
            &joined,
            "--user=postgres",
            "--tmpfs=/etc/postgresql",
            "--entrypoint=postgres",
        ],
        &[],
    );
    other.start();
    other.wait_until_serving();
    assert_eq!(
        reaches(&network, &other.name, "SHOW shared_preload_libraries"),
        ""
    );
}

#[test(line_40)]
fn a_copy_by_pg_basebackup_is_a_standby_of_plain_postgres() {
    needs_image();
    let network = Network::new();
    let joined = format!("--network={}", network.0);
    let primary = Container::serving(&[&joined, "--env=POSTGRES_HOST_AUTH_METHOD=trust"], &[]);
    primary
        .shell("echo 'host replication all all trust' >>$PGDATA/pg_hba.conf")
        .ok();
    primary.sql("SELECT pg_reload_conf()");
    primary.sql("CREATE TABLE rows AS SELECT generate_series(1, 100) AS n");
    let copy = format!(
        "pg_basebackup --pgdata=$PGDATA --write-recovery-conf --checkpoint=fast --host={} --username=postgres && exec postgres",
        primary.name
    );
    let standby = Container::create(&[&joined, "--user=postgres"], &["bash", "-c", &copy]);
    standby.start();
    standby.wait_until_serving();
    assert_eq!(
        reaches(
            &network,
            &standby.name,
            "SELECT count(*), pg_is_in_recovery() FROM rows"
        ),
        "100|t"
    );
}

#[test(line_41)]
fn log_files_go_to_the_volume_or_are_refused() {
    needs_image();
    let read_only = [
        "--read-only",
        "--tmpfs=/tmp",
        "--tmpfs=/var/run/postgresql",
        "--env",
        PASSWORD,
    ];
    for (option, command) in [
        ("--env=POSTGRES_LOG=stderr", &["-c", "logging_collector=on"][..]),
        ("--env=POSTGRES_LOG=file", &[]),
    ] {
        let container = Container::serving(&[&read_only[..], &[option]].concat(), command);
        assert_ne!(container.shell("cat $PGDATA/log/*").ok(), "", "{option}");
    }
    let container = Container::serving(&["--env", PASSWORD], &["-c", "logging_collector=on"]);
    assert_ne!(container.shell("cat $PGDATA/log/*").ok(), "");
    drop(container);
    let volume = Volume::new();
    volume.shell(&format!("chown 999:999 {DATA}"));
    let data = volume.as_data();
    let ran = Container::to_the_end(
        &[&data, "--env", PASSWORD],
        &["-c", "logging_collector=tru", "-c", "log_directory=/srv/log"],
    );
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(
        ran.err.contains("log_directory is '/srv/log' (command line)"),
        "{ran:?}"
    );
    assert_eq!(volume.shell(&format!("ls -A {DATA}")), "");
}

#[test(line_42)]
fn dumps_that_name_the_official_images_locale_load() {
    needs_image();
    let dump = "CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'en_US.utf8';\n\
                \\connect shop\nCREATE TABLE item AS SELECT 'B' AS name UNION ALL SELECT 'a';\n";
    let container = Container::create(&["--env", PASSWORD], &[]);
    container.copy_script("dump.sql", 0o644, dump);
    container.start();
    container.wait_until_serving();
    let in_shop = "psql --username=postgres --dbname=shop --no-align --tuples-only --command=\"SELECT string_agg(name, ' ' ORDER BY name) FROM item\"";
    assert_eq!(container.shell(in_shop).ok(), "a B");
    assert_eq!(
        container.sql("SELECT datcollate FROM pg_database WHERE datname = 'postgres'"),
        "C.UTF-8"
    );
}

#[test(patroni_11)]
fn members_with_ipv6_addresses_join_replicate_and_answer() {
    needs_store();
    // Of this run alone (RFC 4193).
    let prefix = format!(
        "fd00:{:x}:{:x}",
        std::process::id() >> 16,
        std::process::id() & 0xffff
    );
    let network = Network::with_ipv6(&prefix).unwrap_or_else(|why| skip(&why));
    let mut cluster = Cluster::in_network(network);
    for (member, state) in [(0, "Leader\trunning"), (1, "Replica\tstreaming")] {
        let address = format!("{prefix}::1{member}");
        let pod = format!("--env=PATRONI_KUBERNETES_POD_IP={address}");
        cluster.add(&[REPLICATES, &format!("--ip6={address}"), &pod]);
        cluster.wait_for(member, state);
        assert_eq!(cluster.members[member].health().status, 0);
    }
    let leader = &cluster.members[0];
    let replicas = "SELECT string_agg(host(client_addr), ' ') FROM pg_stat_replication";
    assert_eq!(leader.sql(replicas), format!("{prefix}::11"));
    let asked = format!(
        "import urllib.request; print(urllib.request.urlopen('http://[{prefix}::11]:8008/replica').status)"
    );
    let python = ["exec", &leader.name, "/opt/patroni/bin/python3", "-c", &asked];
    assert_eq!(docker(python).ok(), "200");
}

#[test(patroni_11)]
fn a_member_listens_where_it_tells_the_others_to_come() {
    needs_patroni();
    for (address, advertised) in [("fd00::11", "[fd00::11]"), ("10.1.2.3", "10.1.2.3")] {
        let pod = format!("--env=PATRONI_KUBERNETES_POD_IP={address}");
        let options = [
            pod.as_str(),
            "--env=PATRONI_SCOPE=c",
            "--env=PATRONI_ETCD3_HOST=store:2379",
            "--env",
            PASSWORD,
            "--env=PATRONI_REPLICATION_PASSWORD=r",
        ];
        let explained = Container::to_the_end(&options, &["--explain"]);
        assert_eq!(explained.status, 0, "{explained:?}");
        for port in [5432, 8008] {
            let told = format!("listen: '*:{port}'\n    connect_address: '{advertised}:{port}'");
            assert!(explained.out.contains(&told), "{told}: {}", explained.out);
        }
    }
}

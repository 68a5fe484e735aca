//! What a start under Patroni rejects, and what a start without Patroni rejects of it: no setting is silently without effect.

use super::container::{Container, PASSWORD, Volume};
use super::needs::{needs_image, needs_patroni, needs_store};
use super::patroni::{Cluster, REPLICATES};

/// The least that Patroni needs to start.
const COMPLETE: &str = "scope: mine\nname: me\netcd3: {host: 'localhost:1'}\nrestapi: {listen: ':8008'}\n\
                        postgresql: {listen: '*:5432', data_dir: /var/lib/postgresql/data}\n";

/// Starts with a mounted file and gives standard error; the start is rejected before it changes anything.
#[track_caller]
fn refused(options: &[&str], command: &[&str], file: Option<(&str, u32, &str)>) -> String {
    let volume = Volume::new();
    let container = Container::create(&[options, &[&volume.as_data()]].concat(), command);
    if let Some((path, mode, text)) = file {
        container.copy(path, mode, text);
    }
    let ran = container.run();
    assert_eq!(ran.status, 1, "{command:?} {file:?}: {ran:?}");
    assert!(
        ran.err
            .lines()
            .all(|line| line.starts_with("entrypoint: error: ") || line.starts_with("        ")),
        "only mistakes are reported: {ran:?}"
    );
    assert_eq!(volume.shell("ls -A $PGDATA"), "");
    ran.err
}

#[test(patroni_5)]
fn a_broken_file_is_named_with_its_fault() {
    needs_patroni();
    let file = "/etc/my.yml";
    let lacks_store = COMPLETE.replace("etcd3", "etcd33");
    let two_stores = format!("{COMPLETE}consul: {{host: 'localhost:2'}}\n");
    let elsewhere = COMPLETE.replace("/var/lib/postgresql/data", "/data");
    let cases: [(u32, &str, &[&str]); 8] = [
        (
            0o644,
            &elsewhere,
            &[
                "/etc/my.yml has postgresql.data_dir /data, and PGDATA is /var/lib/postgresql/data: set PGDATA=/data as well",
            ],
        ),
        (
            0o600,
            COMPLETE,
            &["/etc/my.yml cannot be read by uid 999: it belongs to uid 0, mode 600"],
        ),
        (
            0o644,
            "scope: [a\nname: b\n",
            &["/etc/my.yml: line 2, column 5: this is not YAML"],
        ),
        (0o644, "\u{7}", &["/etc/my.yml is not YAML"]),
        (0o644, "", &["/etc/my.yml is not a configuration of Patroni's"]),
        (
            0o644,
            "etcd3: {host: a}",
            &[
                "/etc/my.yml has no scope, which Patroni needs: put it there or set PATRONI_SCOPE",
                "/etc/my.yml has no name",
                "/etc/my.yml has no restapi.listen",
                "/etc/my.yml has no postgresql.listen",
                "/etc/my.yml has no postgresql.data_dir, which Patroni needs: put it there or set PATRONI_POSTGRESQL_DATA_DIR",
            ],
        ),
        (0o644, &lacks_store, &["/etc/my.yml names no store to agree in"]),
        (
            0o644,
            &two_stores,
            &["name 2 stores, but a cluster agrees in one: etcd3, consul"],
        ),
    ];
    for (mode, text, faults) in cases {
        let said = refused(&["--user=postgres"], &["patroni", file], Some((file, mode, text)));
        for fault in faults {
            assert!(said.contains(fault), "{fault}: {said}");
        }
    }
    let said = refused(&[], &["patroni", "/nowhere.yml", "/other.yml", "--verbose"], None);
    for fault in [
        "/other.yml does not exist in the container",
        "takes one configuration file, and was given 2: /nowhere.yml /other.yml",
        "option '--verbose' does not start it",
    ] {
        assert!(said.contains(fault), "{fault}: {said}");
    }
    let said = refused(
        &["--env=PATRONI_CONSUL_HOST=localhost:2"],
        &["patroni", file],
        Some((file, 0o644, COMPLETE)),
    );
    assert!(
        said.contains("2 stores, but a cluster agrees in one: etcd3, PATRONI_CONSUL_*"),
        "{said}"
    );
}

#[test(patroni_5)]
fn a_mounted_file_that_is_unusable_is_reported() {
    needs_patroni();
    let scope = "--env=PATRONI_SCOPE=test";
    for file in ["/etc/patroni/patroni.yml", "/etc/postgresql/patroni.yml"] {
        // An engine makes a directory where the file to mount does not exist.
        let mounted = format!("--volume={file}");
        let said = refused(&[scope, &mounted], &[], None);
        assert!(
            said.contains(&format!("{file} is a directory without any *.yml")),
            "{said}"
        );
    }
    let file = "/etc/postgresql/patroni.yml";
    let said = refused(&["--user=postgres", scope], &[], Some((file, 0o600, COMPLETE)));
    assert!(said.contains("patroni.yml cannot be read by uid 999"), "{said}");
    let said = refused(
        &["--env=PATRONI_CONFIGURATION={scope: a, name: b, etcd3: {host: a}}"],
        &["patroni"],
        None,
    );
    assert!(
        said.contains("PATRONI_CONFIGURATION has no postgresql.data_dir"),
        "{said}"
    );

    // Patroni reads all files of a directory, and the health check takes its address from them.
    let container = Container::create(&["--volume=/etc/patroni.d"], &["patroni", "/etc/patroni.d"]);
    container.copy("/etc/patroni.d/a.yml", 0o644, COMPLETE);
    container.copy(
        "/etc/patroni.d/b.yml",
        0o644,
        "restapi: {listen: '127.0.0.1:8009'}",
    );
    container.start();
    container.wait_for("[[ $(</var/run/postgresql/.health) == *' patroni http 127.0.0.1 8009' ]]");

    // Variables do not override this one for Patroni, so the health check does not follow them either.
    let text = COMPLETE.replace(":8008", ":8010").trim_end().replace('\n', ", ");
    let options = [
        &format!("--env=PATRONI_CONFIGURATION={{{text}}}"),
        "--env=PATRONI_RESTAPI_LISTEN=:8011",
    ];
    let container = Container::create(&options, &["patroni"]);
    container.start();
    container.wait_for("[[ $(</var/run/postgresql/.health) == *' patroni http 127.0.0.1 8010' ]]");
}

#[test(patroni_4)]
fn patroni_variables_without_patroni_are_rejected() {
    needs_image();
    for variable in [
        "PATRONI_ETCD3_HOSTS=etcd:2379",
        "PATRONI_CITUS_GROUP=0",
        "PATRONI_NAME=a",
        "PATRONI_CONFIGURATION={}",
    ] {
        let option = format!("--env={variable}");
        let said = refused(&["--env", PASSWORD, &option], &[], None);
        let name = variable.split('=').next().expect("a name");
        assert!(
            said.contains(&format!("have no effect: {name}.")) && said.contains("Set PATRONI_SCOPE"),
            "{said}"
        );
    }
    let file = "/etc/postgresql/patroni.yml";
    let said = refused(&["--env", PASSWORD], &[], Some((file, 0o644, COMPLETE)));
    assert!(said.contains(&format!("have no effect: {file}.")), "{said}");

    // A variable that makes no member is not rejected, but reported.
    let harmless = [
        "--env",
        PASSWORD,
        "--env=PATRONI_LOG_LEVEL=DEBUG",
        "--env=PATRONI_KUBERNETES_POD_IP=192.0.2.1",
    ];
    let explained = Container::to_the_end(&harmless, &["--explain"]);
    assert_eq!(explained.status, 0, "{explained:?}");
    assert!(
        explained
            .err
            .contains("no effect: PATRONI_KUBERNETES_POD_IP PATRONI_LOG_LEVEL"),
        "{explained:?}"
    );

    // Variables that Kubernetes sets for services of such names are accepted, and so are empty ones.
    let links = [
        "--env",
        PASSWORD,
        "--env=PATRONI_SCOPE=",
        "--env=PATRONI_SERVICE_HOST=10.0.0.1",
        "--env=PATRONI_ETCD_PORT=tcp://10.0.0.1:2379",
        "--env=PATRONI_ETCD_PORT_2379_TCP_ADDR=10.0.0.1",
        "--env=CITUS_COORDINATOR_PORT=tcp://10.0.0.1:5432",
    ];
    let explained = Container::to_the_end(&links, &["--explain"]);
    assert_eq!(explained.status, 0, "{explained:?}");
}

#[test(patroni_4)]
fn contradictory_patroni_variables_are_rejected() {
    needs_patroni();
    let options = [
        "--env=PATRONI_SCOPE=test",
        "--env=PATRONI_ETCD3_HOSTS=etcd:2379",
        "--env=PATRONI_CONSUL_HOST=consul",
        "--env=PATRONI_KUBERNETES_POD_IP=192.0.2.1",
        "--env=POSTGRES_HOST_AUTH_METHOD=scram",
        "--env=POSTGRES_DB=app",
        "--env=PATRONI_CITUS_DATABASE=other",
        "--env=PATRONI_CITUS_GROUP=0",
        "--env=CITUS_ROLE=coordinator",
        "--env=PATRONI_ETCD3_CACERT=/nowhere.pem",
        "--env=PATRONI_RESTAPI_KEYFILE=/etc",
        "--env=PATRONI_POSTGRESQL_DATA_DIR=/data",
        "--env=POSTGRES_INITDB_ARGS=--nonsense",
    ];
    let said = refused(&options, &[], None);
    for mistake in [
        "PATRONI_CONSUL_*, PATRONI_ETCD3_* name 2 stores",
        "initdb does not take: unrecognized option '--nonsense'",
        "POSTGRES_HOST_AUTH_METHOD is 'scram'",
        "POSTGRES_DB is 'app', and PATRONI_CITUS_DATABASE is 'other'",
        "CITUS_ROLE is for a server without Patroni",
        "PATRONI_ETCD3_CACERT is '/nowhere.pem', which is not a file that uid 999 can read",
        "PATRONI_RESTAPI_KEYFILE is '/etc', which is not a file",
        "PATRONI_POSTGRESQL_DATA_DIR is '/data', and PGDATA is '/var/lib/postgresql/data'",
    ] {
        assert!(said.contains(mistake), "{mistake}: {said}");
    }
    assert!(!said.contains("KUBERNETES"), "{said}");

    // Patroni would take Kubernetes, and initdb a directory, silently.
    let options = [
        "--env=PATRONI_SCOPE=test",
        "--env=PATRONI_ZOOKEEPER_HOSTS='zk:2181'",
        "--env=PATRONI_KUBERNETES_POD_IP=192.0.2.1",
        "--env=POSTGRES_INITDB_ARGS=-W de --username=me",
        "--env=PGCTLTIMEOUT=60s",
    ];
    let said = refused(&options, &[], None);
    for mistake in [
        "PATRONI_KUBERNETES_*, PATRONI_ZOOKEEPER_* name 2 stores",
        "option pwprompt Patroni's initdb cannot have",
        "a word that is not an option: 'de'",
        "names the superuser 'me' (--username)",
        "PGCTLTIMEOUT is '60s', but must be a whole number of seconds",
    ] {
        assert!(said.contains(mistake), "{mistake}: {said}");
    }

    // Without POSTGRES_DB the database is the one that Citus distributes.
    let options = [
        "--env=PATRONI_SCOPE=test",
        "--env=PATRONI_KUBERNETES_NAMESPACE=default",
        "--env=PATRONI_KUBERNETES_LABELS={app: db}",
        "--env",
        PASSWORD,
        REPLICATES,
        "--env=PATRONI_CITUS_DATABASE=other",
        "--env=PATRONI_CITUS_GROUP=0",
    ];
    let explained = Container::to_the_end(&options, &["--explain"]);
    assert!(
        explained.out.contains("database other") || explained.err.contains("built without Citus"),
        "{explained:?}"
    );
}

#[test(patroni_4, line_07)]
fn trust_needs_no_passwords_and_is_warned_of() {
    needs_store();
    let cluster = Cluster::new();
    let on_network = format!("--network={}", cluster.network.0);
    let options = [
        &on_network,
        &cluster.store,
        "--env=PATRONI_SCOPE=test",
        "--env=POSTGRES_HOST_AUTH_METHOD=trust ",
    ];
    let members = ["first", "second"].map(|_| {
        let member = Container::create(&options, &[]);
        member.start();
        member.wait_for("psql -U postgres -h $(hostname -i) -c 'SELECT'");
        member
    });
    assert!(
        members[0]
            .log()
            .contains("WARNING: POSTGRES_HOST_AUTH_METHOD has been set to \"trust\""),
        "{}",
        members[0].log()
    );
    members[0].wait_for("psql -U postgres -Atc 'SELECT state FROM pg_stat_replication' | grep streaming");
}

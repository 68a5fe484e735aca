//! The generated patroni.yml: Patroni accepts it for every store and mode, and it has the user's settings.

use super::container::{Container, DATA, Ran, Volume};
use super::needs::needs_patroni;

/// Writes the file as a start would, has Patroni check it together with the variables, and prints it. Patroni connects to the store, so
/// something has to answer.
const CHECK: &str = "cd /tmp; source /entrypoint.sh; set -Eeuo pipefail; read_environment; read_patroni_environment patroni
    check_patroni patroni; stop_on_problems; patroni_text >/tmp/patroni.yml
    /opt/patroni/bin/python3 -m http.server --bind 127.0.0.1 2379 >/dev/null 2>&1 &
    until (exec 3<>/dev/tcp/127.0.0.1/2379) 2>/dev/null; do sleep 0.05; done
    cat /tmp/patroni.yml; patroni --validate-config --print /tmp/patroni.yml >/tmp/merged; echo valid; cat /tmp/merged";

/// Runs [`CHECK`] with these variables.
fn checked(variables: &[&str], hooks: &Volume) -> Ran {
    let fixed = [
        "PATRONI_SCOPE=a b",
        "POSTGRES_PASSWORD=it's",
        "PATRONI_REPLICATION_PASSWORD=r",
    ];
    let options: Vec<String> = fixed
        .iter()
        .chain(variables)
        .map(|variable| format!("--env={variable}"))
        .collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mount = format!("--volume={}:/etc/patroni/hooks", hooks.0);
    Container::to_the_end(
        &[&options[..], &["--user=postgres", &mount]].concat(),
        &["bash", "-c", CHECK],
    )
}

#[test(patroni_2)]
fn generated_file_is_valid_for_every_store_and_mode() {
    needs_patroni();
    let cases: [(&[&str], &[&str]); 5] = [
        (
            &[
                "PATRONI_ETCD3_HOSTS=127.0.0.1:2379",
                "PATRONI_KUBERNETES_NAMESPACE=default",
                "PATRONI_KUBERNETES_LABELS={app: db}",
                "PATRONI_POSTGRESQL_DATA_DIR=/var/lib/postgresql/data/",
                "POSTGRES_INITDB_ARGS=--locale-prov icu --icu-locale 'de' -gE LATIN1 -c \"port = '2'\"",
            ],
            &[
                "- locale-provider: 'icu'\n  - icu-locale: 'de'\n  - allow-group-access\n  - encoding: 'LATIN1'\n",
                r"- set: '''port = ''\''''2''\'''''''",
            ],
        ),
        (
            &[
                "PATRONI_ETCD3_HOSTS=127.0.0.1:2379",
                "PATRONI_SYNCHRONOUS_MODE=quorum",
                "PATRONI_SYNCHRONOUS_NODE_COUNT=2",
            ],
            &[
                "synchronous_mode: quorum",
                "synchronous_node_count: 2",
                "synchronous_mode_strict: off",
                "etcd3:",
            ],
        ),
        (
            &[
                "PATRONI_CONSUL_HOST=127.0.0.1:2379",
                "PATRONI_SYNCHRONOUS_MODE=on",
                "PATRONI_SYNCHRONOUS_MODE_STRICT=on",
            ],
            &["synchronous_mode: on", "synchronous_mode_strict: on", "consul:"],
        ),
        (
            &[
                "PATRONI_ZOOKEEPER_HOSTS='127.0.0.1:2379'",
                "POSTGRES_INITDB_ARGS=--locale=C --wal-segsize='32'",
            ],
            &["- locale: 'C'", "- wal-segsize: '32'", "zookeeper:"],
        ),
        (
            &[
                "PATRONI_KUBERNETES_NAMESPACE=default",
                "PATRONI_KUBERNETES_LABELS={app: db}",
                "PATRONI_KUBERNETES_POD_IP=192.0.2.7",
                "PATRONI_REWIND_PASSWORD=w",
                "POSTGRES_INITDB_WALDIR=/tmp/wal",
            ],
            &[
                "username: 'rewinder'",
                "- waldir: '/tmp/wal'",
                "connect_address: '192.0.2.7:5432'",
                "kubernetes:",
            ],
        ),
    ];
    let hooks = Volume::new();
    for (variables, expected) in cases {
        let ran = checked(variables, &hooks);
        assert_eq!(ran.status, 0, "{variables:?}: {ran:?}");
        assert!(ran.err.is_empty(), "{variables:?}: {ran:?}");
        let always = [
            "\nvalid\n",
            "- data-checksums",
            "use_pg_rewind: true",
            "use_slots: true",
            "scope: 'a b'",
        ];
        for line in expected.iter().chain(&always) {
            assert!(ran.out.contains(line), "{line} with {variables:?}: {ran:?}");
        }
    }
}

#[test(patroni_3)]
fn hooks_become_callbacks_and_bootstrap_methods() {
    needs_patroni();
    let hooks = Volume::new();
    hooks.shell(&format!(
        "cd {DATA}; touch on_role_change before_stop bootstrap create_replica; chmod 755 *"
    ));
    let ran = checked(&["PATRONI_ETCD3_HOSTS=127.0.0.1:2379"], &hooks);
    assert_eq!(ran.status, 0, "{ran:?}");
    for text in [
        "  method: hook\n  hook:\n    command: '/etc/patroni/hooks/bootstrap'\n",
        "  callbacks:\n    on_role_change: '/etc/patroni/hooks/on_role_change'\n",
        "  before_stop: '/etc/patroni/hooks/before_stop'\n",
        "  create_replica_methods:\n  - hook\n  - basebackup\n  hook:\n    command: '/etc/patroni/hooks/create_replica'\n",
        "\nvalid\n",
    ] {
        assert!(ran.out.contains(text), "{text}: {ran:?}");
    }
    hooks.shell(&format!("cd {DATA}; touch on_start on_strat; chmod 755 on_strat"));
    let wrong = checked(&["PATRONI_ETCD3_HOSTS=127.0.0.1:2379"], &hooks);
    assert_eq!(wrong.status, 1, "{wrong:?}");
    assert!(
        wrong.err.contains("on_start cannot be executed")
            && wrong.err.contains("on_strat is named for nothing"),
        "{wrong:?}"
    );
}

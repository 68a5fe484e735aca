//! The passwords of a Patroni and Citus cluster are rotated while it serves.

use std::process::{Command, Stdio};

use super::container::{Container, Ran, image};
use super::needs::{needs_citus, needs_image, needs_patroni, needs_store};
use super::patroni::Cluster;
use crate::support::project;

/// The roles whose passwords are rotated, by the names of their secrets.
const ROLES: [(&str, &str); 3] = [
    ("superuser", "postgres"),
    ("replication", "replicator"),
    ("rewind", "rewinder"),
];
/// What follows a role's name in its password at first. Each needs quoting in SQL, in a connection string and in libpq's password file.
const OLD: &str = "-old: '\\1";
/// The same after the rotation.
const NEW: &str = "-new: '\\2";

/// Writes the secrets of a member. They are written in place, as those of a single mounted file must be.
fn give_secrets(member: &Container, end: &str) {
    for (secret, _) in ROLES {
        member.copy(&format!("/{secret}"), 0o644, format!("{secret}{end}\n"));
    }
}

/// Two groups of Citus with two members each: p0 and p1 are the coordinator's, p2 and p3 the worker's, and p0 and p2 lead.
fn two_groups() -> Cluster {
    let mut cluster = Cluster::new();
    for pair in [[0, 2], [1, 3]] {
        for number in pair {
            let member = create_member(&cluster, number);
            give_secrets(&member, OLD);
            member.start();
            cluster.members.push(member);
        }
        for member in &cluster.members[cluster.members.len() - 2..] {
            member.wait_for("psql -U postgres -d citus -Atc 'SELECT pg_is_in_recovery() AND NOT EXISTS (SELECT FROM pg_stat_wal_receiver)' | grep f");
        }
    }
    cluster.members.swap(1, 2);
    cluster
}

fn create_member(cluster: &Cluster, number: usize) -> Container {
    let options = [
        format!("--hostname=p{number}"),
        format!("--network={}", cluster.network.0),
        format!("--network-alias=p{number}"),
        cluster.store.clone(),
        "--env=PATRONI_SCOPE=test".to_owned(),
        format!("--env=PATRONI_CITUS_GROUP={}", number / 2),
        "--env=PATRONI_CITUS_DATABASE=citus".to_owned(),
        "--env=PATRONI_TTL=20".to_owned(),
        "--env=PATRONI_LOOP_WAIT=1".to_owned(),
        "--env=PATRONI_RETRY_TIMEOUT=3".to_owned(),
        "--env=PATRONI_SUPERUSER_PASSWORD_FILE=/superuser".to_owned(),
        "--env=PATRONI_REPLICATION_PASSWORD_FILE=/replication".to_owned(),
        "--env=PATRONI_REWIND_PASSWORD_FILE=/rewind".to_owned(),
        "--volume=/etc/postgresql/conf.d".to_owned(),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let member = Container::create(&options, &[]);
    // Whatever could write a password to the log.
    let logs = "log_statement = all\nlog_min_duration_statement = 0\nlog_connections = on\n";
    member.copy("/etc/postgresql/conf.d/log.conf", 0o644, logs);
    member
}

/// A distributed table, and a role for clients whose own password is not rotated.
const TABLE: &str = "CREATE ROLE app LOGIN PASSWORD 'client'; CREATE TABLE kept (id bigserial PRIMARY KEY, n int); \
    SELECT create_distributed_table('kept', 'id', shard_count => 4); GRANT ALL ON kept TO app; GRANT USAGE ON SEQUENCE kept_id_seq TO app";

/// Clients, each until the file /tmp/stop is there. A line of /tmp/said is a statement that succeeded, one of /tmp/failed a client that did not.
const CLIENTS: &str = r#"
export PGHOST=p0 PGDATABASE=citus
statement="INSERT INTO kept (n) VALUES (1), (2), (3), (4), (5); SELECT count(*) FROM kept"
sessions() { until [[ -e /tmp/stop ]]; do "$@" --command="$statement" >>"/tmp/said-$name" 2>>/tmp/errors || echo "$name" >>/tmp/failed; done; }
one_session() { until [[ -e /tmp/stop ]]; do echo "$statement;"; sleep 0.1; done | "$@" >>"/tmp/said-$name" 2>>/tmp/errors || echo "$name" >>/tmp/failed; }
start() { name="$1" "${@:2}" </dev/null & pids+=($!); }
pids=()
psql="psql --no-psqlrc --quiet --tuples-only --set=ON_ERROR_STOP=1"
"#;

/// Clients of a container: sessions by TCP with the role app, and one that stays open of the superuser.
const REMOTE: &str = r#"
export PGPASSWORD=client
start short sessions $psql --username=app
start long one_session $psql --username=app
export PGPASSWORD="$1"
start superuser one_session $psql --username=postgres
wait "${pids[@]}"; touch /tmp/ended
"#;

/// Clients in the coordinator's leader: superusers, each of whose sessions logs in to the worker again.
const LOCAL: &str = r#"
unset PGHOST
start local sessions $psql --username=postgres
wait "${pids[@]}"; touch /tmp/ended
"#;

fn start_clients(container: &Container, which: &str) {
    container.copy("/tmp/clients", 0o644, format!("{CLIENTS}{which}"));
    let background =
        format!("bash /tmp/clients \"superuser{OLD}\" </dev/null >/tmp/clients.out 2>&1 & disown");
    let background = background.replace('\\', "\\\\");
    container.shell(&background).ok();
}

/// Stops them, and checks that each did something and none failed.
#[track_caller]
fn stop_clients(container: &Container, names: &[&str]) {
    container.shell("touch /tmp/stop").ok();
    container.wait_for("[[ -e /tmp/ended ]]");
    let failed = container
        .shell("cat /tmp/failed /tmp/errors /tmp/clients.out 2>/dev/null")
        .out;
    assert_eq!(failed, "");
    for name in names {
        let count = container
            .shell(&format!("grep --count '[0-9]' /tmp/said-{name}"))
            .ok();
        assert!(count.parse::<u32>().expect("a number") >= 10, "{name}: {count}");
    }
}

/// Runs the command as a user does.
fn rotate(cluster: &Cluster) -> Ran {
    let output = Command::new("timeout")
        .arg("120")
        .arg(project().join("cluster/rotate-passwords.sh"))
        .args(cluster.members.iter().map(|member| member.name.as_str()))
        // For secrets that the members do not see yet, which is a matter of minutes on Kubernetes.
        .env("WAIT", "1")
        .stdin(Stdio::null())
        .output()
        .expect("timeout(1) starts");
    Ran {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Whether each member lets each role in with a password that ends so, as seen from one that has been a part of the bridge.
fn logins(from: &Container, end: &str) -> Vec<String> {
    let script = ROLES.iter().fold(String::new(), |script, (secret, role)| {
        let more = if *role == "replicator" {
            "replication=true"
        } else {
            ""
        };
        let sql = match *role {
            "replicator" => "IDENTIFY_SYSTEM",
            // What pg_rewind does.
            _ => "SELECT length(pg_read_binary_file('PG_VERSION'))",
        };
        format!("{script}ask {role} \"$(printf %s \"{secret}{end}\")\" '{more}' \"{sql}\"\n")
    });
    let script = script.replace('\\', "\\\\");
    from.shell(&format!(
        "ask() {{ for host in p0 p1 p2 p3; do\n\
         answer=$(PGPASSWORD=\"$2\" psql -XAtc \"$4\" \"dbname=postgres host=$host user=$1 $3\" 2>&1)\n\
         case $answer in *'password authentication failed'*) echo refused ;; [0-9]*) echo accepted ;; *) echo \"$answer\" ;; esac\n\
         done; }}\n{script}"
    ))
    .ok()
    .lines()
    .map(str::to_owned)
    .collect()
}

#[test(line_72)]
fn rotated_passwords_fail_no_statement() {
    needs_store();
    needs_citus();
    let cluster = two_groups();
    let [coordinator, standby, worker, other] = &cluster.members[..] else {
        panic!("four members");
    };
    let citus = |member: &Container, sql: &str| {
        let sql = sql.replace('"', "\\\"");
        member.shell(&format!("psql -X -U postgres -d citus -Atqc \"{sql}\""))
    };
    coordinator.wait_for("psql -U postgres -d citus -Atc \"SELECT count(*) FROM pg_dist_node WHERE noderole = 'primary' AND isactive AND metadatasynced\" | grep 2");
    citus(coordinator, TABLE).ok();
    for leader in [coordinator, worker] {
        citus(
            leader,
            "INSERT INTO pg_dist_authinfo VALUES (0, 'app', 'password=client')",
        )
        .ok();
    }
    let on_network = format!("--network={}", cluster.network.0);
    let image = image().expect("the members have one");
    let clients = Container::create_from(image, &[&on_network, "--entrypoint=sleep"], &["600"]);
    clients.start();
    start_clients(&clients, REMOTE);
    start_clients(coordinator, LOCAL);

    for member in &cluster.members {
        give_secrets(member, NEW);
    }
    // An attempt that was broken off: one group has prepared, and the way between the members is open.
    worker.shell("/entrypoint.sh rotate-passwords prepare").ok();
    let rotated = rotate(&cluster);
    assert_eq!(rotated.status, 0, "{rotated:?}");
    stop_clients(&clients, &["short", "long", "superuser"]);
    stop_clients(coordinator, &["local"]);

    assert_eq!(logins(standby, OLD), ["refused"; 12], "{rotated:?}");
    assert_eq!(logins(standby, NEW), ["accepted"; 12], "{rotated:?}");
    for member in &cluster.members {
        let log = member.log();
        let shown = log
            .lines()
            .find(|line| line.contains(&OLD[..6]) || line.contains(&NEW[..6]));
        assert_eq!(shown, None);
    }

    // What logs in from now on does so with the new ones: members that change their places, and one that starts again.
    other.end_by("TERM");
    other.start();
    standby
        .shell("patronictl switchover test --group 0 --leader p0 --candidate p1 --force")
        .ok();
    let streams = "psql -U postgres -Atc 'SELECT status FROM pg_stat_wal_receiver' | grep streaming";
    standby.wait_for("psql -U postgres -Atc 'SELECT pg_is_in_recovery()' | grep f");
    coordinator.wait_for(streams);
    other.wait_for(streams);
    standby.wait_for("psql -U postgres -d citus -Atc 'SELECT bool_and(result) FROM citus_check_cluster_node_health()' | grep t");
    assert_eq!(
        citus(standby, "SELECT count(*) % 5 FROM kept").ok(),
        "0",
        "the table is whole"
    );
    let again = rotate(&cluster);
    assert!(
        again.status == 1
            && again
                .err
                .contains("the members use the passwords of their secrets already"),
        "{again:?}"
    );
}

#[test(line_73)]
fn passwords_in_the_environment_are_not_rotated() {
    needs_image();
    needs_patroni();
    let command = ["rotate-passwords", "check", "salt"];
    let options = [
        "--env=PATRONI_SCOPE=test",
        "--env=POSTGRES_PASSWORD=secret",
        "--env=PATRONI_REPLICATION_PASSWORD=secret",
    ];
    let ran = Container::to_the_end(&options, &command);
    assert_eq!(ran.status, 1, "{ran:?}");
    for name in ["POSTGRES_PASSWORD", "PATRONI_REPLICATION_PASSWORD"] {
        let problem = format!("{name} has the password itself");
        let remedy = format!("name a file in {name}_FILE");
        assert!(ran.err.contains(&problem) && ran.err.contains(&remedy), "{ran:?}");
    }
    let own = Container::to_the_end(&[], &command);
    assert_eq!(own.status, 1, "{own:?}");
    assert!(
        own.err
            .contains("no Patroni runs here with the image's own configuration"),
        "{own:?}"
    );
}

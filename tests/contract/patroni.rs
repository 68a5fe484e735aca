//! Patroni: clusters from the environment alone, their health in each state, hooks and synchronous modes.

use super::container::{Container, DATA, Network, Volume};
use super::needs::{needs_citus, needs_patroni, needs_store};
use super::process::leave_orphans;

/// The members of one cluster and their store.
pub struct Cluster {
    /// In the order in which they were added.
    pub members: Vec<Container>,
    _etcd: Container,
    /// The network of the members and their store.
    pub network: Network,
    /// The option that names the store.
    pub store: String,
}

impl Cluster {
    /// A store, and no members yet.
    pub fn new() -> Self {
        Self::in_network(Network::new())
    }

    /// The same in a network that is there.
    pub fn in_network(network: Network) -> Self {
        let on_network = format!("--network={}", network.0);
        let urls = [
            "--listen-client-urls=http://0.0.0.0:2379",
            "--advertise-client-urls=http://etcd:2379",
            "--data-dir=/tmp/etcd",
        ];
        let image = needs_store();
        let etcd = Container::create_from(
            image,
            &[&on_network, "--network-alias=etcd", "--entrypoint=etcd"],
            &urls,
        );
        etcd.start();
        let store = format!("--env=PATRONI_ETCD3_HOSTS={}:2379", etcd.name);
        Self {
            members: Vec::new(),
            _etcd: etcd,
            network,
            store,
        }
    }

    /// Creates a member and starts it; gives its number.
    pub fn add(&mut self, options: &[&str]) -> usize {
        let member = self.create(options);
        member.start();
        self.members.push(member);
        self.members.len() - 1
    }

    /// Creates what would be the next member, without adding it.
    pub fn create(&self, options: &[&str]) -> Container {
        let name = format!("--hostname=p{}", self.members.len());
        let on_network = format!("--network={}", self.network.0);
        let fixed = [
            &name,
            &on_network,
            &self.store,
            "--env=PATRONI_SCOPE=test",
            "--env=POSTGRES_PASSWORD=secret",
            "--env=PATRONI_REWIND_PASSWORD=rewinds",
        ];
        let member = Container::create(&[&fixed, options].concat(), &[]);
        member.copy_script(
            "a.sql",
            0o644,
            "CREATE TABLE made_once AS SELECT current_database() AS name;",
        );
        member
    }

    /// Waits until the member sees itself in a state that `patronictl list` prints.
    #[track_caller]
    pub fn wait_for(&self, member: usize, state: &str) {
        self.members[member].wait_for(&format!(
            "patronictl list --format=tsv | grep -P '^(?:.*\\t)?p{member}\\t.*\\t{state}\\t'"
        ));
    }
}

/// The password that members replicate with.
pub const REPLICATES: &str = "--env=PATRONI_REPLICATION_PASSWORD=replicates";

#[test(patroni_1, line_27)]
fn two_members_form_a_cluster_and_are_healthy() {
    needs_store();
    let mut cluster = Cluster::new();
    let leader = cluster.add(&[
        REPLICATES,
        "--env=POSTGRES_DB=app",
        "--env=PATRONI_SYNCHRONOUS_MODE=on",
    ]);
    cluster.wait_for(leader, "Leader\trunning");
    let first = &cluster.members[leader];
    assert_eq!(first.health().status, 0, "leader: {:?}", first.health());
    assert_eq!(
        first
            .shell("psql -U postgres -d app -Atc 'SELECT name FROM made_once'")
            .ok(),
        "app"
    );
    assert_eq!(
        first
            .shell("patroni --validate-config --ignore-listen-port /etc/postgresql/patroni.yml")
            .status,
        0
    );
    assert_eq!(
        first
            .shell("grep -c -E 'secret|replicates|rewinds' /etc/postgresql/patroni.yml")
            .out
            .trim(),
        "0"
    );

    // What Patroni needs at each start of PostgreSQL is compiled once.
    let compiled = "find /etc/postgresql/.python -name 'postmaster.*.pyc' | grep --count patroni";
    assert_eq!(first.shell(compiled).out.trim(), "1");

    // With a wrong password its copy keeps failing, so it stays a replica that is being made.
    let hopeless = cluster.add(&["--env=PATRONI_REPLICATION_PASSWORD=wrong"]);
    cluster.wait_for(hopeless, "Replica\t(?:creating replica|stopped)");
    let copying = &cluster.members[hopeless];
    assert_eq!(
        copying.health().status,
        0,
        "a replica that is being made: {:?}",
        copying.health()
    );
    cluster.members.pop();

    let replica = cluster.add(&[REPLICATES]);
    cluster.wait_for(replica, "(?:Sync Standby|Replica)\tstreaming");
    let (first, second) = (&cluster.members[leader], &cluster.members[replica]);
    assert_eq!(second.health().status, 0, "replica: {:?}", second.health());
    assert_eq!(second.sql("SELECT pg_is_in_recovery()"), "t");
    second.lacks(&format!("{DATA}/.initialising"));
    leave_orphans(second);
    leave_orphans(first);
    assert!(
        !first
            .log()
            .contains("terminating any other active server processes")
    );

    first.shell("patronictl pause --wait").ok();
    assert_eq!(first.health().status, 0, "paused");
    second.shell("pg_ctl stop --mode=fast").ok();
    assert_eq!(
        second.health().status,
        0,
        "PostgreSQL stopped by a user while paused"
    );
    first.shell("patronictl resume --wait").ok();

    let main = "$(for p in /proc/[0-9]*; do read -r _ _ _ parent _ <$p/stat; [[ $parent == 1 ]] && grep -q patroni $p/cmdline && echo ${p#/proc/}; done | head -n 1)";
    assert_eq!(second.shell(&format!("kill -STOP {main}")).status, 0);
    let hung = second.health();
    assert_ne!(hung.status, 0, "Patroni hangs: {hung:?}");
    assert_eq!(second.shell(&format!("kill -CONT {main}")).status, 0);

    cluster.wait_for(replica, "Sync Standby\tstreaming");
    assert_eq!(first.end_by("TERM"), 0, "a clean stop");
    cluster.wait_for(replica, "Leader\trunning");
    assert_eq!(second.sql("SELECT pg_is_in_recovery()"), "f");
}

#[test(patroni_4)]
fn mistakes_are_reported_together() {
    needs_patroni();
    let options = [
        "--env=PATRONI_SCOPE=test",
        "--env=PATRONI_SYNCHRONOUS_MODE=maybe",
        "--env=PATRONI_CITUS_GROUP=zero",
        "--env=PATRONI_TTL=15",
    ];
    let ran = Container::to_the_end(&options, &["postgres", "-c", "work_mem=1MB"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    for mistake in [
        "cannot be given the arguments '-c work_mem=1MB'",
        "PATRONI_SYNCHRONOUS_MODE is 'maybe'",
        "PATRONI_CITUS_GROUP and PATRONI_CITUS_DATABASE belong together",
        "PATRONI_CITUS_GROUP is 'zero'",
        "PATRONI_TTL=15, PATRONI_LOOP_WAIT=10 and PATRONI_RETRY_TIMEOUT=10 do not fit",
        "no store to agree in",
        "the superuser has no password",
        "replication has no password",
    ] {
        assert!(ran.err.contains(mistake), "{mistake}: {ran:?}");
    }
    assert!(
        Container::to_the_end(&[], &["patroni"])
            .err
            .contains("PATRONI_SCOPE is not set")
    );
}

#[test(patroni_5)]
fn a_mounted_patroni_file_is_used_unchanged() {
    needs_patroni();
    let container = Container::create(&["--env=PATRONI_SCOPE=test"], &["--explain"]);
    let own = "scope: mine\nname: me\netcd3: {host: 'etcd:2379'}\nrestapi: {listen: ':8008'}\n\
               postgresql: {listen: '*:5432', data_dir: /var/lib/postgresql/data}\n";
    container.copy("/etc/postgresql/patroni.yml", 0o644, own);
    let ran = container.run();
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.out.contains("from /etc/postgresql/patroni.yml"), "{ran:?}");
}

#[test(patroni_6)]
fn timeouts_and_mounted_settings_reach_patroni() {
    needs_patroni();
    let options = [
        "--env=PATRONI_SCOPE=test",
        "--env=PATRONI_ETCD3_HOSTS=etcd:2379",
        "--env=POSTGRES_PASSWORD=secret",
        REPLICATES,
        "--env=PATRONI_TTL=20",
        "--env=PATRONI_LOOP_WAIT=4",
        "--env=PATRONI_RETRY_TIMEOUT=5",
        "--env=PATRONI_FAILSAFE_MODE=on",
        "--memory=512m",
        "--volume=/etc/postgresql/conf.d",
    ];
    let container = Container::create(&options, &["--explain"]);
    let own = "work_mem = 3MB\nshared_buffers = '64MB'\nwork_mem = '5MB'\n";
    container.copy("/etc/postgresql/conf.d/own.conf", 0o644, own);
    let explained = container.run().ok();
    for line in [
        "ttl: 20",
        "loop_wait: 4",
        "retry_timeout: 5",
        "failsafe_mode: on",
        "work_mem: '5MB'",
        "shared_buffers: '64MB'",
    ] {
        assert!(
            explained.lines().any(|other| other.trim() == line),
            "{line}: {explained}"
        );
    }
    assert_eq!(explained.matches("shared_buffers").count(), 1, "{explained}");
}

/// A hook that writes its name and arguments to the container's log.
const HOOK: &str = "#!/bin/bash\nprintf 'hook %s %s\\n' \"$(basename \"$0\")\" \"$*\" >&2\n";

#[test(patroni_7)]
fn hooks_run_from_first_start_to_failover() {
    needs_store();
    let hooks = Volume::new();
    let directory = "for option; do case $option in --datadir=*) d=${option#*=} ;; --connstring=*) c=${option#*=} ;; esac; done\n";
    let bootstrap = format!(
        "{HOOK}{directory}initdb --pgdata=$d --username=postgres --data-checksums --no-sync >/dev/null\n\
         echo 'CREATE TABLE restored AS SELECT 1 AS one' | postgres --single -D $d postgres >/dev/null\n"
    );
    let replica =
        format!("{HOOK}{directory}exec pg_basebackup --pgdata=$d --dbname=\"$c\" --wal-method=stream\n");
    let all = "on_start on_stop on_restart on_reload on_role_change pre_promote before_stop";
    hooks.shell(&format!(
        "cd {DATA}; cat >bootstrap <<'END'\n{bootstrap}END\ncat >create_replica <<'END'\n{replica}END\n\
         for name in {all}; do cat >$name <<'END'\n{HOOK}END\ndone; chmod 0755 *"
    ));
    let mount = format!("--volume={}:/etc/patroni/hooks:ro", hooks.0);
    let mut cluster = Cluster::new();
    let leader = cluster.add(&[REPLICATES, &mount]);
    cluster.wait_for(leader, "Leader\trunning");
    let first = &cluster.members[leader];
    assert_eq!(
        first.sql("SELECT one FROM restored"),
        "1",
        "the hook has made the cluster"
    );
    let scripts = first.shell("psql -U postgres -Atc \"SELECT to_regclass('made_once') IS NULL\"");
    assert_eq!(
        scripts.out.trim(),
        "t",
        "the initialisation scripts do not run on it"
    );
    first.shell("patronictl reload test --force").ok();
    // Patroni ends a callback that still runs when it starts the next one.
    first.wait_for_log("hook on_reload");
    first.shell("patronictl restart test p0 --force").ok();
    cluster.wait_for(leader, "Leader\trunning");

    let standby = cluster.add(&[REPLICATES, &mount]);
    cluster.wait_for(standby, "Replica\tstreaming");
    let (first, second) = (&cluster.members[leader], &cluster.members[standby]);
    assert_eq!(first.end_by("TERM"), 0, "a clean stop");
    cluster.wait_for(standby, "Leader\trunning");
    second.wait_for("psql -U postgres -Atc 'SELECT pg_is_in_recovery()' | grep f");

    let called = |container: &Container, hook: &str, with: &str| {
        let log = container.log();
        let began = format!("hook {hook} {with}");
        assert!(log.lines().any(|line| line.starts_with(&began)), "{began}: {log}");
    };
    called(
        first,
        "bootstrap",
        "--scope=test --datadir=/var/lib/postgresql/data",
    );
    for (hook, with) in [
        ("on_start", "on_start primary test"),
        ("on_reload", "on_reload primary test"),
        ("on_restart", "on_restart primary test"),
        ("before_stop", ""),
        ("on_stop", "on_stop primary test"),
    ] {
        called(first, hook, with);
    }
    called(second, "create_replica", "");
    for (hook, with) in [
        ("on_start", "on_start replica test"),
        ("pre_promote", ""),
        ("on_role_change", "on_role_change primary test"),
    ] {
        called(second, hook, with);
    }
}

#[test(patroni_8)]
fn quorum_and_strict_synchronous_modes_wait_for_standbys() {
    needs_store();
    let configured = |container: &Container, line: &str| {
        let shown = container.shell("patronictl show-config").ok();
        assert!(shown.lines().any(|other| other == line), "{line}: {shown}");
    };
    let mut quorum = Cluster::new();
    let options = [
        REPLICATES,
        "--env=PATRONI_SYNCHRONOUS_MODE=quorum",
        "--env=PATRONI_SYNCHRONOUS_NODE_COUNT=1",
    ];
    let leader = quorum.add(&options);
    quorum.wait_for(leader, "Leader\trunning");
    for _ in 0..2 {
        let standby = quorum.add(&options);
        quorum.wait_for(standby, "Quorum Standby\tstreaming");
    }
    let first = &quorum.members[leader];
    configured(first, "synchronous_mode: quorum");
    configured(first, "synchronous_node_count: 1");
    first.wait_for(
        "psql -U postgres -Atc \"SELECT string_agg(sync_state, ',') FROM pg_stat_replication\" | grep '^quorum,quorum$'",
    );
    let names = first.sql("SHOW synchronous_standby_names");
    assert!(
        names.starts_with("ANY 1 (") && names.contains("p1") && names.contains("p2"),
        "{names}"
    );
    drop(quorum);

    let mut strict = Cluster::new();
    let options = [
        REPLICATES,
        "--env=PATRONI_SYNCHRONOUS_MODE=on",
        "--env=PATRONI_SYNCHRONOUS_MODE_STRICT=on",
    ];
    let leader = strict.add(&options);
    strict.wait_for(leader, "Leader\trunning");
    let first = &strict.members[leader];
    configured(first, "synchronous_mode_strict: true");
    first.wait_for("psql -U postgres -Atc 'SHOW synchronous_standby_names' | grep -F '*'");
    // It is acknowledged when a standby confirms it, and no earlier.
    let alone = "psql -U postgres -c 'CREATE TABLE alone ()' </dev/null >/tmp/alone 2>&1 & disown";
    first.shell(alone).ok();
    let waits = "SELECT wait_event FROM pg_stat_activity WHERE query = 'CREATE TABLE alone ()'";
    first.wait_for(&format!("psql -U postgres -Atc \"{waits}\" | grep SyncRep"));
    assert_eq!(first.shell("cat /tmp/alone").ok(), "");
    let standby = strict.add(&options);
    strict.wait_for(standby, "Sync Standby\tstreaming");
    let first = &strict.members[leader];
    first.wait_for("psql -U postgres -Atc 'SELECT sync_state FROM pg_stat_replication' | grep '^sync$'");
    first.wait_for("grep 'CREATE TABLE' /tmp/alone");
    first.sql("CREATE TABLE confirmed ()");
    assert_eq!(
        strict.members[standby].sql("SELECT to_regclass('confirmed')"),
        "confirmed"
    );
}

#[test(patroni_1)]
fn citus_gets_the_database_that_scripts_fill() {
    needs_store();
    needs_citus();
    let mut cluster = Cluster::new();
    let coordinator = cluster.add(&[
        REPLICATES,
        "--env=PATRONI_CITUS_GROUP=0",
        "--env=PATRONI_CITUS_DATABASE=a b",
    ]);
    let first = &cluster.members[coordinator];
    first.wait_for("psql -U postgres -d 'a b' -Atc 'SELECT groupid FROM pg_dist_node' | grep 0");
    let made = "psql -U postgres -d 'a b' -Atc 'SELECT name FROM made_once'";
    assert_eq!(first.shell(made).ok(), "a b");
}

//! The command `upgrade`, in an image with two majors: the image under test if its manifest names an older major, or else a copy of it
//! with Debian's PostgreSQL 15 added.

use std::sync::OnceLock;

use super::container::{Container, DATA, Ran, Volume, build_image, image};
use super::needs::needs_image;
use crate::harness::skip;

/// The major whose programs are added to an image under test that has no older ones. An upgrade needs nothing else of it.
const STAND_IN: &str = "15";

/// An image with two majors.
struct TwoMajors {
    /// Its name.
    image: String,
    /// The older major.
    old: String,
}

/// The newest older major in the image under test.
fn own_older_major() -> Option<String> {
    let script = "ls /usr/lib/postgresql | sort --general-numeric-sort | grep --invert-match --line-regexp $PG_MAJOR | tail -n 1";
    let ran = Container::to_the_end(&["--entrypoint=bash"], &["-c", script]);
    Some(ran.ok()).filter(|old| !old.is_empty())
}

/// An image with two majors. The added one comes from Debian's point release: a major can only be upgraded to a minor release that is as
/// new, and Debian's security archive may be ahead.
fn needs_two_majors() -> &'static TwoMajors {
    static BOTH: OnceLock<Result<TwoMajors, String>> = OnceLock::new();
    BOTH.get_or_init(|| {
        let under_test = image()?;
        if let Some(old) = own_older_major() {
            return Ok(TwoMajors {
                image: under_test.to_owned(),
                old,
            });
        }
        let (old, name) = (STAND_IN, format!("{under_test}-with-{STAND_IN}"));
        let recipe = format!(
            "FROM debian:bookworm AS old\n\
                 RUN mkdir /old && cd /tmp && apt-get update -q && \\\n\
                     apt-get download -q postgresql-{old}/bookworm libpq5/bookworm && \\\n\
                     for deb in *.deb; do dpkg-deb --extract $deb /old; done && \\\n\
                     mkdir /libpq && mv /old/usr/lib/*-linux-gnu/libpq.so.5* /libpq/\n\
                 FROM {under_test}\n\
                 COPY --from=old /old/usr/lib/postgresql/{old} /usr/lib/postgresql/{old}\n\
                 COPY --from=old /old/usr/share/postgresql/{old} /usr/share/postgresql/{old}\n\
                 COPY --from=old /libpq /usr/local/lib\n\
                 USER root\n\
                 RUN ldconfig\n\
                 USER postgres\n"
        );
        build_image(&name, &recipe)?;
        Ok(TwoMajors {
            image: name,
            old: old.to_owned(),
        })
    })
    .as_ref()
    .unwrap_or_else(|why| skip(why))
}

/// Runs the image with both majors on a volume.
fn with_both(volume: &Volume, command: &[&str]) -> Ran {
    Container::create_from(&needs_two_majors().image, &[&volume.as_data()], command).run()
}

/// A cluster of the old major with an extension, a setting, and an unclean shutdown.
fn old_cluster() -> Volume {
    let (volume, old) = (Volume::new(), &needs_two_majors().old);
    let script = format!(
        "chmod 0700 {DATA}; bin=/usr/lib/postgresql/{old}/bin; $bin/initdb --username=postgres --data-checksums --no-sync {DATA} >/dev/null
         printf '%s\\n' 'work_mem = 5MB' \"include 'own.conf'\" >>{DATA}/postgresql.conf; echo 'temp_buffers = 9MB' >{DATA}/own.conf; echo 'host all all all scram-sha-256' >>{DATA}/pg_hba.conf
         $bin/pg_ctl -D {DATA} -w -s -o '-k /tmp' start >/dev/null
         psql -h /tmp -U postgres -q -c 'CREATE EXTENSION pg_stat_statements' -c \"CREATE TABLE kept AS SELECT 'before' AS word\"
         $bin/pg_ctl -D {DATA} -s -m immediate stop"
    );
    in_bash(&volume, &script);
    volume
}

/// Runs a script on a volume in the image with both majors, without the entrypoint.
#[track_caller]
fn in_bash(volume: &Volume, script: &str) {
    let options = [&volume.as_data(), "--entrypoint=bash"];
    let ran = Container::create_from(&needs_two_majors().image, &options, &["-c", script]).run();
    assert_eq!(ran.status, 0, "{ran:?}");
}

/// Starts an upgrade and kills it once it reaches a state.
fn kill_in(volume: &Volume, state: &str) {
    let container = Container::create_from(&needs_two_majors().image, &[&volume.as_data()], &["upgrade"]);
    container.start();
    container.wait_for(&format!("grep -q '^{state} ' {DATA}/.upgrade/state"));
    assert_eq!(container.end_by("KILL"), 137, "{}", container.log());
    let refused = with_both(volume, &[]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(
        refused.err.contains(&format!(
            "from PostgreSQL {} did not complete (it was {state})",
            needs_two_majors().old
        )) && refused.err.contains("run the command `upgrade` again"),
        "{refused:?}"
    );
}

#[test(upgrade_1)]
fn upgrade_needs_the_command_and_keeps_the_old_cluster() {
    needs_two_majors();
    let volume = old_cluster();
    let refused = with_both(&volume, &[]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.err.contains("docker run … IMAGE upgrade"), "{refused:?}");

    kill_in(&volume, "preparing");
    let abandoned = with_both(&volume, &["upgrade", "--abandon"]);
    assert_eq!(abandoned.status, 0, "{abandoned:?}");
    assert_eq!(
        volume.shell(&format!("cat {DATA}/PG_VERSION; ls -d {DATA}/.upgrade || true")),
        needs_two_majors().old
    );

    kill_in(&volume, "finishing");
    let upgraded = with_both(&volume, &["upgrade"]);
    assert_eq!(upgraded.status, 0, "{upgraded:?}");
    let again = with_both(&volume, &["upgrade"]);
    assert!(again.status == 1 && again.err.contains("already"), "{again:?}");

    let container = Container::serving(&[&volume.as_data()], &[]);
    assert_eq!(container.sql("SELECT word FROM kept"), "before");
    assert_eq!(container.sql("SHOW work_mem"), "5MB");
    assert_eq!(
        container.sql("SHOW temp_buffers"),
        "9MB",
        "the included configuration is there"
    );
    assert_eq!(container.sql("SHOW data_checksums"), "on");
    let versions = "SELECT installed_version = default_version, installed_version <> '1.10' FROM pg_available_extensions \
                    WHERE name = 'pg_stat_statements'";
    assert_eq!(container.sql(versions), "t|t", "the extension is the image's");
    assert_eq!(
        container.shell(&format!("tail -n 1 {DATA}/pg_hba.conf")).ok(),
        "host all all all scram-sha-256"
    );
    assert_eq!(
        container
            .shell(&format!("cat {DATA}/.upgrade/old/PG_VERSION"))
            .ok(),
        needs_two_majors().old
    );
    assert_eq!(container.end_by("TERM"), 0);
    drop(container);
    assert_eq!(with_both(&volume, &["upgrade", "--discard-old"]).status, 0);
    let container = Container::serving(&[&volume.as_data()], &[]);
    assert_eq!(container.sql("SELECT word FROM kept"), "before");
    container.lacks(&format!("{DATA}/.upgrade"));
}

#[test(upgrade_2)]
fn mistakes_change_nothing() {
    needs_image();
    let volume = Volume::new();
    let empty = Container::to_the_end(&[&volume.as_data()], &["upgrade", "--fast"]);
    assert_eq!(empty.status, 1, "{empty:?}");
    assert!(
        empty.err.contains("--fast is none of") && empty.err.contains("there is nothing to upgrade"),
        "{empty:?}"
    );
    volume.shell(&format!("echo 9.6 >{DATA}/PG_VERSION; chown -R 999:999 {DATA}"));
    let unknown = Container::to_the_end(&[&volume.as_data()], &["upgrade"]);
    assert_eq!(unknown.status, 1, "{unknown:?}");
    assert!(
        unknown.err.contains("this image has no programs of it"),
        "{unknown:?}"
    );
    assert_eq!(volume.shell(&format!("ls -A {DATA}")), "PG_VERSION");
}

/// For every extension: what the older cluster has of it, and a query after the upgrade with its answer.
const CARRIED: [(&str, &str, &str, &str); 8] = [
    (
        "citus",
        "CREATE EXTENSION citus; CREATE EXTENSION citus_columnar; CREATE TABLE spread (id int PRIMARY KEY, word text); SELECT create_distributed_table('spread', 'id'); \
         INSERT INTO spread SELECT i, 'word ' || i FROM generate_series(1, 100) AS i; \
         CREATE TABLE packed (i int) USING columnar; INSERT INTO packed SELECT generate_series(1, 1000);",
        "INSERT INTO spread VALUES (101, 'new'); SELECT (SELECT count(*) FROM spread), (SELECT word FROM spread WHERE id = 42), \
         (SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = 'spread'::regclass), (SELECT sum(i) FROM packed)",
        "101|word 42|32|500500",
    ),
    (
        "pgvector",
        "CREATE EXTENSION vector; CREATE TABLE items (id int, v vector(2)); \
         INSERT INTO items SELECT i, ARRAY[i, 100 - i]::vector FROM generate_series(1, 100) AS i; CREATE INDEX nearest ON items USING hnsw (v vector_l2_ops);",
        "SET enable_seqscan = off; SELECT id FROM items ORDER BY v <-> '[40,60]' LIMIT 1",
        "40",
    ),
    (
        "pg_cron",
        "CREATE EXTENSION pg_cron; SELECT cron.schedule('nightly', '0 3 * * *', 'VACUUM');",
        "SELECT jobname, schedule, command FROM cron.job",
        "nightly|0 3 * * *|VACUUM",
    ),
    (
        "pg_partman",
        "CREATE SCHEMA partman; CREATE EXTENSION pg_partman SCHEMA partman; CREATE TABLE measured (at timestamptz NOT NULL) PARTITION BY RANGE (at); \
         SELECT partman.create_parent('public.measured', 'at', '1 day'); INSERT INTO measured VALUES (now());",
        "DO $$BEGIN PERFORM partman.run_maintenance(); END$$; SELECT count(*), (SELECT parent_table FROM partman.part_config) FROM measured",
        "1|public.measured",
    ),
    (
        "pgaudit",
        "CREATE EXTENSION pgaudit;",
        "SELECT count(*) FROM pg_event_trigger WHERE evtname LIKE 'pgaudit%'",
        "2",
    ),
    (
        "pg_repack",
        "CREATE EXTENSION pg_repack; CREATE TABLE bloated (i int PRIMARY KEY); INSERT INTO bloated SELECT generate_series(1, 10);",
        "SELECT count(*) FROM repack.tables WHERE relname LIKE '%bloated'",
        "1",
    ),
    (
        "rum",
        "CREATE EXTENSION rum; CREATE TABLE texts (id int, t tsvector); INSERT INTO texts VALUES (1, to_tsvector('english', 'a stone')), \
         (2, to_tsvector('english', 'a rolling stone')); CREATE INDEX found ON texts USING rum (t rum_tsvector_ops);",
        "SET enable_seqscan = off; SELECT string_agg(id::text, ',') FROM texts WHERE t @@ 'roll & stone'",
        "2",
    ),
    (
        "topn",
        "CREATE EXTENSION topn; CREATE TABLE counted AS SELECT topn_add_agg(word) AS top FROM (VALUES ('a'), ('b'), ('b')) AS words (word);",
        "SELECT (topn(top, 1)).* FROM counted",
        "b|2",
    ),
];

#[test(upgrade_3)]
fn every_extension_of_the_image_is_carried_over() {
    needs_image();
    let Some(old) = own_older_major() else {
        skip("the image has no older major with extensions: make image PREVIOUS=17")
    };
    let has = |name: &str| {
        let listed = format!(
            "import json; print([one['name'] for one in json.load(open('/usr/share/pgsetup/receipt.json'))['components'] \
             if one.get('older_major') == {old}].count('{name}'))"
        );
        Container::to_the_end(&["--entrypoint=python3"], &["-c", &listed]).ok() == "1"
    };
    for (name, ..) in CARRIED {
        if !has(name) {
            skip(&format!("the image has no {name} for PostgreSQL {old}"));
        }
    }
    let volume = Volume::new();
    let made: Vec<&str> = CARRIED.iter().map(|(_, made, ..)| *made).collect();
    let script = format!(
        "set -e; chmod 0700 {DATA}; bin=/usr/lib/postgresql/{old}/bin; $bin/initdb --username=postgres --no-sync {DATA} >/dev/null
         libraries=$(sed -n \"s/^shared_preload_libraries = '\\(.*\\)'/\\1/p\" /etc/postgresql/image.conf)
         $bin/pg_ctl -D {DATA} -w -s -o \"-k /tmp -c shared_preload_libraries=$libraries\" start >/dev/null
         psql -h /tmp -U postgres -v ON_ERROR_STOP=1 -q >/dev/null <<'SQL'\n{}\nSQL\n\
         $bin/pg_ctl -D {DATA} -s -m fast stop",
        made.join("\n")
    );
    in_bash(&volume, &script);
    let upgraded = with_both(&volume, &["upgrade"]);
    assert_eq!(upgraded.status, 0, "{upgraded:?}");

    let container = Container::serving(&[&volume.as_data()], &[]);
    let behind = "SELECT string_agg(name, ', ') FROM pg_available_extensions WHERE installed_version <> default_version";
    assert_eq!(container.sql(behind), "", "{upgraded:?}");
    for (name, _, question, answer) in CARRIED {
        assert_eq!(container.sql(question), answer, "{name}");
    }
    let repacked = container.shell("pg_repack --username=postgres --table=bloated");
    assert_eq!(repacked.status, 0, "{repacked:?}");
}

//! The command `upgrade`, in an image that has two majors: the one under test with Debian's PostgreSQL 15 put into it.

use std::sync::OnceLock;

use super::container::{Container, DATA, Ran, Volume, build_image, image};
use super::needs_image;
use crate::support::skip;

/// The programs of the older major are all that an upgrade needs of it.
const OLD: &str = "15";

/// An image with two majors, or why there is none. Debian's point release, since a major can only be upgraded to a minor release that is
/// as new, and Debian's security archive may be ahead.
fn two_majors() -> Result<&'static str, String> {
    static IMAGE: OnceLock<Result<String, String>> = OnceLock::new();
    IMAGE
        .get_or_init(|| {
            let under_test = image()?;
            let name = format!("{under_test}-with-{OLD}");
            let recipe = format!(
                "FROM debian:bookworm AS old\n\
                 RUN mkdir /old && cd /tmp && apt-get update -q && \\\n\
                     apt-get download -q postgresql-{OLD}/bookworm libpq5/bookworm && \\\n\
                     for deb in *.deb; do dpkg-deb --extract $deb /old; done && \\\n\
                     mkdir /libpq && mv /old/usr/lib/*-linux-gnu/libpq.so.5* /libpq/\n\
                 FROM {under_test}\n\
                 COPY --from=old /old/usr/lib/postgresql/{OLD} /usr/lib/postgresql/{OLD}\n\
                 COPY --from=old /old/usr/share/postgresql/{OLD} /usr/share/postgresql/{OLD}\n\
                 COPY --from=old /libpq /usr/local/lib\n\
                 USER root\n\
                 RUN ldconfig\n\
                 USER postgres\n"
            );
            build_image(&name, &recipe).map(|()| name)
        })
        .as_deref()
        .map_err(Clone::clone)
}

/// Runs the image with both majors on a volume.
fn with_both(volume: &Volume, command: &[&str]) -> Ran {
    Container::create_from(
        two_majors().expect("the test has asked for it"),
        &[&volume.as_data()],
        command,
    )
    .run()
}

/// A cluster of the old major with an extension, a setting, and an unclean end.
fn old_cluster() -> Volume {
    let volume = Volume::new();
    let script = format!(
        "chmod 0700 {DATA}; bin=/usr/lib/postgresql/{OLD}/bin; $bin/initdb --username=postgres --data-checksums --no-sync {DATA} >/dev/null
         printf '%s\\n' 'work_mem = 5MB' \"include 'own.conf'\" >>{DATA}/postgresql.conf; echo 'temp_buffers = 9MB' >{DATA}/own.conf; echo 'host all all all scram-sha-256' >>{DATA}/pg_hba.conf
         $bin/pg_ctl -D {DATA} -w -s -o '-k /tmp' start >/dev/null
         psql -h /tmp -U postgres -q -c 'CREATE EXTENSION pg_stat_statements' -c \"CREATE TABLE kept AS SELECT 'before' AS word\"
         $bin/pg_ctl -D {DATA} -s -m immediate stop"
    );
    let made = Container::create_from(
        two_majors().expect("the test has asked for it"),
        &[&volume.as_data(), "--entrypoint=bash"],
        &["-c", &script],
    )
    .run();
    assert_eq!(made.status, 0, "{made:?}");
    volume
}

/// Starts an upgrade and kills it when it has come to a state.
fn kill_in(volume: &Volume, state: &str) {
    let name = two_majors().expect("the test has asked for it");
    let container = Container::create_from(name, &[&volume.as_data()], &["upgrade"]);
    container.start();
    container.wait_for(&format!("grep -q '^{state} ' {DATA}/.upgrade/state"));
    assert_eq!(container.end_by("KILL"), 137, "{}", container.log());
    let refused = with_both(volume, &[]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(
        refused.err.contains(&format!(
            "from PostgreSQL {OLD} did not complete (it was {state})"
        )) && refused.err.contains("run the command `upgrade` again"),
        "{refused:?}"
    );
}

#[test]
fn upgrade_1_only_by_command_and_the_old_cluster_is_kept() {
    needs_image!();
    if let Err(why) = two_majors() {
        return skip(&why);
    }
    let volume = old_cluster();
    let refused = with_both(&volume, &[]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.err.contains("docker run … IMAGE upgrade"), "{refused:?}");

    kill_in(&volume, "preparing");
    let abandoned = with_both(&volume, &["upgrade", "--abandon"]);
    assert_eq!(abandoned.status, 0, "{abandoned:?}");
    assert_eq!(
        volume.shell(&format!("cat {DATA}/PG_VERSION; ls -d {DATA}/.upgrade || true")),
        OLD
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
        "what the configuration includes is there"
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
        OLD
    );
    assert_eq!(container.end_by("TERM"), 0);
    drop(container);
    assert_eq!(with_both(&volume, &["upgrade", "--discard-old"]).status, 0);
    let container = Container::serving(&[&volume.as_data()], &[]);
    assert_eq!(container.sql("SELECT word FROM kept"), "before");
    assert_ne!(container.shell(&format!("ls -d {DATA}/.upgrade")).status, 0);
}

#[test]
fn upgrade_2_mistakes_change_nothing() {
    needs_image!();
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

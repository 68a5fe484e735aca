//! The examples on the official image's page.

use std::io::{Read as _, Write as _};

use super::container::{Container, DATA, Network, PASSWORD, build_image, docker};
use super::needs::needs_image;
use crate::harness::skip;
use crate::support::project;

#[test(example_1)]
fn psql_connects_from_a_second_container() {
    needs_image();
    let network = Network::new();
    let on_network = format!("--network={}", network.0);
    let server = Container::serving(&[&on_network, "--env", PASSWORD], &[]);
    let client = Container::to_the_end(
        &[&on_network, "--env=PGPASSWORD=secret"],
        &[
            "psql",
            "-h",
            &server.name,
            "-U",
            "postgres",
            "-Atc",
            "SELECT current_user",
        ],
    );
    assert_eq!(client.out.trim(), "postgres", "{client:?}");
}

#[test(example_1)]
fn a_published_port_leads_to_postgresql() {
    needs_image();
    let engine = std::env::var("DOCKER_HOST").unwrap_or_default();
    if !engine.is_empty() && !engine.starts_with("unix:") {
        skip(&format!("the ports of {engine} are on another machine"));
    }
    let server = Container::serving(&["--publish=127.0.0.1::5432", "--env", PASSWORD], &[]);
    let published = docker(["port", &server.name, "5432/tcp"]).ok();
    let mut stream = std::net::TcpStream::connect(published.trim()).expect("the published port answers");
    // A server answers an SSLRequest with S or N.
    stream
        .write_all(&[0, 0, 0, 8, 4, 210, 22, 47])
        .expect("the request is sent");
    let mut answer = [0];
    stream.read_exact(&mut answer).expect("PostgreSQL answers");
    assert!(answer == *b"S" || answer == *b"N", "{answer:?}");
}

#[test(example_2)]
fn arguments_override_a_file_made_from_the_sample() {
    needs_image();
    let sample = Container::to_the_end(&[], &["cat", "/usr/share/postgresql/postgresql.conf.sample"]);
    assert_eq!(sample.status, 0, "{sample:?}");
    let container = Container::create(
        &["--env", PASSWORD],
        &[
            "-c",
            "config_file=/etc/postgresql/postgresql.conf",
            "-c",
            "shared_buffers=48MB",
            "-c",
            "max_connections=30",
        ],
    );
    container.copy(
        "/etc/postgresql/postgresql.conf",
        0o644,
        sample.out + "\nwork_mem = 6MB\n",
    );
    container.start();
    container.wait_until_serving();
    let settings = "SELECT string_agg(current_setting(name), ' ') FROM unnest(ARRAY['shared_buffers', 'max_connections', 'work_mem']) AS name";
    assert_eq!(container.sql(settings), "48MB 30 6MB");
}

#[test(example_3)]
fn a_secret_file_initdb_arguments_and_a_script_work() {
    needs_image();
    let container = Container::create(
        &[
            "--env=POSTGRES_PASSWORD_FILE=/run/postgres-passwd",
            "--env=POSTGRES_INITDB_ARGS=--data-checksums",
            "--env=PGDATA=/var/lib/postgresql/data/pgdata",
        ],
        &[],
    );
    container.copy("/run/postgres-passwd", 0o644, "mysecretpassword");
    container.copy_script(
        "init-user-db.sh",
        0o755,
        "#!/usr/bin/env bash\nset -e\npsql -v ON_ERROR_STOP=1 --username \"$POSTGRES_USER\" --dbname \"$POSTGRES_DB\" <<-EOSQL\n\
         \tCREATE USER docker;\n\tCREATE DATABASE docker;\n\tGRANT ALL PRIVILEGES ON DATABASE docker TO docker;\nEOSQL\n",
    );
    container.start();
    container.wait_until_serving();
    assert_eq!(container.sql("SHOW data_checksums"), "on");
    assert_eq!(
        container.sql("SELECT count(*) FROM pg_database WHERE datname = 'docker'"),
        "1"
    );
    assert_eq!(
        container
            .shell(&format!("cat {DATA}/pgdata/PG_VERSION | wc -l"))
            .ok(),
        "1"
    );
}

/// How German orders these words, and how code points do.
const ORDERED: &str =
    "SELECT string_agg(word, ' ' ORDER BY word) FROM (VALUES ('zu'), ('ähnlich'), ('Apfel')) AS words (word)";

#[test(example_4)]
fn icu_locales_work_and_glibc_locales_by_the_recipe() {
    let under_test = needs_image();
    let icu = "--env=POSTGRES_INITDB_ARGS=--locale-provider=icu --icu-locale=de-DE";
    let container = Container::serving(&["--env", PASSWORD, icu], &[]);
    assert_eq!(container.sql(ORDERED), "ähnlich Apfel zu");
    drop(container);

    // The recipe is taken from the guide.
    let guide = std::fs::read_to_string(project().join("docs/guides/locales.md")).unwrap();
    let (_, recipe) = guide.split_once("```dockerfile\n").expect("the guide's recipe");
    let (recipe, _) = recipe.split_once("```").expect("the end of the recipe");
    let recipe = recipe.replace("pgsetup/postgresql:18", under_test);
    let name = format!("{under_test}-german");
    if let Err(why) = build_image(&name, &recipe) {
        skip(&why);
    }
    let container = Container::create_from(&name, &["--env", PASSWORD], &[]);
    container.start();
    container.wait_until_serving();
    assert_eq!(
        container.sql("SELECT datcollate FROM pg_database WHERE datname = 'postgres'"),
        "de_DE.utf8"
    );
    assert_eq!(container.sql(ORDERED), "ähnlich Apfel zu");
    drop(container);
    docker(["image", "rm", &name]);
}

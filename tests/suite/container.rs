//! The finished image that `PGSETUP_TEST_IMAGE` names: what is in it, what is no longer in it, and that its extensions work.
//!
//! How a container of it behaves is tested in `contract`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use crate::contract::container::{Container, PASSWORD, Ran, docker, image};
use crate::harness::skip;
use crate::support::{project, wait_for};

/// A use of an extension: statements for psql, and their answer.
struct Use {
    extension: &'static str,
    sql: &'static str,
    answer: &'static str,
}

/// One use each of the default extensions.
const USES: [Use; 8] = [
    Use {
        extension: "citus",
        sql: "CREATE TABLE events (tenant int, id int, payload text, PRIMARY KEY (tenant, id));
              SELECT create_distributed_table('events', 'tenant', shard_count => 4) \\g /dev/null
              INSERT INTO events SELECT i % 10, i, 'event ' || i FROM generate_series(1, 1000) AS i;
              SELECT count(*), sum(id) FROM events;
              SELECT count(*), sum(shard_size) > 0, pg_relation_size('events') FROM citus_shards;",
        answer: "1000|500500\n4|t|0",
    },
    Use {
        extension: "pgvector",
        sql: "CREATE TABLE items (id int, embedding vector(3));
              INSERT INTO items SELECT i, ARRAY[i, i % 7, i % 11]::real[]::vector FROM generate_series(1, 1000) AS i;
              CREATE INDEX items_hnsw ON items USING hnsw (embedding vector_l2_ops);
              SET enable_seqscan = off;
              CREATE FUNCTION plan() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY
                EXPLAIN (COSTS off) SELECT id FROM items ORDER BY embedding <-> '[500,3,5]' LIMIT 1; END $$;
              SELECT (SELECT bool_or(line LIKE '%Index Scan using items_hnsw%') FROM plan() AS line),
                     (SELECT id FROM items ORDER BY embedding <-> '[500,3,5]' LIMIT 1);",
        answer: "t|500",
    },
    Use {
        extension: "pg_cron",
        sql: "SELECT cron.schedule('nightly', '0 3 * * *', 'VACUUM') \\g /dev/null
              SELECT jobname, schedule, command, active FROM cron.job;",
        answer: "nightly|0 3 * * *|VACUUM|t",
    },
    Use {
        extension: "pg_partman",
        sql: "CREATE TABLE measures (at timestamptz NOT NULL, value int) PARTITION BY RANGE (at);
              SELECT partman.create_parent('public.measures', 'at', '1 day', p_premake => 3) \\g /dev/null
              INSERT INTO measures VALUES (now(), 1);
              SELECT count(*) >= 4, (SELECT count(*) FROM measures) FROM pg_inherits WHERE inhparent = 'measures'::regclass;",
        answer: "t|1",
    },
    Use {
        extension: "pgaudit",
        sql: "SET pgaudit.log = 'write';
              CREATE TABLE audited (id int);
              INSERT INTO audited VALUES (42);
              SELECT id FROM audited;",
        answer: "42",
    },
    Use {
        extension: "pg_repack",
        sql: "CREATE TABLE bloated AS SELECT i AS id, repeat('x', 100) AS text FROM generate_series(1, 1000) AS i;
              ALTER TABLE bloated ADD PRIMARY KEY (id);
              DELETE FROM bloated WHERE id > 10;
              SELECT count(*) FROM bloated;",
        answer: "10",
    },
    Use {
        extension: "rum",
        sql: "CREATE TABLE texts (id int, words tsvector);
              INSERT INTO texts VALUES (1, to_tsvector('english', 'a fat cat')), (2, to_tsvector('english', 'cats and dogs')),
                (3, to_tsvector('english', 'a dog sleeps'));
              CREATE INDEX texts_rum ON texts USING rum (words rum_tsvector_ops);
              SET enable_seqscan = off;
              SELECT string_agg(id::text, ',' ORDER BY words <=> to_tsquery('english', 'cat')) FROM texts
                WHERE words @@ to_tsquery('english', 'cat');",
        answer: "1,2",
    },
    Use {
        extension: "topn",
        sql: "SELECT (topn(topn_add_agg(word), 1)).* FROM unnest(ARRAY['b', 'a', 'a']) AS word;",
        answer: "a|2",
    },
];

/// The contents of an image.
struct Inside {
    /// Names of the Debian packages.
    packages: BTreeSet<String>,
    /// Files with the set-user-id or set-group-id bit, with their modes and owners.
    privileged: BTreeSet<String>,
    /// Every copy of PostgreSQL's client library, also under the names that wheels give it.
    libpq: Vec<String>,
}

impl Inside {
    fn of(image: &str) -> Result<Self, String> {
        let script = "dpkg-query --show --showformat '${Package}\\n' && echo -- && \
                      find / -xdev -type f -perm /6000 -printf '%p %m %u:%g\\n' && echo -- && \
                      find / -xdev -type f -name 'libpq[-.]*so*'";
        let ran = docker([
            "run",
            "--rm",
            "--network=none",
            "--user=root",
            "--entrypoint=bash",
            image,
            "-c",
            script,
        ]);
        if ran.status != 0 {
            return Err(format!("no image {image}: {}", ran.err.trim()));
        }
        let mut sections = ran.out.split("--\n").map(|text| text.lines().map(str::to_owned));
        let mut next = || sections.next().expect("three sections");
        Ok(Self {
            packages: next().collect(),
            privileged: next().collect(),
            libpq: next().collect(),
        })
    }
}

/// The image under test with its base.
pub struct Image {
    /// Its name.
    pub name: &'static str,
    base_name: String,
    /// Its receipt.
    pub receipt: Value,
    /// The human-readable list of contents, which says what was left out and why.
    contents: String,
    inside: Inside,
    base: Result<Inside, String>,
}

/// The image, examined once for all tests.
pub fn the_image() -> &'static Image {
    static IMAGE: OnceLock<Result<Image, String>> = OnceLock::new();
    let found = IMAGE.get_or_init(|| {
        let name = image()?;
        let read = |path: &str| {
            let ran = docker(["run", "--rm", "--network=none", "--entrypoint=cat", name, path]);
            if ran.status == 0 {
                Ok(ran.out)
            } else {
                Err(format!("{name}: {}", ran.err.trim()))
            }
        };
        let receipt: Value =
            serde_json::from_str(&read("/usr/share/pgsetup/receipt.json")?).expect("a receipt");
        let base_name = receipt["base"]["distribution"]
            .as_str()
            .expect("the base's name")
            .to_owned();
        Ok(Image {
            name,
            contents: read("/usr/share/pgsetup/contents.txt")?,
            inside: Inside::of(name)?,
            base: Inside::of(&base_name),
            base_name,
            receipt,
        })
    });
    found.as_ref().unwrap_or_else(|why| skip(why))
}

impl Image {
    /// The contents of the base.
    fn base(&self) -> &Inside {
        self.base.as_ref().unwrap_or_else(|why| skip(why))
    }

    /// The receipt's entry of a component.
    fn component(&self, name: &str) -> Option<&Value> {
        let components = self.receipt["components"].as_array().expect("components");
        components.iter().find(|component| component["name"] == name)
    }

    fn version(&self, name: &str) -> &str {
        let component = self
            .component(name)
            .unwrap_or_else(|| panic!("the receipt has no {name}"));
        component["version"].as_str().expect("a version")
    }

    /// Runs a command in a container of the image without a network or a server.
    fn run(&self, command: &[&str]) -> Ran {
        let entrypoint = format!("--entrypoint={}", command[0]);
        docker(
            [
                &["run", "--rm", "--network=none", &entrypoint, self.name],
                &command[1..],
            ]
            .concat(),
        )
    }

    fn needs_patroni(&self) {
        if self.component("patroni").is_none() {
            skip("the image was built without Patroni");
        }
    }
}

/// Runs statements in one session; gives their unaligned answers.
#[track_caller]
fn script(container: &Container, sql: &str) -> String {
    container.copy("/tmp/script.sql", 0o644, sql);
    let psql = "psql --username=postgres --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --file=/tmp/script.sql";
    container.shell(psql).ok()
}

/// Starts a server, creates an extension there, and checks its use.
fn uses(extension: &str) -> Container {
    let image = the_image();
    if image.component(extension).is_none() {
        let left_out = image
            .contents
            .lines()
            .find(|line| line.starts_with(&format!("not {extension},")));
        skip(left_out.unwrap_or(&format!("the image was built without {extension}")));
    }
    let container = Container::serving(&["-e", PASSWORD], &[]);
    let one = USES
        .iter()
        .find(|one| one.extension == extension)
        .expect("a use of it");
    let provided = image.component(extension).expect("it is there")["provides"].as_array();
    for provided in provided.expect("it provides something") {
        create(&container, provided["name"].as_str().expect("a name"));
    }
    assert_eq!(script(&container, one.sql), one.answer);
    container
}

/// Creates an extension in the database postgres.
fn create(container: &Container, name: &str) {
    // It needs its own schema.
    let schema = if name == "pg_partman" {
        "CREATE SCHEMA partman; SET search_path = partman; "
    } else {
        ""
    };
    container.sql(&format!(
        "{schema}CREATE EXTENSION IF NOT EXISTS \"{name}\" CASCADE"
    ));
}

#[test]
fn citus_distributes_a_table() {
    uses("citus");
}

#[test]
fn pgvector_finds_the_nearest_by_its_index() {
    uses("pgvector");
}

#[test]
fn pg_cron_schedules_a_job() {
    uses("pg_cron");
}

#[test]
fn pg_partman_makes_partitions() {
    uses("pg_partman");
}

#[test]
fn pgaudit_logs_a_write() {
    let log = uses("pgaudit").log();
    assert!(
        log.contains("WRITE,INSERT,,,INSERT INTO audited VALUES (42),"),
        "{log}"
    );
}

#[test]
fn pg_repack_repacks_a_table() {
    let container = uses("pg_repack");
    let repacked = container.shell("pg_repack --username=postgres --table=bloated");
    assert!(
        repacked.status == 0 && repacked.err.contains("repacking table \"public.bloated\""),
        "{repacked:?}"
    );
    assert_eq!(container.sql("SELECT count(*) FROM bloated"), "10");
}

#[test]
fn rum_ranks_by_its_index() {
    uses("rum");
}

#[test]
fn topn_counts_the_most_frequent() {
    uses("topn");
}

#[test]
fn the_image_has_no_package_that_only_builds() {
    let image = the_image();
    let base = image.base();
    let is_for_building = |name: &&&String| {
        let starts = [
            "gcc", "g++", "cpp", "clang", "llvm", "binutils", "make", "cmake", "meson", "perl", "libperl",
            "locales",
        ];
        let others = [
            "bison",
            "flex",
            "pkg-config",
            "pkgconf",
            "python3-pip",
            "python3-venv",
            "python3-setuptools",
        ];
        starts.iter().any(|start| name.starts_with(start))
            || others.contains(&name.as_str())
            || name.ends_with("-dev")
    };
    let added: Vec<&String> = image.inside.packages.difference(&base.packages).collect();
    assert!(!added.is_empty(), "libraries at least were added");
    assert_eq!(
        added.iter().filter(is_for_building).collect::<Vec<_>>(),
        Vec::<&&String>::new()
    );
    let gone: Vec<&String> = base.packages.difference(&image.inside.packages).collect();
    assert_eq!(gone, Vec::<&String>::new(), "the base lost packages");
}

#[test]
fn the_image_has_no_compiler() {
    let image = the_image();
    // bash shows that the search finds programs.
    let script = "for name in bash cc gcc g++ c++ cpp clang as ld make cmake ninja meson pip pip3; do command -v $name; done; \
                  ls -d /usr/include/* /usr/lib/postgresql/*/lib/pgxs 2>/dev/null; true";
    assert_eq!(image.run(&["bash", "-c", script]).ok(), "/usr/bin/bash");
}

#[test]
fn the_image_adds_no_set_user_id_file_to_its_base() {
    let image = the_image();
    let base = image.base();
    let added: Vec<&String> = image.inside.privileged.difference(&base.privileged).collect();
    assert_eq!(added, Vec::<&String>::new());
}

#[test]
fn the_image_is_as_large_as_its_receipt_says() {
    let image = the_image();
    image.base();
    let size = |name: &str| -> i64 {
        docker(["image", "inspect", "--format", "{{.Size}}", name])
            .ok()
            .parse()
            .expect("a number")
    };
    let more = size(image.name) - size(&image.base_name);
    assert!(more <= 150_000_000, "{more} bytes more than {}", image.base_name);
    // The files that it lists and the installed size of its packages. The records themselves, dpkg's database and the
    // entrypoint come on top.
    let accounted = ["files_size", "packages_size"].map(|key| image.receipt[key].as_i64().expect("a number"));
    let accounted: i64 = accounted.iter().sum();
    assert!(
        more * 100 <= accounted * 105,
        "{more} bytes more than {}, and the receipt accounts for {accounted}",
        image.base_name
    );
}

#[test]
fn patroni_answers_and_its_environment_has_no_installer() {
    let image = the_image();
    image.needs_patroni();
    let version = image.version("patroni");
    assert_eq!(
        image.run(&["patroni", "--version"]).ok(),
        format!("patroni {version}")
    );
    assert_eq!(
        image.run(&["patronictl", "version"]).ok(),
        format!("patronictl version {version}")
    );
    let script = "find /opt/patroni \\( -iname 'pip*' -o -iname 'setuptools*' -o -name pkg_resources \\); \
                  for module in sys pip setuptools wheel; do ! /opt/patroni/bin/python -c \"import $module\" 2>/dev/null || echo $module; done";
    // The import of sys shows that this Python runs.
    assert_eq!(image.run(&["bash", "-c", script]).ok(), "sys");
}

#[test]
fn the_image_has_one_libpq() {
    let image = the_image();
    let libraries = &image.inside.libpq;
    assert_eq!(libraries.len(), 1, "{libraries:?}");
    let major = &image.receipt["postgresql"]["major"];
    let directory = image.receipt["postgresql"]["library_directory"]
        .as_str()
        .expect("a directory");
    assert!(
        libraries[0].starts_with(directory),
        "{libraries:?} and not in {directory}"
    );
    image.needs_patroni();
    // Patroni's driver loads that file, in the major version of the server.
    let script = "import psycopg, re; print(psycopg.pq.version() // 10000); \
                  print(*sorted({line.split()[-1] for line in open('/proc/self/maps') if 'libpq' in line}))";
    let loaded = image.run(&["/opt/patroni/bin/python", "-c", script]).ok();
    assert_eq!(loaded, format!("{major}\n{}", libraries[0]));
}

/// Runs a script in a container of the image that has pgsetup and the manifests in /tmp.
fn with_pgsetup(user: &str, script: &str) -> Ran {
    the_image();
    // The static program: the one of the tests needs the C library of this machine.
    let program = project().join("dist/pgsetup");
    if !Path::new(&program).exists() {
        skip("there is no dist/pgsetup: make pgsetup");
    }
    let user = format!("--user={user}");
    let options = [user.as_str(), "--network=none", "--entrypoint=bash"];
    let container = Container::create(&options, &["-c", script]);
    for (from, to) in [(program, "pgsetup"), (project().join("manifests"), "manifests")] {
        let to = format!("{}:/tmp/{to}", container.name);
        docker(["cp", from.to_str().expect("UTF-8"), &to]).ok();
    }
    container.run()
}

#[test]
fn pgsetup_finds_the_image_as_its_receipt_says() {
    for user in ["root", "postgres"] {
        let ran = with_pgsetup(user, "/tmp/pgsetup verify");
        assert_eq!(ran.status, 0, "{user}: {}", ran.text());
        // What the image's user may not read is reported.
        let may_read_passwords = !ran.out.contains("not checked: /etc/shadow");
        assert_eq!(may_read_passwords, user == "root", "{}", ran.text());
        // These were copied after the receipt was written.
        for path in ["/entrypoint.sh", "/opt/container"] {
            assert!(
                ran.out.contains(&format!("not checked: {path}: ")),
                "{}",
                ran.text()
            );
        }
    }
}

#[test]
fn test_installed_works_as_root_and_as_postgres() {
    let image = the_image();
    if image.component("topn").is_none() {
        skip("the image was built without topn");
    }
    for user in ["root", "postgres"] {
        let script = "/tmp/pgsetup test /tmp/manifests topn --installed; echo \"status $?\"; \
                      shopt -s nullglob; echo left: /tmp/pgsetup-test-* /var/tmp/pgsetup/*";
        let ran = with_pgsetup(user, script);
        assert!(ran.out.contains(" passed, 0 failed\n"), "{user}: {}", ran.text());
        assert!(ran.out.ends_with("\nstatus 0\nleft:\n"), "{user}: {}", ran.text());
    }
}

#[test]
fn verify_names_every_tampering_with_the_image() {
    let image = the_image();
    let directory = image.receipt["postgresql"]["library_directory"]
        .as_str()
        .expect("a directory");
    let share = image.receipt["postgresql"]["share_directory"]
        .as_str()
        .expect("a directory");
    // Each tampering, and the beginning of the line that names it.
    let tamperings = [
        (
            format!("printf x | dd of={directory}/vector.so bs=1 seek=4000 conv=notrunc status=none"),
            format!("{directory}/vector.so: has the digest "),
        ),
        (
            format!("chmod 0666 {share}/extension/vector.control"),
            format!("{share}/extension/vector.control: has mode 0666, the receipt says 0644"),
        ),
        (
            format!("chown postgres {directory}/pg_cron.so"),
            format!("{directory}/pg_cron.so: belongs to 999:0, the receipt says 0:0"),
        ),
        (
            format!("rm {directory}/libpqwalreceiver.so {directory}/../bin/psql"),
            format!("{directory}/libpqwalreceiver.so: is missing; postgresql brought it"),
        ),
        (
            ":".to_owned(),
            format!(
                "{}/bin/psql: is missing; postgresql brought it",
                directory.trim_end_matches("/lib")
            ),
        ),
        (
            format!("truncate --size=100 {directory}/plpgsql.so"),
            format!("{directory}/plpgsql.so: is a broken ELF file: "),
        ),
        (
            "printf x | dd of=/usr/bin/env bs=1 seek=4000 conv=notrunc status=none".to_owned(),
            "/usr/bin/env: differs from the file of the package coreutils".to_owned(),
        ),
        (
            "install --mode=4755 /bin/true /tmp/su".to_owned(),
            "/tmp/su: has mode and owner 4755 0:0: set-id".to_owned(),
        ),
        (
            "rm /usr/lib/*-linux-gnu/libzstd.so.1*".to_owned(),
            "libzstd.so.1: does not exist; needed by ".to_owned(),
        ),
        (
            "install --mode=4755 /bin/true /usr/local/bin/su2".to_owned(),
            "/usr/local/bin/su2: has mode and owner 4755 0:0: set-id".to_owned(),
        ),
        (
            format!("rm {share}/extension/vector--*.sql"),
            "vector: no script leads to its default version ".to_owned(),
        ),
        (
            format!("ln --symbolic --force /bin/true {directory}/../bin/pg_dump"),
            format!(
                "{}/bin/pg_dump: is a link, the receipt says a file",
                directory.trim_end_matches("/lib")
            ),
        ),
        (
            format!(
                "cp {directory}/rum.so {directory}/more.so && sed -i s/libc.so.6/libq.so.6/ {directory}/more.so"
            ),
            format!("libq.so.6: does not exist; needed by {directory}/more.so -> libq.so.6"),
        ),
        (
            "ln --symbolic --force /tmp/evil /usr/bin/captoinfo".to_owned(),
            "/usr/bin/captoinfo: links to /tmp/evil, the receipt says tic".to_owned(),
        ),
        (
            "ln --symbolic --force /tmp/evil /etc/alternatives/awk".to_owned(),
            "/etc/alternatives/awk: links to /tmp/evil, the receipt says /usr/bin/mawk".to_owned(),
        ),
        (
            "chmod 0775 /usr/bin/sort /usr/lib".to_owned(),
            "/usr/bin/sort: has mode and owner 0775 0:0, the receipt says 0755 0:0".to_owned(),
        ),
        (
            ":".to_owned(),
            "/usr/lib: has mode and owner 0775 0:0, the receipt says 0755 0:0".to_owned(),
        ),
        (
            "mv /usr/share/bash-completion /usr/share/other && ln --symbolic other /usr/share/bash-completion".to_owned(),
            "/usr/share/bash-completion: is a link to other, and not a link in the receipt".to_owned(),
        ),
        (
            "rm /var/lib/dpkg/info/tar.md5sums /usr/share/pgsetup/sbom.spdx.json".to_owned(),
            "/var/lib/dpkg/info/tar.md5sums: is missing, the receipt has it".to_owned(),
        ),
        (
            ":".to_owned(),
            "/usr/share/pgsetup/sbom.spdx.json: is missing".to_owned(),
        ),
        (
            "printf '#!/bin/sh\\n' | install --mode=0755 /dev/stdin /usr/local/bin/unknown".to_owned(),
            "/usr/local/bin/unknown: is found where programs or libraries are searched for".to_owned(),
        ),
        (
            "touch /etc/ld.so.preload".to_owned(),
            "/etc/ld.so.preload: is found where programs or libraries are searched for".to_owned(),
        ),
        (
            "usermod --shell /bin/sh postgres".to_owned(),
            "postgres: has the shell /bin/sh, the receipt says /bin/bash".to_owned(),
        ),
        (
            "usermod --password '$6$x$y' postgres".to_owned(),
            "postgres: has a password".to_owned(),
        ),
        (
            "chmod 00755 /var/log/postgresql".to_owned(),
            "/var/log/postgresql: has mode and owner 0755 999:999, the receipt says 3777 999:999".to_owned(),
        ),
    ];
    let names = ["pgvector", "pg_cron", "rum"];
    if names.iter().any(|name| image.component(name).is_none()) {
        skip("the image was built without pgvector, pg_cron or rum");
    }
    let script: Vec<&str> = tamperings
        .iter()
        .map(|(tampering, _)| tampering.as_str())
        .collect();
    let script = format!(
        "set -e; {}; /tmp/pgsetup verify || echo \"status $?\"; /tmp/pgsetup verify --format json",
        script.join("; ")
    );
    let ran = with_pgsetup("root", &script);
    assert!(ran.out.contains("\nstatus 7\n"), "{}", ran.text());
    assert_eq!(ran.status, 7, "{}", ran.text());
    let (text, json) = ran.out.split_once("status 7\n").expect("both forms");
    let document: Value = serde_json::from_str(json).expect("a document");
    let listed = document["differences"].as_array().expect("differences");
    for (tampering, line) in &tamperings {
        assert!(
            text.lines().any(|found| found.starts_with(line)),
            "{tampering}: nothing begins with `{line}`:\n{text}"
        );
        let (subject, _) = line.split_once(": ").expect("a subject");
        assert!(listed.iter().any(|one| one["subject"] == subject), "{subject}");
    }
}

#[test]
fn an_unpacked_image_is_verified_from_the_outside() {
    let image = the_image();
    if !is_root() {
        skip("only root can unpack an image with its owners");
    }
    let container = Container::create(&["--network=none"], &["true"]);
    let tree = tempfile::tempdir().unwrap();
    let script = "docker export \"$1\" | tar --extract --numeric-owner --same-permissions --directory \"$2\"";
    let unpacked = std::process::Command::new("bash")
        .args(["-c", script, "-", &container.name])
        .arg(tree.path())
        .status();
    assert!(unpacked.unwrap().success());
    let root = tree.path().to_str().expect("UTF-8");
    let ran = crate::support::pgsetup(["verify", "--root", root]);
    assert_eq!(ran.status, 0, "{}: {}{}", image.name, ran.out, ran.err);
}

/// Whether these tests run as root.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[test]
fn server_and_extensions_have_the_versions_of_the_receipt() {
    let image = the_image();
    // The engine checks first after one interval, which is half a minute.
    let container = Container::serving(&["-e", PASSWORD, "--health-interval=1s"], &[]);
    let version = container.sql("SELECT version()");
    let expected = format!("PostgreSQL {} ", image.version("postgresql"));
    assert!(version.starts_with(&expected), "{version} is not {expected}");

    let components = image.receipt["components"].as_array().expect("components");
    for component in components
        .iter()
        .filter(|component| component["kind"] == "extension")
    {
        for provided in component["provides"].as_array().into_iter().flatten() {
            let name = provided["name"].as_str().expect("a name");
            create(&container, name);
            let version = container.sql(&format!(
                "SELECT extversion FROM pg_extension WHERE extname = '{name}'"
            ));
            assert_eq!(provided["default_version"], version.as_str(), "{name}");
        }
    }
    wait_for("the container is healthy", || {
        container.inspect("{{.State.Health.Status}}") == "healthy"
    });
    docker(["stop", "--time=60", &container.name]).ok();
    assert_eq!(
        container.inspect("{{.State.ExitCode}} {{.State.OOMKilled}}"),
        "0 false"
    );
    let log = container.log();
    assert!(log.trim_end().ends_with("database system is shut down"), "{log}");
}

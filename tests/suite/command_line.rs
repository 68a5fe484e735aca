//! The command line: plans, schemas, completions, exit statuses.

use crate::support::{manifests, pgsetup, project};

/// The plan for every PostgreSQL that the project's manifests have, in both forms.
#[test]
fn plans_of_the_projects_manifests_are_as_agreed() {
    for pg in ["15", "15-apt", "16", "17", "18"] {
        for (format, suffix) in [("text", "txt"), ("json", "json")] {
            let args = [
                "plan",
                "manifests",
                "--pg",
                pg,
                "--target",
                "debian:bookworm/arm64",
                "--format",
                format,
            ];
            // Its manifest says that Citus does not work with it.
            let without = ["--without", "citus"].into_iter().filter(|_| pg == "15-apt");
            let ran = pgsetup(args.into_iter().chain(without));
            assert_eq!(ran.status, 0, "--pg {pg}: {}", ran.err);
            let golden = project().join(format!("tests/golden/plan-{pg}.{suffix}"));
            snapbox::assert_data_eq!(
                ran.out,
                snapbox::Data::read_from(&golden, Some(snapbox::data::DataFormat::Text)).raw()
            );
        }
    }
}

#[test]
fn an_older_major_does_not_change_the_rest_of_a_plan() {
    let plan = |more: &[&str]| {
        let args = [
            "plan",
            "manifests",
            "--target",
            "debian:bookworm/arm64",
            "--extensions",
            "citus,pgvector",
        ];
        let ran = pgsetup(args.into_iter().chain(more.iter().copied()));
        assert_eq!(ran.status, 0, "{}", ran.err);
        ran.out
    };
    let both = plan(&["--previous", "17"]);
    let golden = project().join("tests/golden/plan-18-previous-17.txt");
    snapbox::assert_data_eq!(
        both.clone(),
        snapbox::Data::read_from(&golden, Some(snapbox::data::DataFormat::Text)).raw()
    );
    // What one machine has built without the older server need not be built again with it.
    let keys = |plan: &str| {
        let (_, keys) = plan.split_once("\nRecipe keys").expect("a list of keys");
        let (keys, _) = keys.split_once("\n\n").expect("what is left after it");
        keys.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let (own, both) = (keys(&plan(&[])), keys(&both));
    assert_eq!(own, both[..own.len()]);
    assert_eq!(both.len(), own.len() + 3);
}

#[test]
fn jit_brings_llvm_and_keeps_bitcode_of_one_server() {
    let ran = pgsetup(["plan", "manifests", "--verbose", "--jit", "--previous", "17"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let configured: Vec<&str> = ran
        .out
        .lines()
        .filter(|line| line.contains("./configure --prefix=/usr/lib/postgresql/"))
        .collect();
    let with_llvm: Vec<bool> = configured
        .iter()
        .map(|line| line.contains("--with-llvm"))
        .collect();
    assert_eq!(with_llvm, [true, false], "{configured:?}");
    for line in [
        "build package llvm-14-dev: postgresql\n",
        "build package clang-14: postgresql\n",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    let policy = ran
        .out
        .lines()
        .find(|line| line.contains("the image's policy: "))
        .expect("a policy");
    assert!(
        policy.contains("static-libraries") && !policy.contains("bitcode"),
        "{policy}"
    );
}

#[test]
fn older_majors_are_older_than_the_server() {
    let servers = |args: &[&str], more: &str| {
        let image = std::fs::read_to_string(project().join("manifests/image.yaml")).unwrap();
        let directory = manifests(&[("image.yaml", &(image + more))]);
        for name in ["postgresql", "extensions"] {
            let (from, to) = (
                project().join("manifests").join(name),
                directory.path().join(name),
            );
            std::fs::create_dir(&to).unwrap();
            for entry in std::fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
        for name in ["contrib.yaml", "patroni.yaml", "python.yaml"] {
            std::fs::copy(
                project().join("manifests").join(name),
                directory.path().join(name),
            )
            .unwrap();
        }
        let ran = pgsetup(
            ["plan", directory.path().to_str().unwrap()]
                .into_iter()
                .chain(args.iter().copied()),
        );
        let built = |line: &str| {
            let (_, server) = line.split_once("  build postgresql")?;
            let (server, _) = server.split_once("  (after").unwrap_or((server, ""));
            Some(server.trim().to_owned())
        };
        let names: Vec<String> = ran.out.lines().filter_map(built).collect();
        (ran.status, names, ran.err)
    };
    let previous = "previous: [\"16\", \"17\"]\n";
    assert_eq!(servers(&[], previous).1, ["18.6", "-pg17 17.11", "-pg16 16.15"]);
    assert_eq!(servers(&["--pg", "17"], previous).1, ["17.11", "-pg16 16.15"]);
    assert_eq!(servers(&["--previous", ""], previous).1.len(), 3);
    assert_eq!(
        servers(&["--previous", "15 16"], previous).1,
        ["18.6", "-pg16 16.15", "-pg15 15.19"]
    );
    for (args, more, message) in [
        (
            &["--previous", "18"][..],
            "",
            "PostgreSQL 18 is not older than 18, which is selected",
        ),
        (&["--previous", "15,15-apt"], "", "PostgreSQL 15 is named twice"),
        (&["--previous", "9"], "", "there is no PostgreSQL manifest `9`"),
        (
            &["--without", "citus-pg17"],
            "",
            "there is no extension `citus-pg17`",
        ),
    ] {
        let (status, _, err) = servers(args, more);
        assert_eq!(status, 3, "{args:?}");
        assert!(err.contains(message), "{args:?}: {err}");
    }
}

#[test]
fn a_plan_is_the_same_each_time_and_touches_nothing() {
    let plan = || pgsetup(["plan", "manifests", "--format", "json"]).out;
    let first = plan();
    assert!(first.contains("\"schema_version\": 1"));
    for _ in 0..5 {
        assert_eq!(plan(), first);
    }
}

#[test]
fn a_plan_says_why_and_in_which_order() {
    let ran = pgsetup([
        "plan",
        "manifests",
        "--target",
        "debian:bookworm/amd64",
        "--verbose",
    ]);
    assert!(
        ran.out.contains("build package libcurl4-openssl-dev: citus\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .contains("shared_preload_libraries = citus,pg_cron,pgaudit: preload\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .contains("+ cd /var/tmp/pgsetup/source/citus-14.0.1 && PG_CONFIG="),
        "{}",
        ran.out
    );
}

#[test]
fn the_command_line_chooses_extensions() {
    let titles = |args: &[&str]| {
        let ran = pgsetup(
            ["plan", "manifests", "--format", "json"]
                .into_iter()
                .chain(args.iter().copied()),
        );
        assert_eq!(ran.status, 0, "{}", ran.err);
        let plan: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let downloads = plan["downloads"].as_array().unwrap().clone();
        let title = |download: &serde_json::Value| download["title"].as_str().unwrap().to_owned();
        let sources = downloads
            .iter()
            .filter(|d| !d["places"][0].as_str().unwrap().starts_with("pip:"));
        sources.map(title).collect::<Vec<_>>()
    };
    assert_eq!(
        titles(&["--extensions", "pgvector, rum"]),
        ["postgresql 18.6", "pgvector 0.8.6", "rum 1.3.15"]
    );
    assert_eq!(titles(&["--extensions", "pgvector", "--with", "topn"]).len(), 3);
    assert!(
        !titles(&["--without", "citus"])
            .iter()
            .any(|title| title.starts_with("citus"))
    );
    assert_eq!(
        titles(&["--extensions", ""]).len(),
        10,
        "an empty list is an unset build argument: the image's own"
    );
}

#[test]
fn schemas_are_json_schemas_and_completions_name_the_commands() {
    for document in [
        "manifest",
        "plan",
        "receipt",
        "verification",
        "tests",
        "downloads",
        "cache",
        "updates",
        "available",
        "info",
        "why",
        "diff",
        "doctor",
        "lock",
    ] {
        let schema: serde_json::Value = serde_json::from_str(&pgsetup(["schema", document]).out).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = pgsetup(["completions", shell]).out;
        assert!(script.contains("install") && script.contains("plan"), "{shell}");
    }
}

#[test]
fn each_kind_of_failure_has_its_exit_status() {
    let broken = manifests(&[("image.yaml", "kind: image\n")]);
    let broken = broken.path().to_str().unwrap();
    for (status, args) in [
        (2, vec!["frobnicate"]),
        (2, vec!["plan", "nosuch"]),
        (2, vec!["plan", "manifests", "--target", "windows"]),
        (3, vec!["plan", broken]),
        (3, vec!["plan", "/nowhere"]),
        (3, vec!["plan", "manifests", "--with", "nosuch"]),
    ] {
        assert_eq!(pgsetup(args.iter().copied()).status, status, "{args:?}");
    }
}

#[test]
fn a_manifest_reached_twice_is_read_once() {
    let directory = manifests(&[("image.yaml", "kind: image\n")]);
    std::os::unix::fs::symlink("image.yaml", directory.path().join("same.yaml")).unwrap();
    let ran = pgsetup(["plan", directory.path().to_str().unwrap()]);
    assert!(ran.err.contains(" in 1 file"), "{}", ran.err);
    std::os::unix::fs::symlink("nowhere", directory.path().join("gone.yaml")).unwrap();
    let ran = pgsetup(["plan", directory.path().to_str().unwrap()]);
    assert_eq!(ran.status, 3);
    assert!(
        ran.err
            .contains("error: it cannot be read: No such file or directory")
            && ran.err.contains("gone.yaml:1:1"),
        "{}",
        ran.err
    );
}

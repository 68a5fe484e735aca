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
        9,
        "an empty list is an unset build argument: the image's own"
    );
}

#[test]
fn schemas_are_json_schemas_and_completions_name_the_commands() {
    for document in ["manifest", "plan"] {
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
        (2, vec!["plan"]),
        (2, vec!["plan", "manifests", "--target", "windows"]),
        (3, vec!["plan", broken]),
        (3, vec!["plan", "/nowhere"]),
        (3, vec!["plan", "manifests", "--with", "nosuch"]),
    ] {
        assert_eq!(pgsetup(args.iter().copied()).status, status, "{args:?}");
    }
}

#[test]
fn a_manifest_that_is_reached_twice_is_read_once_and_none_is_skipped_silently() {
    let twice = pgsetup([
        "plan",
        "manifests",
        "manifests/extensions/citus.yaml",
        "./manifests",
    ]);
    assert_eq!(twice.status, 0, "{}", twice.err);
    let directory = manifests(&[("image.yaml", "kind: image\n")]);
    std::os::unix::fs::symlink("nowhere", directory.path().join("gone.yaml")).unwrap();
    let ran = pgsetup(["plan", directory.path().to_str().unwrap()]);
    assert_eq!(ran.status, 3);
    assert!(
        ran.err.contains("gone.yaml: No such file or directory"),
        "{}",
        ran.err
    );
}

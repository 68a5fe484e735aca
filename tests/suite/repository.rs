//! What the repository offers besides the program: examples, the rules of dependencies, configurations of services, the
//! changelog, and the documents of a release.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::contract::container::docker;
use crate::harness::skip;
use crate::sbom::python;
use crate::support::{pgsetup, project};

/// The directories of `examples/`.
fn examples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(project().join("examples")).unwrap();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

#[test]
fn every_example_is_planned_with_all_that_it_selects() {
    let found = examples();
    assert_eq!(found.len(), 4, "{found:?}");
    let index = std::fs::read_to_string(project().join("examples/README.md")).unwrap();
    for example in found {
        let name = example.file_name().unwrap().to_str().unwrap();
        let ran = pgsetup([
            "plan",
            &format!("examples/{name}"),
            "--target",
            "debian:bookworm/amd64",
        ]);
        assert_eq!(ran.status, 0, "{name}: {}", ran.err);
        let image = std::fs::read_to_string(example.join("image.yaml")).unwrap();
        let selected = image
            .split("extensions:\n")
            .nth(1)
            .unwrap()
            .lines()
            .map_while(|line| line.strip_prefix("  - "));
        let selected: Vec<&str> = selected.collect();
        assert!(!selected.is_empty(), "{name}");
        for extension in selected {
            assert!(ran.out.contains(extension), "{name}: {extension}: {}", ran.out);
        }
        assert!(
            index.contains(&format!("]({name}/image.yaml)")),
            "{name} is not in the index"
        );
    }
    let plan = |name: &str| pgsetup(["plan", &format!("examples/{name}"), "--verbose"]).out;
    assert!(plan("previous-major").contains("postgresql-pg17 17."));
    assert!(plan("citus-cluster-member").contains("patroni"));
    assert!(plan("analytics").contains("--with-llvm"));
    assert!(!plan("minimal").contains("patroni"));
}

#[test]
fn manifests_of_examples_are_links_to_those_of_the_project() {
    for example in examples() {
        for entry in std::fs::read_dir(&example).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("image.yaml") {
                assert!(!path.is_symlink());
                continue;
            }
            let target = path
                .canonicalize()
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let is_linked = path.is_symlink() && target.starts_with(project().join("manifests"));
            assert!(is_linked, "{} -> {}", path.display(), target.display());
        }
    }
}

#[test]
fn an_example_is_built_and_has_what_it_selects() {
    if let Err(why) = crate::contract::container::image() {
        skip(&why);
    }
    for binary in ["dist/pgsetup", "dist/pgstart"] {
        if !project().join(binary).exists() {
            skip(&format!("there is no {binary}: make pgsetup"));
        }
    }
    let tag = format!("pgsetup-test-example:{}", std::process::id());
    let built = Command::new("tools/image.sh")
        .env("MANIFESTS", "examples/minimal")
        .env("IMAGE", &tag)
        .current_dir(project())
        .output()
        .expect("the script starts");
    let text = String::from_utf8_lossy(&built.stderr);
    assert!(
        built.status.success(),
        "{}",
        &text[text.len().saturating_sub(4000)..]
    );
    let ran = docker([
        "run",
        "--rm",
        "--entrypoint=cat",
        &tag,
        "/usr/share/pgsetup/receipt.json",
    ]);
    docker(["image", "rm", "--force", &tag]);
    // The summary lists what the image does without.
    if String::from_utf8_lossy(&built.stdout).contains("\nnot pgvector, whose source could not be fetched") {
        skip("the archive of pgvector cannot be fetched");
    }
    let receipt: serde_json::Value = serde_json::from_str(&ran.out).expect(&ran.err);
    let components = receipt["components"].as_array().unwrap();
    let names: BTreeSet<&str> = components.iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(["pgvector", "postgresql"]));
}

/// What `cargo metadata` says of the dependencies, without a connection.
fn metadata() -> serde_json::Value {
    let ran = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version=1"])
        .args(["--filter-platform=x86_64-unknown-linux-gnu"])
        .current_dir(project())
        .output()
        .expect("cargo starts");
    assert!(ran.status.success(), "{ran:?}");
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// The texts of a list in `deny.toml`.
fn denied(list: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(project().join("deny.toml")).unwrap();
    let (_, after) = text.split_once(&format!("\n{list} = [")).expect(list);
    let inside = after.split(']').next().unwrap();
    inside.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn licences_and_sources_of_dependencies_are_allowed() {
    let (licences, registries) = (denied("allow"), denied("allow-registry"));
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    let mut used = BTreeSet::new();
    for package in packages {
        let name = &package["name"];
        // Packages of this project have no source.
        if let Some(source) = package["source"].as_str() {
            let registry = source.strip_prefix("registry+").unwrap_or(source);
            assert!(registries.contains(registry), "{name}: {source}");
        }
        let text = package["license"].as_str().unwrap_or_default();
        let expression = spdx::Expression::parse_mode(text, spdx::ParseMode::LAX);
        let expression = expression.unwrap_or_else(|error| panic!("{name}: {error}"));
        let is_allowed = expression.evaluate(|licence| {
            let id = licence
                .license
                .id()
                .map(|id| id.name.to_owned())
                .unwrap_or_default();
            let is_allowed = licences.contains(&id);
            if is_allowed {
                used.insert(id);
            }
            is_allowed
        });
        assert!(is_allowed, "{name}: {text} is not allowed by deny.toml");
    }
    assert_eq!(used, licences, "deny.toml allows licences that no dependency has");
}

/// Runs the check against published schemas; where there is no package index, the test is ignored.
fn schemas(args: &[&str]) -> Output {
    let ran = Command::new(project().join("tools/schemas.sh"))
        .args(args)
        .output();
    let ran = ran.expect("the check starts");
    if ran.status.code() == Some(75) {
        skip(
            String::from_utf8_lossy(&ran.stderr)
                .lines()
                .last()
                .unwrap_or_default(),
        );
    }
    ran
}

#[test]
fn configurations_fit_the_published_schemas() {
    let ran = schemas(&[]);
    assert!(ran.status.success(), "{ran:?}");
    let directory = tempfile::tempdir().unwrap();
    for (schema, file, right, wrong) in [
        (
            "vendor.compose-spec",
            "cluster/compose.yaml",
            "mem_limit:",
            "mem_limits:",
        ),
        (
            "vendor.github-workflows",
            ".github/workflows/ci.yml",
            "runs-on:",
            "runs_on:",
        ),
        (
            "vendor.github-issue-forms",
            ".github/ISSUE_TEMPLATE/bug.yml",
            "type: input",
            "type: inputs",
        ),
        (
            "vendor.renovate",
            "renovate.json",
            "\"customType\": \"regex\"",
            "\"customType\": \"sed\"",
        ),
    ] {
        let text = std::fs::read_to_string(project().join(file)).unwrap();
        assert!(text.contains(right), "{file}");
        let path = directory.path().join(Path::new(file).file_name().unwrap());
        std::fs::write(&path, text.replace(right, wrong)).unwrap();
        let ran = schemas(&[schema, path.to_str().unwrap()]);
        assert!(!ran.status.success(), "{file}: {wrong}: {ran:?}");
    }
}

#[test]
fn workflows_call_the_scripts_of_the_repository() {
    let workflow =
        |name: &str| std::fs::read_to_string(project().join(".github/workflows").join(name)).unwrap();
    assert!(workflow("ci.yml").contains(" .ci/run\n"));
    assert!(workflow("release.yml").contains("- run: make release\n"));
}

#[test]
fn renovate_understands_the_manifests() {
    let ran = Command::new("python3")
        .args(["tests/consumers/renovate.py", "."])
        .current_dir(project())
        .output();
    let Ok(ran) = ran else { skip("there is no python3") };
    assert!(ran.status.success(), "{ran:?}");
    let text = String::from_utf8(ran.stdout).unwrap();
    let found: BTreeSet<&str> = text.lines().collect();
    assert_eq!(found.len(), text.lines().count(), "something is found twice");

    // Whatever a manifest takes from a tag that is made from its version.
    let mut unseen = Vec::new();
    for entry in std::fs::read_dir(project().join("manifests/extensions")).unwrap() {
        let path = entry.unwrap().path();
        let manifest = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (_, releases) = manifest.split_once("\nreleases:\n").unwrap();
        let mut quoted = releases.split("- version: \"").nth(1).unwrap().split('"');
        let version = quoted.next().unwrap();
        let line = format!("manifests/extensions/{name}.yaml {name} {version} ");
        if !found.iter().any(|found| found.starts_with(&line)) {
            unseen.push(name.to_owned());
        }
    }
    unseen.sort();
    // Their addresses spell the tag or a commit out, or are not on GitHub; `pgsetup update --check` knows them all.
    assert_eq!(unseen, UNSEEN, "Renovate does not see these");
    for major in ["15", "16", "17", "18"] {
        let line = format!("manifests/postgresql/{major}.yaml postgresql-{major} {major}.");
        assert!(found.iter().any(|found| found.starts_with(&line)), "{line}");
    }
    let patroni = std::fs::read_to_string(project().join("manifests/patroni.yaml")).unwrap();
    let distributions = patroni.matches("\n  - name: ").count();
    let seen = found
        .iter()
        .filter(|line| line.starts_with("manifests/patroni.yaml"))
        .count();
    assert_eq!(seen, distributions);
}

/// Extensions whose newest release Renovate does not see.
const UNSEEN: [&str; 12] = [
    "age",
    "mysql_fdw",
    "orafce",
    "pg_hint_plan",
    "pg_similarity",
    "pg_squeeze",
    "pg_stat_kcache",
    "pgjwt",
    "plprofiler",
    "postgis",
    "powa",
    "set_user",
];

#[test]
fn the_version_has_a_section_in_the_changelog() {
    let text = std::fs::read_to_string(project().join("CHANGELOG.md")).unwrap();
    let heading = format!("\n## [{}] - ", env!("CARGO_PKG_VERSION"));
    assert_eq!(text.matches(&heading).count(), 1, "{heading}");
    let sections: Vec<&str> = text.lines().filter(|line| line.starts_with("### ")).collect();
    let known = [
        "### Added",
        "### Changed",
        "### Deprecated",
        "### Removed",
        "### Fixed",
        "### Security",
    ];
    assert!(
        sections.iter().all(|section| known.contains(section)),
        "{sections:?}"
    );
}

#[test]
fn the_bill_of_materials_of_the_binary_is_that_of_its_lock_file() {
    let python = python();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bom.json");
    let made = Command::new("tools/release/sbom.py")
        .args([
            "x86_64-unknown-linux-gnu",
            env!("CARGO_BIN_EXE_pgsetup"),
            "1767225600",
        ])
        .env("CARGO_NET_OFFLINE", "true")
        .current_dir(project())
        .output()
        .expect("the script starts");
    assert!(made.status.success(), "{made:?}");
    std::fs::write(&path, &made.stdout).unwrap();
    let ran = Command::new(python)
        .args([
            Path::new("tests/consumers/release.py"),
            &path,
            Path::new("Cargo.lock"),
        ])
        .current_dir(project())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).unwrap();
    let components: BTreeSet<&str> = text.lines().collect();
    for expected in [
        "clap required",
        "rustls required",
        "cc excluded",
        "serde_derive excluded",
    ] {
        assert!(components.contains(expected), "{expected}: {text}");
    }
    // Only tests need it.
    assert!(!text.contains("snapbox"), "{text}");
}

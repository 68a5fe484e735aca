//! The catalogue that the binary carries: it completes the user's manifests, and the commands that begin and change an image
//! read it.

use std::path::Path;

use crate::support::{Ran, command, manifests, pgsetup, project};

/// The shortest image.
const IMAGE: &str = "# Mine.\nkind: image\nname: mine\nbase: debian:bookworm\npostgresql: \"18\"\nlayout: standard\n\
                     extensions:\n  # Vectors.\n  - pgvector   # 0.8\n\n# The end.\n";

fn run_in(directory: &Path, args: &[&str]) -> Ran {
    let mut command = command(args.iter().copied());
    command.current_dir(directory).output().unwrap().into()
}

/// Runs a command that must succeed.
#[track_caller]
fn done(directory: &Path, args: &[&str]) -> String {
    let ran = run_in(directory, args);
    assert_eq!(ran.status, 0, "{args:?}: {}", ran.err);
    ran.out
}

fn read(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).unwrap()
}

fn write(directory: &Path, name: &str, text: &str) {
    std::fs::write(directory.join(name), text).unwrap();
}

/// A manifest of the project.
fn manifest(path: &str) -> String {
    read(&project().join("manifests"), path)
}

fn parsed(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_short_image_is_completed_from_the_catalogue() {
    let directory = manifests(&[("image.yaml", IMAGE)]);
    let text = done(directory.path(), &["plan", "--target", "debian:bookworm/amd64"]);
    assert!(text.contains("\nCatalogue\n  of pgsetup "), "{text}");
    assert!(
        text.contains("its manifests: postgresql 18, pgvector\n"),
        "{text}"
    );
    assert!(text.contains("create user postgres (999:999)"), "{text}");
    let document = parsed(&done(directory.path(), &["plan", "--format", "json"]));
    let catalogue = &document["catalogue"];
    assert_eq!(
        catalogue["taken"],
        serde_json::json!(["postgresql 18", "pgvector"])
    );
    assert_eq!(catalogue["sha256"].as_str().unwrap().len(), 64);
    // What is the same as in a directory is the same plan, but for the section that says where it comes from.
    let image = manifest("image.yaml").replace("patroni: true", "patroni: false");
    let full = manifests(&[("image.yaml", &image)]);
    let steps = |ran: Ran| {
        let document = parsed(&ran.out);
        (document["steps"].clone(), document["artifacts"].clone())
    };
    let args = ["plan", "--format", "json", "--extensions", "pgvector,citus"];
    let from_catalogue = steps(run_in(full.path(), &args));
    let other = manifests(&[]);
    let copied = std::process::Command::new("cp")
        .arg("-R")
        .arg(project().join("manifests"))
        .arg(other.path())
        .status();
    assert!(copied.unwrap().success());
    write(&other.path().join("manifests"), "image.yaml", &image);
    assert_eq!(from_catalogue, steps(run_in(other.path(), &args)));
}

#[test]
fn a_full_directory_needs_nothing_of_the_catalogue() {
    let with = pgsetup(["plan", "manifests", "--format", "json"]);
    let without = pgsetup(["plan", "manifests", "--format", "json", "--no-catalogue"]);
    assert_eq!((with.status, &with.out), (0, &without.out), "{}", with.err);
    assert!(parsed(&with.out)["catalogue"].is_null());
}

#[test]
fn a_manifest_of_the_same_name_replaces_the_catalogues() {
    let same = manifest("extensions/pgvector.yaml");
    let directory = manifests(&[
        ("image.yaml", IMAGE),
        ("vector.yaml", &format!("# Mine.\n{same}")),
    ]);
    let text = done(directory.path(), &["plan"]);
    assert!(!text.contains("replaces it"), "comments mean nothing: {text}");
    write(
        directory.path(),
        "vector.yaml",
        &same.replacen("summary: ", "summary: My ", 1),
    );
    let text = done(directory.path(), &["plan"]);
    assert!(
        text.contains("  not its pgvector: vector.yaml replaces it\n"),
        "{text}"
    );
    assert!(text.contains("its manifests: postgresql 18\n"), "{text}");
    let document = parsed(&done(directory.path(), &["plan", "--format", "json"]));
    assert_eq!(
        document["catalogue"]["replaced"],
        serde_json::json!({"pgvector": "vector.yaml"})
    );
    // One that cannot be read is a mistake, and not the catalogue's.
    write(
        directory.path(),
        "vector.yaml",
        "kind: extension\nname: pgvector\n",
    );
    assert_eq!(run_in(directory.path(), &["plan"]).status, 3);
}

#[test]
fn another_catalogue_or_none_takes_the_place() {
    let directory = manifests(&[("image.yaml", IMAGE)]);
    let ran = run_in(directory.path(), &["plan", "--no-catalogue"]);
    assert_eq!(ran.status, 3, "{}", ran.err);
    assert!(
        ran.err
            .contains("the standard layout is that of the catalogue's image"),
        "{}",
        ran.err
    );
    let all = project().join("manifests");
    let text = done(directory.path(), &["plan", "--catalogue", all.to_str().unwrap()]);
    assert!(
        text.contains(&format!("  of {}, sha256 ", all.display())),
        "{text}"
    );
    let ran = run_in(directory.path(), &["plan", "--catalogue", "nowhere"]);
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(
        ran.err.contains("the catalogue nowhere is not a directory"),
        "{}",
        ran.err
    );
}

#[test]
fn other_yaml_beside_an_image_is_not_a_manifest() {
    let compose = "services:\n  db:\n    image: mine\n";
    let object = "apiVersion: v1\nkind: Service\n";
    let directory = manifests(&[
        ("image.yaml", IMAGE),
        ("compose.yaml", compose),
        ("db.yaml", object),
    ]);
    done(directory.path(), &["plan"]);
    // A kind that is nearly one of a manifest is a mistake.
    write(directory.path(), "db.yaml", "kind: extensoin\n");
    let ran = run_in(directory.path(), &["plan"]);
    assert_eq!(ran.status, 3);
    assert!(ran.err.contains("did you mean `extension`?"), "{}", ran.err);
}

#[test]
fn a_layout_gives_what_is_left_out_and_nothing_else() {
    let image = "kind: image\nname: mine\nbase: debian:bookworm\npostgresql: \"18\"\n";
    let directory = manifests(&[("image.yaml", image)]);
    let ran = run_in(directory.path(), &["plan"]);
    assert!(
        ran.err
            .contains("the manifest lacks `user`, `locale`, `configuration`, `prune`"),
        "{}",
        ran.err
    );
    let own = "layout: standard\nlocale: C\nsettings: { unix_socket_directories: /tmp, work_mem: 64MB }\n\
               packages: { runtime: [less] }\nprune: { paths: [/opt/nothing] }\n";
    write(directory.path(), "image.yaml", &format!("{image}{own}"));
    let text = done(directory.path(), &["plan"]);
    assert!(text.contains("unix_socket_directories = /tmp: image"), "{text}");
    assert!(text.contains("work_mem = 64MB: image"), "{text}");
    for package in ["less", "libnss-wrapper", "zstd"] {
        assert!(
            text.contains(&format!("run-time package {package}: image")),
            "{text}"
        );
    }
    write(directory.path(), "image.yaml", &format!("{image}layout: other\n"));
    let ran = run_in(directory.path(), &["plan"]);
    assert!(ran.err.contains("`layout` cannot be `other`"), "{}", ran.err);
}

#[test]
fn what_is_required_is_selected_and_the_plan_says_why() {
    let directory = manifests(&[("image.yaml", IMAGE)]);
    let text = done(directory.path(), &["plan", "--with", "periods"]);
    assert!(text.contains("required by periods"), "{text}");
    let ran = run_in(
        directory.path(),
        &["plan", "--with", "periods", "--without", "btree_gist"],
    );
    assert_eq!(ran.status, 3);
    assert!(
        ran.err
            .contains("`periods` requires `btree_gist`, which is left out"),
        "{}",
        ran.err
    );
}

#[test]
fn init_writes_an_image_that_plans_and_overwrites_nothing() {
    let directory = manifests(&[]);
    let inside = directory.path().join("My Image");
    let out = done(
        directory.path(),
        &["init", "My Image", "--extension", "pgvector, citus", "--patroni"],
    );
    assert!(out.contains("docker build --tag my-image My Image\n"), "{out}");
    let image = read(&inside, "image.yaml");
    assert!(image.lines().count() <= 25, "{image}");
    assert!(
        image.starts_with("# yaml-language-server: $schema=pgsetup.schema.json\n"),
        "{image}"
    );
    // Citus does not work unless it is preloaded.
    assert!(image.contains("preload:\n  - citus\n"), "{image}");
    let plan = done(&inside, &["plan"]);
    assert!(plan.starts_with("my-image for debian:bookworm/"), "{plan}");
    let dockerfile = read(&inside, "Dockerfile");
    assert!(
        dockerfile.contains("/usr/lib/postgresql/18/bin:/opt/patroni/bin:"),
        "{dockerfile}"
    );
    assert!(!dockerfile.contains('@'), "{dockerfile}");
    assert!(inside.join("pgsetup").is_file());
    assert_eq!(
        parsed(&read(&inside, "pgsetup.schema.json"))["title"],
        "pgsetup manifest"
    );

    write(&inside, "image.yaml", "mine");
    let again = run_in(directory.path(), &["init", "My Image"]);
    assert_eq!(again.status, 2);
    assert!(
        again.err.contains(
            "already has image.yaml, Dockerfile, .dockerignore, pgsetup.schema.json; nothing was written"
        ),
        "{}",
        again.err
    );
    assert_eq!(read(&inside, "image.yaml"), "mine");
}

#[test]
fn init_writes_nothing_that_does_not_resolve() {
    let directory = manifests(&[]);
    for (args, status, says) in [
        (
            &["init", "x", "--extension", "pgvectr"][..],
            3,
            "did you mean `pgvector`?",
        ),
        (
            &["init", "x", "--pg", "9"],
            3,
            "there is no PostgreSQL manifest `9`",
        ),
        (&["init", "x", "--base", "bookworm"], 3, "is not a distribution"),
        (
            &["init", "x", "--from", "pgsetup:latest"],
            2,
            "an image is named with its digest",
        ),
    ] {
        let ran = run_in(directory.path(), args);
        assert_eq!(ran.status, status, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
        assert!(!directory.path().join("x/image.yaml").exists(), "{args:?}");
    }
    let pinned = format!("registry.example/pgsetup:1@sha256:{}", "a".repeat(64));
    done(directory.path(), &["init", "y", "--from", &pinned]);
    let inside = directory.path().join("y");
    assert!(read(&inside, "Dockerfile").contains(&format!("FROM {pinned} AS pgsetup\n")));
    assert!(!inside.join("pgsetup").exists());
}

#[test]
fn add_and_remove_edit_the_manifest_and_keep_its_comments() {
    let directory = manifests(&[("image.yaml", IMAGE)]);
    let at = directory.path();
    let out = done(at, &["add", "periods", "citus"]);
    assert!(
        out.contains("  with it comes btree_gist, which periods requires\n"),
        "{out}"
    );
    assert!(
        out.contains("  added citus to `preload`: it does not work without\n"),
        "{out}"
    );
    let expected = "# Mine.\nkind: image\nname: mine\nbase: debian:bookworm\npostgresql: \"18\"\nlayout: standard\n\
                    extensions:\n  # Vectors.\n  - pgvector   # 0.8\n  - periods\n  - citus\n\n# The end.\npreload:\n  - citus\n";
    assert_eq!(read(at, "image.yaml"), expected);
    assert!(done(at, &["plan"]).contains("citus 14"));
    let out = done(at, &["remove", "citus", "periods"]);
    assert!(out.contains("  removed citus from `preload`\n"), "{out}");
    assert_eq!(read(at, "image.yaml"), format!("{IMAGE}preload: []\n"));
    for (args, says) in [
        (&["add", "pgvector"][..], "`pgvector` is in image.yaml already"),
        (&["add", "pgvectr"], "did you mean `pgvector`?"),
        (&["remove", "citus"], "it lists pgvector"),
    ] {
        let ran = run_in(at, args);
        assert_eq!(ran.status, 2, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
    }
    // What does not go together is not written.
    let before = read(at, "image.yaml");
    let ran = run_in(at, &["add", "login_hook"]);
    assert_eq!(ran.status, 3, "{}", ran.err);
    assert_eq!(read(at, "image.yaml"), before);
}

#[test]
fn export_writes_a_manifest_that_then_counts() {
    let directory = manifests(&[("image.yaml", IMAGE)]);
    let at = directory.path();
    let out = done(at, &["export", "pgvector"]);
    assert!(out.starts_with("./extensions/pgvector.yaml\n"), "{out}");
    let written = read(at, "extensions/pgvector.yaml");
    assert_eq!(written, manifest("extensions/pgvector.yaml"));
    write(
        at,
        "extensions/pgvector.yaml",
        &written.replacen("summary: ", "summary: My ", 1),
    );
    assert!(done(at, &["plan"]).contains("not its pgvector: extensions/pgvector.yaml replaces it"));
    let again = run_in(at, &["export", "pgvector"]);
    assert_eq!(again.status, 2);
    assert!(again.err.contains("exists already"), "{}", again.err);
}

#[test]
fn list_search_and_info_need_no_manifests() {
    let directory = manifests(&[]);
    let at = directory.path();
    let list = done(at, &["list"]);
    for text in [
        "\nPostgreSQL\n",
        "\n  18       18.",
        "pgvector",
        "* selected; + tested",
    ] {
        assert!(list.contains(text), "{text}: {list}");
    }
    let document = parsed(&done(at, &["list", "--format", "json"]));
    let extensions = document["extensions"].as_array().unwrap();
    assert!(extensions.len() > 100, "{}", extensions.len());
    let named = |name: &str| extensions.iter().find(|one| one["name"] == name).unwrap().clone();
    let vector = named("pgvector");
    assert_eq!(vector["license"], "PostgreSQL");
    let states: Vec<&str> = vector["majors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|major| major["state"].as_str().unwrap())
        .collect();
    assert_eq!(states.len(), 4);
    assert!(states.contains(&"tested"), "{states:?}");
    assert_eq!(named("login_hook")["majors"][3]["state"], "unsupported");
    assert_eq!(named("citus")["preload"]["required"], true);

    let found = done(at, &["search", "VECTOR"]);
    assert!(
        found.contains("pgvector") && !found.contains("pg_cron"),
        "{found}"
    );
    assert_eq!(run_in(at, &["search", "nothing-like-it"]).status, 2);

    let info = done(at, &["info", "pgvector"]);
    assert!(info.contains("  in SQL          vector\n"), "{info}");
    assert!(info.ends_with(&manifest("extensions/pgvector.yaml")), "{info}");
    let module = done(at, &["info", "earthdistance"]);
    assert!(
        module.contains("  requires        cube\n") && module.contains("requires: [cube]"),
        "{module}"
    );
    assert!(!module.contains("name: adminpack"), "{module}");
    assert!(done(at, &["info", "postgresql-18"]).contains("kind: postgresql"));
    assert!(
        run_in(at, &["info", "pgvectr"])
            .err
            .contains("did you mean `pgvector`?")
    );
}

#[test]
fn a_manifest_of_ones_own_is_declared_and_not_tested() {
    let own = manifest("extensions/pgvector.yaml").replacen("summary: ", "summary: My ", 1);
    let directory = manifests(&[("image.yaml", IMAGE), ("vector.yaml", &own)]);
    let document = parsed(&done(directory.path(), &["info", "pgvector", "--format", "json"]));
    let extension = &document["extension"];
    assert_eq!(extension["manifest"], "vector.yaml");
    assert_eq!(extension["selected"], true);
    let majors = extension["majors"].as_array().unwrap();
    assert!(
        majors.iter().all(|major| major["state"] != "tested"),
        "{majors:?}"
    );
}

/// Compares with a file of `tests/golden`.
fn golden(name: &str, text: &str) {
    let expected = project().join("tests/golden").join(name);
    snapbox::assert_data_eq!(
        text,
        snapbox::Data::read_from(&expected, Some(snapbox::data::DataFormat::Text)).raw()
    );
}

/// The receipt of the fixture with more to explain.
fn explained() -> serde_json::Value {
    let path = project().join("tests/fixtures/receipt.json");
    let mut receipt = parsed(&std::fs::read_to_string(path).unwrap());
    let file = |path: &str, component: &str| {
        serde_json::json!({"path": path, "component": component, "mode": "0755", "uid": 0, "gid": 0,
            "sha256": "0".repeat(64), "size": 1})
    };
    let package = |name: &str, reason: &str| serde_json::json!({"name": name, "version": "1-1", "architecture": "amd64", "source": name, "reason": reason, "size": 1});
    let push = |receipt: &mut serde_json::Value, list: &str, value: serde_json::Value| {
        receipt[list].as_array_mut().unwrap().push(value);
    };
    push(
        &mut receipt,
        "files",
        file("/usr/lib/postgresql/18/bin/postgres", "postgresql"),
    );
    push(&mut receipt, "files", file("/etc/postgresql/image.conf", "image"));
    let through = "/usr/lib/postgresql/18/lib/citus.so -> libcurl.so.4";
    push(&mut receipt, "packages_kept", package("libcurl4", through));
    push(
        &mut receipt,
        "packages_kept",
        package("libnghttp2-14", "package libcurl4"),
    );
    push(&mut receipt, "packages_kept", package("perl", "wanted by citus"));
    push(
        &mut receipt,
        "packages_kept",
        package("zstd", "program zstd, called by image"),
    );
    let mut removed = package("bison", "");
    removed
        .as_object_mut()
        .unwrap()
        .retain(|key, _| key != "reason" && key != "size");
    push(&mut receipt, "packages_removed", removed);
    let mut helper = receipt["components"][1].clone();
    helper["name"] = "btree_helper".into();
    helper["required_by"] = serde_json::json!(["citus"]);
    push(&mut receipt, "components", helper);
    receipt
}

#[test]
fn why_leads_from_a_thing_to_what_the_image_selects() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("receipt.json");
    std::fs::write(&path, explained().to_string()).unwrap();
    let ask = |what: &str| {
        let ran = pgsetup(["why", what, "--receipt", path.to_str().unwrap()]);
        assert_eq!(ran.status, 0, "{what}: {}", ran.err);
        format!("$ pgsetup why {what}\n{}", ran.out)
    };
    let asked = [
        "libicu72",
        "libicuuc.so.72",
        "libcurl4",
        "libnghttp2-14",
        "libc6",
        "bison",
        "perl",
        "zstd",
        "citus",
        "citus-pg17",
        "btree_helper",
        "urllib3",
        "/usr/lib/postgresql/18/bin/postgres",
        "/etc/postgresql/image.conf",
    ];
    golden("why.txt", &asked.map(ask).join("\n"));
    let ran = pgsetup(["why", "nothing", "--receipt", "tests/fixtures/receipt.json"]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.err.contains("the receipt does not know `nothing`"),
        "{}",
        ran.err
    );
    let directory = manifests(&[("image.yaml", IMAGE)]);
    let planned = done(directory.path(), &["why", "--plan", "libicu-dev"]);
    assert!(planned.contains("the image mine selects postgresql"), "{planned}");
}

#[test]
fn diff_lists_what_changed_between_two_receipts() {
    let path = project().join("tests/fixtures/receipt.json");
    let mut receipt = parsed(&std::fs::read_to_string(&path).unwrap());
    receipt["image"] = "later".into();
    receipt["components"][1]["version"] = "14.0.2".into();
    receipt["components"].as_array_mut().unwrap().remove(2);
    receipt["packages_kept"][0]["version"] = "72.1-4".into();
    receipt["base"]["packages"].as_array_mut().unwrap().remove(0);
    receipt["postgresql"]["settings"] =
        serde_json::json!([{"name": "work_mem", "value": "64MB", "wanted_by": "image"}]);
    receipt["files_size"] = 5_000_000.into();
    receipt["files"][0]["mode"] = "0700".into();
    let directory = tempfile::tempdir().unwrap();
    let later = directory.path().join("later.json");
    std::fs::write(&later, receipt.to_string()).unwrap();
    let ran = pgsetup(["diff", path.to_str().unwrap(), later.to_str().unwrap()]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    golden("diff.txt", &ran.out);
    let same = pgsetup(["diff", path.to_str().unwrap(), path.to_str().unwrap()]);
    assert_eq!(same.out, "no difference\n");
    let ran = pgsetup(["diff", path.to_str().unwrap(), directory.path().to_str().unwrap()]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.err.contains("this is not an image that pgsetup installed"),
        "{}",
        ran.err
    );
}

#[test]
fn doctor_names_what_is_missing_and_who_needs_it() {
    let bare = tempfile::tempdir().unwrap();
    let output = command([
        "doctor",
        "--offline",
        "--format",
        "json",
        "--cache",
        "/nowhere/at/all",
    ])
    .env("PATH", bare.path())
    .output()
    .unwrap();
    let ran = Ran::from(output);
    assert_eq!(ran.status, 1, "{}", ran.err);
    let document = parsed(&ran.out);
    let findings = document["findings"].as_array().unwrap();
    let engine = findings
        .iter()
        .find(|one| one["name"] == "a container engine")
        .unwrap();
    assert_eq!(engine["state"], "missing");
    assert_eq!(engine["needed_by"], serde_json::json!(["docker build"]));
    assert!(ran.err.contains("a container engine"), "{}", ran.err);
    let github = findings.iter().find(|one| one["name"] == "GitHub").unwrap();
    assert_eq!(github["state"], "skipped");
}

#[test]
fn the_entrypoint_is_whole_or_not_written() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path().to_str().unwrap();
    let ran = pgsetup(["entrypoint", "--root", at]);
    if ran.status == 2 {
        assert!(ran.err.contains("compiled without pgstart"), "{}", ran.err);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        return;
    }
    assert_eq!(ran.status, 0, "{}", ran.err);
    let ours = project().join("entrypoint.d");
    let written = root.path().join("opt/container/entrypoint.d");
    let same = std::process::Command::new("diff")
        .arg("-r")
        .args([&ours, &written])
        .output()
        .unwrap();
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    assert_eq!(read(root.path(), "entrypoint.sh"), read(&ours, "entrypoint.sh"));
    assert!(root.path().join("opt/container/bin/pgstart").is_file());
}

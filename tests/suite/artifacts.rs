//! Artifacts: what was built once is not built again.

use std::process::Stdio;

use crate::machine::{Machine, Recipe, digest, files_below, linking_a_stray};
use crate::support::{Ran, pgsetup, wait_for};

/// A bare machine whose cache has the artifacts of alpha and beta.
fn installed_before() -> Machine {
    let machine = Machine::new();
    machine.image(&["alpha", "beta"], "");
    machine.extension("alpha", counting("alpha"));
    machine.extension("beta", counting("beta"));
    let ran = machine.install(&[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(compiled(&machine), ["alpha", "beta"]);
    // `--explain` needs the receipt.
    let receipt = machine.root("/usr/share/pgsetup/receipt.json");
    std::fs::copy(receipt, machine.path("receipt.json")).unwrap();
    machine.fresh();
    machine
}

/// An extension that notes its builds and has its own build package.
fn counting(name: &str) -> Recipe<'static> {
    let (make, packages): (&[&str], &[&str]) = match name {
        "alpha" => (&["@echo alpha >>$(TRACE)/compiled"], &["libalpha-dev"]),
        _ => (&["@echo beta >>$(TRACE)/compiled"], &["libbeta-dev"]),
    };
    Recipe::new().make(make).packages(packages)
}

/// The extensions that were compiled since the machine was bare, in order.
fn compiled(machine: &Machine) -> Vec<String> {
    let mut names: Vec<String> = machine.trace("compiled").lines().map(str::to_owned).collect();
    names.sort();
    names
}

/// The packages that apt installed.
fn packages(machine: &Machine) -> Vec<String> {
    let trace = machine.trace("apt-get");
    let installs = trace.lines().filter(|line| line.starts_with("install --yes"));
    let words = installs.flat_map(|line| line.split(' ').skip(1));
    let names = words.filter(|word| !word.starts_with('-') && !word.starts_with("Dpkg::"));
    names.map(str::to_owned).collect()
}

#[track_caller]
fn succeeded(machine: &Machine, more: &[&str]) -> Ran {
    let ran = machine.install(more);
    assert_eq!(ran.status, 0, "{}{}", ran.out, machine.neutral(&ran.err));
    let root = machine.path("root");
    let verified = pgsetup(["verify", "--root", root.to_str().unwrap()]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
    ran
}

/// The output of `plan --explain NAME` with the earlier receipt.
fn explained(machine: &Machine, name: &str) -> String {
    let [manifests, receipt] =
        ["manifests", "receipt.json"].map(|name| machine.path(name).to_str().unwrap().to_owned());
    let ran = pgsetup(["plan", &manifests, "--explain", name, "--receipt", &receipt]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    ran.out
}

#[test]
fn a_cached_artifact_needs_no_source_and_no_packages() {
    let machine = installed_before();
    let asked = |path: &str| machine.server.ranges(path).len();
    let before = asked("/alpha-1.0.tar.gz");
    // No source is available.
    for digest in files_below(&machine.path("cache/sha256")) {
        let listed = pgsetup([
            "cache",
            "--cache",
            machine.path("cache").to_str().unwrap(),
            "list",
        ]);
        if !listed
            .out
            .lines()
            .any(|line| line.starts_with(&digest) && line.contains("built"))
        {
            std::fs::remove_file(machine.path("cache/sha256").join(digest)).unwrap();
        }
    }
    let ran = succeeded(&machine, &[]);
    assert_eq!(compiled(&machine), Vec::<String>::new());
    assert_eq!(packages(&machine), Vec::<String>::new());
    for (step, note) in [
        ("look up artifacts", "3 of 3 at hand"),
        ("fetch alpha 1.0", "not needed: the artifact is at hand"),
        (
            "install build packages",
            "not needed: what they would build is at hand",
        ),
        ("build alpha 1.0", "cached, "),
        ("build postgresql 18.6", "restored with the first part"),
    ] {
        let start = format!("done   {step}  ");
        let line = ran.err.lines().find(|line| line.starts_with(&start));
        assert!(
            line.is_some_and(|line| line.contains(note)),
            "{}\nshould have\n{step}: {note}",
            ran.err
        );
    }
    assert_eq!(asked("/alpha-1.0.tar.gz"), before);
    assert!(
        machine
            .root("/usr/share/postgresql/18/extension/alpha.control")
            .exists()
    );
}

#[test]
fn comments_tests_settings_and_addresses_change_no_key() {
    let machine = installed_before();
    let path = machine.path("manifests/alpha.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = format!(
        "# A comment.\n{}",
        text.replace("summary: an example", "summary: another")
    );
    let more = "settings: {alpha.x: \"1\"}\ntests: [{description: d, query: SELECT 1;, expected: \"1\"}]\n";
    std::fs::write(
        &path,
        text.replace("/alpha-1.0.tar.gz", "/elsewhere.tar.gz") + more,
    )
    .unwrap();
    assert!(explained(&machine, "alpha").starts_with("alpha 1.0: the same key, "));
    // The stub of psql answers every query with a version, so the extension's test fails.
    let ran = machine.install(&[]);
    assert_eq!(compiled(&machine), Vec::<String>::new(), "{}", ran.err);
    assert!(ran.err.contains("3 of 3 at hand"), "{}", ran.err);
}

#[test]
fn only_pruning_of_stages_changes_keys() {
    let machine = installed_before();
    let again = |prune: &str, built: &[&str]| {
        machine.image(&["alpha", "beta"], "");
        let path = machine.path("manifests/image.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text.replace("{remove: [package-lists]}", prune)).unwrap();
        succeeded(&machine, &[]);
        assert_eq!(compiled(&machine), built, "{prune}");
        machine.fresh();
    };
    let late = "remove: [logs, development, package-lists, static-libraries], paths: [/opt/x]";
    again(&format!("{{{late}, package_paths: [/usr/share/man/*]}}"), &[]);
    again("{remove: [documentation]}", &["alpha", "beta"]);
    again(
        "{remove: [package-lists], package_paths: [/usr/include/x/*]}",
        &["alpha", "beta"],
    );
}

#[test]
fn a_changed_flag_is_explained_and_built_again() {
    let machine = installed_before();
    let path = machine.path("manifests/alpha.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("{pgxs: {}}", "{pgxs: {make: [OPTFLAGS=]}}")).unwrap();
    let explanation = explained(&machine, "alpha");
    let line = "  command 1: cd /var/tmp/pgsetup/source/alpha-1.0 && PG_CONFIG=/usr/lib/postgresql/18/bin/pg_config \
                make PG_CONFIG=/usr/lib/postgresql/18/bin/pg_config USE_PGXS=1 -> ";
    assert!(explanation.contains(line), "{explanation}");
    assert!(explanation.contains("USE_PGXS=1 OPTFLAGS=\n"), "{explanation}");
    let ran = succeeded(&machine, &[]);
    assert_eq!(compiled(&machine), ["alpha"]);
    assert!(ran.err.contains("2 of 3 at hand"), "{}", ran.err);
    assert_eq!(packages(&machine), ["make", "libalpha-dev"]);
}

#[test]
fn a_key_of_an_older_major_is_explained_by_its_own_server() {
    let machine = Machine::new();
    machine.image(&["alpha"], "previous: [\"17\"]\n");
    machine.postgresql_of("17", "17.11", &[]);
    machine.extension("alpha", counting("alpha"));
    succeeded(&machine, &[]);
    let receipt = machine.root("/usr/share/pgsetup/receipt.json");
    std::fs::copy(receipt, machine.path("receipt.json")).unwrap();
    let path = machine.path("manifests/postgresql-17.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}environment: {{CFLAGS: -O1}}\n")).unwrap();
    let explanation = explained(&machine, "alpha-pg17");
    assert!(
        explanation.starts_with("alpha-pg17 1.0: ") && explanation.contains("\n  postgresql-pg17 17.11: "),
        "{explanation}"
    );
    assert!(explanation.contains("CFLAGS=-O1"), "{explanation}");
    assert!(!explanation.contains("postgresql 18.6"), "{explanation}");
    assert!(explained(&machine, "alpha").starts_with("alpha 1.0: the same key, "));
}

#[test]
fn a_new_package_version_rebuilds_what_sees_it() {
    let machine = installed_before();
    std::fs::write(machine.path("versions/libbeta-dev"), "2").unwrap();
    succeeded(&machine, &[]);
    assert_eq!(compiled(&machine), ["beta"]);
    let receipt = std::fs::read_to_string(machine.root("/usr/share/pgsetup/receipt.json")).unwrap();
    assert!(receipt.contains("\"libbeta-dev\": \"2\""), "{receipt}");
    // The server's build packages are part of its key, and that is part of every other key.
    machine.fresh();
    std::fs::write(machine.path("versions/make"), "2").unwrap();
    succeeded(&machine, &[]);
    assert_eq!(compiled(&machine), ["alpha", "beta"]);
}

#[test]
fn a_damaged_artifact_is_built_again() {
    let machine = installed_before();
    let listed = pgsetup([
        "cache",
        "--cache",
        machine.path("cache").to_str().unwrap(),
        "list",
    ]);
    let line = listed.out.lines().find(|line| line.ends_with("built alpha 1.0"));
    let digest = line.expect("the artifact is listed").split(' ').next().unwrap();
    let path = machine.path("cache/sha256").join(digest);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[30] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let ran = succeeded(&machine, &[]);
    let line = "the artifact of alpha 1.0 is not used and is built again: its file has another digest";
    assert!(ran.err.contains(line), "{}", ran.err);
    assert_eq!(compiled(&machine), ["alpha"]);
    machine.fresh();
    succeeded(&machine, &[]);
    assert_eq!(compiled(&machine), Vec::<String>::new());
}

/// Changes the entry of alpha's artifact in the cache.
fn change_entry(machine: &Machine, change: impl Fn(&mut serde_json::Value)) {
    for name in files_below(&machine.path("cache/artifact")) {
        let path = machine.path("cache/artifact").join(name);
        let mut entry: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        if entry["component"] == "alpha 1.0" {
            change(&mut entry);
            std::fs::write(path, entry.to_string()).unwrap();
        }
    }
}

#[test]
fn an_entry_that_names_a_foreign_package_is_not_used() {
    let machine = installed_before();
    change_entry(&machine, |entry| entry["libraries"] = ["nosuch"].into());
    let ran = succeeded(&machine, &[]);
    let line =
        "the artifact of alpha 1.0 is not used and is built again: its entry names the package \"nosuch\"";
    assert!(ran.err.contains(line), "{}", ran.err);
    assert_eq!(compiled(&machine), ["alpha"]);
}

#[test]
fn an_artifact_that_cannot_be_unpacked_fails_once() {
    let machine = installed_before();
    let bytes = b"no tar";
    let digest = digest(bytes);
    std::fs::write(machine.path("cache/sha256").join(&digest), bytes).unwrap();
    change_entry(&machine, |entry| {
        entry["sha256"] = digest.clone().into();
        entry["bytes"] = bytes.len().into();
    });
    let ran = machine.install(&[]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    let words =
        "cannot unpack the artifact of alpha 1.0, which was removed from the cache; run again to build it";
    assert!(ran.err.contains(words), "{}", ran.err);
    machine.fresh();
    succeeded(&machine, &[]);
    assert_eq!(compiled(&machine), ["alpha"]);
}

#[test]
fn an_artifact_built_with_another_version_is_not_kept() {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    machine.extension("alpha", counting("alpha"));
    // A new version appears between the query and the installation.
    let (stub, real) = (machine.path("bin/apt-get"), machine.path("bin/apt-get-real"));
    std::fs::rename(&stub, &real).unwrap();
    let script = "#!/usr/bin/env bash\n\
                  case \"$*\" in *--yes*) printf 2 >\"${TRACE%/trace}/versions/libalpha-dev\" ;; esac\n\
                  exec \"$0-real\" \"$@\"\n";
    std::fs::write(&stub, script).unwrap();
    std::fs::set_permissions(&stub, std::fs::metadata(&real).unwrap().permissions()).unwrap();
    let ran = succeeded(&machine, &[]);
    let words = ", not kept: it was not built with libalpha-dev 1";
    assert!(ran.err.contains(words), "{}", ran.err);
    let kept = |machine: &Machine| files_below(&machine.path("cache/artifact")).len();
    assert_eq!(kept(&machine), 1, "only the server's");
    machine.fresh();
    succeeded(&machine, &[]);
    assert_eq!(
        (compiled(&machine), kept(&machine)),
        (vec!["alpha".to_owned()], 2)
    );
}

#[test]
fn a_library_outside_of_the_key_fails_the_build() {
    let cases = [
        // The package is installed, but no build package of alpha depends on it.
        (
            true,
            "links libstray.so.1 of libstray1, which none of its build packages brings\n\
             \x20 hint: add the development package of each to `packages.build`\n",
        ),
        (
            false,
            "links /usr/lib/libstray.so.1, which no package and no component has\n\
             \x20 hint: a file that no package has is not part of the key: install it as a Debian package that `packages.build` names, or \
             take it out of the base image\n",
        ),
    ];
    for (has_package, expected) in cases {
        let machine = linking_what_it_does_not_name();
        if has_package {
            libstray_is_a_packages(&machine);
        }
        let ran = machine.install(&[]);
        assert_eq!(ran.status, 6, "{}", ran.err);
        let expected = format!(
            "alpha was compiled with files that its manifest does not name:\n\
             \x20 /usr/lib/postgresql/18/lib/alpha.so {expected}"
        );
        assert!(ran.err.contains(&expected), "{}", ran.err);
    }
}

/// A machine on which libstray1 is an installed package.
fn libstray_is_a_packages(machine: &Machine) {
    let status = machine.root("/var/lib/dpkg/status");
    let mut text = std::fs::read_to_string(&status).unwrap();
    text.push_str("Package: libstray1\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n");
    std::fs::write(status, text).unwrap();
    machine.write(
        "/var/lib/dpkg/info/libstray1.list",
        "/.\n/usr/lib/libstray.so.1\n",
    );
}

/// A machine on which alpha links a library that it does not name.
fn linking_what_it_does_not_name() -> Machine {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    machine.extension("alpha", linking_a_stray());
    machine
}

#[test]
fn a_killed_installation_keeps_finished_artifacts() {
    let machine = Machine::new();
    machine.image(&["alpha", "beta"], "");
    machine.extension("alpha", counting("alpha"));
    let wait = "@echo beta >>$(TRACE)/compiled; touch $(TRACE)/beta-runs; until test -e $(TRACE)/go; do sleep 0.02; done";
    machine.extension("beta", Recipe::new().make(&[wait]));
    let mut child = machine.start_until(&[], "beta-runs");
    // An entry that is still being written has a temporary name.
    let kept = || {
        let names = files_below(&machine.path("cache/artifact"));
        names.iter().filter(|name| !name.starts_with(".pgsetup-")).count()
    };
    wait_for("alpha and the server are kept", || kept() == 2);
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::write(machine.path("trace/go"), "").unwrap();
    machine.is_quiet();
    machine.fresh();
    std::fs::write(machine.path("trace/go"), "").unwrap();
    succeeded(&machine, &[]);
    assert_eq!(compiled(&machine), ["beta"]);
    assert_eq!(kept(), 3);
}

#[test]
fn two_installations_sharing_a_cache_build_once() {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    let wait = "@echo alpha >>$(TRACE)/compiled; touch $(TRACE)/runs; until test -e $(TRACE)/go; do sleep 0.02; done";
    machine.extension("alpha", Recipe::new().make(&[wait]));
    let first = machine.start_until(&[], "runs");
    // Another root, with everything else the same. It would note its builds in its own trace.
    let other = machine.other();
    let second = machine
        .command_in("other/root", &[])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the second waits", || {
        other.join("var/tmp/pgsetup/log/build-alpha-1.0.log").exists()
    });
    std::fs::write(machine.path("trace/go"), "").unwrap();
    for child in [first, second] {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(compiled(&machine), ["alpha"]);
    assert!(!machine.path("other/trace/compiled").exists());
    assert!(
        other
            .join("usr/share/postgresql/18/extension/alpha.control")
            .exists()
    );
}

#[test]
fn waiting_for_another_build_takes_no_job() {
    let machine = Machine::new();
    machine.image(&["alpha", "beta"], "");
    let wait = "@touch $(TRACE)/alpha-runs; until test -e $(TRACE)/alpha-goes; do sleep 0.02; done";
    machine.extension("alpha", Recipe::new().make(&[wait]));
    machine.extension("beta", Recipe::new().make(&["@touch $(TRACE)/beta-runs"]));
    let first = machine.start_until(&["--extensions", "alpha"], "alpha-runs");
    machine.other();
    let second = machine
        .command_in("other/root", &["--jobs", "1"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the second builds beta", || {
        machine.path("other/trace/beta-runs").exists()
    });
    std::fs::write(machine.path("trace/alpha-goes"), "").unwrap();
    for child in [first, second] {
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{err}");
        let waits = err
            .matches("alpha: another pgsetup builds the same; waiting for it")
            .count();
        let starts = err.matches("start  build alpha 1.0\n").count();
        assert!(waits <= 1 && starts == 1, "{err}");
    }
    assert!(!machine.path("other/trace/alpha-runs").exists());
}

#[test]
fn a_failed_build_is_left_to_the_one_that_waits() {
    let machine = Machine::new();
    machine.image(&["alpha", "beta"], "");
    let until = |name: &str| {
        format!("touch $(TRACE)/{name}-runs; until test -e $(TRACE)/{name}-goes; do sleep 0.02; done")
    };
    let alpha = format!("@{}; test -e $(TRACE)/alpha-succeeds", until("alpha"));
    let beta = format!("@{}", until("beta"));
    for (name, make) in [("alpha", &alpha), ("beta", &beta)] {
        machine.extension(name, Recipe::new().make(&[make]));
    }
    let first = machine.start_until(&[], "alpha-runs");
    wait_for("beta is built as well", || {
        machine.path("trace/beta-runs").exists()
    });
    let other = machine.other();
    for name in ["alpha-goes", "alpha-succeeds", "beta-goes"] {
        std::fs::write(machine.path("other/trace").join(name), "").unwrap();
    }
    let second = machine
        .command_in("other/root", &[])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the second waits", || {
        other.join("var/tmp/pgsetup/log/build-alpha-1.0.log").exists()
    });
    std::fs::write(machine.path("trace/alpha-goes"), "").unwrap();
    // The first still builds beta.
    wait_for("the second builds alpha", || {
        machine.path("other/trace/alpha-runs").exists()
    });
    std::fs::write(machine.path("trace/beta-goes"), "").unwrap();
    let status = |child: std::process::Child| {
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, err) = status(first);
    assert_eq!(code, Some(6), "{err}");
    let (code, err) = status(second);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        !machine.path("other/trace/beta-runs").exists(),
        "the first one builds beta"
    );
}

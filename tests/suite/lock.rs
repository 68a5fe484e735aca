//! The lock: what `pgsetup lock` writes is installed later as it was, whatever apt's archive has by then, or what has moved is
//! listed.

use std::path::Path;

use crate::loopback::Act;
use crate::machine::{Machine, Recipe, digest, files_below};
use crate::support::Ran;

/// The time of every file of an image, so that two of them can be compared.
const TIME: (&str, &str) = ("SOURCE_DATE_EPOCH", "1700000000");

/// A machine whose apt uses the server's archive. Its image has an extension with a build package, and a run-time package.
fn machine() -> Machine {
    let machine = Machine::new();
    let dated = machine.server.put("/dated", b"", &[]);
    machine.image(
        &["alpha"],
        &format!("packages: {{runtime: [xz-utils]}}\nsnapshot: [\"{dated}\"]\n"),
    );
    machine.extension("alpha", Recipe::new().packages(&["libalpha-dev"]));
    uses_archive(&machine, "root");
    for name in ["xz-utils", "libalpha-dev", "make"] {
        publish(&machine, "debian", name, "1", &[]);
    }
    machine
}

/// Has apt of a root use the server's archive.
fn uses_archive(machine: &Machine, root: &str) {
    let directory = machine.path(root).join("etc/apt");
    std::fs::create_dir_all(&directory).unwrap();
    let address = machine.server.put("/debian/", b"", &[]);
    let line = format!("deb {address} bookworm main\n");
    std::fs::write(directory.join("sources.list"), line).unwrap();
}

/// Puts a package into an archive of the server: the stub of apt-cache says that its file has its name and version.
fn publish(machine: &Machine, archive: &str, name: &str, version: &str, acts: &[Act]) -> String {
    let path = format!("/{archive}/pool/{name}_{version}_all.deb");
    machine
        .server
        .put(&path, format!("{name} {version}").as_bytes(), acts)
}

fn run(machine: &Machine, words: &[&str]) -> Ran {
    let mut command = machine.command_of(words);
    command.current_dir(machine.path(".")).output().unwrap().into()
}

#[track_caller]
fn lock(machine: &Machine, root: &str) -> String {
    let root = machine.path(root);
    let ran = run(machine, &["lock", "manifests", "--root", root.to_str().unwrap()]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    ran.out
}

fn document(machine: &Machine) -> serde_json::Value {
    let text = std::fs::read_to_string(machine.path("manifests/pgsetup.lock")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn install(machine: &Machine, root: &str, more: &[&str]) -> Ran {
    let mut command = machine.command_in(root, more);
    command.env(TIME.0, TIME.1).current_dir(machine.path("."));
    command.output().unwrap().into()
}

/// Every file below a root with its digest.
fn tree(root: &Path) -> Vec<String> {
    let file = |path: String| {
        let bytes = std::fs::read(root.join(&path)).unwrap_or_default();
        format!("{path} {}", digest(&bytes))
    };
    files_below(root).into_iter().map(file).collect()
}

/// The archive replaces its packages, and drops the old ones.
fn month_goes_by(machine: &Machine) {
    for name in ["xz-utils", "libalpha-dev", "make"] {
        for versions in ["versions", "other/versions"] {
            std::fs::create_dir_all(machine.path(versions)).unwrap();
            std::fs::write(machine.path(versions).join(name), "2").unwrap();
        }
        publish(machine, "debian", name, "1", &[Act::Status(404, "")]);
        publish(machine, "debian", name, "2", &[]);
    }
    // What the first installation has downloaded is not at hand.
    std::fs::remove_dir_all(machine.path("cache")).unwrap();
}

#[test]
fn a_lock_names_every_file_and_the_base() {
    let machine = machine();
    let page = lock(&machine, "root");
    let expected = "manifests/pgsetup.lock\n  debian:bookworm/ARCH: 2 sources, 3 Debian packages (30 B), on a base of 1 packages\n  \
                    the digest of the base image is not known; --base-digest records it\n";
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    assert_eq!(page, expected.replace("ARCH", architecture));
    let lock = &document(&machine)["targets"][0];
    assert_eq!(lock["base"]["packages"], serde_json::json!({"dpkg": "1.21"}));
    assert_eq!(
        lock["wants"]["packages"],
        serde_json::json!(["xz-utils", "libalpha-dev", "make"])
    );
    let sources = lock["wants"]["sources"].as_array().unwrap();
    let names: Vec<&str> = sources.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["postgresql", "alpha"]);
    assert_eq!(sources[1]["sha256"][0], machine.archive("alpha").sha256);
    let package = &lock["packages"][0];
    assert_eq!(
        (&package["name"], &package["version"], &package["path"]),
        (
            &"libalpha-dev".into(),
            &"1".into(),
            &"pool/libalpha-dev_1_all.deb".into()
        )
    );
    assert_eq!(package["sha256"], digest(b"libalpha-dev 1"));
    // Nothing else is written, and the same machine gives the same lock.
    let before = document(&machine);
    let page = self::lock(&machine, "root");
    assert_eq!(page, expected.replace("ARCH", architecture));
    assert_eq!(document(&machine), before);
}

#[test]
fn a_month_later_the_lock_gives_the_same_image_and_without_it_the_differences_are_named() {
    let machine = machine();
    lock(&machine, "root");
    let ran = install(&machine, "root", &["--locked"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(
        machine
            .trace("apt-get")
            .contains("--config-file=/var/tmp/pgsetup/locked/apt.conf update")
    );
    month_goes_by(&machine);

    // The archive has dropped the packages, and nothing else has them.
    let other = machine.other();
    uses_archive(&machine, "other/root");
    let ran = install(&machine, "other/root", &["--locked"]);
    assert_eq!(ran.status, 4, "{}", ran.err);
    for text in [
        "make 1",
        "/debian/pool/make_1_all.deb",
        "404",
        "not installed; failed: install build packages",
    ] {
        assert!(ran.err.contains(text), "{text}: {}", ran.err);
    }

    // A dated archive has them.
    for name in ["xz-utils", "libalpha-dev", "make"] {
        publish(&machine, "dated", name, "1", &[]);
    }
    std::fs::remove_dir_all(&other).unwrap();
    machine.other();
    uses_archive(&machine, "other/root");
    let ran = install(&machine, "other/root", &["--locked"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    std::fs::remove_file(machine.root("/etc/apt/sources.list")).unwrap();
    std::fs::remove_file(other.join("etc/apt/sources.list")).unwrap();
    let (before, after) = (tree(&machine.path("root")), tree(&other));
    assert!(before.len() > 20, "{before:?}");
    assert_eq!(before, after);

    // Without the lock, it is another image.
    std::fs::remove_dir_all(&other).unwrap();
    machine.other();
    let ran = install(&machine, "other/root", &[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let root = machine.path("root");
    let ran = run(
        &machine,
        &["diff", root.to_str().unwrap(), other.to_str().unwrap()],
    );
    assert!(ran.out.contains("xz-utils"), "{}", ran.out);
}

#[test]
fn a_vendor_directory_is_enough() {
    let machine = machine();
    lock(&machine, "root");
    // The archive that apt uses here is not the test's, so everything comes from the cache.
    let ran = install(&machine, "root", &["--locked"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    machine.fresh();
    let fetch = [
        "fetch",
        "manifests",
        "--to",
        "vendor",
        "--cache",
        "cache",
        "--target",
        "debian:bookworm",
    ];
    let ran = run(&machine, &fetch);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.out.contains("xz-utils_1_all.deb"), "{}", ran.out);
    let files = files_below(&machine.path("vendor"));
    assert_eq!(files.len(), 5, "{files:?}");
    month_goes_by(&machine);
    let offline = ["--locked", "--vendor", "vendor", "--offline"];
    let ran = install(&machine, "root", &offline);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.err.contains("1 at hand, 0 downloaded"), "{}", ran.err);

    // Every missing file is named before anything begins.
    machine.fresh();
    std::fs::remove_dir_all(machine.path("cache")).unwrap();
    for name in ["make_1_all.deb", "xz-utils_1_all.deb"] {
        std::fs::remove_file(machine.path("vendor").join(name)).unwrap();
    }
    let ran = install(&machine, "root", &offline);
    assert_eq!(ran.status, 4, "{}", ran.err);
    assert!(
        ran.err
            .contains("not installed; not available: make 1, xz-utils 1\n"),
        "{}",
        ran.err
    );
    assert_eq!(machine.trace("apt-get"), "");
}

#[test]
fn what_an_artifact_makes_unnecessary_is_not_fetched() {
    let machine = machine();
    lock(&machine, "root");
    let ran = install(&machine, "root", &["--locked"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    // The packages that only builds need are nowhere any more.
    machine.fresh();
    uses_archive(&machine, "root");
    for name in ["libalpha-dev", "make"] {
        publish(&machine, "debian", name, "1", &[Act::Status(404, "")]);
        let sha256 = digest(format!("{name} 1").as_bytes());
        let cached = machine.cached();
        let cached = cached.iter().filter(|path| path.contains(&sha256));
        for path in cached {
            std::fs::remove_file(machine.path("cache").join(path)).unwrap();
        }
    }
    let ran = install(&machine, "root", &["--locked"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let installed: Vec<String> = machine
        .trace("apt-get")
        .lines()
        .filter(|line| line.contains("--yes") && !line.contains("purge"))
        .map(|line| line.rsplit(" -- ").next().unwrap().to_owned())
        .collect();
    assert_eq!(installed, ["xz-utils"]);
}

#[test]
fn everything_that_has_moved_is_listed_and_nothing_is_done() {
    let machine = machine();
    lock(&machine, "root");
    machine.extension("beta", Recipe::new().packages(&["libbeta-dev"]));
    machine.extension(
        "alpha",
        Recipe::new().packages(&["libalpha-dev"]).files(&[("new", "")]),
    );
    machine.image(&["alpha", "beta"], "");
    let expected = [
        "  source alpha 1.0: sha256 ",
        "  source beta 1.0: not in the lock\n",
        "  Debian package libbeta-dev: not in the lock\n",
        "  Debian package xz-utils: no longer wanted\n",
        "`pgsetup lock` writes what there is now",
    ];
    let plan = ["plan", "manifests", "--locked", "--target", "debian:bookworm"];
    let ran = run(&machine, &plan);
    assert_eq!(ran.status, 3, "{}", ran.err);
    for text in expected {
        assert!(ran.err.contains(text), "{text}: {}", ran.err);
    }
    assert!(!ran.err.contains("of the base"), "{}", ran.err);
    // An installation looks at the base as well.
    machine.write(
        "/var/lib/dpkg/status",
        "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.22\n\n",
    );
    let ran = install(&machine, "root", &["--locked"]);
    assert_eq!(ran.status, 3, "{}", ran.err);
    for text in expected
        .iter()
        .chain(&["  package dpkg of the base: 1.21 -> 1.22\n"])
    {
        assert!(ran.err.contains(text), "{text}: {}", ran.err);
    }
    assert_eq!(
        machine.trace("apt-get").lines().count(),
        2,
        "only `lock` has asked apt"
    );

    // A new lock says what it changes.
    machine.fresh();
    uses_archive(&machine, "root");
    let page = lock(&machine, "root");
    assert!(
        page.contains("  package libbeta-dev 1: added\n") && page.contains("  package xz-utils 1: removed\n"),
        "{page}"
    );
    let ran = run(&machine, &plan);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.out.contains("index the packages of the lock"), "{}", ran.out);
}

#[test]
fn without_a_lock_for_the_target_there_is_nothing_to_use() {
    let machine = machine();
    let plan = |target: &str| {
        let ran = run(&machine, &["plan", "manifests", "--locked", "--target", target]);
        assert_eq!(ran.status, 3, "{}", ran.err);
        ran.err
    };
    let error = plan("debian:bookworm");
    assert!(
        error.contains("manifests/pgsetup.lock does not exist; `pgsetup lock`"),
        "{error}"
    );
    lock(&machine, "root");
    let other = if cfg!(target_arch = "aarch64") {
        "debian:bookworm/amd64"
    } else {
        "debian:bookworm/arm64"
    };
    let error = plan(other);
    assert!(error.contains(&format!("has nothing for {other}; ")), "{error}");
    std::fs::write(machine.path("manifests/pgsetup.lock"), "{}").unwrap();
    let error = plan("debian:bookworm");
    assert!(
        error.contains("manifests/pgsetup.lock: it is not a lock"),
        "{error}"
    );
}

#[test]
fn a_package_that_no_archive_has_is_not_locked() {
    let machine = machine();
    machine.image(&[], "packages: {runtime: [local]}\n");
    let root = machine.path("root");
    let ran = run(&machine, &["lock", "manifests", "--root", root.to_str().unwrap()]);
    assert_eq!(ran.status, 3, "{}", ran.err);
    assert!(
        ran.err
            .contains("local 1: no archive has it (its record has no SHA256)"),
        "{}",
        ran.err
    );
    assert!(!machine.path("manifests/pgsetup.lock").exists());
}

#[test]
fn a_locked_package_with_other_bytes_is_refused() {
    let machine = machine();
    lock(&machine, "root");
    machine.server.put("/debian/pool/make_1_all.deb", b"made 1", &[]);
    let ran = install(&machine, "root", &["--locked"]);
    assert_eq!(ran.status, 5, "{}", ran.err);
    assert!(ran.err.contains(&digest(b"make 1")), "{}", ran.err);
}

#[test]
fn where_apt_has_no_archive_the_lock_names_one() {
    let machine = machine();
    lock(&machine, "root");
    machine.write("/etc/apt/sources.list", "");
    let ran = install(&machine, "root", &["--locked"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
}

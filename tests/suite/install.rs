//! `pgsetup install` from start to end, into a directory: what it does, and what happens when sources, builds, package
//! tools or signals interfere.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::loopback::Act;
use crate::machine::{Machine, Recipe, files_below, ids};
use crate::support::{Ran, pgsetup};
use crate::test::{Test, page};

/// A build that never ends by itself: two processes that ignore SIGTERM, the second in its own session.
/// `Machine::processes` counts both.
const HANG: &str =
    "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 1000' & touch $(TRACE)/hangs; sleep 1000";

/// What pgsetup says when a signal ended it.
const STOPPED: &str = "pgsetup: not installed; stopped because pgsetup was told to stop";

/// Fails unless the machine is what its receipt says.
#[track_caller]
fn verifies(machine: &Machine) {
    let root = machine.path("root");
    let verified = pgsetup(["verify", "--root", root.to_str().expect("UTF-8")]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
}

#[test]
fn an_installation_is_complete_and_matches_its_receipt() {
    let machine = Test::new()
        // A base may have a changed file of a package.
        .file(
            "/var/lib/dpkg/info/dpkg.md5sums",
            "900150983cd24fb0d6963f7d28e17f72  usr/bin/dpkg\n",
        )
        .image("packages: {runtime: [xz-utils]}\nsettings: {log_directory: /var/log/postgresql}\n")
        .extension("alpha", Recipe::new().packages(&["libalpha-dev"]))
        .extension("beta", Recipe::new())
        .run();
    verifies(&machine);

    // apt-get ran as the plan says, and the packages of the build are gone.
    let options = "--yes --quiet --no-install-recommends -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-unsafe-io \
         -o Dpkg::Use-Pty=0 --";
    let purge =
        "-qq -o APT::Get::AutomaticRemove=false -o Dpkg::Options::=--force-unsafe-io -o Dpkg::Use-Pty=0";
    let apt = [
        "update --quiet --error-on=any -o Acquire::Languages=none".to_owned(),
        "install --simulate --quiet --no-install-recommends -- xz-utils libalpha-dev make".to_owned(),
        format!("install {options} make"),
        format!("install {options} xz-utils"),
        format!("install {options} libalpha-dev"),
        format!("{purge} --simulate purge -- libalpha-dev make"),
        format!("{purge} --yes purge -- libalpha-dev make"),
    ];
    assert_eq!(machine.trace("apt-get").lines().collect::<Vec<_>>(), apt);
    assert!(
        !machine.path("trace/overlap").exists(),
        "apt-get ran twice at the same time"
    );
    let status = std::fs::read_to_string(machine.root("/var/lib/dpkg/status")).unwrap();
    let installed = status.lines().filter_map(|line| line.strip_prefix("Package: "));
    assert_eq!(installed.collect::<Vec<_>>(), ["dpkg", "xz-utils"]);

    // The cluster ran as the image's user, never as root, and had every extension.
    let programs = machine.trace("setpriv");
    let (uid, gid) = ids();
    let as_user = format!(": --reuid={uid} --regid={gid} --clear-groups");
    for line in programs.lines() {
        assert!(line.ends_with(&as_user), "{line}");
    }
    assert!(programs.contains("postgres: "));
    for name in ["alpha", "beta"] {
        let statement = format!("CREATE EXTENSION IF NOT EXISTS \"{name}\" CASCADE");
        assert!(machine.trace("sql").contains(&statement));
    }

    // Nothing is left that does not belong in the image.
    assert!(!machine.root("/var/tmp/pgsetup").exists());
    assert_eq!(files_below(&machine.root("/var/tmp")), Vec::<String>::new());
    assert_eq!(files_below(&machine.root("/tmp")), ["of-the-base"]);
    let mode = machine
        .root("/var/lib/postgresql/data")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o700);
    let configuration = std::fs::read_to_string(machine.root("/etc/postgresql/image.conf")).unwrap();
    assert!(
        configuration.contains("log_directory = '/var/log/postgresql'\n"),
        "{configuration}"
    );
}

#[test]
fn what_fails_beside_others_is_tested_again_alone() {
    let machine = Machine::new();
    machine.image(&["alpha", "beta"], "");
    machine.extension("alpha", Recipe::new());
    machine.extension("beta", Recipe::new());
    std::fs::write(machine.path("trace/fails-once-alpha"), "").unwrap();
    let ran = machine.install(&[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let told = "alpha 1.0: create alpha 1.0: failed beside other extensions and passed alone: ERROR:  another session is in the \
                way of alpha";
    assert!(ran.err.contains(told), "{}", ran.err);
    let created = |name: &str| {
        let statement = format!("CREATE EXTENSION IF NOT EXISTS \"{name}\"");
        machine.trace("sql").matches(&statement).count()
    };
    // Once in vain, and twice by each that passes.
    assert_eq!((created("alpha"), created("beta")), (3, 2));
    verifies(&machine);
}

#[test]
fn a_wrong_digest_is_shown_with_the_right_one() {
    let mut test = Test::new().extension("alpha", Recipe::new().acts(&[Act::FlippedBit]));
    let archive = test.archive("alpha");
    for more in [&[][..], &["--skip-unavailable"]] {
        let machine = test
            .args(more)
            .status(5)
            .stderr_has(format!(
                "alpha 1.0 (alpha-1.0.tar.gz) is not what its manifest says\n\
                 \x20 wanted: sha256 {wanted}\n\
                 \x20 cache [TEST]/cache: not there\n\
                 \x20 [SERVER]/alpha-1.0.tar.gz: the sha256 is not the expected one\n\
                 \x20   expected {wanted}\n\
                 \x20   actual   {actual}\n\
                 \x20   size     {bytes} bytes\n\
                 \x20   from     [SERVER]/alpha-1.0.tar.gz\n",
                wanted = archive.sha256,
                actual = archive.sha256_with_flipped_bit,
                bytes = archive.content.len(),
            ))
            .run();
        // The archive leaves nothing behind.
        assert_eq!(
            machine.unpacked().iter().find(|name| name.contains("alpha")),
            None
        );
        let kept = machine
            .cached()
            .into_iter()
            .filter(|name| !name.ends_with(".origin"));
        let kept: Vec<String> = kept.filter(|name| name.contains(&archive.sha256)).collect();
        assert_eq!(kept, Vec::<String>::new());
        assert!(!machine.root("/usr/share/pgsetup/receipt.json").exists());
        test = machine.again();
    }
}

#[test]
fn an_unavailable_source_is_shown_with_every_place() {
    let test = Test::new();
    let mirror = test
        .server
        .put("/mirror/alpha.tar.gz", b"", &[Act::Status(410, "")]);
    let test = test.extension(
        "alpha",
        Recipe::new().acts(&[Act::Status(404, "")]).mirrors(&[&mirror]),
    );
    let expected = format!(
        "pgsetup: could not fetch alpha 1.0 (alpha-1.0.tar.gz)\n\
         \x20 wanted: sha256 {}\n\
         \x20 cache [TEST]/cache: not there\n\
         \x20 [SERVER]/alpha-1.0.tar.gz: the server answered 404 Not Found ([SERVER]/alpha-1.0.tar.gz)\n\
         \x20 [SERVER]/mirror/alpha.tar.gz: the server answered 410 Gone ([SERVER]/mirror/alpha.tar.gz)\n\
         \x20 3 places were tried\n\
         pgsetup: not installed; failed: fetch alpha 1.0",
        test.archive("alpha").sha256
    );
    let machine = test.status(4).stderr(expected).run();
    assert!(!machine.root("/usr/share/pgsetup/receipt.json").exists());
    assert!(
        !machine
            .root("/usr/share/postgresql/18/extension/alpha.control")
            .exists()
    );
}

#[test]
fn nothing_is_installed_without_the_source_of_postgresql() {
    let mut test = Test::new()
        .extension("alpha", Recipe::new())
        .postgresql(&[Act::Status(404, "")]);
    for more in [&[][..], &["--skip-unavailable"]] {
        let machine = test.args(more).status(4).run();
        assert!(!machine.root("/usr/lib/postgresql").exists());
        assert!(!machine.root("/usr/share").exists());
        test = machine.again();
    }
}

#[test]
fn skip_unavailable_leaves_an_extension_out_and_says_so() {
    let machine = Test::new()
        .extension("alpha", Recipe::new().acts(&[Act::Status(404, "")]))
        .extension("beta", Recipe::new())
        .args(&["--skip-unavailable"])
        .run();
    let text = machine.neutral(&machine.ran.err);
    let left_out = "\nnot alpha, whose source could not be fetched: cache [TEST]/cache: not there; \
                    [SERVER]/alpha-1.0.tar.gz: the server answered 404 Not Found";
    let last_step = text.find("done   write /usr/share/pgsetup/receipt.json").unwrap();
    assert!(text[last_step..].contains(left_out), "{text}");
    let control = |name: &str| machine.root(&format!("/usr/share/postgresql/18/extension/{name}.control"));
    assert!(control("beta").exists() && !control("alpha").exists());
    let sql = machine.trace("sql");
    assert!(sql.contains("beta") && !sql.contains("alpha"), "{sql}");
}

#[test]
fn offline_names_what_is_missing_and_asks_no_server() {
    let test = Test::new()
        .extension("alpha", Recipe::new())
        .extension("beta", Recipe::new());
    let [alpha, beta] = ["alpha", "beta"].map(|name| test.archive(name));
    let server = Machine::postgresql(&test, &[]);
    // All but one are in the vendor directory, under names without a meaning.
    let vendor = test.path("vendor");
    std::fs::create_dir(&vendor).unwrap();
    for (name, archive) in [("one", &alpha), ("two", &server)] {
        std::fs::write(vendor.join(name), &archive.content).unwrap();
    }
    let offline = ["--offline", "--vendor", vendor.to_str().unwrap()];
    let expected = format!(
        "pgsetup: could not fetch beta 1.0 (beta-1.0.tar.gz): no vendor directory or cache has it, and --offline forbids downloads\n\
         \x20 wanted: sha256 {}\n\
         \x20 vendor [TEST]/vendor: none of 2 files has an accepted digest\n\
         \x20 cache [TEST]/cache: not there\n\
         \x20 hint: `pgsetup fetch MANIFESTS --to DIR` on a connected machine fills a directory for `--vendor DIR`\n\
         pgsetup: not installed; not available: beta 1.0",
        beta.sha256
    );
    let machine = test.args(&offline).status(4).stderr(expected).run();
    for archive in [&alpha, &beta, &server] {
        assert_eq!(machine.server.ranges(&archive.path), Vec::<String>::new());
    }

    std::fs::write(vendor.join("three"), &beta.content).unwrap();
    machine.again().args(&offline).run();
}

#[test]
fn a_failed_build_is_shown_with_command_output_and_log() {
    let needy = Recipe::new()
        .make(&["@seq 1 30", "@cc -c needy.c"])
        .files(&[("needy.c", "#include <nosuch/header.h>\n")]);
    let machine = Test::new().extension("alpha", needy).status(6).run();
    let text = page(&machine.neutral(&machine.ran.err));
    let head = "pgsetup: build alpha 1.0 failed: exit status 2\n\
                \x20 command: cd /var/tmp/pgsetup/source/alpha-1.0 && PG_CONFIG=/usr/lib/postgresql/18/bin/pg_config make \
                PG_CONFIG=/usr/lib/postgresql/18/bin/pg_config USE_PGXS=1\n\
                \x20 error (compiler):\n\
                \x20   needy.c:1:10: fatal error: nosuch/header.h: No such file or directory\n";
    assert!(text.starts_with(head), "{text}\nshould begin\n{head}");
    for line in [
        "  failed: make: *** [Makefile:4: all] Error 1",
        "  log: [TEST]/root/var/tmp/pgsetup/log/build-alpha-1.0.log",
        "  hint: perhaps `nosuch/header.h`, of a development package that is not in the manifest's `packages.build`",
    ] {
        assert!(
            text.lines().any(|other| other == line),
            "{text}\nshould have\n{line}"
        );
    }
    assert!(
        text.ends_with("\npgsetup: not installed; failed: build alpha 1.0"),
        "{text}"
    );
    let log = std::fs::read_to_string(machine.root("/var/tmp/pgsetup/log/build-alpha-1.0.log")).unwrap();
    assert!(
        log.contains("\n1\n2\n3\n"),
        "the log has all of the output: {log}"
    );
}

#[test]
fn shell_opens_a_failed_build_with_its_variables() {
    let test = Test::new().extension("alpha", Recipe::new().make(&["@test -f repaired"]));
    let shell = |machine: &Machine, more: &[&str]| -> Ran {
        let root = machine.path("root").display().to_string();
        let mut shell = crate::support::command(["shell", "alpha", "--root", &root]);
        let path = std::env::var("PATH").unwrap();
        shell
            .args(more)
            .env("PATH", format!("{}:{path}", machine.path("bin").display()))
            .env("SECRET", "of the caller")
            .stdin(Stdio::null());
        shell.output().unwrap().into()
    };
    let ran = shell(&test, &["--", "true"]);
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(
        ran.err.contains("no build of alpha has failed here"),
        "{}",
        ran.err
    );

    let directory = "/var/tmp/pgsetup/source/alpha-1.0";
    let hint = format!("pgsetup shell alpha opens {directory} with the variables of this command");
    let machine = test.status(6).stderr_has(hint).run();
    let shell = |more: &[&str]| shell(&machine, more);

    let ran = shell(&[
        "--",
        "sh",
        "-c",
        "pwd; echo $PG_CONFIG $LC_ALL $PATH $SECRET; exit 7",
    ]);
    assert_eq!(ran.status, 7, "{}", ran.err);
    let expected = format!(
        "{}{directory}\n/usr/lib/postgresql/18/bin/pg_config C.UTF-8 /usr/sbin:/usr/bin:/sbin:/bin\n",
        machine.path("root").display()
    );
    assert_eq!(ran.out, expected);
    // Without a command it is a shell, which has nothing to read here.
    let ran = shell(&[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(
        ran.err
            .contains("alpha-1.0 failed at\n  cd /var/tmp/pgsetup/source/alpha-1.0 && PATH=/usr/sbin:"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("pg_config is not installed here: "),
        "{}",
        ran.err
    );
    let ran = shell(&["--", "touch", "repaired"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(shell(&["--", "make"]).status, 0);

    std::fs::remove_dir_all(machine.root(directory)).unwrap();
    let ran = shell(&["--", "true"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("no longer exists"), "{}", ran.err);
}

#[test]
fn after_a_failure_running_steps_finish_and_none_starts() {
    let wait = |name: &str| format!("@until test -e $(TRACE)/{name}; do sleep 0.02; done");
    let (beta_runs, may_end) = (wait("beta-runs"), wait("may-end"));
    let test = Test::new()
        .extension("alpha", Recipe::new().make(&[&beta_runs, "false"]))
        .extension(
            "beta",
            Recipe::new().make(&["@touch $(TRACE)/beta-runs", &may_end]),
        )
        .extension("gamma", Recipe::new().make(&["@touch $(TRACE)/gamma-ran"]));
    let mut child = test.command(&[]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        // Beta may end only when pgsetup knows of alpha's failure, so that the order is certain.
        if line.starts_with("FAILED build alpha 1.0") {
            std::fs::write(test.path("trace/may-end"), "").unwrap();
        }
        said.push_str(&line);
        said.push('\n');
    }
    assert_eq!(child.wait().unwrap().code(), Some(6), "{said}");
    assert!(said.contains("\ndone   build beta 1.0"), "{said}");
    assert!(
        !said.contains("start  install beta 1.0") && !said.contains("start  build gamma 1.0"),
        "{said}"
    );
    assert!(!test.path("trace/gamma-ran").exists());
    test.is_quiet();
}

#[test]
fn all_failed_builds_are_reported() {
    let meet = |own: &str, other: &str| {
        format!(
            "@touch $(TRACE)/{own}; until test -e $(TRACE)/{other}; do sleep 0.02; done; echo {own} broke; exit 3"
        )
    };
    Test::new()
        .extension("alpha", Recipe::new().make(&[&meet("alpha", "beta")]))
        .extension("beta", Recipe::new().make(&[&meet("beta", "alpha")]))
        .status(6)
        .stderr_has("\npgsetup: build alpha 1.0 failed: exit status 2\n")
        .stderr_has("\n    alpha broke\n")
        .stderr_has("\npgsetup: build beta 1.0 failed: exit status 2\n")
        .stderr_has("\n    beta broke\n")
        .run();
}

#[test]
fn keep_going_builds_what_does_not_need_the_failed_build() {
    let machine = Test::new()
        .extension("alpha", Recipe::new().make(&["@echo alpha broke; exit 3"]))
        .extension("beta", Recipe::new().make(&["@echo beta broke; exit 3"]))
        .extension("gamma", Recipe::new())
        .args(&["--keep-going", "--jobs", "1"])
        .status(6)
        .stderr_has("\ndone   build gamma 1.0")
        .stderr_has("\ndone   install gamma 1.0")
        // The final phase needs both.
        .stderr_has("pgsetup: skipped because build alpha 1.0 and build beta 1.0 failed: prune files, ")
        .stderr_lacks("start  prune files")
        .run();
    for (line, count) in [
        ("pgsetup: build alpha 1.0 failed: exit status 2", 1),
        ("pgsetup: build beta 1.0 failed: exit status 2", 1),
        (
            "pgsetup: skipped because build alpha 1.0 failed: install alpha 1.0",
            1,
        ),
        (
            "pgsetup: skipped because build beta 1.0 failed: install beta 1.0",
            1,
        ),
        ("pgsetup: skipped after the failure", 0),
    ] {
        let text = &machine.ran.err;
        let found = text.lines().filter(|other| other.starts_with(line)).count();
        assert_eq!(found, count, "{line}\n{text}");
    }
    assert!(!machine.root("/usr/share/pgsetup/receipt.json").exists());

    machine
        .again()
        .args(&["--jobs", "1"])
        .status(6)
        .stderr_has("\npgsetup: skipped after the failure: ")
        .stderr_has("hint: --keep-going")
        .run();
}

#[test]
fn a_build_killed_by_a_signal_is_shown_with_the_signal() {
    for (signal, outcome) in [
        (
            "KILL",
            "killed by signal 9 (SIGKILL), often because memory ran out",
        ),
        ("SEGV", "killed by signal 11"),
    ] {
        let script = format!("echo so far so good; kill -{signal} $$");
        Test::new()
            .extension("alpha", Recipe::new().run(&["sh", "-c", &script]))
            .status(6)
            .stderr(format!(
                "pgsetup: build alpha 1.0 failed: {outcome}\n\
                 \x20 command: cd /var/tmp/pgsetup/source/alpha-1.0 && PG_CONFIG=/usr/lib/postgresql/18/bin/pg_config \
                 sh -c '{script}'\n\
                 \x20 last lines of its output:\n\
                 \x20   so far so good\n\
                 \x20 log: [TEST]/root/var/tmp/pgsetup/log/build-alpha-1.0.log\n\
                 \x20 pgsetup shell alpha opens /var/tmp/pgsetup/source/alpha-1.0 with the variables of this command, as long \
                 as that is there\n\
                 pgsetup: not installed; failed: build alpha 1.0"
            ))
            .run();
    }
}

#[test]
fn a_package_that_apt_cannot_find_is_named() {
    Test::new()
        .extension("alpha", Recipe::new().packages(&["nosuch"]))
        .status(3)
        .stderr(
            "pgsetup: look up artifacts failed: apt does not know a package that a manifest names\n\
             error: there is no Debian package `nosuch`\n\
             \x20 --> [TEST]/manifests/alpha.yaml:16:20\n\
             \x20  |\n\
             16 | packages: {build: [\"nosuch\"]}\n\
             \x20  |                    ^^^^^^^^\n\
             1 problem in 1 file\n\
             pgsetup: not installed; failed: look up artifacts",
        )
        .run();
}

#[test]
fn others_keep_going_without_packages_that_are_unknown() {
    let machine = Test::new()
        .extension(
            "alpha",
            Recipe::new().packages(&["nosuch", "nosuch-either", "libalpha-dev"]),
        )
        .extension("beta", Recipe::new().packages(&["libbeta-dev"]))
        .args(&["--keep-going"])
        .status(3)
        .stderr_has("\npgsetup: build alpha 1.0 failed: apt does not know a package that a manifest names\n")
        .stderr_has("[TEST]/manifests/alpha.yaml:16:20")
        .stderr_has("\ndone   install beta 1.0")
        .run();
    let asked = machine.trace("apt-get");
    assert!(asked.contains(" libbeta-dev"), "{asked}");
    let installs = asked.lines().filter(|line| line.contains("install --yes"));
    assert!(
        installs.into_iter().all(|line| !line.contains("nosuch")),
        "{asked}"
    );
}

#[test]
fn a_failure_is_explained_when_it_happens() {
    let machine = Test::new()
        .extension("alpha", Recipe::new().make(&["@echo alpha broke; exit 3"]))
        .extension(
            "beta",
            Recipe::new().make(&["@until test -e $(TRACE)/never -o -e $(TRACE)/go; do sleep 0.02; done"]),
        );
    let mut child = machine
        .command(&["--keep-going"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        // Beta ends only when alpha's failure has been explained.
        if line.contains("alpha broke") {
            std::fs::write(machine.path("trace/go"), "").unwrap();
        }
        said.push_str(&line);
        said.push('\n');
    }
    assert_eq!(child.wait().unwrap().code(), Some(6), "{said}");
    assert!(said.contains("\ndone   build beta 1.0"), "{said}");
    machine.is_quiet();
}

#[test]
fn what_requires_an_unavailable_extension_is_left_out_as_well() {
    let test = Test::new()
        .extension("alpha", Recipe::new().acts(&[Act::Status(404, "")]))
        .extension("beta", Recipe::new())
        .extension("gamma", Recipe::new());
    let path = test.path("manifests/beta.yaml");
    let manifest = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, manifest + "requires: [alpha]\n").unwrap();
    let why = "it requires alpha, whose source could not be fetched";
    let machine = test
        .args(&["--skip-unavailable"])
        .stderr_has(format!("left out beta: {why}"))
        .stderr_has(format!("\nnot beta: {why}"))
        .run();
    let control = |name: &str| machine.root(&format!("/usr/share/postgresql/18/extension/{name}.control"));
    assert!(control("gamma").exists() && !control("alpha").exists() && !control("beta").exists());
}

#[test]
fn pip_in_a_build_trusts_what_downloads_trust() {
    let directory = tempfile::tempdir().unwrap();
    let Some((mut server, _)) = crate::sources::https_server(directory.path()) else {
        crate::harness::skip("there is no openssl to make a certificate with");
    };
    let certificate = directory.path().join("certificate.pem");
    server.kill().unwrap();
    server.wait().unwrap();
    let keep = "@cp $(ROOT)$$PIP_CERT $(TRACE)/trusted";
    let machine = Test::new()
        .extension("alpha", Recipe::new().make(&[keep]))
        .args(&["--ca-bundle", certificate.to_str().unwrap()])
        .run();
    let trusted = machine.trace("trusted");
    let own = std::fs::read_to_string(&certificate).unwrap();
    assert!(trusted.starts_with(own.trim_end()), "{trusted}");
    let count = trusted.matches("-----BEGIN CERTIFICATE-----").count();
    assert!(count > 50, "the usual authorities are trusted as well: {count}");
}

#[test]
fn a_missing_tool_is_named() {
    let test = Test::new();
    std::fs::remove_file(test.path("bin/chroot")).unwrap();
    let path = test.path("bin").display().to_string();
    test.env("PATH", &path)
        .status(6)
        .stderr_has("cannot be started: No such file or directory")
        .stderr_has("command: apt-get update")
        .run();
}

#[test]
fn processes_that_a_build_leaves_end_with_the_installation() {
    let leaves = [
        "sleep 1000 & :",
        "setsid sleep 1000 & :",
        "setsid sh -c 'setsid sleep 1000 & sleep 1000' & :",
    ];
    // A test fails if a process is left.
    let machine = Test::new().extension("alpha", Recipe::new().make(&leaves)).run();
    let failing = [&leaves[..], &["false"]].concat();
    machine
        .again()
        .extension("alpha", Recipe::new().make(&failing))
        .status(6)
        .run();
}

/// Whether the build of [`HANG`] or a stub hangs.
fn hangs(machine: &Machine) -> bool {
    machine.path("trace/hangs").exists()
}

#[test]
fn a_signal_ends_builds_that_ignore_it() {
    for signal in ["TERM", "INT", "HUP"] {
        Test::new()
            .extension("alpha", Recipe::new().make(&[HANG]))
            .status(130)
            .stderr(STOPPED)
            .signal(signal, "the build hangs", hangs);
    }
}

#[test]
fn what_dpkg_did_not_finish_is_repaired_by_the_next_run() {
    let script = "#!/usr/bin/env bash\n\
                  if [[ \"$*\" == 'install --yes'* && ! -e $TRACE/hangs ]]; then\n\
                  printf 'Package: make\\nStatus: install ok half-configured\\nArchitecture: all\\nVersion: 1\\n\\n' \
                  >>\"$ROOT/var/lib/dpkg/status\"\n\
                  touch \"$TRACE/hangs\"; sleep 1000\n\
                  fi\n\
                  exec \"$0-real\" \"$@\"\n";
    Test::new()
        .extension("alpha", Recipe::new())
        .stub("apt-get", script)
        .status(130)
        .stderr_has("dpkg was stopped during make; the next installation repairs that first")
        .stderr(STOPPED)
        .signal("TERM", "apt-get hangs", hangs)
        .again()
        .stderr_has("repairing make")
        .run();
}

#[test]
fn an_invalid_date_of_the_image_is_rejected_at_the_start() {
    let mut test = Test::new();
    for date in ["yesterday", "-1", "18446744073709551615"] {
        let machine = test.env("SOURCE_DATE_EPOCH", date).status(2).run();
        let said =
            format!("pgsetup: SOURCE_DATE_EPOCH is `{date}`, which is not a number of seconds since 1970");
        assert!(machine.ran.err.starts_with(&said), "{}", machine.ran.err);
        assert_eq!(machine.trace("apt-get"), "");
        test = machine.again();
    }
}

#[test]
fn a_signal_ends_downloads() {
    // With the option, downloads come before the first step.
    for (more, has_steps) in [(&[][..], true), (&["--skip-unavailable"], false)] {
        let test = Test::new().extension("alpha", Recipe::new().acts(&[Act::Stall]));
        let trace = test.path("trace.json");
        let partial = test.path("cache/partial").join(test.archive("alpha").sha256);
        let half_is_there = |machine: &Machine| {
            let is_there = partial.metadata().is_ok_and(|metadata| metadata.len() > 0);
            is_there && (!has_steps || machine.trace("apt-get").contains("install"))
        };
        let machine = test
            .args(more)
            .args(&["--trace", trace.to_str().unwrap()])
            .status(130)
            .signal("TERM", "half of the archive arrives", half_is_there);
        let ran = &machine.ran;
        assert_eq!(ran.err.lines().last(), Some(STOPPED), "{}", ran.err);
        // No command ran that could be stopped, so the process ended during a step. The steps before it are in the trace.
        let is_end = |line: &&str| line.starts_with("done   ") || line.starts_with("FAILED ");
        let trace: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(trace).unwrap()).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let steps = events.iter().filter(|event| event["cat"] == "step").count();
        let ended = ran.err.lines().filter(is_end).count();
        assert_eq!(ended > 0, has_steps, "{}", ran.err);
        assert_eq!(steps, ended, "{}", ran.err);
    }
}

#[test]
fn a_repeated_installation_downloads_nothing_again() {
    let once = "@test -e $(TRACE)/second || { touch $(TRACE)/second; false; }";
    let test = Test::new()
        .extension("alpha", Recipe::new().make(&[once]))
        .extension("beta", Recipe::new());
    let archives = [
        test.archive("alpha"),
        test.archive("beta"),
        Machine::postgresql(&test, &[]),
    ];
    let machine = test.status(6).run().again().run();
    for archive in &archives {
        assert_eq!(machine.server.ranges(&archive.path), [""], "{}", archive.path);
    }
    // Over what is installed.
    let machine = machine.again().args(&["--offline"]).run();
    verifies(&machine);
}

#[test]
fn commands_get_only_proxies_of_the_callers_environment() {
    let machine = Test::new()
        .extension("alpha", Recipe::new().make(&["@env >$(TRACE)/environment"]))
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("CFLAGS", "-march=native")
        .env("LD_PRELOAD", "")
        .env("https_proxy", "http://127.0.0.1:1")
        .env("LANG", "de_DE.UTF-8")
        .env("HOME", "/home/user")
        .env("TMPDIR", "/nonexistent/tmp")
        .env("SOURCE_DATE_EPOCH", "1767225600")
        .run();
    let environment = machine.trace("environment");
    let names: Vec<&str> = environment
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    // A shell and make set these for their children.
    let theirs = [
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "MAKELEVEL",
        "MAKEFLAGS",
        "MFLAGS",
        "MAKEOVERRIDES",
        "CARGO_MAKEFLAGS",
    ];
    let known = [
        "PATH",
        "https_proxy",
        "no_proxy",
        "DEBIAN_FRONTEND",
        "HOME",
        "LC_ALL",
        "PIP_DISABLE_PIP_VERSION_CHECK",
        "PYTHONDONTWRITEBYTECODE",
        "TZ",
        "PG_CONFIG",
        "ROOT",
        "TRACE",
        "SOURCE_DATE_EPOCH",
        "TMPDIR",
        "PIP_VERBOSE",
        "V",
        "VERBOSE",
        "USE_PGXS",
    ];
    let strange: Vec<&&str> = names
        .iter()
        .filter(|name| !theirs.contains(name) && !known.contains(name))
        .collect();
    assert_eq!(strange, Vec::<&&str>::new());
    for line in [
        "https_proxy=http://127.0.0.1:1",
        "HOME=/root",
        "LC_ALL=C.UTF-8",
        "TZ=UTC",
        // These are the same in every build.
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "SOURCE_DATE_EPOCH=1577836800",
        "TMPDIR=/tmp",
    ] {
        assert!(environment.lines().any(|other| other == line), "{environment}");
    }
}

#[test]
fn the_tools_of_the_distribution_strip_what_is_built() {
    for (prune, tool) in [
        ("{remove: [debug-symbols]}", "strip"),
        ("{remove: [debug-symbols], keep_debug_symbols: true}", "objcopy"),
    ] {
        let library = Recipe::new()
            .make(&["@cc -g -shared -nostdlib -Wl,--build-id -o alpha.so alpha.c"])
            .rules("\tinstall -D --target-directory=$(ROOT)$(DESTDIR)/usr/lib/postgresql/18/lib alpha.so\n")
            .files(&[("alpha.c", "int alpha(void) { return 1; }\n")]);
        // The stub of chroot changes no root, so this machine's tool does not find the file.
        let machine = Test::new()
            .extension("alpha", library)
            .image_with("{remove: [package-lists]}", prune)
            .stub(tool, "#!/bin/sh\ntouch \"$TRACE/called\"\n")
            .status(1)
            .stderr_has(format!(
                "{tool}: '/var/tmp/pgsetup/stage/alpha-1.0/usr/lib/postgresql/18/lib/alpha.so': No such file"
            ))
            .run();
        assert!(!machine.path("trace/called").exists());
    }
}

#[test]
fn a_user_whose_id_is_taken_is_rejected() {
    let (uid, gid) = ids();
    let written = format!("name: postgres, uid: {uid}, gid: {gid}");
    for (user, message) in [
        (
            "name: postgres, uid: 4, gid: 998",
            "the image defines postgres as 4, but /etc/passwd has sync as 4",
        ),
        (
            "name: sync, uid: 999, gid: 998",
            "the image defines sync as 999, but /etc/passwd has sync as 4",
        ),
        (
            "name: postgres, uid: 999, gid: 101",
            "the image defines postgres as 101, but /etc/group has ssh as 101",
        ),
    ] {
        let test = Test::new().image_with(&written, user);
        let before = files_below(&test.path("root"));
        let machine = test.status(3).run();
        let expected = format!("pgsetup: {message}; choose another name or number in the image's `user`\n");
        assert_eq!(machine.ran.err, expected);
        assert_eq!(files_below(&machine.path("root")), before);
        assert_eq!(machine.trace("apt-get"), "");
    }
}

#[test]
fn an_image_of_another_distribution_is_rejected() {
    let test = Test::new().file("/etc/os-release", "ID=debian\nVERSION_CODENAME=trixie\n");
    let before = files_below(&test.path("root"));
    let machine = test
        .status(3)
        .stderr_has("[TEST]/manifests/image.yaml:3:7")
        .stderr_has("the image is built on debian:bookworm, but the target is debian:trixie")
        .run();
    assert_eq!(files_below(&machine.path("root")), before);

    let machine = machine
        .again()
        .file("/etc/os-release", "NAME=Unknown\n")
        .status(1)
        .run();
    assert_eq!(
        machine.neutral(&machine.ran.err),
        "pgsetup: [TEST]/root/etc/os-release does not say which distribution this is\n"
    );
}

#[test]
fn only_root_installs_into_the_running_system() {
    // A copy, because other users may not be able to read the directory of the build.
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = directory.path().join("pgsetup");
    std::fs::copy(env!("CARGO_BIN_EXE_pgsetup"), &program).unwrap();
    let machine = Machine::new();
    let manifests = directory.path().join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    for name in ["image.yaml", "postgresql-18.yaml"] {
        std::fs::copy(machine.path("manifests").join(name), manifests.join(name)).unwrap();
    }
    let cache = directory.path().join("cache");
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command
            .args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--no-new-privs",
            ])
            .arg(&program);
        command
    } else {
        Command::new(&program)
    };
    let output = command
        .arg("install")
        .arg(&manifests)
        .arg("--cache")
        .arg(&cache)
        .current_dir("/")
        .output();
    let ran: Ran = output.unwrap().into();
    assert_eq!(ran.status, 8, "{}", ran.err);
    assert_eq!(
        ran.err,
        "pgsetup: only root can install into the running system; `pgsetup plan` shows any user what would be done, \
         and `--root DIR` installs below a directory\n"
    );
    assert!(!cache.exists());
}

#[test]
fn as_many_builds_run_at_once_as_there_are_jobs() {
    // With two jobs, each of two builds waits for the other; with one, neither may see the other.
    let meet = |own: &str, other: &str| {
        format!("@touch $(TRACE)/{own}; until test -e $(TRACE)/{other}; do sleep 0.02; done")
    };
    Test::new()
        .extension("alpha", Recipe::new().make(&[&meet("alpha", "beta")]))
        .extension("beta", Recipe::new().make(&[&meet("beta", "alpha")]))
        .run();
    let alone = Recipe::new().make(&["@mkdir $(TRACE)/builds && sleep 0.1 && rmdir $(TRACE)/builds"]);
    Test::new()
        .extension("alpha", alone)
        .extension("beta", alone)
        .args(&["--jobs", "1"])
        .run();
}

#[test]
fn all_makes_share_one_jobserver() {
    // Six jobs in each of two makes; each takes one of two places, or complains that both are taken.
    let job = "one two three four five six:\n\
               \t@mkdir $(TRACE)/place-1 2>/dev/null && place=1 || { mkdir $(TRACE)/place-2 2>/dev/null && place=2; } || \
               { touch $(TRACE)/too-many; exit; }; sleep 0.1; rmdir $(TRACE)/place-$$place\n";
    let more = format!("all: one two three four five six\n{job}");
    let recipe = Recipe::new()
        .make(&["@echo '$(MAKEFLAGS)' >>$(TRACE)/flags"])
        .rules(&more);
    let machine = Test::new()
        .extension("alpha", recipe)
        .extension("beta", recipe)
        .run();
    assert!(!machine.path("trace/too-many").exists());
    let flags = machine.trace("flags");
    let servers: Vec<&str> = flags
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("--jobserver-auth="))
        .collect();
    assert_eq!(servers.len(), 2, "{flags}");
    assert_eq!(servers[0], servers[1], "{flags}");
}

/// The receipt of a machine.
fn receipt(machine: &Machine) -> serde_json::Value {
    let text = std::fs::read_to_string(machine.root("/usr/share/pgsetup/receipt.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The names of a list in the receipt of a machine.
fn recorded(machine: &Machine, list: &str) -> Vec<String> {
    let receipt = receipt(machine);
    let all = receipt[list].as_array().unwrap().iter();
    all.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_second_installation_accounts_for_the_first() {
    let machine = Test::new()
        .image("packages: {runtime: [xz-utils]}\n")
        .extension("alpha", Recipe::new())
        .run();
    // A directory that pgsetup did not make this time.
    std::fs::create_dir(machine.root("/var/tmp/pgsetup")).unwrap();
    let machine = machine
        .again()
        .extension("beta", Recipe::new())
        .image("packages: {runtime: [zstd]}\n")
        .image_with("extensions: [alpha, beta]", "extensions: [beta]")
        .run();
    assert_eq!(recorded(&machine, "components"), ["postgresql", "beta", "alpha"]);
    assert_eq!(recorded(&machine, "packages_kept"), ["xz-utils", "zstd"]);
    assert!(machine.root("/var/tmp/pgsetup").exists());
    verifies(&machine);

    // The files of another version would mix with those that are there.
    let manifest = machine.path("manifests/alpha.yaml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("version: \"1.0\"", "version: \"1.1\"")).unwrap();
    machine
        .again()
        .args(&["--with", "alpha"])
        .status(3)
        .stderr_has(
            "an earlier installation left other versions here: alpha 1.0 is installed, but the manifests select 1.1",
        )
        .run();
}

#[test]
fn an_image_that_keeps_pgsetup_has_it_in_its_receipt() {
    let machine = Machine::new();
    // Without debug symbols, which are ten times as large as the rest and are read often.
    let own = machine.path("pgsetup");
    let mut strip = Command::new("strip");
    strip.arg(env!("CARGO_BIN_EXE_pgsetup")).arg("-o").arg(&own);
    assert!(strip.status().unwrap().success());
    let install = || {
        let usual = machine.command(&[]);
        let mut command = Command::new(&own);
        command.args(usual.get_args());
        for (name, value) in usual.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Ran::from(command.output().unwrap())
    };
    // The program of the tests is not static, so it needs the libraries of this machine.
    let libraries = Command::new("ldd").arg(&own).output().unwrap();
    let libraries = String::from_utf8(libraries.stdout).unwrap();
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = machine.root(library);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(library, to).unwrap();
    }
    machine.image(&["alpha"], "");
    machine.extension("alpha", Recipe::new());
    let manifest = machine.path("manifests/image.yaml");
    let plain = std::fs::read_to_string(&manifest).unwrap();
    let keeps = plain.replace(
        "remove: [package-lists]",
        "remove: [package-lists], keep_pgsetup: true",
    );
    assert_ne!(keeps, plain);
    std::fs::write(&manifest, keeps).unwrap();
    let ran = install();
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(
        ran.err.contains("pgsetup in /usr/local/bin/pgsetup\n"),
        "{}",
        ran.err
    );
    let kept = machine.root("/usr/local/bin/pgsetup");
    let verified = || {
        assert!(std::fs::read(&kept).unwrap() == std::fs::read(&own).unwrap());
        assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o7777, 0o755);
        let receipt = receipt(&machine);
        let files = receipt["files"].as_array().unwrap();
        let file = files.iter().find(|file| file["path"] == "/usr/local/bin/pgsetup");
        assert_eq!(file.unwrap()["component"], "image");
        verifies(&machine);
    };
    verified();
    // The next installation keeps it there.
    std::fs::write(&manifest, plain).unwrap();
    let ran = install();
    assert_eq!(ran.status, 0, "{}", ran.err);
    verified();
}

#[test]
fn an_older_major_is_installed_with_its_extensions() {
    let test = Test::new()
        .extension("alpha", Recipe::new())
        .extension("beta", Recipe::new().files(&[("LICENSE", "free")]))
        .extension("gamma", Recipe::new().majors(&[18]))
        .image("previous: [\"17\"]\n");
    test.postgresql_of("17", "17.11", &[]);
    let machine = test
        .stderr_has("PostgreSQL 17.11 in /usr/lib/postgresql/17, to upgrade data from, with alpha, beta")
        .stderr_has("no gamma for PostgreSQL 17: gamma does not support PostgreSQL 17: 1.0 is for 18")
        .run();

    // Each major has its own files, and the receipt says which.
    let receipt = receipt(&machine);
    let components: Vec<(&str, &serde_json::Value)> = receipt["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), &one["older_major"]))
        .collect();
    let own = serde_json::Value::Null;
    let older = serde_json::json!(17);
    let expected = [
        ("postgresql", &own),
        ("alpha", &own),
        ("beta", &own),
        ("gamma", &own),
        ("postgresql", &older),
        ("alpha", &older),
        ("beta", &older),
    ];
    assert_eq!(components, expected);
    assert_eq!(receipt["previous"][0]["major"], 17);
    let of = |path: &str| {
        let mut files = receipt["files"].as_array().unwrap().iter();
        let file = files.find(|file| file["path"] == path);
        file.map(|file| file["component"].as_str().unwrap().to_owned())
    };
    for (path, component) in [
        ("/usr/lib/postgresql/18/bin/postgres", Some("postgresql")),
        ("/usr/lib/postgresql/17/bin/postgres", Some("postgresql-pg17")),
        (
            "/usr/share/postgresql/17/extension/alpha.control",
            Some("alpha-pg17"),
        ),
        ("/usr/share/postgresql/17/extension/gamma.control", None),
        ("/usr/share/doc/beta/LICENSE", Some("beta")),
        ("/usr/share/doc/beta-pg17/LICENSE", Some("beta-pg17")),
    ] {
        assert_eq!(of(path).as_deref(), component, "{path}");
    }

    // Each server has proved its own extensions: it has created each of them twice.
    let tried = machine.trace("sql");
    let created = |name: &str| {
        let statement = format!("CREATE EXTENSION IF NOT EXISTS \"{name}\"");
        tried.matches(&statement).count()
    };
    assert_eq!([created("alpha"), created("beta"), created("gamma")], [4, 4, 2]);

    verifies(&machine);
    std::fs::remove_file(machine.root("/usr/share/postgresql/17/extension/beta--1.0.sql")).unwrap();
    std::fs::remove_file(machine.root("/usr/share/postgresql/17/extension/alpha.control")).unwrap();
    let root = machine.path("root");
    let verified = pgsetup(["verify", "--root", root.to_str().unwrap()]);
    assert_eq!(verified.status, 7);
    for line in [
        "alpha-pg17: has no control file; alpha brought it",
        "beta-pg17: no script leads to its default version 1.0",
    ] {
        assert!(verified.out.contains(line), "{line}: {}", verified.out);
    }

    // Nothing is built again, and an archive that both majors use was downloaded once.
    machine.fresh();
    machine.again().stderr_has("7 of 7 at hand").run();
}

#[test]
fn an_extension_may_be_left_out_of_an_older_major() {
    let test = Test::new()
        .extension("alpha", Recipe::new().majors(&[18]))
        .image("previous: [\"17\"]\n");
    test.postgresql_of("17", "17.11", &[]);
    let manifest = test.path("manifests/alpha.yaml");
    let newest = std::fs::read_to_string(&manifest).unwrap();
    let old = "releases:\n  - version: \"0.9\"\n    postgresql: [17]\n    provides: [{name: alpha, default_version: \"0.9\"}]\n\
               \x20   sources: [{url: \"http://127.0.0.1:1/alpha.tar.gz\", sha256: \
               0000000000000000000000000000000000000000000000000000000000000000, insecure: no server listens there}]\n";
    std::fs::write(&manifest, newest.replace("releases:\n", old)).unwrap();
    let machine = test
        .args(&["--skip-unavailable"])
        .stderr_has("not alpha-pg17, whose source could not be fetched: ")
        .run();
    assert_eq!(
        recorded(&machine, "components"),
        ["postgresql", "alpha", "postgresql"]
    );
}

#[test]
fn build_packages_that_stay_are_in_the_receipt() {
    let machine = Test::new()
        .extension("alpha", Recipe::new().packages(&["libalpha-dev"]))
        .args(&["--keep-build-deps"])
        .run();
    assert_eq!(recorded(&machine, "packages_kept"), ["libalpha-dev", "make"]);
}

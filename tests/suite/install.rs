//! `pgsetup install` from one end to the other, into a directory: what it does, and what becomes of it when sources,
//! builds, package tools and signals go wrong.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::loopback::Act;
use crate::machine::{Machine, Recipe, files_below, ids};
use crate::support::{Ran, pgsetup, wait_for};

/// What a build does that never ends by itself: two processes that SIGTERM does not impress, the second in a session
/// of its own. Both are counted by `Machine::processes`.
const HANG: &str =
    "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 1000' & touch $(TRACE)/hangs; sleep 1000";

/// What pgsetup says when a signal ended it.
const STOPPED: &str = "pgsetup: not installed; stopped because pgsetup was told to stop";

/// Fails with everything that was printed, unless `status` is what pgsetup ended with.
#[track_caller]
fn ended_with(machine: &Machine, ran: &Ran, status: i32) {
    assert_eq!(ran.status, status, "{}{}", ran.out, machine.neutral(&ran.err));
}

/// The page after the last step: from the first line on that pgsetup itself opens. Without the steps that were not
/// tried, which depend on what had begun meanwhile.
fn page(machine: &Machine, ran: &Ran) -> String {
    let text = machine.neutral(&ran.err);
    let from = text.find("\npgsetup: ").unwrap_or(0);
    let mut lines = Vec::new();
    let mut untried = false;
    for line in text[from..].trim().lines() {
        untried = line.starts_with("pgsetup: not tried") || untried && line.starts_with("  ");
        // Each such paragraph stands after an empty line.
        if untried && lines.last() == Some(&"") {
            lines.pop();
        }
        if !untried {
            lines.push(line);
        }
    }
    lines.join("\n")
}

#[test]
fn an_installation_is_complete_and_agrees_with_its_receipt() {
    let machine = Machine::new();
    // Whoever made the base has changed a file of a package; that is his business.
    machine.write(
        "/var/lib/dpkg/info/dpkg.md5sums",
        "900150983cd24fb0d6963f7d28e17f72  usr/bin/dpkg\n",
    );
    let packages = "packages: {runtime: [xz-utils]}\nsettings: {log_directory: /var/log/postgresql}\n";
    machine.image(&["alpha", "beta"], packages);
    let with_packages = Recipe {
        packages: &["libalpha-dev"],
        ..Recipe::default()
    };
    machine.extension("alpha", with_packages);
    machine.extension("beta", Recipe::default());
    let ran = machine.install(&[]);
    ended_with(&machine, &ran, 0);

    let root = machine.path("root");
    let verified = pgsetup(["verify", "--root", root.to_str().unwrap()]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);

    // The commands, in their order, are those of the plan; the packages of the build are gone.
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

    // Nothing but what belongs into the image is left.
    assert_eq!(files_below(&machine.root("/var/tmp")), Vec::<String>::new());
    assert!(!machine.root("/var/tmp/pgsetup").exists());
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
fn a_source_with_one_flipped_bit_is_named_with_both_digests_and_nothing_of_it_is_kept() {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    let recipe = Recipe {
        acts: &[Act::FlippedBit],
        ..Recipe::default()
    };
    let archive = machine.extension("alpha", recipe);
    for more in [&[][..], &["--skip-unavailable"]] {
        let ran = machine.install(more);
        ended_with(&machine, &ran, 5);
        let expected = format!(
            "alpha 1.0 is not what its manifest says (alpha-1.0.tar.gz)\n\
             \x20 wanted: sha256 {wanted}\n\
             \x20 cache [TEST]/cache: not there\n\
             \x20 [SERVER]/alpha-1.0.tar.gz: another sha256 than expected\n\
             \x20   expected {wanted}\n\
             \x20   actual   {actual}\n\
             \x20   size     {bytes} bytes\n\
             \x20   from     [SERVER]/alpha-1.0.tar.gz\n",
            wanted = archive.sha256,
            actual = archive.sha256_with_flipped_bit,
            bytes = archive.content.len(),
        );
        let text = machine.neutral(&ran.err);
        assert!(text.contains(&expected), "{text}\nshould have\n{expected}");
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
    }
}

#[test]
fn a_source_that_cannot_be_had_fails_with_every_place_that_was_asked() {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    let mirror = machine
        .server
        .put("/mirror/alpha.tar.gz", b"", &[Act::Status(410, "")]);
    let recipe = Recipe {
        acts: &[Act::Status(404, "")],
        mirrors: &[&mirror],
        ..Recipe::default()
    };
    let archive = machine.extension("alpha", recipe);
    let ran = machine.install(&[]);
    ended_with(&machine, &ran, 4);
    let expected = format!(
        "pgsetup: fetch alpha 1.0 failed: alpha 1.0 cannot be had (alpha-1.0.tar.gz)\n\
         \x20 wanted: sha256 {}\n\
         \x20 cache [TEST]/cache: not there\n\
         \x20 [SERVER]/alpha-1.0.tar.gz: the server answered 404 Not Found ([SERVER]/alpha-1.0.tar.gz)\n\
         \x20 [SERVER]/mirror/alpha.tar.gz: the server answered 410 Gone ([SERVER]/mirror/alpha.tar.gz)\n\
         \x20 3 places were tried\n\
         pgsetup: not installed; failed: fetch alpha 1.0",
        archive.sha256
    );
    snapbox::assert_data_eq!(page(&machine, &ran), expected);
    assert!(!machine.root("/usr/share/pgsetup/receipt.json").exists());
    assert!(
        !machine
            .root("/usr/share/postgresql/18/extension/alpha.control")
            .exists()
    );
}

#[test]
fn without_the_servers_own_source_nothing_at_all_is_installed() {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    machine.extension("alpha", Recipe::default());
    machine.postgresql(&[Act::Status(404, "")]);
    for more in [&[][..], &["--skip-unavailable"]] {
        ended_with(&machine, &machine.install(more), 4);
        assert!(!machine.root("/usr/lib/postgresql").exists());
        assert!(!machine.root("/usr/share").exists());
    }
}

#[test]
fn an_extension_that_cannot_be_had_is_left_out_where_that_is_wanted_and_the_end_says_so() {
    let machine = Machine::new();
    machine.image(&["alpha", "beta"], "");
    let recipe = Recipe {
        acts: &[Act::Status(404, "")],
        ..Recipe::default()
    };
    machine.extension("alpha", recipe);
    machine.extension("beta", Recipe::default());
    let ran = machine.install(&["--skip-unavailable"]);
    ended_with(&machine, &ran, 0);
    let text = machine.neutral(&ran.err);
    let left_out = "\nnot alpha, whose source could not be had: cache [TEST]/cache: not there; \
                    [SERVER]/alpha-1.0.tar.gz: the server answered 404 Not Found";
    let last_step = text.find("done   write /usr/share/pgsetup/receipt.json").unwrap();
    assert!(text[last_step..].contains(left_out), "{text}");
    assert!(
        machine
            .root("/usr/share/postgresql/18/extension/beta.control")
            .exists()
    );
    assert!(
        !machine
            .root("/usr/share/postgresql/18/extension/alpha.control")
            .exists()
    );
    assert!(!machine.trace("sql").contains("alpha"));
}

#[test]
fn offline_names_exactly_what_is_missing_and_asks_nobody() {
    let machine = Machine::new();
    machine.image(&["alpha", "beta"], "");
    let alpha = machine.extension("alpha", Recipe::default());
    let beta = machine.extension("beta", Recipe::default());
    let server = machine.postgresql(&[]);
    // All but one are at hand, under names that say nothing.
    let vendor = machine.path("vendor");
    std::fs::create_dir(&vendor).unwrap();
    for (name, archive) in [("one", &alpha), ("two", &server)] {
        std::fs::write(vendor.join(name), &archive.content).unwrap();
    }
    let ran = machine.install(&["--offline", "--vendor", vendor.to_str().unwrap()]);
    ended_with(&machine, &ran, 4);
    let expected = format!(
        "pgsetup: beta 1.0 cannot be had (beta-1.0.tar.gz), and --offline forbids to download it\n\
         \x20 wanted: sha256 {}\n\
         \x20 vendor [TEST]/vendor: none of 2 files has a digest that is accepted\n\
         \x20 cache [TEST]/cache: not there\n\
         \x20 hint: `pgsetup fetch DIR... --to DIR` on a connected machine brings everything that `--vendor DIR` needs\n\
         pgsetup: not installed; not at hand: beta 1.0",
        beta.sha256
    );
    snapbox::assert_data_eq!(page(&machine, &ran), expected);
    for archive in [&alpha, &beta, &server] {
        assert_eq!(machine.server.ranges(&archive.path), Vec::<String>::new());
    }

    std::fs::write(vendor.join("three"), &beta.content).unwrap();
    let ran = machine.install(&["--offline", "--vendor", vendor.to_str().unwrap()]);
    ended_with(&machine, &ran, 0);
}

#[test]
fn a_build_that_fails_is_shown_with_all_that_its_reader_needs() {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    let recipe = Recipe {
        make: &["@seq 1 30", "@cc -c needy.c"],
        files: &[("needy.c", "#include <nosuch/header.h>\n")],
        ..Recipe::default()
    };
    machine.extension("alpha", recipe);
    let ran = machine.install(&[]);
    ended_with(&machine, &ran, 6);
    let text = page(&machine, &ran);
    let head = "pgsetup: build alpha 1.0 failed: exit status 2\n\
                \x20 command: cd /var/tmp/pgsetup/source/alpha-1.0 && PG_CONFIG=/usr/lib/postgresql/18/bin/pg_config make \
                PG_CONFIG=/usr/lib/postgresql/18/bin/pg_config USE_PGXS=1\n\
                \x20 last lines of its output:\n\
                \x20   11\n";
    assert!(text.starts_with(head), "{text}\nshould begin\n{head}");
    for line in [
        "    needy.c:1:10: fatal error: nosuch/header.h: No such file or directory",
        "  log: [TEST]/root/var/tmp/pgsetup/log/build-alpha-1.0.log",
        "  hint: `nosuch/header.h`, of a development package that is not in the manifest's `packages.build`",
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
fn a_failed_build_is_opened_with_its_variables_until_it_is_built() {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    let recipe = Recipe {
        make: &["@test -f repaired"],
        ..Recipe::default()
    };
    machine.extension("alpha", recipe);
    let shell = |more: &[&str]| -> Ran {
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
    let ran = shell(&["--", "true"]);
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(
        ran.err.contains("no build of alpha has failed here"),
        "{}",
        ran.err
    );

    let ran = machine.install(&[]);
    ended_with(&machine, &ran, 6);
    let directory = "/var/tmp/pgsetup/source/alpha-1.0";
    let hint = format!("pgsetup shell alpha opens {directory} with the variables of this command");
    assert!(ran.err.contains(&hint), "{}", ran.err);

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
    // Without a command it is a shell, here one with nothing to read.
    let ran = shell(&[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(
        ran.err
            .contains("alpha-1.0 failed at\n  cd /var/tmp/pgsetup/source/alpha-1.0 && PATH=/usr/sbin:"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("pg_config is not here: "), "{}", ran.err);
    let ran = shell(&["--", "touch", "repaired"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(shell(&["--", "make"]).status, 0);

    std::fs::remove_dir_all(machine.root(directory)).unwrap();
    let ran = shell(&["--", "true"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("is gone since"), "{}", ran.err);
}

#[test]
fn after_a_failure_what_runs_is_let_finish_and_nothing_new_starts() {
    let machine = Machine::new();
    machine.image(&["alpha", "beta", "gamma"], "");
    let wait = |name: &str| format!("@until test -e $(TRACE)/{name}; do sleep 0.02; done");
    let (beta_runs, may_end) = (wait("beta-runs"), wait("may-end"));
    machine.extension(
        "alpha",
        Recipe {
            make: &[&beta_runs, "false"],
            ..Recipe::default()
        },
    );
    machine.extension(
        "beta",
        Recipe {
            make: &["@touch $(TRACE)/beta-runs", &may_end],
            ..Recipe::default()
        },
    );
    machine.extension(
        "gamma",
        Recipe {
            make: &["@touch $(TRACE)/gamma-ran"],
            ..Recipe::default()
        },
    );
    let mut child = machine.command(&[]).stderr(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        // Beta may end only when pgsetup knows of alpha, so that no order is left to chance.
        if line.starts_with("FAILED build alpha 1.0") {
            std::fs::write(machine.path("trace/may-end"), "").unwrap();
        }
        text.push_str(&line);
        text.push('\n');
    }
    assert_eq!(child.wait().unwrap().code(), Some(6), "{text}");
    assert!(text.contains("\ndone   build beta 1.0"), "{text}");
    assert!(
        !text.contains("start  install beta 1.0") && !text.contains("start  build gamma 1.0"),
        "{text}"
    );
    assert!(!machine.path("trace/gamma-ran").exists());
    machine.is_quiet();
}

#[test]
fn all_builds_that_fail_are_reported() {
    let machine = Machine::new();
    machine.image(&["alpha", "beta"], "");
    let meet = |own: &str, other: &str| {
        format!(
            "@touch $(TRACE)/{own}; until test -e $(TRACE)/{other}; do sleep 0.02; done; echo {own} broke; exit 3"
        )
    };
    let (alpha, beta) = (meet("alpha", "beta"), meet("beta", "alpha"));
    machine.extension(
        "alpha",
        Recipe {
            make: &[&alpha],
            ..Recipe::default()
        },
    );
    machine.extension(
        "beta",
        Recipe {
            make: &[&beta],
            ..Recipe::default()
        },
    );
    let ran = machine.install(&[]);
    ended_with(&machine, &ran, 6);
    for name in ["alpha", "beta"] {
        assert!(
            ran.err
                .contains(&format!("\npgsetup: build {name} 1.0 failed: exit status 2\n")),
            "{}",
            ran.err
        );
        assert!(ran.err.contains(&format!("\n    {name} broke\n")), "{}", ran.err);
    }
}

#[test]
fn with_keep_going_what_does_not_need_the_failed_build_is_built_and_the_rest_is_named() {
    let machine = Machine::new();
    machine.image(&["alpha", "beta", "gamma"], "");
    let fails = Recipe {
        make: &["@echo alpha broke; exit 3"],
        ..Recipe::default()
    };
    machine.extension("alpha", fails);
    let fails = Recipe {
        make: &["@echo beta broke; exit 3"],
        ..Recipe::default()
    };
    machine.extension("beta", fails);
    machine.extension("gamma", Recipe::default());
    let ran = machine.install(&["--keep-going", "--jobs", "1"]);
    ended_with(&machine, &ran, 6);
    assert!(
        ran.err.contains("\ndone   build gamma 1.0") && ran.err.contains("\ndone   install gamma 1.0"),
        "{}",
        ran.err
    );
    for (line, count) in [
        ("pgsetup: build alpha 1.0 failed: exit status 2", 1),
        ("pgsetup: build beta 1.0 failed: exit status 2", 1),
        (
            "pgsetup: not tried, for want of build alpha 1.0: install alpha 1.0",
            1,
        ),
        (
            "pgsetup: not tried, for want of build beta 1.0: install beta 1.0",
            1,
        ),
        ("pgsetup: not tried after that", 0),
    ] {
        let found = ran.err.lines().filter(|other| other.starts_with(line)).count();
        assert_eq!(found, count, "{line}\n{}", ran.err);
    }
    // The final phase needs both.
    let last = "pgsetup: not tried, for want of build alpha 1.0 and build beta 1.0: prune files, ";
    assert!(ran.err.contains(last), "{}", ran.err);
    assert!(!ran.err.contains("start  prune files"), "{}", ran.err);
    assert!(!machine.root("/usr/share/pgsetup/receipt.json").exists());

    let ran = machine.install(&["--jobs", "1"]);
    ended_with(&machine, &ran, 6);
    assert!(
        ran.err.contains("\npgsetup: not tried after that: "),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("hint: --keep-going"), "{}", ran.err);
}

#[test]
fn a_build_that_a_signal_ends_is_shown_with_the_signal() {
    for (signal, outcome) in [
        (
            "KILL",
            "killed by signal 9 (SIGKILL), often because memory ran out",
        ),
        ("SEGV", "killed by signal 11"),
    ] {
        let machine = Machine::new();
        machine.image(&["alpha"], "");
        let script = format!("echo so far so good; kill -{signal} $$");
        let recipe = Recipe {
            run: Some(&["sh", "-c", &script]),
            ..Recipe::default()
        };
        machine.extension("alpha", recipe);
        let ran = machine.install(&[]);
        ended_with(&machine, &ran, 6);
        let expected = format!(
            "pgsetup: build alpha 1.0 failed: {outcome}\n\
             \x20 command: cd /var/tmp/pgsetup/source/alpha-1.0 && PG_CONFIG=/usr/lib/postgresql/18/bin/pg_config \
             sh -c '{script}'\n\
             \x20 last lines of its output:\n\
             \x20   so far so good\n\
             \x20 log: [TEST]/root/var/tmp/pgsetup/log/build-alpha-1.0.log\n\
             \x20 pgsetup shell alpha opens /var/tmp/pgsetup/source/alpha-1.0 with the variables of this command, as long \
             as that is there\n\
             pgsetup: not installed; failed: build alpha 1.0"
        );
        snapbox::assert_data_eq!(page(&machine, &ran), expected);
    }
}

#[test]
fn a_package_that_apt_cannot_find_is_named() {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    let recipe = Recipe {
        packages: &["nosuch"],
        ..Recipe::default()
    };
    machine.extension("alpha", recipe);
    let ran = machine.install(&[]);
    ended_with(&machine, &ran, 6);
    let expected = "pgsetup: look up artifacts failed: exit status 100\n\
        \x20 command: apt-get install --simulate --quiet --no-install-recommends -- make nosuch\n\
        \x20 last lines of its output:\n\
        \x20   E: Unable to locate package nosuch\n\
        \x20 log: [TEST]/root/var/tmp/pgsetup/log/look-up-artifacts.log\n\
        pgsetup: not installed; failed: look up artifacts";
    snapbox::assert_data_eq!(page(&machine, &ran), expected);
}

#[test]
fn a_tool_that_is_not_there_is_named() {
    let machine = Machine::new();
    std::fs::remove_file(machine.path("bin/chroot")).unwrap();
    let mut command = machine.command(&[]);
    let ran: Ran = command.env("PATH", machine.path("bin")).output().unwrap().into();
    ended_with(&machine, &ran, 6);
    let text = page(&machine, &ran);
    assert!(
        text.contains("cannot be started: No such file or directory"),
        "{text}"
    );
    assert!(text.contains("command: apt-get update"), "{text}");
}

#[test]
fn a_process_that_a_build_leaves_behind_ends_with_the_installation() {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    let leaves = [
        "sleep 1000 & :",
        "setsid sleep 1000 & :",
        "setsid sh -c 'setsid sleep 1000 & sleep 1000' & :",
    ];
    machine.extension(
        "alpha",
        Recipe {
            make: &leaves,
            ..Recipe::default()
        },
    );
    // `install` fails where a process is left.
    ended_with(&machine, &machine.install(&[]), 0);

    let mut failing = leaves.to_vec();
    failing.push("false");
    machine.extension(
        "alpha",
        Recipe {
            make: &failing,
            ..Recipe::default()
        },
    );
    ended_with(&machine, &machine.install(&[]), 6);
}

/// Sends a signal and waits for the end. What was promised is a second; another one is for a machine under load.
#[track_caller]
fn stopped_by(machine: &Machine, mut child: Child, signal: &str) -> Ran {
    let began = Instant::now();
    let kill = Command::new("kill")
        .args(["-s", signal, &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    wait_for("pgsetup ends", || child.try_wait().unwrap().is_some());
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        began.elapsed()
    );
    machine.is_quiet();
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_signal_ends_builds_that_do_not_want_to_end() {
    for signal in ["TERM", "INT", "HUP"] {
        let machine = Machine::new();
        machine.image(&["alpha"], "");
        machine.extension(
            "alpha",
            Recipe {
                make: &[HANG],
                ..Recipe::default()
            },
        );
        let child = machine.start_until(&[], "hangs");
        let ran = stopped_by(&machine, child, signal);
        ended_with(&machine, &ran, 130);
        assert_eq!(page(&machine, &ran), STOPPED);
    }
}

#[test]
fn a_signal_amid_dpkg_says_what_was_cut_off_and_that_the_next_run_repairs_it() {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    machine.extension("alpha", Recipe::default());
    let (stub, real) = (machine.path("bin/apt-get"), machine.path("bin/apt-get-real"));
    std::fs::rename(&stub, &real).unwrap();
    let script = "#!/usr/bin/env bash\n\
                  if [[ \"$*\" == 'install --yes'* && ! -e $TRACE/hangs ]]; then\n\
                  printf 'Package: make\\nStatus: install ok half-configured\\nArchitecture: all\\nVersion: 1\\n\\n' \
                  >>\"$ROOT/var/lib/dpkg/status\"\n\
                  touch \"$TRACE/hangs\"; sleep 1000\n\
                  fi\n\
                  exec \"$0-real\" \"$@\"\n";
    std::fs::write(&stub, script).unwrap();
    std::fs::set_permissions(&stub, std::fs::metadata(&real).unwrap().permissions()).unwrap();
    let child = machine.start_until(&[], "hangs");
    let ran = stopped_by(&machine, child, "TERM");
    ended_with(&machine, &ran, 130);
    let said = "dpkg was stopped amid make; the next installation repairs that before anything else";
    assert!(ran.err.contains(said), "{}", ran.err);
    assert_eq!(page(&machine, &ran), STOPPED);
    let ran = machine.install(&[]);
    ended_with(&machine, &ran, 0);
    assert!(ran.err.contains("repairing make"), "{}", ran.err);
}

#[test]
fn a_date_of_the_image_that_is_none_is_told_before_anything_begins() {
    let machine = Machine::new();
    for date in ["yesterday", "-1", "18446744073709551615"] {
        let mut command = machine.command(&[]);
        let ran: Ran = command.env("SOURCE_DATE_EPOCH", date).output().unwrap().into();
        ended_with(&machine, &ran, 2);
        let said =
            format!("pgsetup: SOURCE_DATE_EPOCH is `{date}`, which is no number of seconds since 1970");
        assert!(ran.err.starts_with(&said), "{}", ran.err);
        assert_eq!(machine.trace("apt-get"), "");
    }
}

#[test]
fn a_signal_ends_downloads_too() {
    for more in [&[][..], &["--skip-unavailable"]] {
        let machine = Machine::new();
        machine.image(&["alpha"], "");
        let archive = machine.extension(
            "alpha",
            Recipe {
                acts: &[Act::Stall],
                ..Recipe::default()
            },
        );
        let trace = machine.path("trace.json");
        let child = machine
            .command(more)
            .arg("--trace")
            .arg(&trace)
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let partial = machine.path("cache/partial").join(&archive.sha256);
        wait_for("half of the archive", || {
            partial.metadata().is_ok_and(|metadata| metadata.len() > 0)
        });
        let ran = stopped_by(&machine, child, "TERM");
        ended_with(&machine, &ran, 130);
        assert_eq!(ran.err.lines().last(), Some(STOPPED), "{}", ran.err);
        // No command was there to stop, so the process ended with a step under way; what had ended before is told.
        let is_end = |line: &&str| line.starts_with("done   ") || line.starts_with("FAILED ");
        let trace: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(trace).unwrap()).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let steps = events.iter().filter(|event| event["cat"] == "step").count();
        let ended = ran.err.lines().filter(is_end).count();
        assert_eq!(steps, ended, "{}", ran.err);
    }
}

#[test]
fn an_installation_that_was_stopped_or_failed_can_be_repeated_and_downloads_nothing_again() {
    let machine = Machine::new();
    machine.image(&["alpha", "beta"], "");
    let once = "@test -e $(TRACE)/second || { touch $(TRACE)/second; false; }";
    let archives = [
        machine.extension(
            "alpha",
            Recipe {
                make: &[once],
                ..Recipe::default()
            },
        ),
        machine.extension("beta", Recipe::default()),
        machine.postgresql(&[]),
    ];
    ended_with(&machine, &machine.install(&[]), 6);
    let ran = machine.install(&[]);
    ended_with(&machine, &ran, 0);
    for archive in &archives {
        assert_eq!(
            machine.server.ranges(&archive.path),
            [""],
            "{} was asked for once",
            archive.path
        );
    }
    // And again over what is installed.
    ended_with(&machine, &machine.install(&["--offline"]), 0);
    let verified = pgsetup(["verify", "--root", machine.path("root").to_str().unwrap()]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
}

#[test]
fn commands_see_proxies_and_nothing_else_of_the_callers_environment() {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    machine.extension(
        "alpha",
        Recipe {
            make: &["@env >$(TRACE)/environment"],
            ..Recipe::default()
        },
    );
    let mut command = machine.command(&[]);
    command
        .envs([
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("CFLAGS", "-march=native"),
            ("LD_PRELOAD", ""),
        ])
        .envs([
            ("https_proxy", "http://127.0.0.1:1"),
            ("LANG", "de_DE.UTF-8"),
            ("HOME", "/home/somebody"),
            ("TMPDIR", "/nonexistent/tmp"),
            ("SOURCE_DATE_EPOCH", "1767225600"),
        ]);
    ended_with(&machine, &command.output().unwrap().into(), 0);
    let environment = machine.trace("environment");
    let names: Vec<&str> = environment
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    // What a shell and make set for their children is theirs.
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
        // A build sees nothing of these but what every build sees.
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "SOURCE_DATE_EPOCH=1577836800",
        "TMPDIR=/tmp",
    ] {
        assert!(environment.lines().any(|other| other == line), "{environment}");
    }
}

#[test]
fn what_is_built_is_stripped_by_the_distributions_tools_and_not_by_the_callers() {
    for (prune, tool) in [
        ("{remove: [debug-symbols]}", "strip"),
        ("{remove: [debug-symbols], keep_debug_symbols: true}", "objcopy"),
    ] {
        let machine = Machine::new();
        machine.image(&["alpha"], "");
        let image = std::fs::read_to_string(machine.path("manifests/image.yaml")).unwrap();
        machine.manifest("image.yaml", &image.replace("{remove: [package-lists]}", prune));
        let recipe = Recipe {
            make: &["@cc -g -shared -nostdlib -Wl,--build-id -o alpha.so alpha.c"],
            rules: "\tinstall -D --target-directory=$(ROOT)$(DESTDIR)/usr/lib/postgresql/18/lib alpha.so\n",
            files: &[("alpha.c", "int alpha(void) { return 1; }\n")],
            ..Recipe::default()
        };
        machine.extension("alpha", recipe);
        let (stub, called) = (machine.path("bin").join(tool), machine.path("trace/called"));
        std::fs::write(&stub, format!("#!/bin/sh\ntouch {}\n", called.display())).unwrap();
        std::fs::set_permissions(stub, PermissionsExt::from_mode(0o755)).unwrap();
        // The stub of chroot changes no root, so this machine's tool does not find the file.
        let ran = machine.install(&[]);
        ended_with(&machine, &ran, 1);
        let said = format!(
            "{tool}: '/var/tmp/pgsetup/stage/alpha-1.0/usr/lib/postgresql/18/lib/alpha.so': No such file"
        );
        assert!(ran.err.contains(&said), "{}", ran.err);
        assert!(!called.exists());
    }
}

#[test]
fn a_user_whose_id_is_somebody_elses_is_refused_before_anything_is_changed() {
    let (uid, gid) = ids();
    let written = format!("name: postgres, uid: {uid}, gid: {gid}");
    for (user, message) in [
        (
            "name: postgres, uid: 4, gid: 998",
            "the image wants postgres to be 4, but /etc/passwd has sync as 4",
        ),
        (
            "name: sync, uid: 999, gid: 998",
            "the image wants sync to be 999, but /etc/passwd has sync as 4",
        ),
        (
            "name: postgres, uid: 999, gid: 101",
            "the image wants postgres to be 101, but /etc/group has ssh as 101",
        ),
    ] {
        let machine = Machine::new();
        let image = std::fs::read_to_string(machine.path("manifests/image.yaml")).unwrap();
        machine.manifest("image.yaml", &image.replace(&written, user));
        let before = files_below(&machine.path("root"));
        let ran = machine.install(&[]);
        ended_with(&machine, &ran, 3);
        let expected = format!("pgsetup: {message}; choose another name or number in the image's `user`\n");
        assert_eq!(ran.err, expected);
        assert_eq!(files_below(&machine.path("root")), before);
        assert_eq!(machine.trace("apt-get"), "");
    }
}

#[test]
fn an_image_of_another_distribution_is_refused_before_anything_is_changed() {
    let machine = Machine::new();
    machine.write("/etc/os-release", "ID=debian\nVERSION_CODENAME=trixie\n");
    let before = files_below(&machine.path("root"));
    let ran = machine.install(&[]);
    ended_with(&machine, &ran, 3);
    let text = machine.neutral(&ran.err);
    assert!(text.contains("[TEST]/manifests/image.yaml:3:7"), "{text}");
    assert!(
        text.contains("the image is made of debian:bookworm, and the target is debian:trixie"),
        "{text}"
    );
    assert_eq!(files_below(&machine.path("root")), before);

    machine.write("/etc/os-release", "NAME=Unknown\n");
    let ran = machine.install(&[]);
    ended_with(&machine, &ran, 1);
    assert_eq!(
        machine.neutral(&ran.err),
        "pgsetup: [TEST]/root/etc/os-release does not say which distribution this is\n"
    );
}

#[test]
fn only_root_installs_into_the_running_system() {
    // A copy, because the directory of the build may not be everybody's.
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
        "pgsetup: installing into the running system is root's; `pgsetup plan` shows as any user what would be done, \
         and `--root DIR` installs below a directory\n"
    );
    assert!(!cache.exists());
}

#[test]
fn as_many_builds_run_at_the_same_time_as_there_are_jobs() {
    // With two jobs, each of two builds waits for the other; with one, neither may see the other.
    let meet = |own: &str, other: &str| {
        format!("@touch $(TRACE)/{own}; until test -e $(TRACE)/{other}; do sleep 0.02; done")
    };
    let machine = Machine::new();
    machine.image(&["alpha", "beta"], "");
    let (alpha, beta) = (meet("alpha", "beta"), meet("beta", "alpha"));
    machine.extension(
        "alpha",
        Recipe {
            make: &[&alpha],
            ..Recipe::default()
        },
    );
    machine.extension(
        "beta",
        Recipe {
            make: &[&beta],
            ..Recipe::default()
        },
    );
    ended_with(&machine, &machine.install(&[]), 0);

    let machine = Machine::new();
    machine.image(&["alpha", "beta"], "");
    let alone = "@mkdir $(TRACE)/builds && sleep 0.1 && rmdir $(TRACE)/builds";
    for name in ["alpha", "beta"] {
        machine.extension(
            name,
            Recipe {
                make: &[alone],
                ..Recipe::default()
            },
        );
    }
    ended_with(&machine, &machine.install(&["--jobs", "1"]), 0);
}

#[test]
fn every_make_shares_one_jobserver_and_no_more_jobs_run_than_were_asked_for() {
    let machine = Machine::new();
    machine.image(&["alpha", "beta"], "");
    // Six jobs in each of two makes; each takes one of two places, or complains that there is none.
    let job = "one two three four five six:\n\
               \t@mkdir $(TRACE)/place-1 2>/dev/null && place=1 || { mkdir $(TRACE)/place-2 2>/dev/null && place=2; } || \
               { touch $(TRACE)/too-many; exit; }; sleep 0.1; rmdir $(TRACE)/place-$$place\n";
    let all = "all: one two three four five six\n";
    let more = format!("{all}{job}");
    let recipe = Recipe {
        make: &["@echo '$(MAKEFLAGS)' >>$(TRACE)/flags"],
        rules: &more,
        ..Recipe::default()
    };
    machine.extension("alpha", recipe);
    machine.extension("beta", recipe);
    ended_with(&machine, &machine.install(&[]), 0);
    assert!(!machine.path("trace/too-many").exists());
    let flags = machine.trace("flags");
    let servers: Vec<&str> = flags
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("--jobserver-auth="))
        .collect();
    assert_eq!(servers.len(), 2, "{flags}");
    assert_eq!(servers[0], servers[1], "{flags}");
}

/// The names of a list in the receipt of a machine.
fn recorded(machine: &Machine, list: &str) -> Vec<String> {
    let text = std::fs::read_to_string(machine.root("/usr/share/pgsetup/receipt.json")).unwrap();
    let receipt: serde_json::Value = serde_json::from_str(&text).unwrap();
    let all = receipt[list].as_array().unwrap().iter();
    all.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_a_first_installation_made_a_second_one_accounts_for_too() {
    let machine = Machine::new();
    machine.image(&["alpha"], "packages: {runtime: [xz-utils]}\n");
    machine.extension("alpha", Recipe::default());
    ended_with(&machine, &machine.install(&[]), 0);

    machine.image(&["beta"], "packages: {runtime: [zstd]}\n");
    machine.extension("beta", Recipe::default());
    // Somebody's own: pgsetup has not made it this time.
    std::fs::create_dir(machine.root("/var/tmp/pgsetup")).unwrap();
    ended_with(&machine, &machine.install(&[]), 0);
    assert_eq!(recorded(&machine, "components"), ["postgresql", "beta", "alpha"]);
    assert_eq!(recorded(&machine, "packages_kept"), ["xz-utils", "zstd"]);
    assert!(machine.root("/var/tmp/pgsetup").exists());
    let root = machine.path("root");
    let verified = pgsetup(["verify", "--root", root.to_str().unwrap()]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);

    // In another version its files would be mixed with those that are there.
    let manifest = machine.path("manifests/alpha.yaml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("version: \"1.0\"", "version: \"1.1\"")).unwrap();
    let ran = machine.install(&["--with", "alpha"]);
    ended_with(&machine, &ran, 3);
    let expected =
        "an earlier installation left other versions here: alpha 1.0 is there, and the manifests select 1.1";
    assert!(ran.err.contains(expected), "{}", ran.err);
}

#[test]
fn an_image_that_keeps_pgsetup_has_it_in_its_receipt_and_so_has_the_next_one() {
    let machine = Machine::new();
    // Without symbols for debuggers, which are ten times as large as the rest and read again and again.
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
    // This machine's own libraries: the one that tests run is not static.
    let libraries = Command::new("ldd").arg(&own).output().unwrap();
    let libraries = String::from_utf8(libraries.stdout).unwrap();
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = machine.root(library);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(library, to).unwrap();
    }
    machine.image(&["alpha"], "");
    machine.extension("alpha", Recipe::default());
    let manifest = machine.path("manifests/image.yaml");
    let plain = std::fs::read_to_string(&manifest).unwrap();
    let keeps = plain.replace(
        "remove: [package-lists]",
        "remove: [package-lists], keep_pgsetup: true",
    );
    assert_ne!(keeps, plain);
    std::fs::write(&manifest, keeps).unwrap();
    let ran = install();
    ended_with(&machine, &ran, 0);
    assert!(
        ran.err.contains("pgsetup in /usr/local/bin/pgsetup\n"),
        "{}",
        ran.err
    );
    let kept = machine.root("/usr/local/bin/pgsetup");
    let verified = || {
        assert!(std::fs::read(&kept).unwrap() == std::fs::read(&own).unwrap());
        assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o7777, 0o755);
        let text = std::fs::read_to_string(machine.root("/usr/share/pgsetup/receipt.json")).unwrap();
        let receipt: serde_json::Value = serde_json::from_str(&text).unwrap();
        let files = receipt["files"].as_array().unwrap();
        let file = files.iter().find(|file| file["path"] == "/usr/local/bin/pgsetup");
        assert_eq!(file.unwrap()["component"], "image");
        let root = machine.path("root");
        let verified = pgsetup(["verify", "--root", root.to_str().unwrap()]);
        assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
    };
    verified();
    std::fs::write(&manifest, plain).unwrap();
    ended_with(&machine, &install(), 0);
    verified();
}

#[test]
fn an_older_major_is_installed_with_those_extensions_that_are_for_it_and_everything_knows_of_both() {
    let machine = Machine::new();
    machine.image(&["alpha", "beta", "gamma"], "previous: [\"17\"]\n");
    machine.postgresql_of("17", "17.11", &[]);
    machine.extension("alpha", Recipe::default());
    let licence = Recipe {
        files: &[("LICENSE", "free")],
        ..Recipe::default()
    };
    machine.extension("beta", licence);
    let new = Recipe {
        majors: &[18],
        ..Recipe::default()
    };
    machine.extension("gamma", new);
    let ran = machine.install(&[]);
    ended_with(&machine, &ran, 0);
    for line in [
        "PostgreSQL 17.11 in /usr/lib/postgresql/17, to upgrade data from, with alpha, beta",
        "no gamma for PostgreSQL 17: gamma does not support PostgreSQL 17: 1.0 is for 18",
    ] {
        assert!(ran.err.contains(line), "{line}: {}", ran.err);
    }

    // Each has its own files, and the receipt says whose they are.
    let receipt = std::fs::read_to_string(machine.root("/usr/share/pgsetup/receipt.json")).unwrap();
    let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap();
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

    // Each server has proved its own extensions.
    let tried = machine.trace("sql");
    let created = |name: &str| {
        let statement = format!("CREATE EXTENSION IF NOT EXISTS \"{name}\"");
        tried.matches(&statement).count()
    };
    assert_eq!([created("alpha"), created("beta"), created("gamma")], [2, 2, 1]);

    let verify = || {
        let root = machine.path("root");
        pgsetup(["verify", "--root", root.to_str().unwrap()])
    };
    let verified = verify();
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
    std::fs::remove_file(machine.root("/usr/share/postgresql/17/extension/beta--1.0.sql")).unwrap();
    std::fs::remove_file(machine.root("/usr/share/postgresql/17/extension/alpha.control")).unwrap();
    let verified = verify();
    assert_eq!(verified.status, 7);
    for line in [
        "alpha-pg17: has no control file; alpha brought it",
        "beta-pg17: no script leads to its default version 1.0",
    ] {
        assert!(verified.out.contains(line), "{line}: {}", verified.out);
    }

    // Nothing is built again, and one archive that both majors are made of was downloaded once.
    machine.fresh();
    let ran = machine.install(&[]);
    ended_with(&machine, &ran, 0);
    assert!(ran.err.contains("7 of 7 at hand"), "{}", ran.err);
}

#[test]
fn an_extension_that_cannot_be_had_for_an_older_major_is_left_out_there_only() {
    let machine = Machine::new();
    machine.image(&["alpha"], "previous: [\"17\"]\n");
    machine.postgresql_of("17", "17.11", &[]);
    let new = Recipe {
        majors: &[18],
        ..Recipe::default()
    };
    machine.extension("alpha", new);
    let manifest = machine.path("manifests/alpha.yaml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let old = "releases:\n  - version: \"0.9\"\n    postgresql: [17]\n    provides: [{name: alpha, default_version: \"0.9\"}]\n\
               \x20   sources: [{url: \"http://127.0.0.1:1/alpha.tar.gz\", sha256: \
               0000000000000000000000000000000000000000000000000000000000000000, insecure: nobody is there}]\n";
    std::fs::write(&manifest, text.replace("releases:\n", old)).unwrap();
    let ran = machine.install(&["--skip-unavailable"]);
    ended_with(&machine, &ran, 0);
    assert!(
        ran.err
            .contains("not alpha-pg17, whose source could not be had: "),
        "{}",
        ran.err
    );
    assert_eq!(
        recorded(&machine, "components"),
        ["postgresql", "alpha", "postgresql"]
    );
}

#[test]
fn packages_of_the_build_that_stay_are_in_the_receipt() {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    let with_packages = Recipe {
        packages: &["libalpha-dev"],
        ..Recipe::default()
    };
    machine.extension("alpha", with_packages);
    ended_with(&machine, &machine.install(&["--keep-build-deps"]), 0);
    assert_eq!(recorded(&machine, "packages_kept"), ["libalpha-dev", "make"]);
}

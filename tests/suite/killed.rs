//! An installation that is killed at any step: the next one makes the same tree as an undisturbed one.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::harness::skip;
use crate::machine::{Machine, Recipe, files_below};
use crate::support::{Ran, pgsetup, wait_for};

/// A line of a makefile that hangs the first time, with a process in its own session.
const HANG_ONCE: &str =
    "@test -e $(TRACE)/second || { touch $(TRACE)/second $(TRACE)/hangs; setsid sleep 1000 & sleep 1000; }";

#[track_caller]
fn ended_well(machine: &Machine, ran: &Ran) {
    assert_eq!(ran.status, 0, "{}{}", ran.out, machine.neutral(&ran.err));
    machine.is_quiet();
}

/// Kills pgsetup alone.
fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Every file below a root, with mode and content.
fn tree(root: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    files_below(root)
        .into_iter()
        .map(|name| {
            let path = root.join(&name);
            let mode = path.symlink_metadata().unwrap().permissions().mode();
            (name, (mode, std::fs::read(&path).unwrap_or_default()))
        })
        .collect()
}

#[test]
fn after_a_kill_the_next_installation_makes_the_same_tree() {
    let machine = Machine::new();
    machine.image(&["beta"], "");
    machine.extension("beta", Recipe::new());
    // The server comes from the cache in both.
    ended_well(&machine, &machine.install(&[]));
    machine.fresh();
    machine.image(&["alpha", "beta"], "");
    machine.extension(
        "alpha",
        Recipe::new().make(&[HANG_ONCE]).packages(&["libalpha-dev"]),
    );
    let install = |root: &str| {
        let mut command = machine.command_in(root, &[]);
        command.env("SOURCE_DATE_EPOCH", "1767225600");
        command
    };
    let child = install("root")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("a build hangs", || machine.path("trace/hangs").exists());
    let beta = machine.root("/usr/share/postgresql/18/extension/beta.control");
    wait_for("beta is installed", || beta.exists());
    kill(child);

    // It left running processes, merged files, build packages, and half of a file that it merged.
    let status = || std::fs::read_to_string(machine.root("/var/lib/dpkg/status")).unwrap();
    assert!(status().contains("libalpha-dev"));
    let half = "/usr/share/postgresql/18/extension/.pgsetup-AbCdEf";
    machine.write(half, "half");
    machine.write("/etc/passwd.lock", "17");
    machine.write("/tmp/of-the-killed", "");

    let ran: Ran = install("root").output().unwrap().into();
    ended_well(&machine, &ran);
    assert!(
        ran.err.contains("an earlier installation was interrupted"),
        "{}",
        ran.err
    );
    assert!(!status().contains("libalpha-dev"));
    assert!(!machine.root("/var/lib/pgsetup").exists());

    let entries = std::fs::read_dir(machine.path("cache/artifact")).unwrap();
    for entry in entries.map(|entry| entry.unwrap().path()) {
        if std::fs::read_to_string(&entry).unwrap().contains("alpha 1.0") {
            std::fs::remove_file(entry).unwrap();
        }
    }
    let other = machine.other();
    std::fs::write(machine.path("other/trace/second"), "").unwrap();
    ended_well(&machine, &install("other/root").output().unwrap().into());
    let (killed, undisturbed) = (tree(&machine.path("root")), tree(&other));
    let names = |tree: &BTreeMap<String, _>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&killed), names(&undisturbed));
    for (name, file) in killed {
        assert!(file == undisturbed[&name], "{name} is another file");
    }
}

#[test]
fn files_that_only_a_killed_installation_merged_are_removed() {
    let machine = Machine::new();
    machine.image(&["alpha", "beta"], "settings: {work_mem: 8MB}\n");
    machine.extension("alpha", Recipe::new());
    machine.extension("beta", Recipe::new().make(&[HANG_ONCE]));
    let child = machine.start_until(&[], "hangs");
    let alpha = machine.root("/usr/share/postgresql/18/extension/alpha.control");
    wait_for("alpha is installed", || alpha.exists());
    kill(child);
    machine.image(&["beta"], "");
    ended_well(&machine, &machine.install(&[]));
    assert!(!alpha.exists());
    let verified = pgsetup(["verify", "--root", machine.path("root").to_str().unwrap()]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
}

#[test]
fn a_half_created_user_is_created_again() {
    let machine = Machine::new();
    // The real useradd also writes one file after the other.
    let path = machine.path("bin/useradd");
    let useradd = std::fs::read(&path).unwrap();
    let half = "#!/usr/bin/env bash\nprintf '%s:x:%s:%s::%s:%s\\n' \"${11}\" \"$3\" \"$5\" \"$8\" \"${10}\" >>\"$ROOT/etc/passwd\"\n\
                touch \"$TRACE/hangs\"\nsleep 1000\n";
    std::fs::write(&path, half).unwrap();
    kill(machine.start_until(&[], "hangs"));
    std::fs::write(&path, useradd).unwrap();
    ended_well(&machine, &machine.install(&[]));
    for file in ["passwd", "shadow", "group"] {
        let text = std::fs::read_to_string(machine.root(&format!("/etc/{file}"))).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("postgres:")).count();
        assert_eq!(lines, 1, "{file}: {text}");
    }
}

#[test]
fn an_interrupted_dpkg_is_repaired_before_anything_else() {
    let machine = Machine::new();
    let status = std::fs::read_to_string(machine.root("/var/lib/dpkg/status")).unwrap();
    let broken = "Package: xz-utils\nStatus: install ok unpacked\nArchitecture: amd64\nVersion: 1\n\n\
                  Package: zstd\nStatus: install reinstreq half-installed\nArchitecture: amd64\nVersion: 1\n\n";
    machine.write("/var/lib/dpkg/status", &format!("{status}{broken}"));
    let ran = machine.install(&[]);
    ended_well(&machine, &ran);
    let said = "dpkg was interrupted here; repairing xz-utils:amd64, zstd:amd64";
    assert!(ran.err.contains(said), "{}", ran.err);
    assert_eq!(
        machine.trace("dpkg-commands"),
        "--force-confold --force-unsafe-io --configure --pending\n"
    );
    let apt = machine.trace("apt-get");
    let apt: Vec<&str> = apt.lines().collect();
    assert!(apt[0].starts_with("update "), "{apt:?}");
    assert!(apt[1].contains("--fix-broken"), "{apt:?}");
    let status = std::fs::read_to_string(machine.root("/var/lib/dpkg/status")).unwrap();
    assert!(
        !status.contains("unpacked") && !status.contains("half-installed"),
        "{status}"
    );
}

#[test]
fn a_package_that_cannot_be_repaired_is_named() {
    let machine = Machine::new();
    let status = std::fs::read_to_string(machine.root("/var/lib/dpkg/status")).unwrap();
    let broken =
        "Package: stubborn\nStatus: install reinstreq half-installed\nArchitecture: amd64\nVersion: 1\n\n";
    machine.write("/var/lib/dpkg/status", &format!("{status}{broken}"));
    let ran = machine.install(&[]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    let said =
        "pgsetup: dpkg was interrupted here and could not be repaired: stubborn:amd64\n  log: [TEST]/root/";
    assert!(machine.neutral(&ran.err).contains(said), "{}", ran.err);
    assert!(!machine.root("/etc/postgresql").exists());
}

#[test]
fn a_second_installation_into_one_root_is_rejected() {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    let waiting =
        Recipe::new().make(&["@touch $(TRACE)/waits; until test -e $(TRACE)/go; do sleep 0.05; done"]);
    machine.extension("alpha", waiting);
    let child = machine.start_until(&[], "waits");
    let second: Ran = machine.command(&[]).output().unwrap().into();
    assert_eq!(second.status, 1, "{}", second.err);
    let said = "another pgsetup installs into [TEST]/root; run this again when it has ended";
    assert!(machine.neutral(&second.err).contains(said), "{}", second.err);
    std::fs::write(machine.path("trace/go"), "").unwrap();
    let first: Ran = child.wait_with_output().unwrap().into();
    ended_well(&machine, &first);
}

/// Runs the command like root in a container, without the right to inspect processes of other users.
fn as_in_a_container(command: &std::process::Command) -> std::process::Command {
    let mut confined = std::process::Command::new("/usr/bin/setpriv");
    confined
        .arg("--bounding-set=-sys_ptrace")
        .arg(command.get_program());
    confined.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => confined.env(name, value),
            None => confined.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        confined.current_dir(directory);
    }
    confined
}

/// Whether a process runs; a zombie does not.
fn runs(pid: &str) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

/// Kills an installation while its build has a shell that runs as another user, and installs again. Before that the shell
/// still runs, and after it the shell does not. The shell runs `script` with `arguments`, as make reads them; once the
/// second installation has said `said`, `$(TRACE)/said` exists.
#[track_caller]
fn after_a_shell_of_another_user(script: &str, arguments: &str, said: &str) -> Machine {
    if !rustix::process::geteuid().is_root() {
        skip("only root can start a process as another user");
    }
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    let line = format!(
        "@test -e $(TRACE)/again || {{ /usr/bin/setpriv --reuid=65534 --clear-groups sh -c '{script}' {arguments} >$(TRACE)/ended & \
         echo $$! >$(TRACE)/left; touch $(TRACE)/waits; sleep 500; }}"
    );
    machine.extension("alpha", Recipe::new().make(&[&line]));
    let child = as_in_a_container(&machine.command(&[])).spawn().unwrap();
    wait_for("waits", || machine.path("trace/waits").exists());
    kill(child);
    std::fs::write(machine.path("trace/again"), "").unwrap();
    let left = std::fs::read_to_string(machine.path("trace/left")).unwrap();
    assert!(runs(&left));
    let output = std::fs::File::create(machine.path("output")).unwrap();
    let mut second = as_in_a_container(&machine.command(&[]))
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    let text = || std::fs::read_to_string(machine.path("output")).unwrap();
    wait_for("the second installation speaks of it", || text().contains(said));
    std::fs::write(machine.path("trace/said"), "").unwrap();
    assert!(second.wait().unwrap().success(), "{}", text());
    machine.is_quiet();
    assert!(!runs(&left));
    machine
}

#[test]
fn a_process_of_another_user_is_waited_for() {
    let script = "until test -e $(TRACE)/said; do sleep 0.1; done; echo ended";
    let machine = after_a_shell_of_another_user(script, "", "of an installation that was killed");
    let ended = std::fs::read_to_string(machine.path("trace/ended")).unwrap();
    assert_eq!(ended, "ended\n", "it was killed");
}

#[test]
fn a_server_of_a_killed_installation_is_ended() {
    // Like the temporary server, it never ends by itself and its data are in the working directory.
    let arguments = "sh $(ROOT)/var/tmp/pgsetup/try/data";
    after_a_shell_of_another_user("while sleep 1; do :; done", arguments, "");
}

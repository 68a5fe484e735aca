//! What the commands of a build may do, as the kernel enforces it.
//!
//! Landlock (landlock(7)) denies every change of a file that is not below one of the given directories, TCP, signals to
//! processes outside and their abstract sockets. It knows neither UDP nor Unix sockets that are files, so a filter of system
//! calls (seccomp(2)) denies every connection. Both are entered by a thread of its own, and the command that it starts
//! inherits them with everything that it starts itself. Neither can be left.
//!
//! Landlock does not cover modes, owners and attributes of files. A build therefore has a user of its own, who owns nothing
//! of the machine.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
};
use rustix::process::{Pid, Signal, getpid, kill_process};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// The version of Landlock that knows everything that is asked of it here.
const NEWEST: ABI = ABI::V6;
/// The first version with which files can be moved between directories.
const FIRST: i32 = 2;
/// What older versions do not enforce: the version that does, and what it is.
const LATER: [(i32, &str); 3] = [
    (3, "that no file is truncated"),
    (4, "that no TCP connection is made"),
    (6, "that no process outside is signalled"),
];
/// Devices that every program may write to.
pub(super) const DEVICES: [&str; 5] = ["/dev/full", "/dev/null", "/dev/ptmx", "/dev/tty", "/dev/zero"];
/// Capabilities (capabilities(7)) without which no command can be given to another user: `CAP_CHOWN`, `CAP_KILL`,
/// `CAP_SETGID`, `CAP_SETUID`.
const CAPABILITIES: u64 = 1 | 1 << 5 | 1 << 6 | 1 << 7;
/// The first of the user ids that builds have, and how many there are. systemd gives out the same range at run time
/// ("Users, Groups, UIDs and GIDs on systemd Systems"), so no account of a distribution has one.
pub const USERS: (u32, u32) = (61184, 4336);
/// What makes a number of a system call one of x32, an ABI of amd64 that filters take for the same architecture (seccomp(2)).
const X32: i64 = 0x4000_0000;
/// How long left processes are killed before they are given up.
const GRACE: Duration = Duration::from_secs(2);

/// What this kernel enforces.
#[derive(Debug)]
pub struct Sandbox {
    /// Landlock's version; `None` if Landlock is not used.
    landlock: Option<i32>,
    /// The filter of system calls; `None` if the kernel does not take it.
    filter: Option<BpfProgram>,
    /// What is not enforced.
    gaps: Vec<String>,
    /// Whether commands can be given to other users.
    has_users: bool,
}

impl Sandbox {
    /// What this kernel enforces, found by entering it in a thread that does nothing else.
    pub fn of_this_kernel() -> Self {
        let mut gaps = Vec::new();
        let landlock = match in_thread(|| restrict(&[PathBuf::from("/")])) {
            Ok(status) => match status.landlock {
                LandlockStatus::Available {
                    effective_abi,
                    kernel_abi,
                } => Ok(kernel_abi.unwrap_or(effective_abi as i32)),
                LandlockStatus::NotEnabled => Err("Landlock is not enabled".to_owned()),
                LandlockStatus::NotImplemented => Err("there is no Landlock".to_owned()),
            },
            Err(error) => Err(format!("Landlock cannot be entered ({error})")),
        };
        let landlock = landlock.and_then(|version| {
            (version >= FIRST)
                .then_some(version)
                .ok_or_else(|| format!("its Landlock {version} cannot move files between directories"))
        });
        match &landlock {
            Ok(version) => gaps.extend(LATER.iter().filter(|(first, _)| version < first).map(
                |(first, what)| format!("its Landlock {version} does not enforce {what}, which {first} does"),
            )),
            Err(why) => gaps.push(why.clone()),
        }
        let filter = without_connections().and_then(|filter| {
            in_thread(|| seccompiler::apply_filter(&filter).map_err(io::Error::other))?;
            Ok(filter)
        });
        if let Err(error) = &filter {
            gaps.push(format!("system calls cannot be filtered ({error})"));
        }
        let has_users = has_users();
        // Without one, a build has the rights of root over modes and owners.
        if super::is_root() && !has_users {
            gaps.push("builds cannot have a user of their own".to_owned());
        }
        Self {
            landlock: landlock.ok(),
            filter: filter.ok(),
            gaps,
            has_users,
        }
    }

    /// What is not enforced, a clause each: `there is no Landlock`. Empty if everything is.
    pub fn gaps(&self) -> &[String] {
        &self.gaps
    }

    /// Landlock's version, as receipts have it: `landlock 7`, or `none`.
    pub fn record(&self) -> String {
        self.landlock
            .map_or_else(|| NONE.to_owned(), |version| format!("landlock {version}"))
    }

    /// The user id of the build number `number`; `None` if this process cannot start commands as another user.
    pub fn user(&self, number: usize) -> Option<u32> {
        let (first, count) = USERS;
        let number = u32::try_from(number).unwrap_or_default() % count;
        self.has_users.then_some(first + number)
    }

    /// Does `work` in a thread that may change files only below `writable`, paths of this machine, and may not connect.
    /// Commands that it starts may not either.
    ///
    /// # Errors
    /// A directory cannot be opened, or the kernel refuses what it took before.
    pub fn confine<T: Send>(
        &self,
        writable: &[PathBuf],
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        in_thread(|| {
            if self.landlock.is_some() {
                restrict(writable)?;
            }
            if let Some(filter) = &self.filter {
                seccompiler::apply_filter(filter).map_err(io::Error::other)?;
            }
            work()
        })
    }
}

/// What receipts have where Landlock is not used.
pub const NONE: &str = "none";

/// Does `work` in a thread of its own, whose restrictions end with it.
fn in_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let done = std::thread::scope(|scope| scope.spawn(work).join());
    done.unwrap_or_else(|_| Err(io::Error::other("the thread of a sandbox panicked")))
}

/// Restricts this thread to changes of `writable`, and below them, as far as the kernel can.
fn restrict(writable: &[PathBuf]) -> io::Result<RestrictionStatus> {
    let rules = |error: RulesetError| io::Error::other(error);
    let changes = AccessFs::from_write(NEWEST);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(changes)
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .map_err(rules)?;
    for path in writable {
        let is_directory = path.is_dir();
        let path = PathFd::new(path).map_err(io::Error::other)?;
        let changes = if is_directory {
            changes
        } else {
            changes & AccessFs::from_file(NEWEST)
        };
        ruleset = ruleset.add_rule(PathBeneath::new(path, changes)).map_err(rules)?;
    }
    ruleset.restrict_self().map_err(rules)
}

/// The filter that denies every connection with "permission denied": sockets but those of streams between processes of this
/// machine, and whatever gives a socket an address. A pair of connected sockets needs neither.
fn without_connections() -> io::Result<BpfProgram> {
    let error = |error: seccompiler::BackendError| io::Error::other(error);
    let value = |value: i32| u64::from(value.unsigned_abs());
    let rule = |argument, length, operator, value| {
        SeccompCondition::new(argument, length, operator, value)
            .and_then(|condition| SeccompRule::new(vec![condition]))
    };
    let word = SeccompCmpArgLen::Dword;
    // The type of a socket is in its low bits; the others are flags (socket(2)).
    let kind = SeccompCmpOp::MaskedEq(0xf);
    let sockets = vec![
        rule(0, word.clone(), SeccompCmpOp::Ne, value(libc::AF_UNIX)).map_err(error)?,
        rule(1, word.clone(), kind.clone(), value(libc::SOCK_DGRAM)).map_err(error)?,
        rule(1, word, kind, value(libc::SOCK_RAW)).map_err(error)?,
    ];
    let with_address = rule(4, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0).map_err(error)?;
    let mut calls = BTreeMap::from([
        (libc::SYS_socket, sockets),
        (libc::SYS_connect, Vec::new()),
        (libc::SYS_sendto, vec![with_address]),
        // Requests in a ring pass no filter.
        (libc::SYS_io_uring_setup, Vec::new()),
    ]);
    if cfg!(target_arch = "x86_64") {
        let as_x32: Vec<_> = calls
            .iter()
            .map(|(call, rules)| (call | X32, rules.clone()))
            .collect();
        calls.extend(as_x32);
    }
    let denied = SeccompAction::Errno(u32::try_from(libc::EACCES).unwrap_or_default());
    let architecture = std::env::consts::ARCH.try_into().map_err(error)?;
    SeccompFilter::new(calls, SeccompAction::Allow, denied, architecture)
        .and_then(TryInto::try_into)
        .map_err(error)
}

/// Whether this process can start commands as other users: it is root, has the capabilities, and its user namespace knows
/// their ids (`user_namespaces(7)`).
fn has_users() -> bool {
    let read = |name: &str| std::fs::read_to_string(Path::new("/proc/self").join(name)).unwrap_or_default();
    let status = read("status");
    let capabilities = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
        .unwrap_or_default();
    super::is_root()
        && capabilities & CAPABILITIES == CAPABILITIES
        && read("setgroups").trim() != "deny"
        && is_mapped(&read("uid_map"))
        && is_mapped(&read("gid_map"))
}

/// Whether a map of ids has all of [`USERS`].
fn is_mapped(map: &str) -> bool {
    let (first, count) = (u64::from(USERS.0), u64::from(USERS.1));
    map.lines().any(|line| {
        let numbers: Vec<u64> = line
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        matches!(numbers[..], [inside, _, length] if inside <= first && first + count <= inside + length)
    })
}

/// Kills the processes of a build's user that descend from this process. Returns their command lines.
pub fn kill_left(user: u32) -> Vec<String> {
    let mut killed = BTreeMap::new();
    let until = Instant::now() + GRACE;
    loop {
        let left = descendants(user);
        if left.is_empty() || Instant::now() > until {
            return killed.into_values().collect();
        }
        for (pid, line) in left {
            killed.insert(pid.as_raw_nonzero(), line);
            // It may have ended.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The living processes with this user id that descend from this process, with their command lines. Others may have the
/// same id, because no process registers it.
fn descendants(user: u32) -> Vec<(Pid, String)> {
    let mut parents = BTreeMap::new();
    let mut of_user = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let parent = field("PPid:").and_then(|parent| parent.trim().parse::<i32>().ok());
        parents.insert(pid, parent.unwrap_or_default());
        let has_ended = field("State:").is_none_or(|state| state.trim_start().starts_with(['Z', 'X']));
        let mut users = field("Uid:").unwrap_or_default().split_whitespace();
        if !has_ended && users.any(|one| one.parse() == Ok(user)) {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            of_user.push((pid, line.trim_end().to_owned()));
        }
    }
    let own = getpid().as_raw_nonzero().get();
    let is_ours = |pid: i32| {
        let mut ancestors = std::iter::successors(Some(pid), |pid| parents.get(pid).copied());
        ancestors.any(|ancestor| ancestor == own)
    };
    let ours = of_user.into_iter().filter(|(pid, _)| is_ours(*pid));
    ours.filter_map(|(pid, line)| Some((Pid::from_raw(pid)?, line)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use crate::host::cmd::{CommandOptions, Confined};
    use crate::host::{Host, Log};

    /// A shell script, its status and its output, where only `writable` may be changed. `None` if the kernel cannot.
    fn run(script: &str, writable: &Path) -> Option<(bool, String)> {
        let sandbox = Sandbox::of_this_kernel();
        if !sandbox.gaps().is_empty() {
            eprintln!("not run: {}", sandbox.gaps().join("; "));
            return None;
        }
        let log = Log::open(&writable.join("log")).unwrap();
        let confined = Confined {
            sandbox: &sandbox,
            writable: vec![writable.join("own")],
            user: None,
            left: std::sync::Mutex::default(),
        };
        std::fs::create_dir_all(writable.join("own")).unwrap();
        let settings = CommandOptions {
            confined: Some(&confined),
            ..CommandOptions::default()
        };
        let command = Command::new("bash", ["-c", script]).dir(writable.to_str().unwrap());
        let ran = Host::new(Path::new("/")).run_with(&command, &log, settings);
        Some((ran.is_ok(), log.text()))
    }

    #[test]
    fn only_the_given_directories_can_be_changed() {
        let top = tempfile::tempdir().unwrap();
        std::fs::write(top.path().join("theirs"), "text").unwrap();
        for (script, succeeds) in [
            (
                "echo x >own/file; mkdir own/a; mv own/file own/a; echo x >/dev/null",
                true,
            ),
            ("echo x >other", false),
            ("echo x >>theirs", false),
            ("rm theirs", false),
            ("mv theirs own/", false),
            ("ln theirs own/linked", false),
            ("mv own theirs2", false),
            ("cat theirs", true),
        ] {
            let Some((succeeded, text)) = run(script, top.path()) else {
                return;
            };
            assert_eq!(succeeded, succeeds, "{script}: {text}");
        }
        assert_eq!(
            std::fs::read_to_string(top.path().join("theirs")).unwrap(),
            "text"
        );
    }

    #[test]
    fn no_address_can_be_connected_to() {
        let top = tempfile::tempdir().unwrap();
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let _socket = std::os::unix::net::UnixListener::bind(top.path().join("socket")).unwrap();
        let python = |line: &str| format!("python3 -c \"import socket; from socket import *; {line}\"");
        for script in [
            format!("exec 3<>/dev/tcp/127.0.0.1/{port}"),
            format!("exec 3<>/dev/udp/127.0.0.1/{port}"),
            python("socket(AF_UNIX).connect('socket')"),
            python("socket(AF_UNIX, SOCK_DGRAM)"),
            python("socket(AF_INET6)"),
            python("socket(AF_UNIX).connect(chr(0) + 'abstract')"),
        ] {
            let Some((succeeded, text)) = run(&script, top.path()) else {
                return;
            };
            assert!(
                !succeeded && text.contains("Permission denied"),
                "{script}: {text}"
            );
        }
        // A kernel without x32 says so only to a call that passes the filter.
        let x32 = "python3 -c \"import ctypes, os; libc = ctypes.CDLL(None, use_errno=True); \
                   libc.syscall(0x40000000 | 41, 2, 2, 0); print(os.strerror(ctypes.get_errno()))\"";
        if cfg!(target_arch = "x86_64")
            && let Some((_, text)) = run(x32, top.path())
        {
            assert!(text.contains("Permission denied"), "{text}");
        }
        let pair = python("a, b = socketpair(); a.send(b'x'); assert b.recv(1) == b'x'");
        if let Some((succeeded, text)) = run(&pair, top.path()) {
            assert!(succeeded, "{text}");
        }
    }

    #[test]
    fn no_process_outside_can_be_signalled_or_traced() {
        let top = tempfile::tempdir().unwrap();
        let own = std::process::id();
        for script in [format!("kill -0 {own}"), format!("exec 3<>/proc/{own}/mem")] {
            if let Some((succeeded, text)) = run(&script, top.path()) {
                assert!(!succeeded, "{script}: {text}");
            }
        }
    }

    #[test]
    fn users_exist_where_the_namespace_has_their_ids() {
        assert!(is_mapped("         0          0 4294967295\n"));
        assert!(is_mapped("0 1000 1\n1 100000 65535\n"));
        assert!(!is_mapped("0 1000 1\n"));
        assert!(!is_mapped(""));
    }
}

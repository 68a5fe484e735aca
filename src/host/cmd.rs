//! Runs commands. Each has its own process group, a log for its output, and a controlled environment.
//!
//! A command sees only the variables that [`environment`] passes on. A build sees even fewer, so that it does not depend on
//! the caller. Processes that a command leaves in its process group are killed when it ends. Processes that left the group
//! are killed when pgsetup ends ([`kill_orphans`]).

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{Gid, Uid};
use rustix::process::{
    Pid, Signal, getpid, kill_process, kill_process_group, set_child_subreaper, test_kill_process_group,
};

use super::sandbox::{self, Sandbox};
use super::{Host, environment, usage};
use crate::command::Command;
use crate::lock::lock;
use crate::output::{self, Errors};
use crate::timing::{Ran, Span};

/// Variables that every command gets, so that tools use one language, do not ask questions and do not write byte code.
pub const FIXED_VARIABLES: [(&str, &str); 6] = [
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("HOME", "/root"),
    ("LC_ALL", "C.UTF-8"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("TZ", "UTC"),
];

/// How many lines of a failed command's output are shown.
const MAX_TAIL_LINES: usize = 25;
/// Bytes at the end of a log that are searched for them.
const MAX_TAIL_BYTES: u64 = 64 * 1024;
/// How long a process group has to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_millis(700);

/// A file for the output of commands, with their times.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    ran: Mutex<Vec<Ran>>,
}

impl Log {
    /// Opens the log at `path`, a path of this machine, for appending. Creates its directory.
    ///
    /// # Errors
    /// The directory cannot be created or the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            ran: Mutex::default(),
        })
    }

    /// Takes the times of the commands that have ended so far.
    pub fn take_ran(&self) -> Vec<Ran> {
        std::mem::take(&mut self.ran())
    }

    /// Adds commands to those of this log.
    pub fn add_ran(&self, ran: Vec<Ran>) {
        self.ran().extend(ran);
    }

    fn ran(&self) -> std::sync::MutexGuard<'_, Vec<Ran>> {
        lock(&self.ran)
    }

    /// A log that is discarded.
    ///
    /// # Errors
    /// `/dev/null` cannot be opened.
    pub fn none() -> io::Result<Self> {
        Self::open(Path::new("/dev/null"))
    }

    /// Appends a line of pgsetup.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn line(&self, text: impl fmt::Display) -> io::Result<()> {
        (&self.file).write_all(format!("{text}\n").as_bytes())
    }

    /// What was written from byte `from` on, at most the last [`MAX_TAIL_BYTES`].
    pub fn since(&self, from: u64) -> String {
        self.read(from.max(self.length().saturating_sub(MAX_TAIL_BYTES)))
            .unwrap_or_default()
    }

    /// Everything that was written from byte `from` on.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn all_since(&self, from: u64) -> io::Result<String> {
        self.read(from)
    }

    fn read(&self, from: u64) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last 64 KiB of the log.
    pub fn text(&self) -> String {
        self.since(0)
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }
}

/// A command that could not be started, failed, or was stopped.
#[derive(Debug)]
pub struct CommandError {
    /// The command line as you would type it.
    pub command: String,
    /// What became of it, for example `exit status 2` or `killed by signal 9 (SIGKILL)`.
    pub outcome: String,
    /// The last lines of its output.
    pub tail: Vec<String>,
    /// The errors in its output.
    pub errors: Box<Errors>,
    /// Where all of its output is.
    pub log: Option<PathBuf>,
    /// True if pgsetup itself was told to stop.
    pub interrupted: bool,
    /// True if its time limit was over.
    pub timed_out: bool,
}

impl std::error::Error for CommandError {}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  command: {}{}", self.outcome, self.command, self.errors)?;
        if !self.tail.is_empty() && self.errors.first.is_none() {
            write!(f, "\n  last lines of its output:")?;
            for line in &self.tail {
                write!(f, "\n    {line}")?;
            }
        }
        match &self.log {
            Some(log) => write!(f, "\n  log: {}", log.display()),
            None => Ok(()),
        }
    }
}

/// The running process groups, each with the signal that ends it at once, and whether they were told
/// to stop.
#[derive(Debug, Default)]
pub struct Processes(Arc<Running>);

#[derive(Debug, Default)]
struct Running {
    groups: Mutex<BTreeMap<u32, Signal>>,
    interrupted: AtomicBool,
}

impl Running {
    fn groups(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Signal>> {
        lock(&self.groups)
    }
}

/// Stops everything that a host runs. Cheap to clone and safe to use from a signal thread.
#[derive(Debug, Clone)]
pub struct Interrupt(Arc<Running>);

impl Interrupt {
    /// Ends every running process group, first with SIGTERM, and prevents further commands from starting. Returns when none is
    /// left, within about a second.
    pub fn stop_all(&self) {
        self.0.interrupted.store(true, Ordering::SeqCst);
        let groups = self.0.groups().clone();
        for (group, signal) in &groups {
            signal_group(*group, *signal);
        }
        let until = Instant::now() + GRACE;
        while Instant::now() < until && groups.keys().any(|group| group_lives(*group)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        for group in groups.into_keys() {
            signal_group(group, Signal::KILL);
        }
    }

    /// True once everything was told to stop.
    pub fn is_interrupted(&self) -> bool {
        self.0.interrupted.load(Ordering::SeqCst)
    }
}

impl Processes {
    /// A handle that stops them.
    pub fn interrupt(&self) -> Interrupt {
        Interrupt(Arc::clone(&self.0))
    }
}

/// Makes this process the parent of all processes that its commands leave running, even in a session of their own
/// (prctl(2), `PR_SET_CHILD_SUBREAPER`), so that [`kill_orphans`] finds them.
///
/// # Errors
/// The kernel does not allow it.
pub fn become_subreaper() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Kills every child of this process, and every process that becomes its child as a result. Call it when no command should
/// run any more.
pub fn kill_orphans() {
    let until = Instant::now() + GRACE;
    loop {
        let strays = children();
        if strays.is_empty() || Instant::now() > until {
            return;
        }
        for stray in strays {
            // It may have ended.
            let _ = kill_process(stray, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The living children of this process, by proc(5): state and parent follow the name, which
/// is in parentheses and may contain anything.
fn children() -> Vec<Pid> {
    let own = getpid().as_raw_nonzero().to_string();
    let is_child = |stat: &str| {
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        let (state, parent) = (fields.next()?, fields.next()?);
        (parent == own && !"ZX".contains(state)).then_some(())
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            is_child(&std::fs::read_to_string(entry.path().join("stat")).ok()?)?;
            Pid::from_raw(number)
        })
        .collect()
}

fn pid(group: u32) -> Option<Pid> {
    i32::try_from(group).ok().and_then(Pid::from_raw)
}

fn signal_group(group: u32, signal: Signal) {
    // The group may have ended, which is fine.
    let _ = pid(group).map(|pid| kill_process_group(pid, signal));
}

fn group_lives(group: u32) -> bool {
    pid(group).is_some_and(|pid| test_kill_process_group(pid).is_ok())
}

/// How a command is run.
#[derive(Clone, Copy, Default)]
pub struct CommandOptions<'a> {
    /// The jobserver that its `make` processes share.
    pub jobserver: Option<&'a jobserver::Client>,
    /// How long it may take.
    pub time_limit: Option<Duration>,
    /// Variables that replace those of pgsetup. The command's own variables take precedence.
    pub variables: &'a [(&'a str, &'a str)],
    /// What it may do; anything by default.
    pub confined: Option<&'a Confined<'a>>,
}

/// The confinement of a command.
#[derive(Debug)]
pub struct Confined<'a> {
    /// What the kernel enforces.
    pub sandbox: &'a Sandbox,
    /// Directories of this machine that it may write to.
    pub writable: Vec<PathBuf>,
    /// The user, and group, that it runs as, if that is not pgsetup's own.
    pub user: Option<u32>,
    /// Command lines of processes that it left running and that were killed.
    pub left: Mutex<Vec<String>>,
}

impl Confined<'_> {
    /// Kills what the command left running.
    fn end(&self) {
        if let Some(user) = self.user {
            lock(&self.left).extend(sandbox::kill_left(user));
        }
    }
}

/// Every variable that a command has.
fn variables(command: &Command, instead: &[(&str, &str)]) -> BTreeMap<String, String> {
    let kept = environment::passed_on();
    let fixed = FIXED_VARIABLES
        .iter()
        .chain(instead)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    kept.chain(fixed).chain(command.environment.clone()).collect()
}

impl Host {
    /// Runs `command` to its end, with its output in `log`.
    ///
    /// # Errors
    /// The command does not start, exits with a status other than 0, or is interrupted.
    pub fn run(&self, command: &Command, log: &Log) -> Result<(), CommandError> {
        self.run_with(command, log, CommandOptions::default())
    }

    /// Runs `command` like [`Host::run`], with a jobserver or a time limit.
    ///
    /// # Errors
    /// As for [`Host::run`], or the time limit is over.
    pub fn run_with(
        &self,
        command: &Command,
        log: &Log,
        settings: CommandOptions<'_>,
    ) -> Result<(), CommandError> {
        let attempt = Attempt::new(self, command, log);
        let file = attempt.announce()?;
        let result = match settings.confined {
            Some(Confined { user: Some(user), .. }) => self.run_as(*user, command, file, &attempt, settings),
            _ => self.run_into(command, file, &attempt, settings),
        };
        result.map_err(|ended| attempt.failed(ended))
    }

    /// Runs a command with its output in `file`.
    fn run_into(
        &self,
        command: &Command,
        file: File,
        attempt: &Attempt<'_>,
        settings: CommandOptions<'_>,
    ) -> Result<(), Ended> {
        let expression = self
            .expression(command, settings)
            .stderr_to_stdout()
            .stdout_file(file);
        self.wait(&expression, settings, attempt).map(drop)
    }

    /// Runs a command as another user. Its output goes through a pipe of that user: `/dev/stderr` can be opened, and what
    /// is in the log stays there.
    fn run_as(
        &self,
        user: u32,
        command: &Command,
        mut file: File,
        attempt: &Attempt<'_>,
        settings: CommandOptions<'_>,
    ) -> Result<(), Ended> {
        let (mut reader, writer) = pipe_of(user).map_err(Ended::NotStarted)?;
        std::thread::scope(|scope| {
            let copy = scope.spawn(move || io::copy(&mut reader, &mut file));
            let result = self.run_into(command, writer, attempt, settings);
            // A process that is left would keep the pipe open.
            settings.confined.inspect(|confined| confined.end());
            match (result, copy.join()) {
                // The command itself may have failed because its output was not read any more.
                (Ok(()) | Err(Ended::Failed(_)), Ok(Err(error))) => Err(Ended::WithoutLog(error)),
                (result, _) => result,
            }
        })
    }

    /// Runs `command` and returns its standard output. Its standard error goes to `log`.
    ///
    /// # Errors
    /// As for [`Host::run`], or the output cannot be read.
    pub fn capture(&self, command: &Command, log: &Log) -> Result<String, CommandError> {
        self.capture_within(command, log, None)
    }

    /// Runs `command` like [`Host::capture`], with a time limit.
    ///
    /// # Errors
    /// As for [`Host::capture`], or the time limit is over.
    pub fn capture_within(
        &self,
        command: &Command,
        log: &Log,
        limit: Option<Duration>,
    ) -> Result<String, CommandError> {
        let attempt = Attempt::new(self, command, log);
        let file = attempt.announce()?;
        let settings = CommandOptions {
            time_limit: limit,
            ..CommandOptions::default()
        };
        let expression = self
            .expression(command, settings)
            .stdout_capture()
            .stderr_file(file);
        let output = self
            .wait(&expression, settings, &attempt)
            .map_err(|ended| attempt.failed(ended))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts `command` in the background, with its output in `log`. `at_once` is the signal by which it ends soon and cleans
    /// up.
    ///
    /// # Errors
    /// The command does not start.
    pub fn start<'a>(
        &'a self,
        command: &Command,
        log: &'a Log,
        at_once: Signal,
    ) -> Result<Background<'a>, CommandError> {
        let attempt = Attempt::new(self, command, log);
        let file = attempt.announce()?;
        let expression = self
            .expression(command, CommandOptions::default())
            .stderr_to_stdout()
            .stdout_file(file);
        let handle = self
            .spawn(&expression, at_once, None)
            .map_err(|ended| attempt.failed(ended))?;
        Ok(Background {
            host: self,
            group: group_of(&handle),
            at_once,
            handle,
            attempt,
        })
    }

    /// The command in this root: through `chroot` if the root is not `/`.
    fn expression(&self, command: &Command, settings: CommandOptions<'_>) -> duct::Expression {
        let user = settings.confined.and_then(|confined| confined.user);
        let (words, directory) = self.in_root(command, user);
        let environment = variables(command, settings.variables);
        // `chroot` does the same for the command itself, because only root can enter a root.
        let user = user.filter(|_| self.is_system());
        let mut expression = duct::cmd(&words[0], &words[1..])
            .dir(directory)
            .full_env(environment);
        expression = match &command.input {
            Some(text) => expression.stdin_bytes(text.as_bytes()),
            None => expression.stdin_null(),
        };
        let jobserver = settings.jobserver.cloned();
        expression.unchecked().before_spawn(move |command| {
            command.process_group(0);
            if let Some(user) = user {
                command.uid(user).gid(user);
            }
            if let Some(jobserver) = &jobserver {
                jobserver.configure_make(command);
            }
            Ok(())
        })
    }

    /// The words that run `command` in this root, as `user` if given, and the directory they run in.
    fn in_root(&self, command: &Command, user: Option<u32>) -> (Vec<String>, String) {
        let inner = std::iter::once(command.program.clone()).chain(command.args.iter().cloned());
        if self.is_system() {
            let directory = command.directory.clone();
            return (inner.collect(), directory.unwrap_or_else(|| "/".to_owned()));
        }
        // Found on pgsetup's own PATH, because the command's PATH is for programs inside the root.
        let chroot = super::program("chroot");
        let mut words = vec![chroot.map_or_else(|| "chroot".to_owned(), |path| path.display().to_string())];
        if let Some(user) = user {
            words.extend([format!("--userspec=+{user}:+{user}"), format!("--groups=+{user}")]);
        }
        words.extend(["--".to_owned(), self.root.display().to_string()]);
        if let Some(directory) = &command.directory {
            words.extend(["env".to_owned(), format!("--chdir={directory}"), "--".to_owned()]);
        }
        words.extend(inner);
        (words, "/".to_owned())
    }

    /// Becomes `command`, with this process's own input and output and the variables that a step's commands have.
    /// Returns only on failure.
    pub fn become_command(&self, command: &Command) -> anyhow::Error {
        let (words, directory) = self.in_root(command, None);
        let error = std::process::Command::new(&words[0])
            .args(&words[1..])
            .current_dir(&directory)
            .env_clear()
            .envs(variables(command, &[]))
            .exec();
        anyhow::anyhow!("cannot run {} in {directory}: {error}", words[0])
    }

    /// Whether a program is there: a path inside the root, or a name that is looked up on PATH.
    pub fn has_program(&self, program: &str) -> bool {
        if program.contains('/') {
            return self.exists(program);
        }
        let path = super::variable("PATH").unwrap_or_default();
        path.split(':')
            .any(|directory| self.exists(Path::new(directory).join(program)))
    }

    fn spawn(
        &self,
        expression: &duct::Expression,
        at_once: Signal,
        confined: Option<&Confined<'_>>,
    ) -> Result<duct::Handle, Ended> {
        let running = &self.processes.0;
        // Locked while the process starts, so that a stop sees either no process or one that it can end.
        let mut groups = running.groups();
        if running.interrupted.load(Ordering::SeqCst) {
            return Err(Ended::Interrupted);
        }
        let start = || expression.start();
        let handle = match confined {
            Some(confined) => confined.sandbox.confine(&self.writable(confined), start),
            None => start(),
        };
        let handle = handle.map_err(Ended::NotStarted)?;
        groups.insert(group_of(&handle), at_once);
        Ok(handle)
    }

    /// What a confined command may write to: its directories, and the devices of its root.
    fn writable(&self, confined: &Confined<'_>) -> Vec<PathBuf> {
        let devices = sandbox::DEVICES.map(|device| self.path(device));
        let is_device = |path: &PathBuf| {
            let found = path.symlink_metadata();
            found.is_ok_and(|found| found.file_type().is_char_device())
        };
        let devices = devices.into_iter().filter(is_device);
        confined.writable.iter().cloned().chain(devices).collect()
    }

    fn wait(
        &self,
        expression: &duct::Expression,
        settings: CommandOptions<'_>,
        attempt: &Attempt<'_>,
    ) -> Result<std::process::Output, Ended> {
        let (running, limit) = (&self.processes.0, settings.time_limit);
        let handle = self.spawn(expression, Signal::TERM, settings.confined)?;
        let group = group_of(&handle);
        let in_time = pid(group).is_none_or(|pid| usage::wait_for_end(pid, limit));
        // Processes that the command left in its group end with it.
        signal_group(group, Signal::KILL);
        if !in_time {
            pid(group).map(|pid| usage::wait_for_end(pid, None));
        }
        attempt.ended(self, group);
        let output = handle.wait().cloned();
        running.groups().remove(&group);
        match output {
            Err(error) => Err(Ended::NotStarted(error)),
            Ok(_) if !in_time => Err(Ended::TooLong(limit.unwrap_or_default())),
            Ok(output) if output.status.success() => Ok(output),
            Ok(_) if running.interrupted.load(Ordering::SeqCst) => Err(Ended::Interrupted),
            Ok(output) => Err(Ended::Failed(output.status)),
        }
    }
}

/// A command in the background. It ends when this is dropped.
#[derive(Debug)]
pub struct Background<'a> {
    host: &'a Host,
    group: u32,
    at_once: Signal,
    handle: duct::Handle,
    attempt: Attempt<'a>,
}

impl Background<'_> {
    /// True while it runs.
    pub fn is_running(&self) -> bool {
        matches!(self.handle.try_wait(), Ok(None))
    }

    /// Sends `signal` to its first process only, and waits at most `limit` for its end. Returns whether
    /// it ended with exit status 0. `None` if it has not ended.
    pub fn end(&self, signal: Signal, limit: Duration) -> Option<bool> {
        if let Some(pid) = pid(self.group) {
            // It may have ended.
            let _ = kill_process(pid, signal);
            if !usage::wait_for_end(pid, Some(limit)) {
                return None;
            }
        }
        self.attempt.ended(self.host, self.group);
        Some(self.handle.wait().is_ok_and(|output| output.status.success()))
    }
}

impl Drop for Background<'_> {
    fn drop(&mut self) {
        if self.is_running() {
            signal_group(self.group, self.at_once);
            pid(self.group).map(|pid| usage::wait_for_end(pid, Some(GRACE)));
        }
        signal_group(self.group, Signal::KILL);
        let _ = self.handle.wait();
        self.host.processes.0.groups().remove(&self.group);
    }
}

/// A pipe whose end for writing belongs to `user`.
fn pipe_of(user: u32) -> io::Result<(io::PipeReader, File)> {
    let (reader, writer) = io::pipe()?;
    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
    rustix::fs::fchown(&writer, Some(uid), Some(gid))?;
    Ok((reader, File::from(OwnedFd::from(writer))))
}

/// The process group of a command: every command leads one.
fn group_of(handle: &duct::Handle) -> u32 {
    handle.pids().first().copied().unwrap_or_default()
}

/// A running command with its start time and the offset of its output in the log.
#[derive(Debug)]
struct Attempt<'a> {
    command: String,
    log: &'a Log,
    from: u64,
    began: Duration,
}

impl<'a> Attempt<'a> {
    fn new(host: &Host, command: &Command, log: &'a Log) -> Self {
        Self {
            command: command.to_string(),
            log,
            from: log.length(),
            began: host.elapsed(),
        }
    }

    /// Records the times of the command, whose first process has ended and is not reaped yet.
    fn ended(&self, host: &Host, group: u32) {
        self.log.ran().push(Ran {
            command: self.command.clone(),
            span: Span {
                began: self.began,
                ended: host.elapsed(),
            },
            cpu: pid(group).map(usage::of_process).unwrap_or_default(),
        });
    }

    /// Writes the command line to the log and returns the file for its output.
    fn announce(&self) -> Result<File, CommandError> {
        let announce = || {
            self.log.line(format_args!("+ {}", self.command))?;
            self.log.file.try_clone()
        };
        announce().map_err(|error| self.error(format!("its log cannot be written: {error}")))
    }

    fn failed(&self, ended: Ended) -> CommandError {
        let (interrupted, timed_out) = (
            matches!(ended, Ended::Interrupted),
            matches!(ended, Ended::TooLong(_)),
        );
        let outcome = match ended {
            Ended::NotStarted(error) => format!("cannot be started: {error}"),
            Ended::WithoutLog(error) => format!("stopped because its log cannot be written: {error}"),
            Ended::TooLong(limit) => format!("stopped after its time limit of {} s", limit.as_secs()),
            Ended::Interrupted => "stopped because pgsetup was told to stop".to_owned(),
            Ended::Failed(status) => outcome(status),
        };
        CommandError {
            interrupted,
            timed_out,
            ..self.error(outcome)
        }
    }

    fn error(&self, outcome: String) -> CommandError {
        let output = self.log.all_since(self.from).unwrap_or_default();
        CommandError {
            command: self.command.clone(),
            outcome,
            tail: last_lines(&output),
            errors: Box::new(output::errors(
                output
                    .strip_prefix(&format!("+ {}\n", self.command))
                    .unwrap_or(&output),
            )),
            log: Some(self.log.path.clone()),
            interrupted: false,
            timed_out: false,
        }
    }
}

/// How a command failed.
enum Ended {
    NotStarted(io::Error),
    WithoutLog(io::Error),
    TooLong(Duration),
    Interrupted,
    Failed(ExitStatus),
}

fn outcome(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(9)) => "killed by signal 9 (SIGKILL), often because memory ran out".to_owned(),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

fn last_lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("+ ")).collect();
    lines[lines.len().saturating_sub(MAX_TAIL_LINES)..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}

//! A throw-away cluster: creates, starts, queries and stops it.
//!
//! The server listens on a Unix socket in a private directory, trusts every connection there, and runs as the image's
//! user. The tests themselves are in other files. After a stop, none of the server's processes is left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rustix::process::Signal;

use crate::command::Command;
use crate::failure::{Cause, Failure};
use crate::host::cmd::{Background, CommandError};
use crate::host::entry::Ownership;
use crate::host::{self, Host, Log};
use crate::lock::lock;
use crate::output;
use crate::plan::{Server, Settings};

/// The least and the greatest time limit of the server's start. Between them, the limit of one SQL script applies.
const START_LIMITS: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(60)];
/// The signal of an immediate shutdown, the fastest one that leaves no shared memory behind.
const AT_ONCE: Signal = Signal::QUIT;
/// The signals that stop the server, each with its time limit.
const STOP_LIMITS: [(Signal, Duration); 2] = [
    // Fast shutdown: sessions are terminated.
    (Signal::INT, Duration::from_secs(30)),
    // Immediate shutdown: after five seconds the postmaster kills its remaining processes.
    (AT_ONCE, Duration::from_secs(10)),
];
/// How long psql may take to report a statement that the server has cancelled.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long the postmaster may take to log the crash of one of its processes.
const MAX_CRASH_REPORT_WAIT: Duration = Duration::from_secs(3);
/// The file with a cluster's own settings, in its data directory.
const SETTINGS: &str = "throw-away.conf";
/// How many of the last lines of the server's log a failure shows.
const MAX_LOG_LINES: usize = 15;

/// A cluster that may be running.
pub struct Cluster<'a> {
    host: &'a Host,
    server: &'a Server,
    log: &'a Log,
    /// The directory of the data and the socket.
    pub directory: String,
    /// The time limit of one SQL script.
    limit: Duration,
    /// The server's log; empty until the first start.
    server_log: OnceLock<Log>,
}

impl<'a> Cluster<'a> {
    /// A cluster in `directory`, whose commands write to `log`. Nothing is created yet.
    pub fn new(host: &'a Host, server: &'a Server, directory: String, limit: Duration, log: &'a Log) -> Self {
        Self {
            host,
            server,
            log,
            directory,
            limit,
            server_log: OnceLock::new(),
        }
    }

    fn data(&self) -> String {
        format!("{}/data", self.directory)
    }

    /// Creates its empty directory.
    fn make_directory(&self) -> Result<(), Failure> {
        self.host.empty_directory(&self.directory)?;
        let private = self.ownership(0o700);
        Ok(self.host.make_directory(&self.directory, private)?)
    }

    fn ownership(&self, mode: u32) -> Ownership {
        let user = &self.server.user;
        Ownership {
            uid: user.uid,
            gid: user.gid,
            mode,
        }
    }

    /// Initialises its data directory.
    ///
    /// # Errors
    /// The directory cannot be created, or initdb fails.
    pub fn initialise(&self) -> Result<(), Failure> {
        self.make_directory()?;
        let data = self.data();
        let initdb = self
            .program(
                "initdb",
                [
                    "--pgdata",
                    &data,
                    "--username=postgres",
                    "--auth=trust",
                    "--encoding=UTF8",
                ],
            )
            .args(["--locale", &self.server.locale, "--no-sync", "--no-instructions"]);
        self.host.run(&initdb, self.log)?;
        let path = format!("{data}/postgresql.conf");
        let text = self.host.read(&path)?.unwrap_or_default();
        let text = format!("{text}\ninclude_if_exists '{SETTINGS}'\n");
        Ok(self.host.write(&path, &text, self.ownership(0o600))?)
    }

    /// Copies its data from the directory of a cluster that was initialised and never started.
    ///
    /// # Errors
    /// The directory cannot be created, or the copy fails.
    pub fn copy(&self, template: &str) -> Result<(), Failure> {
        self.make_directory()?;
        let copy = self.command("cp", ["--archive", &format!("{template}/data"), &self.data()]);
        Ok(self.host.run(&copy, self.log)?)
    }

    /// Writes its settings, which take precedence over those of the file `include`. They replace those of an earlier call.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn configure(&self, include: Option<&str>, settings: &Settings) -> Result<(), Failure> {
        let mut text = String::new();
        if let Some(file) = include {
            text.push_str(&format!("include '{file}'\n"));
        }
        text.push_str(&format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nfsync = off\nlog_line_prefix = '%d '\n",
            self.directory
        ));
        for (name, value) in settings {
            text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        let own = format!("{}/{SETTINGS}", self.data());
        Ok(self.host.write(&own, &text, self.ownership(0o600))?)
    }

    /// Starts it, and waits until it accepts connections.
    ///
    /// # Errors
    /// The server ends, or is not ready in time. The error has the end of its log.
    pub fn start(&self) -> Result<Running<'_>, Failure> {
        if self.server_log.get().is_none() {
            let path = self.host.reach(format!("{}/server.log", self.directory))?;
            let opened = Log::open(&path);
            let log = opened.map_err(|error| anyhow::anyhow!("cannot write the server's log: {error}"))?;
            // The thread that starts a cluster is one at a time, so the cell is still empty.
            let _ = self.server_log.set(log);
        }
        let Some(server_log) = self.server_log.get() else {
            unreachable!("it was set above")
        };
        let seen = server_log.length();
        let postgres = self.program("postgres", ["-D", &self.data()]);
        let process = ServerProcess {
            process: self.host.start(&postgres, server_log, AT_ONCE)?,
            log: server_log,
            seen: Mutex::new(seen),
            crash: Mutex::default(),
            stuck: AtomicBool::new(false),
        };
        let running = Running {
            cluster: self,
            server: Arc::new(process),
            log: self.log,
        };
        running.wait_until_ready()?;
        Ok(running)
    }

    /// Removes its directory.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remove(&self) -> Result<(), Failure> {
        Ok(self.host.remove(&self.directory)?)
    }

    /// One of PostgreSQL's programs, run as the image's user.
    fn program<'w>(&self, name: &str, args: impl IntoIterator<Item = &'w str>) -> Command {
        self.command(&format!("{}/{name}", self.server.programs), args)
    }

    /// A program, run as the image's user in the cluster's directory.
    pub fn command<'w>(&self, program: &str, args: impl IntoIterator<Item = &'w str>) -> Command {
        let command = Command::new(program, args)
            .env("HOME", &self.directory)
            .dir(&self.directory);
        self.as_user(command)
    }

    /// `command` as the image's user. An ordinary user runs it as it is.
    pub fn as_user(&self, command: Command) -> Command {
        let user = &self.server.user;
        if self.host.is_users_own() {
            command
        } else {
            command.with_user(user.uid, user.gid)
        }
    }
}

/// A running cluster, and a log for the sessions of one thread.
pub struct Running<'a> {
    cluster: &'a Cluster<'a>,
    server: Arc<ServerProcess<'a>>,
    log: &'a Log,
}

/// The server of a running cluster.
struct ServerProcess<'a> {
    process: Background<'a>,
    log: &'a Log,
    /// How many bytes of the log were searched for crashes.
    seen: Mutex<u64>,
    /// The first crash.
    crash: Mutex<Option<String>>,
    /// Whether a statement runs in it that cannot be cancelled.
    stuck: AtomicBool,
}

impl Running<'_> {
    /// The same cluster for the sessions of another thread, with a log of their own.
    pub fn with_log<'b>(&'b self, log: &'b Log) -> Running<'b> {
        Running {
            cluster: self.cluster,
            server: Arc::clone(&self.server),
            log,
        }
    }

    fn wait_until_ready(&self) -> Result<(), Failure> {
        let cluster = self.cluster;
        let ready = cluster.program("pg_isready", ["--quiet", "--host", &cluster.directory]);
        let limit = cluster.limit.clamp(START_LIMITS[0], START_LIMITS[1]);
        let until = host::instant() + limit;
        loop {
            match cluster.host.run(&ready, cluster.log) {
                Ok(()) => return Ok(()),
                Err(error) if error.interrupted => return Err(error.into()),
                Err(_) if !self.server.process.is_running() => {
                    return Err(self.failure("the server does not start"));
                }
                Err(_) if host::instant() > until => {
                    let what = format!("the server is not ready after {} s", limit.as_secs());
                    return Err(self.failure(&what));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// The directory of its socket.
    pub fn socket(&self) -> &str {
        &self.cluster.directory
    }

    /// Runs a psql script and returns its output without trailing white space.
    ///
    /// # Errors
    /// The errors of the SQL as psql prints them. The script exceeded its time limit. The server crashed.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String, Failure> {
        let cluster = self.cluster;
        let limit = cluster.limit;
        let psql = cluster
            .program(
                "psql",
                [
                    "--no-psqlrc",
                    "--quiet",
                    "--no-align",
                    "--tuples-only",
                    "--set=ON_ERROR_STOP=1",
                ],
            )
            .args([
                "--host",
                &cluster.directory,
                "--username=postgres",
                "--dbname",
                database,
                "--file=-",
            ])
            .env("PGOPTIONS", format!("-c statement_timeout={}", limit.as_millis()))
            .input(sql);
        let answer = cluster
            .host
            .capture_within(&psql, self.log, Some(limit + LAST_WORDS));
        let lost_connection = |error: &CommandError| {
            let is_lost = |line: &String| line.contains("connection") || line.contains("terminat");
            error.tail.iter().any(is_lost)
        };
        let until = host::instant() + MAX_CRASH_REPORT_WAIT;
        let mut crash = self.new_crash();
        while crash.is_none() && answer.as_ref().is_err_and(lost_connection) && host::instant() < until {
            std::thread::sleep(Duration::from_millis(50));
            crash = self.new_crash();
        }
        if let Some(crash) = crash {
            // The postmaster restarts the server by itself.
            self.wait_until_ready()?;
            return Err(Failure::new(
                Cause::Test,
                format_args!("the server crashed: {crash}"),
            ));
        }
        match answer {
            Ok(answer) => Ok(answer.trim_end().to_owned()),
            Err(error) if error.interrupted => Err(error.into()),
            Err(error) => {
                self.server.stuck.fetch_or(error.timed_out, Ordering::SeqCst);
                Err(Failure::new(Cause::Test, sql_error(&error, limit)))
            }
        }
    }

    /// The standard output of a program with its arguments, run as the image's user. libpq finds this server.
    ///
    /// # Errors
    /// The program cannot be run, fails, or exceeds the time limit.
    pub fn output(&self, words: &[String]) -> Result<String, Failure> {
        let cluster = self.cluster;
        let (program, arguments) = words
            .split_first()
            .expect("the manifest's schema demands a program");
        let command = cluster
            .command(program, arguments.iter().map(String::as_str))
            .env("PGHOST", &cluster.directory);
        let printed = cluster
            .host
            .capture_within(&command, self.log, Some(cluster.limit));
        printed.map_err(|error| match error {
            error if error.interrupted => error.into(),
            error => Failure::new(Cause::Test, error),
        })
    }

    /// Whether a statement runs in it that cannot be cancelled. Then no more scripts can run.
    pub fn is_stuck(&self) -> bool {
        self.server.stuck.load(Ordering::SeqCst)
    }

    /// The first crash of the server since its start.
    pub fn crash(&self) -> Option<String> {
        lock(&self.server.crash).clone()
    }

    /// The crash that the server's log reports since the last call.
    fn new_crash(&self) -> Option<String> {
        let text = {
            let mut seen = lock(&self.server.seen);
            let text = self.server.log.since(*seen);
            *seen = self.server.log.length();
            text
        };
        let line = text
            .lines()
            .find(|line| line.contains("was terminated by signal") || line.contains("PANIC:  "))?;
        let process = text
            .lines()
            .find_map(|line| line.split_once("Failed process was running: "));
        let line = line.split_once(":  ").map_or(line, |(_, line)| line);
        let crash = match process {
            Some((_, sql)) => format!("{line}; it was running: {sql}"),
            None => line.to_owned(),
        };
        lock(&self.server.crash).get_or_insert_with(|| crash.clone());
        Some(crash)
    }

    /// A failure with the end of the server's log.
    fn failure(&self, what: &str) -> Failure {
        Failure::new(
            Cause::Test,
            format_args!("{what}; end of the server's log:{}", self.tail()),
        )
    }

    /// The last lines of the server's log, indented, each after a line end.
    pub fn tail(&self) -> String {
        let text = self.server.log.text();
        let lines = output::log_lines(&text);
        let lines: Vec<&String> = lines.iter().filter(|line| !line.starts_with("+ ")).collect();
        lines[lines.len().saturating_sub(MAX_LOG_LINES)..]
            .iter()
            .map(|line| format!("\n    {line}"))
            .collect()
    }

    /// Stops it.
    ///
    /// # Errors
    /// It did not stop cleanly. It is stopped nevertheless.
    pub fn stop(self) -> Result<(), Failure> {
        let result = self.end();
        self.cluster.log.add_ran(self.server.log.take_ran());
        result
    }

    fn end(&self) -> Result<(), Failure> {
        // A stuck statement was reported already, and a fast shutdown would wait for it.
        let first = usize::from(self.is_stuck());
        for (signal, limit) in STOP_LIMITS.into_iter().skip(first) {
            match self.server.process.end(signal, limit) {
                Some(true) if signal == Signal::INT => return Ok(()),
                _ if self.is_stuck() => return Ok(()),
                Some(_) => break,
                None => {}
            }
        }
        Err(self.failure("the server did not stop cleanly"))
    }
}

/// The error that psql printed, without its command line.
fn sql_error(error: &CommandError, limit: Duration) -> String {
    let too_long = || format!("it takes longer than its time limit of {} s", limit.as_secs());
    if error.timed_out {
        return too_long() + ", and the server does not let it be cancelled";
    }
    // The error itself, and not the statement that follows it, which may be long.
    let found = error.errors.first.iter().filter(|found| found.program == "psql");
    let found: Vec<&String> = found.flat_map(|found| &found.lines).collect();
    let shown = if found.is_empty() {
        error.tail.iter().collect()
    } else {
        found
    };
    let lines = shown
        .into_iter()
        .map(|line| line.strip_prefix("psql:<stdin>:").unwrap_or(line))
        .map(|line| match line.split_once(": ") {
            Some((number, rest)) if number.parse::<u32>().is_ok() => rest,
            _ => line,
        });
    let lines: Vec<&str> = lines.collect();
    let timeout = "due to statement timeout";
    if error.errors.mention(timeout) || lines.iter().any(|line| line.contains(timeout)) {
        return too_long();
    }
    if lines.is_empty() {
        return format!("psql: {}", error.outcome);
    }
    lines.join("\n")
}

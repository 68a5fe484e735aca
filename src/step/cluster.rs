//! A throw-away cluster that proves what was installed: every extension is created in a database of its own, has
//! the version that its manifest says, and passes its tests.
//!
//! A build that ends with exit status 0 proves nothing: what was compiled may not load, and the version in SQL is
//! the control file's. The cluster listens on a Unix socket in a private directory, runs as the image's user, and
//! is gone afterwards, whatever happens.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Context;
use crate::command::Command;
use crate::failure::{Cause, Failure};
use crate::host::cmd::Background;
use crate::host::fs::Ownership;
use crate::host::{Host, Log};
use crate::layout;
use crate::manifest::extension::{SqlExtension, Test};
use crate::plan::TryOut;
use crate::resolve::Extension;

/// How long the server may take to start.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How long one statement of a test may take.
const STATEMENT_LIMIT: Duration = Duration::from_secs(120);
/// How many lines of the server's log a failure shows.
const LOG_LINES: usize = 15;

/// Starts the cluster, tries every extension, stops it and removes it.
///
/// # Errors
/// The cluster does not start, or an extension fails; all extensions that fail are named.
pub fn try_out(try_out: &TryOut, context: &Context<'_>, log: &Log) -> Result<String, Failure> {
    let cluster = Cluster {
        host: context.host,
        try_out,
        log,
        directory: format!("{}/try", layout::WORK),
    };
    let result = cluster.prove();
    let removed = context.host.remove(&cluster.directory);
    let proved = result?;
    removed?;
    Ok(proved)
}

struct Cluster<'a> {
    host: &'a Host,
    try_out: &'a TryOut,
    log: &'a Log,
    /// Holds the data and the socket.
    directory: String,
}

impl Cluster<'_> {
    fn prove(&self) -> Result<String, Failure> {
        self.initialise()?;
        let server_log = Log::open(&self.host.path(format!("{}/server.log", self.directory)))
            .map_err(|error| anyhow::anyhow!("cannot write the server's log: {error}"))?;
        let server = self.start(&server_log)?;
        let mut tests = 0;
        let mut failures = Vec::new();
        for extension in &self.try_out.extensions {
            match self.extension(extension) {
                Ok(count) => tests += count,
                Err(failure) if failure.cause == Cause::Interrupted => return Err(failure),
                Err(failure) => {
                    let tail = tail(&server_log);
                    failures.push(format!(
                        "{}: {failure}\n  end of the server's log:{tail}",
                        extension.component.title()
                    ));
                }
            }
        }
        let stopped = server.end(Signal::INT, STOP_LIMIT);
        self.log.add_ran(server_log.take_ran());
        if !stopped && failures.is_empty() {
            let message = format!(
                "the server did not stop cleanly; end of its log:{}",
                tail(&server_log)
            );
            return Err(Failure::new(Cause::Test, message));
        }
        if failures.is_empty() {
            Ok(format!(
                "{} extensions, {tests} tests",
                self.try_out.extensions.len()
            ))
        } else {
            Err(Failure::new(Cause::Test, failures.join("\n")))
        }
    }

    fn initialise(&self) -> Result<(), Failure> {
        let user = &self.try_out.user;
        self.host.empty_directory(&self.directory)?;
        let private = Ownership {
            uid: user.uid,
            gid: user.gid,
            mode: 0o700,
        };
        self.host.make_directory(&self.directory, private)?;
        let data = format!("{}/data", self.directory);
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
            .args(["--locale", &self.try_out.locale, "--no-sync", "--no-instructions"]);
        self.host.run(&initdb, self.log)?;
        let path = format!("{data}/postgresql.conf");
        let mut text = self.host.read(&path)?.unwrap_or_default();
        text.push_str(&format!("\ninclude '{}'\n", self.try_out.configuration));
        text.push_str(&format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\n",
            self.directory
        ));
        text.push_str("fsync = off\nlog_line_prefix = '%d '\n");
        for (name, value) in &self.try_out.settings {
            text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        let ownership = Ownership {
            uid: user.uid,
            gid: user.gid,
            mode: 0o600,
        };
        self.host.write(&path, &text, ownership)?;
        Ok(())
    }

    fn start<'a>(&'a self, server_log: &'a Log) -> Result<Background<'a>, Failure> {
        let data = format!("{}/data", self.directory);
        let server = self
            .host
            .start(&self.program("postgres", ["-D", &data]), server_log)?;
        let ready = self.program("pg_isready", ["--quiet", "--host", &self.directory]);
        let until = Instant::now() + START_LIMIT;
        while self.host.run(&ready, self.log).is_err() {
            if !server.is_running() || Instant::now() > until {
                let what = if server.is_running() {
                    "is not ready after a minute"
                } else {
                    "does not start"
                };
                let message = format!("the server {what}; end of its log:{}", tail(server_log));
                return Err(Failure::new(Cause::Test, message));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// Creates an extension in a database of its own and runs its tests; returns how many.
    fn extension(&self, extension: &Extension) -> Result<usize, Failure> {
        let database = &extension.component.name;
        self.sql("postgres", &format!("CREATE DATABASE {}", identifier(database)))?;
        for provided in &extension.provides {
            self.create(database, provided)?;
        }
        for test in &extension.tests {
            self.test(database, test)?;
        }
        Ok(extension.tests.len())
    }

    fn create(&self, database: &str, provided: &SqlExtension) -> Result<(), Failure> {
        let name = identifier(&provided.name);
        let schema = provided.schema.as_deref().map(identifier);
        if let Some(schema) = &schema {
            self.sql(database, &format!("CREATE SCHEMA IF NOT EXISTS {schema}"))?;
        }
        let place = schema
            .map(|schema| format!(" SCHEMA {schema}"))
            .unwrap_or_default();
        // One that another extension of the same manifest requires exists already.
        self.sql(
            database,
            &format!("CREATE EXTENSION IF NOT EXISTS {name}{place} CASCADE"),
        )?;
        let literal = provided.name.replace('\'', "''");
        let version = self.sql(
            database,
            &format!("SELECT extversion FROM pg_extension WHERE extname = '{literal}'"),
        )?;
        if version == provided.default_version {
            return Ok(());
        }
        let message = format!(
            "the SQL extension {} has version {version}, but its manifest says `default_version: {}`",
            provided.name, provided.default_version
        );
        Err(Failure::new(Cause::Test, message))
    }

    fn test(&self, database: &str, test: &Test) -> Result<(), Failure> {
        let failed = |failure: Failure| match failure.cause {
            Cause::Interrupted => failure,
            _ => Failure::new(
                Cause::Test,
                format_args!("the test `{}` failed: {failure}", test.description),
            ),
        };
        // One session, so that what the setup sets is still set; its own answers are not wanted.
        let setup = [&test.setup, &test.session].map(|sql| sql.as_deref().unwrap_or_default());
        let session = format!(
            "\\o /dev/null\n{}\n;\n\\o\n{}\n;\n",
            setup.join("\n;\n"),
            test.query
        );
        let answer = self.sql(database, &session);
        let (what, expected, actual) = match (&test.expected, &test.error, answer) {
            (_, Some(error), Err(failure)) if failure.cause != Cause::Interrupted => {
                if failure.to_string().contains(error.as_str()) {
                    return Ok(());
                }
                ("error", error.as_str(), failure.to_string())
            }
            (_, Some(error), Ok(answer)) => ("error", error.as_str(), format!("no error, but {answer}")),
            (expected, _, answer) => {
                let actual = answer.map_err(failed)?;
                let expected = expected.as_deref().unwrap_or_default().trim_end();
                if actual == expected {
                    return Ok(());
                }
                ("answer", expected, actual)
            }
        };
        let message = format!(
            "the test `{}` failed\n  query: {}\n  expected {what}: {expected}\n  actual: {actual}",
            test.description,
            test.query.trim()
        );
        Err(Failure::new(Cause::Test, message))
    }

    /// Runs SQL in psql's language and returns its answer without trailing white space.
    fn sql(&self, database: &str, sql: &str) -> Result<String, Failure> {
        let psql = self
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
                &self.directory,
                "--username=postgres",
                "--dbname",
                database,
                "--file=-",
            ])
            .input(sql);
        let answer = self
            .host
            .capture_within(&psql, self.log, Some(STATEMENT_LIMIT))
            .map_err(|error| {
                let cause = if error.interrupted {
                    Cause::Interrupted
                } else {
                    Cause::Test
                };
                Failure::new(cause, format_args!("{error}\n  SQL: {}", sql.trim()))
            })?;
        Ok(answer.trim_end().to_owned())
    }

    fn program<'w>(&self, name: &str, args: impl IntoIterator<Item = &'w str>) -> Command {
        let user = &self.try_out.user;
        Command::new(&format!("{}/{name}", self.try_out.programs), args)
            .env("HOME", &self.directory)
            .dir(&self.directory)
            .with_user(user.uid, user.gid)
    }
}

fn tail(log: &Log) -> String {
    let text = log.text();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..]
        .iter()
        .map(|line| format!("\n    {line}"))
        .collect()
}

/// `name` as an SQL identifier.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

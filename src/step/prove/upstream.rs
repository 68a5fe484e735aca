//! Runs upstream's own tests in a separate source tree against a throw-away cluster, as the image's user.

use std::time::Duration;

use super::cluster::Cluster;
use super::{Recorder, in_cluster};
use crate::command::Command;
use crate::failure::{Cause, Failure, WithCause};
use crate::host::cmd::{self, CommandError};
use crate::host::{self, Log};
use crate::manifest::extension::KnownFailure;
use crate::plan::UpstreamTest;
use crate::report::outcome::Verdict;
use crate::step::build;
use crate::step::context::Context;

/// How many lines of each file of differences a failure shows.
const MAX_LINES: usize = 200;
/// The name of the files to which PostgreSQL's test drivers write differences.
const DIFFERENCES: &str = "regression.diffs";

/// Runs the tests. A failed test is an outcome and does not fail the step.
///
/// # Errors
/// The sources cannot be unpacked, the cluster cannot be created, or pgsetup was interrupted.
pub fn prove(test: &UpstreamTest, context: &Context<'_>, log: &Log) -> Result<String, Failure> {
    let recorder = Recorder::new(context, test.subject.clone());
    let directory = format!("{}-upstream", test.slug);
    in_cluster(&directory, &test.server, log, recorder, |cluster, recorder| {
        build::unpack(&test.directory, &test.sources, context)?;
        let user = &test.server.user;
        let owner = format!("{}:{}", user.uid, user.gid);
        let chown = Command::new("chown", ["--recursive", &owner, &test.directory]);
        context.host.run(&chown, log)?;
        cluster.copy(&context.test_options.template())?;
        cluster.configure(None, &test.settings)?;
        let mut running = None;
        recorder.test("upstream: the server starts", || {
            running = Some(cluster.start()?);
            Ok(())
        })?;
        let Some(running) = running else {
            return Ok(());
        };
        let began = host::instant();
        let from = log.length();
        let ended = run(test, cluster, running.socket(), context, log);
        if let Err(error) = &ended
            && error.interrupted
        {
            return Err(Failure::new(Cause::Interrupted, error));
        }
        let output = log.all_since(from).cause(Cause::Internal)?;
        report(test, recorder, &output, ended, began.elapsed())?;
        super::extension::stop(running, recorder)
    })
}

/// Runs the commands of the tests within their time limit, up to the first that fails.
fn run(
    test: &UpstreamTest,
    cluster: &Cluster<'_>,
    socket: &str,
    context: &Context<'_>,
    log: &Log,
) -> Result<(), CommandError> {
    let began = host::instant();
    let limit = Duration::from_secs(test.time_limit.into());
    for command in &test.commands {
        let command = command
            .clone()
            .env("HOME", socket)
            .env("PGHOST", socket)
            .env("PGUSER", "postgres");
        let settings = cmd::CommandOptions {
            time_limit: Some(limit.saturating_sub(began.elapsed())),
            ..cmd::CommandOptions::default()
        };
        context.host.run_with(&cluster.as_user(command), log, settings)?;
    }
    Ok(())
}

/// Turns the output of the commands into outcomes.
fn report(
    test: &UpstreamTest,
    recorder: &Recorder<'_, '_>,
    output: &str,
    ended: Result<(), CommandError>,
    elapsed: Duration,
) -> Result<(), Failure> {
    let tally = Tally::of(output, &test.known_failures);
    for (line, verdict) in &tally.lines {
        let name = format!("upstream: {}", line.name);
        recorder.add(&name, verdict.clone(), line.elapsed);
    }
    let failure = tally.failure(ended);
    let name = "upstream: all of them";
    match failure {
        None if tally.lines.is_empty() => {
            let why = "its commands succeeded, but reported no test";
            recorder.add(name, Verdict::Skipped(why.to_owned()), elapsed);
        }
        None => recorder.add(name, Verdict::Passed, elapsed),
        Some(why) => {
            let differences = differences(test, recorder.context)?;
            recorder.add(name, Verdict::Failed(format!("{why}{differences}")), elapsed);
        }
    }
    Ok(())
}

/// The tests that the output of the commands reports.
#[derive(Debug, Default)]
struct Tally {
    /// Each test that has a line, with its verdict.
    lines: Vec<(Line, Verdict)>,
    /// How many of them failed unexpectedly.
    unexpected: usize,
    /// How many of them are known failures.
    known_failures: usize,
    /// The number of failed tests in the drivers' summaries.
    failed: usize,
}

impl Tally {
    fn of(output: &str, known_failures: &[KnownFailure]) -> Self {
        let mut tally = Self::default();
        for text in output.lines() {
            tally.failed += failed_by_driver(text).unwrap_or_default();
            let Some(line) = Line::read(text) else {
                continue;
            };
            let known = known_failures.iter().find(|known| known.name == line.name);
            let verdict = match (line.passed, known) {
                (true, None) => Verdict::Passed,
                (true, Some(known)) => Verdict::KnownFailurePassed(known.reason.clone()),
                (false, Some(known)) => {
                    tally.known_failures += 1;
                    Verdict::KnownFailure(known.reason.clone())
                }
                (false, None) => {
                    tally.unexpected += 1;
                    Verdict::Failed("its output is not the expected one".to_owned())
                }
            };
            tally.lines.push((line, verdict));
        }
        tally
    }

    /// The reason why the tests did not pass. A known failure makes its driver fail, too. So a failed command is excused only
    /// if the driver counted exactly the known failures.
    fn failure(&self, ended: Result<(), CommandError>) -> Option<String> {
        let is_known = self.unexpected == 0 && self.known_failures > 0 && self.failed == self.known_failures;
        match ended {
            Ok(()) if self.unexpected == 0 => None,
            Ok(()) => Some("tests failed".to_owned()),
            Err(error) if is_known && !error.timed_out => None,
            Err(error) => Some(error.to_string()),
        }
    }
}

/// The number of failed tests in a line of a driver's summary. `pg_regress` prints `# 1 of 232 tests failed.`, without `#`
/// before PostgreSQL 16. `pg_prove` prints a line for each file.
fn failed_by_driver(line: &str) -> Option<usize> {
    let words: Vec<&str> = line.split_whitespace().filter(|word| *word != "#").collect();
    match words.as_slice() {
        [failed, "of", _, "tests", "failed." | "failed,", ..] => failed.parse().ok(),
        [_, "(Wstat:", ..] => Some(1),
        _ => None,
    }
}

/// The beginning of each file of differences below the source tree.
fn differences(test: &UpstreamTest, context: &Context<'_>) -> Result<String, Failure> {
    let mut shown = String::new();
    for entry in context.host.tree(&test.directory)? {
        if entry.path.file_name().is_none_or(|name| name != DIFFERENCES) {
            continue;
        }
        let path = format!("{}/{}", test.directory, entry.path.display());
        let file = context.host.read(&path)?.unwrap_or_default();
        shown.push_str(&format!("\n{path}:"));
        for line in file.lines().take(MAX_LINES) {
            shown.push_str(&format!("\n    {line}"));
        }
        let more = file.lines().count().saturating_sub(MAX_LINES);
        if more > 0 {
            shown.push_str(&format!("\n    and {more} lines more"));
        }
    }
    Ok(shown)
}

/// A line of a test driver's output about one test.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    name: String,
    passed: bool,
    elapsed: Duration,
}

impl Line {
    /// Parses a line of `pg_regress` or `pg_isolation_regress`, from PostgreSQL 16 on (`ok 1 - name 12 ms`) or before
    /// (`test name ... ok 12 ms`), or of `pg_prove` (`name.sql .. ok`).
    fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let milliseconds = |words: &[&str]| {
            let place = words.iter().position(|word| *word == "ms").unwrap_or_default();
            let number = words
                .get(place.wrapping_sub(1))
                .and_then(|word| word.parse().ok());
            Duration::from_millis(number.unwrap_or_default())
        };
        let found = |name: &str, passed: bool| {
            Some(Self {
                name: name.to_owned(),
                passed,
                elapsed: milliseconds(&words),
            })
        };
        match words.as_slice() {
            ["ok", number, "-" | "+", name, ..] if number.parse::<u32>().is_ok() => found(name, true),
            ["not", "ok", number, "-" | "+", name, ..] if number.parse::<u32>().is_ok() => found(name, false),
            ["test", name, "...", "ok", ..] | [name, "...", "ok", ..] => found(name, true),
            ["test", name, "...", "FAILED", ..] | [name, "...", "FAILED", ..] | [name, "(Wstat:", ..] => {
                found(name, false)
            }
            [name, dots, "ok"] if is_dots(dots) => found(name, true),
            _ => None,
        }
    }
}

fn is_dots(word: &str) -> bool {
    word.len() >= 2 && word.chars().all(|c| c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> CommandError {
        CommandError {
            command: "make".to_owned(),
            outcome: "exit status 2".to_owned(),
            tail: Vec::new(),
            errors: Box::default(),
            log: None,
            interrupted: false,
            timed_out: false,
        }
    }

    #[test]
    fn a_known_failure_excuses_no_other_failure() {
        let known = [KnownFailure {
            name: "join".to_owned(),
            reason: "slow".to_owned(),
            postgresql: Vec::new(),
        }];
        let failure = |output: &str, ended| Tally::of(output, &known).failure(ended);
        let one = "ok 1 - first 3 ms\nnot ok 2 - join 4 ms\n";
        assert_eq!(
            failure(&format!("{one}# 1 of 2 tests failed.\n"), Err(error())),
            None
        );
        assert_eq!(
            failure(&format!("{one} 1 of 2 tests failed. \n"), Err(error())),
            None
        );
        // A driver counts more failures than there are lines, or is cut off.
        for end in ["# 2 of 3 tests failed.\n", "Bail out!\n"] {
            let why = failure(&format!("{one}{end}"), Err(error()));
            assert_eq!(why.as_deref(), Some("exit status 2\n  command: make"), "{end}");
        }
        let late = CommandError {
            timed_out: true,
            ..error()
        };
        assert!(failure(&format!("{one}# 1 of 2 tests failed.\n"), Err(late)).is_some());
        assert!(failure("not ok 1 - other 4 ms\n# 1 of 1 tests failed.\n", Ok(())).is_some());
        assert_eq!(failure("ok 1 - join 4 ms\n", Ok(())), None);
        let proved = "join (Wstat: 768 (exited 3) Tests: 0 Failed: 0)\nFiles=29, Tests=4011\nResult: FAIL\n";
        assert_eq!(failure(proved, Err(error())), None);
    }

    #[test]
    fn the_lines_of_every_test_driver_are_read() {
        let read =
            |line: &str| Line::read(line).map(|line| (line.name, line.passed, line.elapsed.as_millis()));
        let known = |name: &str, passed, elapsed| Some((name.to_owned(), passed, elapsed));
        assert_eq!(read("ok 3         - bit      97 ms"), known("bit", true, 97));
        assert_eq!(read("not ok 12    + copy     12 ms"), known("copy", false, 12));
        assert_eq!(
            read("test tablespace    ... ok          137 ms"),
            known("tablespace", true, 137)
        );
        assert_eq!(
            read("     boolean       ... FAILED       36 ms"),
            known("boolean", false, 36)
        );
        assert_eq!(
            read("test/test-id-10.sql .......... ok"),
            known("test/test-id-10.sql", true, 0)
        );
        assert_eq!(
            read("test/a.sql  (Wstat: 0 Tests: 5 Failed: 1)"),
            known("test/a.sql", false, 0)
        );
        for line in [
            "# parallel group (20 tests):  char",
            "1..38",
            "make: ok",
            "test/a.sql .. ",
            "parallel ... done",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}

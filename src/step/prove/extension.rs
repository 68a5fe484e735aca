//! The test of one extension in a cluster of its own, and the SQL of its checks.

use std::time::Duration;

use super::cluster::{Cluster, Running};
use super::proof::{self, Proof};
use super::{Recorder, files, in_cluster};
use crate::failure::{Cause, Failure};
use crate::host::Log;
use crate::manifest::extension::{ProgramTest, Required, SqlExtension, Test};
use crate::plan::ExtensionTest;
use crate::report::outcome::Verdict;
use crate::resolve::Extension;
use crate::step::context::Context;

/// Tests one extension in a cluster of its own. A failed test is an outcome and does not fail the step.
///
/// # Errors
/// The cluster cannot be created or removed, or pgsetup was interrupted.
pub fn prove(test: &ExtensionTest, context: &Context<'_>, log: &Log) -> Result<String, Failure> {
    let component = &test.extension.component;
    let recorder = Recorder::new(context, component.title());
    let others: Vec<&Extension> = test.requires.iter().collect();
    in_cluster(
        &component.name,
        &test.server,
        log,
        recorder,
        |cluster, recorder| {
            let proof = Proof {
                server: &test.server,
                extension: &test.extension,
                others: &others,
                gate: &test.gate,
                recorder,
            };
            if proof.at_rest()? {
                in_its_cluster(test, &proof, cluster)?;
            }
            proof.at_the_end()
        },
    )
}

/// The checks in a server, with and without the libraries that the extension requires.
fn in_its_cluster(
    test: &ExtensionTest,
    proof: &Proof<'_, '_, '_>,
    cluster: &Cluster<'_>,
) -> Result<(), Failure> {
    let recorder = proof.recorder;
    cluster.copy(&proof.context().test_options.template())?;
    if let Some(unloaded) = &test.unloaded {
        cluster.configure(None, &unloaded.settings)?;
        match cluster.start() {
            Ok(running) => {
                proof.unloaded(&running, &unloaded.required)?;
                stop(running, recorder)?;
            }
            Err(failure) if failure.cause == Cause::Interrupted => return Err(failure),
            Err(failure) => drop(recorder.test(proof::UNLOADED, || Err(failure))?),
        }
    }
    cluster.configure(None, &test.settings)?;
    let mut running = None;
    recorder.test("the server starts", || {
        running = Some(cluster.start()?);
        Ok(())
    })?;
    let Some(running) = running else {
        return Ok(());
    };
    proof.in_server(&running)?;
    stop(running, recorder)
}

/// Stops the server. A server that does not stop cleanly is one more failed test.
///
/// # Errors
/// pgsetup was interrupted.
pub fn stop(running: Running<'_>, recorder: &Recorder<'_, '_>) -> Result<(), Failure> {
    match running.stop() {
        Ok(()) => Ok(()),
        Err(failure) if failure.cause == Cause::Interrupted => Err(failure),
        Err(failure) => recorder.test("the server stops", || Err(failure)).map(drop),
    }
}

/// Which parts of tests run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestPart {
    /// All of them.
    All,
    /// All of them, before the named update.
    Before(String),
    /// All but the setup, after the named update.
    Again(String),
}

/// Runs tests in a database.
///
/// # Errors
/// pgsetup was interrupted. A failed test is an outcome.
pub fn tests(
    running: &Running<'_>,
    database: &str,
    tests: &[Test],
    part: &TestPart,
    recorder: &Recorder<'_, '_>,
) -> Result<(), Failure> {
    for test in tests {
        let name = match part {
            TestPart::All => test.description.clone(),
            TestPart::Before(update) => format!("{update}: before: {}", test.description),
            TestPart::Again(update) => format!("{update}: after: {}", test.description),
        };
        if running.is_stuck() {
            let why = "an earlier test has not come to an end";
            recorder.add(&name, Verdict::Skipped(why.to_owned()), Duration::ZERO);
            continue;
        }
        recorder.test(&name, || with_log(running, ask(running, database, test, part)))?;
    }
    Ok(())
}

/// Runs the commands of a program in the root, as the image's user, and compares what they print.
///
/// # Errors
/// pgsetup was interrupted. A failed command is an outcome.
pub fn runs(running: &Running<'_>, runs: &[ProgramTest], recorder: &Recorder<'_, '_>) -> Result<(), Failure> {
    for ProgramTest {
        description,
        run,
        prints,
    } in runs
    {
        recorder.test(description, || {
            let printed = running.output(run)?;
            if printed.trim_end() == prints.trim_end() {
                return Ok(());
            }
            let message = format!(
                "it prints something else\ncommand:{}\nexpected:{}\nactual:{}",
                indented(&run.join(" ")),
                indented(prints),
                indented(&printed)
            );
            Err(Failure::new(Cause::Test, message))
        })?;
    }
    Ok(())
}

/// Adds the end of the server's log to a failed test.
///
/// # Errors
/// Those of `result`.
pub fn with_log(running: &Running<'_>, result: Result<(), Failure>) -> Result<(), Failure> {
    result.map_err(|failure| match failure.cause {
        Cause::Test => Failure::new(
            Cause::Test,
            format_args!("{failure}\nend of the server's log:{}", running.tail()),
        ),
        _ => failure,
    })
}

/// Runs the query of a test and compares the answer.
fn ask(running: &Running<'_>, database: &str, test: &Test, part: &TestPart) -> Result<(), Failure> {
    // One session, so that its settings apply to the query. The output of the setup is discarded.
    let setup = test
        .setup
        .as_ref()
        .filter(|_| !matches!(part, TestPart::Again(_)));
    let before = [setup, test.session.as_ref()].map(|sql| sql.map_or("", String::as_str));
    let sql = format!(
        "\\o /dev/null\n{}\n;\n{}\n;\n\\o\n{}\n;\n",
        before[0], before[1], test.query
    );
    let shown = |what: &str, expected: &str, actual: &str| {
        let message = format!(
            "{what}\nSQL:{}\nexpected:{}\nactual:{}",
            indented(&format!("{}\n{}\n{}", before[0], before[1], test.query)),
            indented(expected),
            indented(actual)
        );
        Failure::new(Cause::Test, message)
    };
    match (&test.expected, &test.error, running.sql(database, &sql)) {
        (_, _, Err(failure)) if failure.cause != Cause::Test => Err(failure),
        (_, Some(error), Err(failure)) if failure.to_string().contains(error.as_str()) => Ok(()),
        (_, Some(error), Err(failure)) => {
            Err(shown("it fails with another error", error, &failure.to_string()))
        }
        (_, Some(error), Ok(answer)) => Err(shown("it does not fail", error, &answer)),
        (Some(expected), _, Ok(answer)) if answer == expected.trim_end() => Ok(()),
        (expected, _, Ok(answer)) => {
            let expected = expected.as_deref().unwrap_or_default();
            Err(shown("the answer differs", expected, &answer))
        }
        (expected, _, Err(failure)) => {
            let said = failure.to_string();
            let what = said.lines().next().unwrap_or_default();
            Err(shown(what, expected.as_deref().unwrap_or_default(), &said))
        }
    }
}

fn indented(text: &str) -> String {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| format!("\n    {line}"))
        .collect()
}

/// Creates an SQL extension and those that it requires, and compares its version.
///
/// # Errors
/// The statement fails, or the version is not that of the manifest.
pub fn create(running: &Running<'_>, database: &str, provided: &SqlExtension) -> Result<(), Failure> {
    let sql = format!("{};\n{}", create_statement(provided), version_query(provided));
    has_version(&running.sql(database, &sql)?, provided)
}

fn create_statement(provided: &SqlExtension) -> String {
    let name = identifier(&provided.name);
    let schema = provided.schema.as_deref().map(identifier);
    let make_schema = schema
        .iter()
        .map(|schema| format!("CREATE SCHEMA IF NOT EXISTS {schema};\n"));
    let place = schema.iter().map(|schema| format!(" SCHEMA {schema}"));
    // An extension that another one of the same manifest requires exists already.
    format!(
        "{}CREATE EXTENSION IF NOT EXISTS {name}{} CASCADE",
        make_schema.collect::<String>(),
        place.collect::<String>()
    )
}

/// Compares the version of a created SQL extension with its manifest.
///
/// # Errors
/// The query fails, or the versions differ.
pub fn version_is(running: &Running<'_>, database: &str, provided: &SqlExtension) -> Result<(), Failure> {
    has_version(&running.sql(database, &version_query(provided))?, provided)
}

fn version_query(provided: &SqlExtension) -> String {
    let name = literal(&provided.name);
    format!("SELECT extversion FROM pg_extension WHERE extname = {name}")
}

fn has_version(version: &str, provided: &SqlExtension) -> Result<(), Failure> {
    if version == provided.default_version {
        return Ok(());
    }
    let message = format!(
        "the SQL extension {} has version {version}, but its manifest says `default_version: {}`",
        provided.name, provided.default_version
    );
    Err(Failure::new(Cause::Test, message))
}

/// Drops an SQL extension on which no other depends.
///
/// # Errors
/// The statement fails, or the extension is still there.
pub fn drop_extension(running: &Running<'_>, database: &str, provided: &SqlExtension) -> Result<(), Failure> {
    running.sql(
        database,
        &format!("DROP EXTENSION IF EXISTS {}", identifier(&provided.name)),
    )?;
    let query = format!(
        "SELECT count(*) FROM pg_extension WHERE extname = {}",
        literal(&provided.name)
    );
    match running.sql(database, &query)?.as_str() {
        "0" => Ok(()),
        _ => Err(Failure::new(
            Cause::Test,
            "it is still there after DROP EXTENSION",
        )),
    }
}

/// Loads every library of an extension that provides no SQL.
///
/// # Errors
/// The server refuses to load one.
pub fn load(running: &Running<'_>, proof: &Proof<'_, '_, '_>) -> Result<(), Failure> {
    let database = proof.extension.component.name.as_str();
    running.sql(database, &load_statements(proof)?).map(drop)
}

/// The statements that load the libraries of an extension that provides no SQL. A library can be loaded twice.
fn load_statements(proof: &Proof<'_, '_, '_>) -> Result<String, Failure> {
    let libraries = files::libraries_to_load(proof.context(), proof.server, proof.extension)?;
    let statements = libraries.iter().map(|path| format!("LOAD {};\n", literal(path)));
    Ok(statements.collect())
}

/// Checks that the extension fails with the error of its manifest if its libraries are not loaded.
///
/// # Errors
/// It works, or it fails with another error.
pub fn fails_unloaded(
    running: &Running<'_>,
    proof: &Proof<'_, '_, '_>,
    required: &Required,
) -> Result<(), Failure> {
    let extension = proof.extension;
    let database = extension.component.name.as_str();
    running.sql("postgres", &create_database(database))?;
    let mut sql: String = extension
        .provides
        .iter()
        .map(|provided| create_statement(provided) + ";\n")
        .collect();
    match required.query.as_deref() {
        None if extension.provides.is_empty() => sql = load_statements(proof)?,
        None => {}
        Some(query) => {
            running.sql(database, &sql)?;
            query.clone_into(&mut sql);
        }
    }
    let result = running.sql(database, &sql);
    running.sql(
        "postgres",
        &format!("DROP DATABASE {} WITH (FORCE)", identifier(database)),
    )?;
    match result {
        Err(failure) if failure.cause != Cause::Test => Err(failure),
        Err(failure) if failure.to_string().contains(&required.error) => Ok(()),
        Err(failure) => Err(Failure::new(
            Cause::Test,
            format_args!(
                "it fails with another error\nexpected:{}\nactual:{}",
                indented(&required.error),
                indented(&failure.to_string())
            ),
        )),
        Ok(_) => Err(Failure::new(
            Cause::Test,
            format_args!(
                "it works without being preloaded, but its manifest says that it fails with: {}",
                required.error
            ),
        )),
    }
}

/// The statement that creates a database of this name.
pub fn create_database(name: &str) -> String {
    format!("CREATE DATABASE {}", identifier(name))
}

/// `name` as an SQL identifier.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `text` as an SQL literal.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

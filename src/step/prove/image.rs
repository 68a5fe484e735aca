//! The last test of an installation: every extension in one cluster with the image's settings, each in its own database.

use super::cluster::{Cluster, Running};
use super::extension::{create, create_database, stop, tests, with_log};
use super::{Part, Recorder, files};
use crate::failure::{Cause, Failure};
use crate::host::Log;
use crate::plan::TryOut;
use crate::report::outcome::{Outcome, Verdict};
use crate::resolve::Extension;
use crate::step::context::Context;

/// Tests every extension in one cluster, and removes the cluster.
///
/// # Errors
/// The cluster does not start, or extensions fail. The error names all of them.
pub fn prove(try_out: &TryOut, context: &Context<'_>, log: &Log) -> Result<String, Failure> {
    let test_options = &context.test_options;
    let cluster = Cluster::new(
        context.host,
        &try_out.server,
        test_options.directory.clone(),
        test_options.limit,
        log,
    );
    let result = every_extension(try_out, context, &cluster);
    let removed = cluster.remove();
    let outcomes = result?;
    removed?;
    let failed: Vec<String> = outcomes
        .iter()
        .filter_map(|outcome| match &outcome.verdict {
            Verdict::Failed(why) => Some(format!("{}: {}: {why}", outcome.subject, outcome.name)),
            _ => None,
        })
        .collect();
    if failed.is_empty() {
        let count = try_out.extensions.len();
        return Ok(format!("{count} extensions, {} tests", outcomes.len()));
    }
    Err(Failure::new(Cause::Test, failed.join("\n")))
}

fn every_extension(
    try_out: &TryOut,
    context: &Context<'_>,
    cluster: &Cluster<'_>,
) -> Result<Vec<Outcome>, Failure> {
    cluster.initialise()?;
    cluster.configure(try_out.configuration.as_deref(), &try_out.settings)?;
    let running = cluster.start()?;
    let mut outcomes = Vec::new();
    for extension in &try_out.extensions {
        let recorder = Recorder::new(context, extension.component.title());
        let result = one(try_out, extension, context, &running, &recorder);
        outcomes.extend(recorder.into_outcomes());
        result?;
    }
    let recorder = Recorder::new(context, try_out.server.title.clone());
    stop(running, &recorder)?;
    outcomes.extend(recorder.into_outcomes());
    Ok(outcomes)
}

fn one(
    try_out: &TryOut,
    extension: &Extension,
    context: &Context<'_>,
    running: &Running<'_>,
    recorder: &Recorder<'_, '_>,
) -> Result<(), Failure> {
    let others: Vec<&Extension> = try_out.extensions.iter().collect();
    let database = extension.component.name.as_str();
    let is_there = recorder.test("files and symbols", || {
        files::check(context, &try_out.server, extension, &others)
    })?;
    let created = is_there
        && recorder.test("create", || {
            running.sql("postgres", &create_database(database))?;
            let each = |provided| create(running, database, provided);
            with_log(running, extension.provides.iter().try_for_each(each))
        })?;
    if created {
        tests(running, database, &extension.tests, &Part::All, recorder)?;
    }
    Ok(())
}

//! The test of an update: a database that an older version has filled, and that the release takes over.
//!
//! It has two halves, and between them the older version's files go and the release's come: a server never sees both.

use super::cluster::Cluster;
use super::extension::{Part, create, create_database, identifier, stop, tests, version_is, with_log};
use super::{Recorder, in_cluster};
use crate::failure::{Cause, Failure};
use crate::host::Log;
use crate::plan::UpgradeTest;
use crate::step::context::Context;

/// Creates the older version and lets its tests fill a database, which stays.
///
/// # Errors
/// A test failed, which is an outcome already: then there is nothing to update.
pub fn prepare(test: &UpgradeTest, context: &Context<'_>, log: &Log) -> Result<String, Failure> {
    let recorder = recorder(test, context);
    let cluster = cluster(test, context, log);
    let result = fill(test, &cluster, &recorder, context);
    let is_clean = recorder.is_clean();
    let note = recorder.counts().to_string();
    recorder.hand_over();
    if !is_clean && !context.test_options.keep {
        cluster.remove()?;
    }
    result?;
    if is_clean {
        return Ok(note);
    }
    let message = format!(
        "{} does not work, so there is nothing to update",
        test.from.component.title()
    );
    Err(Failure::new(Cause::Test, message))
}

fn fill(
    test: &UpgradeTest,
    cluster: &Cluster<'_>,
    recorder: &Recorder<'_, '_>,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let database = test.to.component.name.as_str();
    cluster.copy(&context.test_options.template())?;
    cluster.configure(None, &test.settings)?;
    let mut running = None;
    recorder.test(&format!("{}: create", name(test)), || {
        let started = cluster.start()?;
        started.sql("postgres", &create_database(database))?;
        let each = |provided| create(&started, database, provided);
        let created = test.from.provides.iter().try_for_each(each);
        let created = with_log(&started, created);
        running = Some(started);
        created
    })?;
    let Some(running) = running else {
        return Ok(());
    };
    if recorder.is_clean() {
        let part = Part::Before(name(test));
        tests(&running, database, &test.from.tests, &part, recorder)?;
    }
    stop(running, recorder)
}

/// Updates the database, and asks again.
pub fn finish(test: &UpgradeTest, context: &Context<'_>, log: &Log) -> Result<String, Failure> {
    let recorder = recorder(test, context);
    let directory = directory(test);
    in_cluster(
        &directory,
        &test.server,
        context,
        log,
        recorder,
        |cluster, recorder| {
            let database = test.to.component.name.as_str();
            let mut running = None;
            let updated = recorder.test(&format!("{}: update", name(test)), || {
                let started = cluster.start()?;
                let updated = test.to.provides.iter().try_for_each(|provided| {
                    let was_there = test
                        .from
                        .provides
                        .iter()
                        .any(|before| before.name == provided.name);
                    if !was_there {
                        return create(&started, database, provided);
                    }
                    let update = format!("ALTER EXTENSION {} UPDATE", identifier(&provided.name));
                    started.sql(database, &update)?;
                    version_is(&started, database, provided)
                });
                let updated = with_log(&started, updated);
                running = Some(started);
                updated
            })?;
            let Some(running) = running else {
                return Ok(());
            };
            if updated {
                let part = Part::Again(name(test));
                tests(&running, database, &test.from.tests, &part, recorder)?;
            }
            stop(running, recorder)
        },
    )
}

/// What the tests of the update are called.
fn name(test: &UpgradeTest) -> String {
    format!("from {}", test.from.component.version)
}

fn directory(test: &UpgradeTest) -> String {
    format!("{}-from", test.from.component.slug())
}

fn recorder<'a, 'c>(test: &UpgradeTest, context: &'a Context<'c>) -> Recorder<'a, 'c> {
    Recorder::new(context, test.to.component.title())
}

fn cluster<'a>(test: &'a UpgradeTest, context: &'a Context<'_>, log: &'a Log) -> Cluster<'a> {
    let directory = format!("{}/{}", context.test_options.directory, directory(test));
    Cluster::new(
        context.host,
        &test.server,
        directory,
        context.test_options.limit,
        log,
    )
}

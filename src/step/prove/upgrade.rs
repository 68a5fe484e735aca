//! The test of an update: an older version of the extension fills a database, and the release updates it.
//!
//! Between its two halves, the files of the older version are replaced by those of the release. A server never sees both.

use super::cluster::{Cluster, Running};
use super::extension::{TestPart, create, create_database, identifier, stop, tests, version_is, with_log};
use super::{Recorder, in_cluster};
use crate::failure::{Cause, Failure};
use crate::host::Log;
use crate::manifest::extension::SqlExtension;
use crate::plan::UpgradeTest;
use crate::step::context::Context;

/// Creates the older version, whose tests fill a database. The database stays.
///
/// # Errors
/// A test failed, so there is nothing to update. The failed test is an outcome as well.
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
        let part = TestPart::Before(name(test));
        tests(&running, database, &test.from.tests, &part, recorder)?;
    }
    stop(running, recorder)
}

/// Updates the database, and runs the tests of the older version again.
///
/// # Errors
/// pgsetup was interrupted, or the cluster cannot be removed. A failed test is an outcome.
pub fn finish(test: &UpgradeTest, context: &Context<'_>, log: &Log) -> Result<String, Failure> {
    let recorder = recorder(test, context);
    let directory = directory(test);
    in_cluster(&directory, &test.server, log, recorder, |cluster, recorder| {
        let database = test.to.component.name.as_str();
        let mut running = None;
        let updated = recorder.test(&format!("{}: update", name(test)), || {
            let started = cluster.start()?;
            let each = |provided| update(test, &started, provided);
            let updated = with_log(&started, test.to.provides.iter().try_for_each(each));
            running = Some(started);
            updated
        })?;
        let Some(running) = running else {
            return Ok(());
        };
        if updated {
            let part = TestPart::Again(name(test));
            tests(&running, database, &test.from.tests, &part, recorder)?;
        }
        stop(running, recorder)
    })
}

/// Updates one SQL extension, or creates it if the older version does not have it.
fn update(test: &UpgradeTest, running: &Running<'_>, provided: &SqlExtension) -> Result<(), Failure> {
    let database = test.to.component.name.as_str();
    if test
        .from
        .provides
        .iter()
        .all(|before| before.name != provided.name)
    {
        return create(running, database, provided);
    }
    let update = format!("ALTER EXTENSION {} UPDATE", identifier(&provided.name));
    running.sql(database, &update)?;
    version_is(running, database, provided)
}

/// The name of the update in the names of its tests.
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

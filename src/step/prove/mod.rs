//! Tests that installed extensions work, in throw-away clusters.
//!
//! A build with exit status 0 proves nothing: the library may not load, and the version in SQL comes from the control
//! file. `pgsetup install` tests all extensions of an image together at its end. `pgsetup test` gives each extension a
//! cluster of its own. Both use the same checks.

pub mod cluster;
mod extension;
mod files;
mod gate;
mod image;
mod licence;
mod proof;
mod upgrade;
mod upstream;
mod verify;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::Duration;

use super::context::Context;
use crate::failure::{Cause, Failure};
use crate::host::{self, Log};
use crate::lock::lock;
use crate::plan::Server;
use crate::report::outcome::{Counts, Outcome, Verdict};
use cluster::Cluster;
use proof::Proof;

pub use extension::prove as extension;
pub use image::prove as image;
pub use upgrade::{finish as finish_upgrade, prepare as prepare_upgrade};
pub use upstream::prove as upstream;

/// Records the outcomes of the tests of one subject.
pub struct Recorder<'a, 'c> {
    context: &'a Context<'c>,
    subject: String,
    outcomes: RefCell<Vec<Outcome>>,
}

impl<'a, 'c> Recorder<'a, 'c> {
    /// A recorder of the tests of `subject`.
    pub fn new(context: &'a Context<'c>, subject: String) -> Self {
        Self {
            context,
            subject,
            outcomes: RefCell::default(),
        }
    }

    /// Runs one test; returns whether it passed.
    ///
    /// # Errors
    /// pgsetup was interrupted. Every other failure is an outcome.
    pub fn test(&self, name: &str, test: impl FnOnce() -> Result<(), Failure>) -> Result<bool, Failure> {
        self.excusable(name, None, test)
            .map(|passage| passage == Passage::Passed)
    }

    /// Runs one test, whose failure does not count if there is an `excuse`.
    ///
    /// # Errors
    /// pgsetup was interrupted. Every other failure is an outcome.
    pub fn excusable(
        &self,
        name: &str,
        excuse: Option<&str>,
        test: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<Passage, Failure> {
        let began = host::instant();
        let (verdict, passage) = match (test(), excuse.map(str::to_owned)) {
            (Ok(()), None) => (Verdict::Passed, Passage::Passed),
            (Ok(()), Some(reason)) => (Verdict::KnownFailurePassed(reason), Passage::Passed),
            (Err(failure), _) if failure.cause == Cause::Interrupted => return Err(failure),
            (Err(_), Some(reason)) => (Verdict::KnownFailure(reason), Passage::Excused),
            (Err(failure), None) => (Verdict::Failed(failure.to_string()), Passage::Failed),
        };
        self.add(name, verdict, began.elapsed());
        Ok(passage)
    }

    /// Records a test that is not run.
    pub fn skip(&self, name: &str, why: &str) {
        self.add(name, Verdict::Skipped(why.to_owned()), Duration::ZERO);
    }

    /// Records an outcome.
    pub fn add(&self, name: &str, verdict: Verdict, elapsed: Duration) {
        let outcome = Outcome {
            subject: self.subject.clone(),
            name: name.to_owned(),
            verdict,
            elapsed,
        };
        self.context.tell(&outcome);
        self.outcomes.borrow_mut().push(outcome);
    }

    /// Whether no test has failed so far.
    pub fn is_clean(&self) -> bool {
        Counts::of(&self.outcomes.borrow()).failed == 0
    }

    /// The numbers of outcomes.
    pub fn counts(&self) -> Counts {
        Counts::of(&self.outcomes.borrow())
    }

    /// Every outcome, for a step that fails if a test failed.
    fn into_outcomes(self) -> Vec<Outcome> {
        self.outcomes.into_inner()
    }

    /// Adds the outcomes to those of the command.
    fn hand_over(self) {
        lock(&self.context.state.outcomes).extend(self.outcomes.into_inner());
    }
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It passed.
    Passed,
    /// It failed, as its manifest says.
    Excused,
    /// It failed.
    Failed,
}

impl Context<'_> {
    fn tell(&self, outcome: &Outcome) {
        if self.test_options.is_live {
            // A closed output does not fail the test; the final report notices it.
            let _ = self.reporter.result(&crate::report::outcome::line(outcome));
        }
    }

    /// Records an outcome of a test that ran in no cluster.
    pub fn add_outcome(&self, outcome: Outcome) {
        self.tell(&outcome);
        lock(&self.state.outcomes).push(outcome);
    }
}

/// Initialises the template cluster, which other clusters are copied from.
///
/// # Errors
/// The cluster cannot be initialised.
pub fn template(server: &Server, context: &Context<'_>, log: &Log) -> Result<String, Failure> {
    let directory = context.test_options.template();
    let cluster = Cluster::new(context.host, server, directory, context.test_options.limit, log);
    cluster.initialise()?;
    Ok(String::new())
}

/// Does `work` in a cluster of this name, and removes the cluster unless a test failed in it and failed ones are kept.
fn in_cluster(
    name: &str,
    server: &Server,
    log: &Log,
    recorder: Recorder<'_, '_>,
    work: impl FnOnce(&Cluster<'_>, &Recorder<'_, '_>) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let context = recorder.context;
    let directory = format!("{}/{name}", context.test_options.directory);
    let cluster = Cluster::new(context.host, server, directory, context.test_options.limit, log);
    let result = work(&cluster, &recorder);
    let mut note = recorder.counts().to_string();
    let keep = context.test_options.keep && !recorder.is_clean();
    recorder.hand_over();
    if keep {
        // Writing to a String cannot fail.
        let _ = write!(note, "; kept {}", context.host.path(&cluster.directory).display());
    } else {
        cluster.remove()?;
    }
    result.map(|()| note)
}

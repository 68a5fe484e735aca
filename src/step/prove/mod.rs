//! Proves that what was installed works: each extension in a throw-away cluster.
//!
//! A build that ends with exit status 0 proves nothing: what was compiled may not load, and the version in SQL is the
//! control file's. `pgsetup install` proves all extensions of an image together at its end; `pgsetup test` gives each
//! one a cluster of its own. Both use the same checks.

pub mod cluster;
mod extension;
mod files;
mod image;
mod upgrade;
mod upstream;

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

pub use extension::{Part, prove as extension};
pub use image::prove as image;
pub use upgrade::{finish as finish_upgrade, prepare as prepare_upgrade};
pub use upstream::prove as upstream;

/// Takes down what comes of the tests of one subject.
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
    /// Only that pgsetup was told to stop: every other failure is an outcome.
    pub fn test(&self, name: &str, test: impl FnOnce() -> Result<(), Failure>) -> Result<bool, Failure> {
        let began = host::instant();
        let verdict = match test() {
            Ok(()) => Verdict::Passed,
            Err(failure) if failure.cause == Cause::Interrupted => return Err(failure),
            Err(failure) => Verdict::Failed(failure.to_string()),
        };
        let passed = verdict == Verdict::Passed;
        self.add(name, verdict, began.elapsed());
        Ok(passed)
    }

    /// Takes down an outcome.
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

    /// True where nothing has failed so far.
    pub fn is_clean(&self) -> bool {
        Counts::of(&self.outcomes.borrow()).failed == 0
    }

    /// How many tests came to what.
    pub fn counts(&self) -> Counts {
        Counts::of(&self.outcomes.borrow())
    }

    /// Every outcome, for a step that fails by them.
    fn into_outcomes(self) -> Vec<Outcome> {
        self.outcomes.into_inner()
    }

    /// Hands the outcomes over to the end of the command.
    fn hand_over(self) {
        lock(&self.context.state.outcomes).extend(self.outcomes.into_inner());
    }
}

impl Context<'_> {
    fn tell(&self, outcome: &Outcome) {
        if self.test_options.is_live {
            // A reader that went away is no failure; another one will show when all is printed.
            let _ = self.reporter.result(&crate::report::outcome::line(outcome));
        }
    }

    /// Takes down an outcome that no cluster has come to.
    pub fn add_outcome(&self, outcome: Outcome) {
        self.tell(&outcome);
        lock(&self.state.outcomes).push(outcome);
    }
}

/// Initialises the cluster that others are copies of.
pub fn template(server: &Server, context: &Context<'_>, log: &Log) -> Result<String, Failure> {
    let directory = context.test_options.template();
    let cluster = Cluster::new(context.host, server, directory, context.test_options.limit, log);
    cluster.initialise()?;
    Ok(String::new())
}

/// Does `work` in a cluster of this name, and removes the cluster, unless a test failed in it and it is to be kept.
fn in_cluster(
    name: &str,
    server: &Server,
    context: &Context<'_>,
    log: &Log,
    recorder: Recorder<'_, '_>,
    work: impl FnOnce(&Cluster<'_>, &Recorder<'_, '_>) -> Result<(), Failure>,
) -> Result<String, Failure> {
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

//! The last test of an installation: every extension in one cluster with the image's settings, each in its own database.
//!
//! Extensions are tested side by side. A test that acts on the whole server waits until it has the server for itself. What
//! fails beside others is tested again alone, in a new cluster, and only that counts.

use super::cluster::{Cluster, Running};
use super::extension::stop;
use super::{Recorder, proof};
use crate::failure::{Cause, Failure};
use crate::host::{self, Log};
use crate::layout;
use crate::manifest::extension::Test;
use crate::plan::TryOut;
use crate::report::outcome::{Counts, Outcome, Verdict};
use crate::resolve::Extension;
use crate::run::parallel;
use crate::step::context::Context;

/// Tests every extension in one cluster. If all is well, another step removes the cluster, while the receipt is written.
///
/// # Errors
/// The cluster does not start, or extensions fail. The error names all of them.
pub fn prove(try_out: &TryOut, context: &Context<'_>, log: &Log) -> Result<String, Failure> {
    let proof = Proof {
        try_out,
        context,
        log,
    };
    let all: Vec<&Extension> = try_out.extensions.iter().collect();
    // One more than there are processors, because some tests only wait.
    let mut tested = proof.in_a_cluster(&all, host::processors() + 1)?;
    proof.again_alone(&mut tested)?;
    let outcomes: Vec<Outcome> = tested
        .outcomes
        .into_iter()
        .flatten()
        .chain(tested.of_server)
        .collect();
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
    context.host.remove(&context.test_options.directory)?;
    Err(Failure::new(Cause::Test, failed.join("\n")))
}

/// The test of all extensions of a server.
#[derive(Clone, Copy)]
struct Proof<'a, 'c> {
    try_out: &'a TryOut,
    context: &'a Context<'c>,
    log: &'a Log,
}

/// The outcomes of one cluster.
struct Tested {
    /// Those of each extension.
    outcomes: Vec<Vec<Outcome>>,
    /// Those of the server.
    of_server: Vec<Outcome>,
    /// The first crash of the server.
    crash: Option<String>,
    /// Whether a statement did not come to an end.
    is_stuck: bool,
}

impl Proof<'_, '_> {
    /// Tests `extensions` in a new cluster, `workers` of them at a time. A cluster that could not be used is removed.
    fn in_a_cluster(&self, extensions: &[&Extension], workers: usize) -> Result<Tested, Failure> {
        let test_options = &self.context.test_options;
        let cluster = Cluster::new(
            self.context.host,
            &self.try_out.server,
            test_options.directory.clone(),
            test_options.limit,
            self.log,
        );
        let result = self.tested(extensions, workers, &cluster);
        if result.is_err() {
            cluster.remove()?;
        }
        result
    }

    fn tested(
        &self,
        extensions: &[&Extension],
        workers: usize,
        cluster: &Cluster<'_>,
    ) -> Result<Tested, Failure> {
        cluster.initialise()?;
        let mut outcomes = self.without_libraries(extensions, cluster)?;
        cluster.configure(self.try_out.configuration.as_deref(), &self.try_out.settings)?;
        let running = cluster.start()?;
        let positions = 0..extensions.len();
        let (alone, together): (Vec<usize>, Vec<usize>) =
            positions.partition(|position| acts_on_the_server(&extensions[*position].tests));
        for (positions, workers) in [(together, workers), (alone, 1)] {
            let results = parallel::each(&positions, workers, |position| {
                self.extension(extensions[*position], &running)
            });
            for (position, result) in positions.into_iter().zip(results) {
                outcomes[position].extend(result?);
            }
        }
        let (crash, is_stuck) = (running.crash(), running.is_stuck());
        let recorder = Recorder::new(self.context, self.try_out.server.title.clone());
        stop(running, &recorder)?;
        Ok(Tested {
            outcomes,
            of_server: recorder.into_outcomes(),
            crash,
            is_stuck,
        })
    }

    /// The outcomes of one extension. Its sessions have a log of their own.
    fn extension(&self, extension: &Extension, running: &Running<'_>) -> Result<Vec<Outcome>, Failure> {
        let context = self.context;
        let title = extension.component.title();
        let path = context
            .host
            .reach(layout::log(&context.test_options.logs, &format!("try {title}")))?;
        let log =
            Log::open(&path).map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))?;
        let recorder = Recorder::new(context, title);
        let result = self.one(extension, &running.with_log(&log), &recorder);
        self.log.add_ran(log.take_ran());
        result.map(|()| recorder.into_outcomes())
    }

    fn one(
        &self,
        extension: &Extension,
        running: &Running<'_>,
        recorder: &Recorder<'_, '_>,
    ) -> Result<(), Failure> {
        let others: Vec<&Extension> = self.try_out.extensions.iter().collect();
        let proof = proof_of(self.try_out, extension, &others, recorder);
        if proof.at_rest()? {
            proof.in_server(running)?;
        }
        Ok(())
    }

    /// Tests that extensions fail with the errors of their manifests without their libraries. Returns the outcomes of
    /// each.
    fn without_libraries(
        &self,
        extensions: &[&Extension],
        cluster: &Cluster<'_>,
    ) -> Result<Vec<Vec<Outcome>>, Failure> {
        let mut outcomes = vec![Vec::new(); extensions.len()];
        for start in &self.try_out.unloaded {
            let is_its = |position: &usize| {
                let name = &extensions[*position].component.name;
                start.extensions.contains(name)
            };
            let positions: Vec<usize> = (0..extensions.len()).filter(is_its).collect();
            let Some(first) = positions.first().copied() else {
                continue;
            };
            cluster.configure(None, &start.settings)?;
            let running = cluster.start()?;
            for position in positions {
                let extension = extensions[position];
                let required = extension.preload.as_ref().and_then(|one| one.required.as_ref());
                let recorder = Recorder::new(self.context, extension.component.title());
                let proof = proof_of(self.try_out, extension, &[], &recorder);
                let result = required.map_or(Ok(()), |required| proof.unloaded(&running, required));
                outcomes[position] = recorder.into_outcomes();
                result?;
            }
            let recorder = Recorder::new(self.context, self.try_out.server.title.clone());
            stop(running, &recorder)?;
            outcomes[first].extend(recorder.into_outcomes());
        }
        Ok(outcomes)
    }

    /// Tests the extensions that failed beside others again, one after the other. A crash of the server that none of them
    /// causes alone is a failure of its own. A statement that did not come to an end takes its time only once.
    fn again_alone(&self, tested: &mut Tested) -> Result<(), Failure> {
        let has_failed = |outcomes: &Vec<Outcome>| Counts::of(outcomes).failed > 0;
        let positions = 0..tested.outcomes.len();
        let failed: Vec<usize> = positions
            .filter(|position| has_failed(&tested.outcomes[*position]))
            .collect();
        if tested.is_stuck || tested.outcomes.len() < 2 || failed.is_empty() && tested.crash.is_none() {
            return Ok(());
        }
        let extensions: Vec<&Extension> = failed
            .iter()
            .map(|position| &self.try_out.extensions[*position])
            .collect();
        let alone = self.in_a_cluster(&extensions, 1)?;
        for (position, outcomes) in failed.into_iter().zip(alone.outcomes) {
            let before = std::mem::replace(&mut tested.outcomes[position], outcomes);
            if !has_failed(&tested.outcomes[position]) {
                self.tell_of(&before);
            }
        }
        tested.of_server = alone.of_server;
        if let (Some(crash), None) = (&tested.crash, alone.crash) {
            tested.of_server.push(Outcome {
                subject: self.try_out.server.title.clone(),
                name: "the server keeps running".to_owned(),
                verdict: Verdict::Failed(format!(
                    "it crashed while extensions were tested side by side, and with none of them alone: {crash}"
                )),
                elapsed: std::time::Duration::ZERO,
            });
        }
        Ok(())
    }

    /// Reports tests that failed beside others and passed alone.
    fn tell_of(&self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            if let Verdict::Failed(why) = &outcome.verdict {
                let why = why.lines().next().unwrap_or_default();
                self.context.reporter.line(&format!(
                    "       {}: {}: failed beside other extensions and passed alone: {why}",
                    outcome.subject, outcome.name
                ));
            }
        }
    }
}

fn proof_of<'a, 'r, 'c>(
    try_out: &'a TryOut,
    extension: &'a Extension,
    others: &'a [&'a Extension],
    recorder: &'a Recorder<'r, 'c>,
) -> proof::Proof<'a, 'r, 'c> {
    proof::Proof {
        server: &try_out.server,
        extension,
        others,
        gate: &try_out.gate,
        recorder,
    }
}

/// SQL that acts on more than its database: on roles, settings, statistics, slots and processes of the server.
const ON_THE_SERVER: [&str; 18] = [
    "_reset(",
    "alter database",
    "alter role",
    "alter system",
    "alter user",
    "create database",
    "create role",
    "create tablespace",
    "create user",
    "drop database",
    "drop role",
    "drop tablespace",
    "drop user",
    "pg_cancel_backend",
    "pg_reload_conf",
    "pg_switch_wal",
    "pg_terminate_backend",
    "replication_slot",
];

/// Whether a test has SQL that acts on the server. It only decides what runs side by side.
fn acts_on_the_server(tests: &[Test]) -> bool {
    let acts = |sql: &String| {
        let words: Vec<&str> = sql.split_whitespace().collect();
        let sql = words.join(" ").to_ascii_lowercase();
        ON_THE_SERVER.iter().any(|words| {
            let mut rests = sql.split(words).skip(1);
            // A mapping belongs to the database.
            rests.any(|rest| !rest.starts_with(" mapping"))
        })
    };
    let all = |test: &Test| {
        let before = [&test.setup, &test.session].into_iter().flatten();
        before.chain([&test.query]).any(acts)
    };
    tests.iter().any(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_act_on_the_server_run_alone() {
        let acts = |sql: &str| {
            let test = format!("description: x\nquery: {sql:?}\nexpected: ''\n");
            acts_on_the_server(&[serde_yaml::from_str(&test).unwrap()])
        };
        for sql in [
            "CREATE  ROLE clerk",
            "SELECT pg_stat_statements_reset()",
            "ALTER\n  SYSTEM SET a = 1",
            "SELECT pg_create_logical_replication_slot('a', 'b')",
            "CREATE USER clerk",
            "CREATE USER MAPPING FOR x SERVER y; CREATE USER clerk",
        ] {
            assert!(acts(sql), "{sql}");
        }
        for sql in [
            "SELECT 1",
            "CREATE USER MAPPING FOR CURRENT_USER SERVER far",
            "CREATE TABLE role (a int)",
        ] {
            assert!(!acts(sql), "{sql}");
        }
    }
}

//! The outcome of a test, and its line for people.
//!
//! Pure data: `step::prove` produces it, `report` prints it.

use std::time::Duration;

/// A test and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The subject: `pgvector 0.8.6`.
    pub subject: String,
    /// The name of the test, unique within the subject.
    pub name: String,
    /// The result.
    pub verdict: Verdict,
    /// How long it took.
    pub elapsed: Duration,
}

/// The result of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It passed.
    Passed,
    /// It failed: what was expected and what was found. The first line is the summary.
    Failed(String),
    /// It was not run, with the reason.
    Skipped(String),
    /// It failed, as its manifest says, with the manifest's reason.
    KnownFailure(String),
    /// It passed, although its manifest says that it fails, with the manifest's reason.
    KnownFailurePassed(String),
}

/// How many tests had each result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that passed.
    pub passed: usize,
    /// Those that failed.
    pub failed: usize,
    /// Those that were not run.
    pub skipped: usize,
    /// Those that failed as their manifests say.
    pub known: usize,
}

impl Counts {
    /// The counts of `outcomes`.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            *match outcome.verdict {
                Verdict::Passed | Verdict::KnownFailurePassed(_) => &mut counts.passed,
                Verdict::Failed(_) => &mut counts.failed,
                Verdict::Skipped(_) => &mut counts.skipped,
                Verdict::KnownFailure(_) => &mut counts.known,
            } += 1;
        }
        counts
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.known > 0 {
            write!(f, ", {} failed as known", self.known)?;
        }
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// One outcome for people: a line, and details below it.
pub fn line(outcome: &Outcome) -> String {
    let (word, more) = match &outcome.verdict {
        Verdict::Passed => ("ok     ", None),
        Verdict::Failed(why) => ("FAILED ", Some(why.clone())),
        Verdict::Skipped(why) => ("skipped", Some(why.clone())),
        Verdict::KnownFailure(reason) => ("known  ", Some(format!("fails as known: {reason}"))),
        Verdict::KnownFailurePassed(reason) => (
            "ok     ",
            Some(format!(
                "passes, although its manifest says that it fails: {reason}"
            )),
        ),
    };
    let mut line = format!(
        "{word} {}: {}  {:.2} s\n",
        outcome.subject,
        outcome.name,
        outcome.elapsed.as_secs_f64()
    );
    for more in more.iter().flat_map(|text| text.lines()) {
        line.push_str(&format!("          {more}\n"));
    }
    line
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// One of each kind.
    pub fn each() -> Vec<Outcome> {
        let verdicts = [
            Verdict::Passed,
            Verdict::Failed("it is 1 < 2 & not\n  query: SELECT '# 1'".to_owned()),
            Verdict::Skipped("no # source".to_owned()),
            Verdict::KnownFailure("slow".to_owned()),
            Verdict::KnownFailurePassed("slow".to_owned()),
        ];
        let outcome = |(number, verdict)| Outcome {
            subject: "alpha 1.0".to_owned(),
            name: format!("test #{number}"),
            verdict,
            elapsed: Duration::from_millis(120),
        };
        verdicts.into_iter().enumerate().map(outcome).collect()
    }

    #[test]
    fn people_get_a_line_and_the_reasons() {
        let text: String = each().iter().map(line).collect();
        let expected = "ok      alpha 1.0: test #0  0.12 s\n\
                        FAILED  alpha 1.0: test #1  0.12 s\n          it is 1 < 2 & not\n            query: SELECT '# 1'\n\
                        skipped alpha 1.0: test #2  0.12 s\n          no # source\n\
                        known   alpha 1.0: test #3  0.12 s\n          fails as known: slow\n\
                        ok      alpha 1.0: test #4  0.12 s\n          passes, although its manifest says that it fails: slow\n";
        assert_eq!(text, expected);
        let counts = Counts::of(&each()).to_string();
        assert_eq!(counts, "2 passed, 1 failed, 1 failed as known, 1 skipped");
    }
}

//! Outcomes for programs: a document with a schema of its own (`pgsetup schema tests`).

use schemars::JsonSchema;
use serde::Serialize;

use super::outcome::{Counts, Outcome, Verdict};

/// The version of this document.
const VERSION: u32 = 1;

/// The outcomes of tests.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Document")]
pub struct TestsDocument {
    /// The version of this schema.
    pub schema_version: u32,
    /// How many tests passed.
    pub passed: usize,
    /// How many tests failed.
    pub failed: usize,
    /// How many tests failed as their manifests say.
    pub failed_as_known: usize,
    /// How many tests were not run.
    pub skipped: usize,
    /// The tests, in the order in which they ended.
    pub tests: Vec<Test>,
}

/// One test.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Test {
    /// The extension and its version: `pgvector 0.8.6`.
    pub subject: String,
    /// What was tested, unique within the subject.
    pub name: String,
    /// The outcome.
    pub verdict: Word,
    /// Why it failed or was skipped, or why its manifest says that it fails. The first line is the summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

/// The outcome of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It was not run.
    Skipped,
    /// It failed, as its manifest says.
    FailedAsKnown,
    /// It passed, although its manifest says that it fails.
    PassedUnexpectedly,
}

/// The outcomes as JSON text.
///
/// # Errors
/// A value cannot be written as JSON, which the types rule out.
pub fn render(outcomes: &[Outcome]) -> serde_json::Result<String> {
    let counts = Counts::of(outcomes);
    let document = TestsDocument {
        schema_version: VERSION,
        passed: counts.passed,
        failed: counts.failed,
        failed_as_known: counts.known,
        skipped: counts.skipped,
        tests: outcomes.iter().map(test).collect(),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn test(outcome: &Outcome) -> Test {
    let (verdict, explanation) = match &outcome.verdict {
        Verdict::Passed => (Word::Passed, None),
        Verdict::Failed(why) => (Word::Failed, Some(why.clone())),
        Verdict::Skipped(why) => (Word::Skipped, Some(why.clone())),
        Verdict::KnownFailure(reason) => (Word::FailedAsKnown, Some(reason.clone())),
        Verdict::KnownFailurePassed(reason) => (Word::PassedUnexpectedly, Some(reason.clone())),
    };
    Test {
        subject: outcome.subject.clone(),
        name: outcome.name.clone(),
        verdict,
        explanation,
        seconds: outcome.elapsed.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::outcome::tests::each;

    #[test]
    fn programs_get_a_word_for_each_verdict() {
        let document: serde_json::Value = serde_json::from_str(&render(&each()).unwrap()).unwrap();
        let words = document["tests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|test| test["verdict"].as_str().unwrap());
        let words: Vec<&str> = words.collect();
        assert_eq!(
            words,
            [
                "passed",
                "failed",
                "skipped",
                "failed_as_known",
                "passed_unexpectedly"
            ]
        );
        assert_eq!(document["failed"], 1);
        assert_eq!(document["passed"], 2);
        assert_eq!(document["tests"][2]["explanation"], "no # source");
        // tests/suite/schemas.rs checks this document against its schema.
        let agreed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tests.json");
        snapbox::Assert::new()
            .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
            .eq(
                render(&each()).unwrap(),
                snapbox::Data::read_from(&agreed, Some(snapbox::data::DataFormat::Text)).raw(),
            );
    }
}

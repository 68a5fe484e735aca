//! Outcomes as JUnit XML: one suite for each subject.

use anyhow::Result;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Outcome, Verdict};

/// The document. A failure as known is a skipped test, with the reason: JUnit has no other word for it.
pub fn render(outcomes: &[Outcome]) -> Result<String> {
    let mut report = Report::new("pgsetup test");
    let mut suites: Vec<TestSuite> = Vec::new();
    for outcome in outcomes {
        let mut case = TestCase::new(outcome.name.as_str(), status(&outcome.verdict));
        case.set_classname(outcome.subject.as_str());
        case.set_time(outcome.elapsed);
        let is_its = |suite: &TestSuite| suite.name.as_str() == outcome.subject;
        let position = suites.iter().position(is_its).unwrap_or_else(|| {
            suites.push(TestSuite::new(outcome.subject.as_str()));
            suites.len() - 1
        });
        suites[position].add_test_case(case);
    }
    report.add_test_suites(suites);
    Ok(report.to_string()?)
}

fn status(verdict: &Verdict) -> TestCaseStatus {
    match verdict {
        Verdict::Passed | Verdict::KnownFailurePassed(_) => TestCaseStatus::success(),
        Verdict::Failed(why) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(why.lines().next().unwrap_or_default());
            status.set_description(why.as_str());
            status
        }
        Verdict::Skipped(why) => skipped(why),
        Verdict::KnownFailure(reason) => skipped(&format!("fails as known: {reason}")),
    }
}

fn skipped(why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(why);
    status
}

#[cfg(test)]
mod tests {
    use super::super::tests::each;
    use super::render;

    #[test]
    fn every_outcome_is_a_case_of_its_subject() {
        let text = render(&each()).unwrap();
        for part in [
            r#"<testsuites name="pgsetup test" tests="5" skipped="2" failures="1" errors="0">"#,
            r#"<testsuite name="alpha 1.0" tests="5" skipped="2" errors="0" failures="1">"#,
            r#"<testcase name="test #0" classname="alpha 1.0" time="0.120"/>"#,
            r#"<failure message="it is 1 &lt; 2 &amp; not">it is 1 &lt; 2 &amp; not"#,
            r#"<skipped message="fails as known: slow"/>"#,
        ] {
            assert!(text.contains(part), "{text}\nhas no {part}");
        }
    }
}

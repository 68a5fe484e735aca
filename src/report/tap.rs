//! Outcomes in the Test Anything Protocol, version 14 (testanything.org).

use std::fmt::Write as _;

use super::outcome::{Outcome, Verdict};

/// Renders the outcomes. A known failure is a TODO, which test harnesses do not count as a failure.
pub fn render(outcomes: &[Outcome]) -> String {
    let mut text = format!("TAP version 14\n1..{}\n", outcomes.len());
    for (position, outcome) in outcomes.iter().enumerate() {
        let (word, directive, details) = match &outcome.verdict {
            Verdict::Passed => ("ok", String::new(), None),
            Verdict::Failed(why) => ("not ok", String::new(), Some(why)),
            Verdict::Skipped(why) => ("ok", format!(" # SKIP {}", escaped(why)), None),
            Verdict::KnownFailure(reason) => ("not ok", format!(" # TODO {}", escaped(reason)), None),
            Verdict::KnownFailurePassed(reason) => ("ok", format!(" # TODO {}", escaped(reason)), None),
        };
        let description = escaped(&format!("{}: {}", outcome.subject, outcome.name));
        let _ = writeln!(text, "{word} {} - {description}{directive}", position + 1);
        let _ = writeln!(text, "  ---\n  duration_ms: {}", outcome.elapsed.as_millis());
        if let Some(details) = details {
            text.push_str("  message: |2\n");
            for line in details.lines() {
                let _ = writeln!(text, "    {line}");
            }
        }
        text.push_str("  ...\n");
    }
    text
}

/// `text` on one line, with the start of a directive escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('#', "\\#").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use crate::report::outcome::tests::each;
    use crate::report::tap::render;

    #[test]
    fn every_outcome_has_its_line_and_its_diagnostics() {
        let expected = "TAP version 14\n1..5\n\
            ok 1 - alpha 1.0: test \\#0\n  ---\n  duration_ms: 120\n  ...\n\
            not ok 2 - alpha 1.0: test \\#1\n  ---\n  duration_ms: 120\n  message: |2\n    it is 1 < 2 & not\n      query: SELECT '# 1'\n  ...\n\
            ok 3 - alpha 1.0: test \\#2 # SKIP no \\# source\n  ---\n  duration_ms: 120\n  ...\n\
            not ok 4 - alpha 1.0: test \\#3 # TODO slow\n  ---\n  duration_ms: 120\n  ...\n\
            ok 5 - alpha 1.0: test \\#4 # TODO slow\n  ---\n  duration_ms: 120\n  ...\n";
        assert_eq!(render(&each()), expected);
    }
}

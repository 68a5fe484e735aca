//! Outcomes as JUnit XML: one suite for each subject.

use std::fmt::{self, Write as _};

use super::outcome::{Outcome, Verdict};

/// Renders the outcomes. A known failure is a skipped test with its reason, because JUnit has no other word for it.
pub fn render(outcomes: &[Outcome]) -> String {
    let mut suites: Vec<(&str, Vec<&Outcome>)> = Vec::new();
    for outcome in outcomes {
        match suites.iter_mut().find(|(subject, _)| *subject == outcome.subject) {
            Some((_, cases)) => cases.push(outcome),
            None => suites.push((&outcome.subject, vec![outcome])),
        }
    }
    let mut page = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    write(&mut page, outcomes, &suites).expect("writing to a string cannot fail");
    page
}

fn write(page: &mut String, outcomes: &[Outcome], suites: &[(&str, Vec<&Outcome>)]) -> fmt::Result {
    let all: Vec<&Outcome> = outcomes.iter().collect();
    writeln!(page, "<testsuites name=\"pgsetup test\" {}>", counts(&all))?;
    for (subject, cases) in suites {
        writeln!(
            page,
            "  <testsuite name=\"{}\" {}>",
            escaped(subject),
            counts(cases)
        )?;
        for Outcome {
            subject,
            name,
            verdict,
            elapsed,
            ..
        } in cases
        {
            let (name, class, seconds) = (escaped(name), escaped(subject), elapsed.as_secs_f64());
            write!(
                page,
                "    <testcase name=\"{name}\" classname=\"{class}\" time=\"{seconds:.3}\""
            )?;
            match verdict {
                Verdict::Passed | Verdict::KnownFailurePassed(_) => writeln!(page, "/>")?,
                Verdict::Failed(why) => {
                    let message = escaped(why.lines().next().unwrap_or_default());
                    let why = escaped(why);
                    writeln!(page, "><failure message=\"{message}\">{why}</failure></testcase>")?;
                }
                Verdict::Skipped(why) => {
                    writeln!(page, "><skipped message=\"{}\"/></testcase>", escaped(why))?;
                }
                Verdict::KnownFailure(reason) => {
                    let reason = escaped(reason);
                    writeln!(
                        page,
                        "><skipped message=\"fails as known: {reason}\"/></testcase>"
                    )?;
                }
            }
        }
        writeln!(page, "  </testsuite>")?;
    }
    writeln!(page, "</testsuites>")
}

fn counts(outcomes: &[&Outcome]) -> String {
    let count = |is: fn(&Verdict) -> bool| outcomes.iter().filter(|outcome| is(&outcome.verdict)).count();
    let skipped = count(|verdict| matches!(verdict, Verdict::Skipped(_) | Verdict::KnownFailure(_)));
    let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
    let tests = outcomes.len();
    format!("tests=\"{tests}\" skipped=\"{skipped}\" failures=\"{failed}\" errors=\"0\"")
}

/// Escapes a text for an element or an attribute. Control characters that XML 1.0 cannot express are left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | ' '..='\u{fffd}' | '\u{10000}'.. => escaped.push(c),
            _ => {}
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use crate::report::junit::render;
    use crate::report::outcome::tests::each;

    #[test]
    fn every_outcome_is_a_case_of_its_subject() {
        let text = render(&each());
        for part in [
            r#"<testsuites name="pgsetup test" tests="5" skipped="2" failures="1" errors="0">"#,
            r#"<testsuite name="alpha 1.0" tests="5" skipped="2" failures="1" errors="0">"#,
            r#"<testcase name="test #0" classname="alpha 1.0" time="0.120"/>"#,
            r#"<failure message="it is 1 &lt; 2 &amp; not">it is 1 &lt; 2 &amp; not"#,
            r#"<skipped message="fails as known: slow"/>"#,
        ] {
            assert!(text.contains(part), "{text}\nhas no {part}");
        }
    }
}

//! Mistakes in manifests: every directory of `tests/bad` has some, with the exact text that pgsetup prints.

use crate::support::{pgsetup, project};

#[test]
fn problems_are_reported_all_at_once_and_word_for_word() {
    let mut cases: Vec<_> = std::fs::read_dir(project().join("tests/bad"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| project().join("tests/bad").join(name).is_dir())
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    for case in cases {
        let directory = format!("tests/bad/{case}");
        let ran = pgsetup(["plan", &directory, "--target", "debian:bookworm/amd64"]);
        assert_eq!(ran.status, 3, "{case}: {}", ran.err);
        assert_eq!(ran.out, "", "{case}");
        let expected = project().join(format!("{directory}.txt"));
        snapbox::assert_data_eq!(
            ran.err,
            snapbox::Data::read_from(&expected, Some(snapbox::data::DataFormat::Text)).raw()
        );
    }
}

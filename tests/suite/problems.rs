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

/// The manifests of `tests/bad/readable`, which have no mistake without the others.
fn with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in ["image.yaml", "postgresql.yaml"] {
        std::fs::copy(
            project().join("tests/bad/readable").join(name),
            directory.path().join(name),
        )
        .unwrap();
    }
    for (name, bytes) in files {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    }
    directory
}

#[test]
fn a_file_that_cannot_be_read_hides_no_other_problem() {
    let directory = with(&[
        ("latin.yaml", b"kind: extension\nname: latin\nsummary: caf\xe9\n"),
        ("large.yml", &vec![b' '; 1024 * 1024 + 1]),
        ("other.YAML", b"kind: extensio\n"),
    ]);
    std::os::unix::fs::symlink("/dev/null", directory.path().join("device.yaml")).unwrap();
    let path = directory.path().to_str().unwrap();
    let ran = pgsetup(["plan", path, "--with", "latin"]);
    assert_eq!(ran.status, 3, "{}", ran.err);
    for text in [
        "error: byte 40 is not UTF-8 (0xe9)",
        "/latin.yaml:3:13",
        "error: a manifest must be a regular file",
        "error: more than 1048576 bytes are too many for a manifest",
        "error: `kind` cannot be `extensio`",
        "/other.YAML:1:7",
        "4 problems in 4 files",
    ] {
        assert!(ran.err.contains(text), "{}\nshould have\n{text}", ran.err);
    }
}

#[test]
fn a_draft_is_a_problem_only_where_it_is_selected() {
    let draft = b"kind: extension\nname: draft\nsummary: \"TODO: what it is for\"\nlicense: MIT\nhomepage: https://h/\nreleases: []\n";
    let directory = with(&[("draft.yaml", draft)]);
    let path = directory.path().to_str().unwrap();
    let ran = pgsetup(["plan", path]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let ran = pgsetup(["plan", path, "--with", "draft"]);
    assert_eq!(ran.status, 3, "{}", ran.out);
    assert!(
        ran.err.contains("`summary` is still to be filled in") && ran.err.contains("draft.yaml:3:10"),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("there is no extension"), "{}", ran.err);
}

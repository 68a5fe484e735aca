//! The image's contract with its users: one test a line, named for it, against the image that `PGSETUP_TEST_IMAGE` names.
//!
//! The lines are those of the official image, then what its users ask for, then Patroni. A test skips with the reason where there is no
//! engine or no image.

#[path = "../contract/citus.rs"]
mod citus;
#[path = "../contract/container.rs"]
pub mod container;
#[path = "../contract/examples.rs"]
mod examples;
#[path = "../contract/health.rs"]
mod health;
#[path = "../contract/initialisation.rs"]
mod initialisation;
#[path = "../contract/layout.rs"]
mod layout;
#[path = "../contract/library.rs"]
mod library;
#[path = "../contract/mistakes.rs"]
mod mistakes;
#[path = "../contract/patroni.rs"]
mod patroni;
#[path = "../contract/patroni_configuration.rs"]
mod patroni_configuration;
#[path = "../contract/patroni_end.rs"]
mod patroni_end;
#[path = "../contract/patroni_incomplete.rs"]
mod patroni_incomplete;
#[path = "../contract/patroni_mistakes.rs"]
mod patroni_mistakes;
#[path = "../contract/places.rs"]
mod places;
#[path = "../contract/process.rs"]
mod process;
#[path = "../contract/safety.rs"]
mod safety;
#[path = "../contract/start.rs"]
mod start;
#[path = "../contract/upgrade.rs"]
mod upgrade;

/// Ends the test as skipped where there is no image.
macro_rules! needs_image {
    () => {
        if let Err(why) = crate::contract::container::image() {
            crate::support::skip(&why);
            return;
        }
    };
}
use needs_image;

/// `tests/contract/README.md` is the list of what is promised; `make contract` prints it with outcomes.
#[test]
fn every_line_of_the_contract_has_a_test_named_for_it() {
    let directory = crate::support::project().join("tests/contract");
    let list = std::fs::read_to_string(directory.join("README.md")).expect("the list is there");
    let lines: Vec<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .filter(|name| name.ends_with(|c: char| c.is_ascii_digit()))
        .collect();
    assert!(lines.len() > 40 && lines.contains(&"line_32"), "{lines:?}");
    let tests: Vec<String> = std::fs::read_dir(&directory)
        .expect("the directory is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).expect("a source file");
            let names = text
                .lines()
                .filter_map(|line| line.strip_prefix("fn ")?.split('(').next());
            names.map(|name| format!("_{name}")).collect::<Vec<_>>()
        })
        .collect();
    let missing: Vec<&str> = lines
        .into_iter()
        .filter(|line| !tests.iter().any(|test| test.contains(&format!("_{line}_"))))
        .collect();
    assert!(missing.is_empty(), "no test for {missing:?}");
}

//! The image's contract with its users, against the image that `PGSETUP_TEST_IMAGE` names.
//!
//! `tests/contract/README.md` lists the lines of the contract; `#[test(line_25)]` names those that a test proves.

use std::collections::BTreeSet;

use crate::harness::Registered;
use crate::support::project;

#[path = "../contract/backup.rs"]
mod backup;
#[path = "../contract/certificates.rs"]
mod certificates;
#[path = "../contract/citus.rs"]
mod citus;
#[path = "../contract/compose.rs"]
mod compose;
#[path = "../contract/container.rs"]
pub mod container;
#[path = "../contract/derived.rs"]
mod derived;
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
#[path = "../contract/limits.rs"]
mod limits;
#[path = "../contract/locks.rs"]
mod locks;
#[path = "../contract/mistakes.rs"]
mod mistakes;
#[path = "../contract/needs.rs"]
pub mod needs;
#[path = "../contract/neighbours.rs"]
mod neighbours;
#[path = "../contract/passwords.rs"]
mod passwords;
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
#[path = "../contract/preload.rs"]
mod preload;
#[path = "../contract/process.rs"]
mod process;
#[path = "../contract/rotation.rs"]
mod rotation;
#[path = "../contract/safety.rs"]
mod safety;
#[path = "../contract/start.rs"]
mod start;
#[path = "../contract/upgrade.rs"]
mod upgrade;

/// `tests/contract/README.md` is the list of what is promised; `make contract` prints it with outcomes.
#[test]
fn every_line_of_the_contract_has_a_test() {
    let list =
        std::fs::read_to_string(project().join("tests/contract/README.md")).expect("the list is there");
    let promised: BTreeSet<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .filter(|name| name.ends_with(|c: char| c.is_ascii_digit()))
        .collect();
    assert!(
        promised.len() > 40 && promised.contains("line_32"),
        "{promised:?}"
    );
    let tested: BTreeSet<&str> = inventory::iter::<Registered>()
        .flat_map(|test| test.lines.iter().copied())
        .collect();
    assert_eq!(tested, promised);
}

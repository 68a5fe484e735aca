//! The image's contract with its users: one test a line, named for it, against the image that `PGSETUP_TEST_IMAGE` names.
//!
//! The lines are those of the official image, then what its users ask for, then Patroni. A test skips with the reason where there is no
//! engine or no image.

#[path = "../contract/citus.rs"]
mod citus;
#[path = "../contract/container.rs"]
pub mod container;
#[path = "../contract/health.rs"]
mod health;
#[path = "../contract/initialisation.rs"]
mod initialisation;
#[path = "../contract/layout.rs"]
mod layout;
#[path = "../contract/library.rs"]
mod library;
#[path = "../contract/patroni.rs"]
mod patroni;
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

//! Tests of the binary from the outside: command lines, exact texts, real archives, real containers.
//!
//! They are one binary, so that shared code is compiled once. Expected texts are in `tests/golden` and `tests/bad`;
//! `SNAPSHOTS=overwrite cargo test` writes them again.

// `#[test]` is this crate's attribute in every file, and not the built-in one.
#[macro_use]
extern crate pgsetup_test;

mod accounted;
mod architecture;
mod artifacts;
mod broken;
mod cache_server;
mod cluster;
mod command_line;
mod container;
mod contract;
mod crates;
mod documents;
mod embedded;
mod escapes;
mod gate;
mod grammar;
mod guides;
mod harness;
mod in_base;
mod index;
mod install;
mod jobs;
mod killed;
mod lock;
// Half of what it can do wrong is for the tests of downloads, in `src/source/tests.rs`.
mod loopback;
mod machine;
mod markdown;
mod phrases;
mod problems;
mod proof;
mod reference;
mod remote;
mod repository;
mod sbom;
mod schemas;
mod seeing;
mod setup;
mod sources;
mod support;
mod test;
mod upkeep;
mod verify;

fn main() -> std::process::ExitCode {
    harness::main()
}

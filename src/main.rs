//! pgsetup
#![allow(dead_code)]
mod command;
mod host;
mod manifest;
fn main() {}

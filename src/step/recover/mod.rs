//! Installations that were here before: one that came to its end, and one that did not.

pub mod earlier;
pub mod repair;
pub mod unfinished;

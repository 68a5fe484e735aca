//! Earlier installations into the same root, complete and unfinished ones.

pub mod earlier;
pub mod repair;
pub mod unfinished;

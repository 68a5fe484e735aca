//! What the steps of a plan do: one file an action.

pub mod gate;
pub mod merge;
pub mod prune;
pub mod purge;
pub mod strip;

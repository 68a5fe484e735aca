//! What installs: packages, users, files, and what was staged.

pub mod files;
pub mod merge;
pub mod packages;
pub mod program;
pub mod user;

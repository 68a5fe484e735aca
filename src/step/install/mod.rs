//! Installs packages, the user, directories, staged trees and pgsetup itself.

pub mod files;
pub mod merge;
pub mod packages;
pub mod program;
pub mod user;

//! What archives and upstream say, and what that means for a manifest's text: for `pgsetup update` and `pgsetup new`.
//!
//! This is where digests come from. Everywhere else nothing is read that has not been verified; here an archive is
//! downloaded whose digest nobody has written down yet. It goes to a temporary directory, is read there and nowhere
//! else, is never installed and never kept, and what was computed from it is said to have been.

pub mod changes;
pub mod draft;
pub mod edit;
pub mod subject;
pub mod survey;
pub mod versions;

//! Archives and upstream servers, and what they mean for a manifest's text: for `pgsetup update` and `pgsetup new`.
//!
//! New digests are computed here. Everywhere else, only verified files are read; here an archive without a known
//! digest is downloaded. It is read in a temporary directory, never installed and never kept. The manifest says that
//! the digest was computed from it.

pub mod changes;
pub mod draft;
pub mod edit;
pub mod rust;
pub mod subject;
pub mod survey;
pub mod versions;

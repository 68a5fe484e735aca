//! Keeping manifests up to date: `pgsetup update` and `pgsetup new`.
//!
//! This is where digests come from. Everywhere else nothing is read that has not been verified; here an archive is
//! downloaded whose digest nobody has written down yet. It goes to a temporary directory, is read there and nowhere
//! else, is never installed and never kept, and what was computed from it is said to have been.

mod changes;
mod draft;
mod edit;
mod new;
mod obtain;
mod outdated;
mod subject;
mod survey;
mod update;
mod upstream;

pub use new::new;
pub use update::update;

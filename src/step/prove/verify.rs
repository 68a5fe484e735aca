//! Whether the files of an extension are still what was installed, after its code has run.
//!
//! An installation compares everything with its receipt at its end. A test has no receipt.

use crate::failure::{Cause, Failure};
use crate::image::entry;
use crate::record::inventory::{Content, InstalledFile};
use crate::resolve::Extension;
use crate::step::context::Context;

/// Compares each file of `extension` with what was installed: content, mode and owner.
///
/// # Errors
/// A file is missing or has changed. The error names all of them.
pub fn check(context: &Context<'_>, extension: &Extension) -> Result<(), Failure> {
    let is_its =
        |file: &&InstalledFile| file.is_of(&extension.component) && file.content != Content::Directory;
    let files: Vec<InstalledFile> = context.state.inventory().iter().filter(is_its).cloned().collect();
    let mut findings = Vec::new();
    for file in files {
        match entry::record(context.host, &file.component, &file.path)? {
            Some(found) if found == file => {}
            Some(_) => findings.push(format!("{} has changed since it was installed", file.path)),
            None => findings.push(format!("{} is missing", file.path)),
        }
    }
    if findings.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Cause::Test, findings.join("\n")))
}

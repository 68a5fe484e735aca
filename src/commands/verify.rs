//! `pgsetup verify`: compares an image with its receipt.

use super::print;
use crate::cli::{Format, VerifyArgs};
use crate::failure::{Cause, Failure};
use crate::host::Host;
use crate::report::Reporter;
use crate::verify;

/// Prints the differences between an image and its receipt.
///
/// # Errors
/// The receipt cannot be read, or the image differs from it.
pub fn verify(args: &VerifyArgs, reporter: &Reporter) -> Result<(), Failure> {
    let found = verify::verify(&Host::new(&args.root))?;
    let text = match args.format {
        Format::Text => verify::text(&found),
        Format::Json => verify::json(&found)?,
    };
    print(reporter, &text)?;
    match found.differences.len() {
        0 => Ok(()),
        1 => Err(Failure::new(Cause::Test, "1 difference from the receipt")),
        count => Err(Failure::new(
            Cause::Test,
            format_args!("{count} differences from the receipt"),
        )),
    }
}

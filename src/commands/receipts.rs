//! Receipts that commands read: of a file, or of the image below a directory.

use std::path::Path;

use crate::failure::{Cause, Failure, WithCause};
use crate::host::{self, Host};
use crate::layout;
use crate::record::receipt::Receipt;

/// The receipt in a file, or of the image below a directory.
///
/// # Errors
/// There is none, or another version of pgsetup wrote it.
pub fn read(place: &Path) -> Result<Receipt, Failure> {
    let inside = format!("{}/receipt.json", layout::RECORDS);
    let (path, text) = if host::local::is_directory(place) {
        let host = Host::new(place);
        (host.path(&inside), host.read(&inside)?)
    } else {
        (
            place.to_owned(),
            Some(host::local::read_text(place).cause(Cause::Usage)?),
        )
    };
    let text = text.ok_or_else(|| {
        let message = format!(
            "{} does not exist: this is not an image that pgsetup installed",
            path.display()
        );
        Failure::new(Cause::Usage, message)
    })?;
    Receipt::from_json(&text)
        .map_err(|error| error.context(path.display().to_string()))
        .cause(Cause::Usage)
}

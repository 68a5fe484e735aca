//! What the control file of a cluster says.

use std::path::Path;

/// Whether the server of a cluster ended in order, so that none uses it and nothing is in its write-ahead log alone. True if there is no control
/// file. The state stands behind the system identifier and two version numbers; 1 and 2 are "shut down" and "shut down in recovery"
/// (`src/include/catalog/pg_control.h`).
///
/// # Errors
/// The control file cannot be read.
pub fn was_shut_down(data: &Path) -> Result<bool, String> {
    let path = data.join("global/pg_control");
    match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        Ok(control) => {
            let state = control.get(16..20).and_then(|state| state.try_into().ok());
            Ok(matches!(state.map(u32::from_ne_bytes), Some(1 | 2)))
        }
    }
}

//! Finds programs that are named without a directory.

use anyhow::Result;

use crate::host::Host;
use crate::record::inventory::Inventory;

/// Where the kernel and a shell look for a program that is named without a directory.
pub const PATH: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// The path of a program of a component or on the system's PATH.
///
/// # Errors
/// A path cannot be read.
pub fn on_path(host: &Host, program: &str, inventory: &Inventory) -> Result<Option<String>> {
    let ending = format!("/bin/{program}");
    if let Some(file) = inventory.iter().find(|file| file.path.ends_with(&ending)) {
        return host.real_path(&file.path);
    }
    for directory in PATH {
        let path = host.real_path(&format!("{directory}/{program}"))?;
        if path.is_some() {
            return Ok(path);
        }
    }
    Ok(None)
}

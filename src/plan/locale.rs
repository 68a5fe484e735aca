//! The locales of glibc that an image wants and the C library does not include. They are compiled into a stage like
//! everything that is built, so that an image whose locales are in the cache needs no package to compile them.

use crate::command::Command;
use crate::layout;
use crate::resolve::Resolved;

/// Names the stage of the compiled locales. They belong to the image and to no component.
pub const SLUG: &str = "locale";

/// The Debian package that they are compiled from.
pub(super) const PACKAGE: &str = "locales";

/// Where glibc looks for locales. localedef makes the directory of a locale, and none above it.
pub(super) const DIRECTORY: &str = "/usr/lib/locale";

/// A title for the compiled locales, and the commands that compile them; `None` if there is nothing to compile. One build
/// does all of them, because locales share files.
pub(super) fn build(resolved: &Resolved) -> Option<(String, Vec<Command>)> {
    let locales = std::iter::once(&resolved.locale).chain(&resolved.locales);
    let names: Vec<&str> = locales
        .map(String::as_str)
        .filter(|name| !is_included(name))
        .collect();
    if names.is_empty() {
        return None;
    }
    let stage = layout::stage(SLUG);
    let commands = names.iter().map(|name| compile(name, &stage)).collect();
    Some((format!("{SLUG} {}", names.join(", ")), commands))
}

/// Whether the C library includes a locale.
fn is_included(name: &str) -> bool {
    matches!(name, "C" | "POSIX" | "C.UTF-8" | "C.utf8")
}

/// The command that compiles a locale into a directory of its own. The archive of all locales would go when the package
/// is removed (its prerm).
fn compile(name: &str, stage: &str) -> Command {
    let (input, charset) = name.split_once('.').unwrap_or((name, "UTF-8"));
    let prefix = format!("--prefix={stage}");
    Command::new(
        "localedef",
        [
            "--no-archive",
            &prefix,
            "--inputfile",
            input,
            "--charmap",
            charset,
            name,
        ],
    )
}

//! Questions to the person at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _};

/// Whether a person can be asked: standard input and standard error are terminals.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The next line that is typed, without spaces around it; `None` at the end of the input.
///
/// # Errors
/// The terminal cannot be read.
pub fn answer() -> io::Result<Option<String>> {
    let mut line = String::new();
    let count = io::stdin().lock().read_line(&mut line)?;
    Ok((count > 0).then(|| line.trim().to_owned()))
}

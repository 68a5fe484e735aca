//! Collects what could not be read, and why, for a caller that reads many files and continues after an error.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::Host;
use super::entry::is_forbidden;

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// What went wrong.
    pub reason: String,
    /// Whether only the rights of this user are in the way.
    pub is_forbidden: bool,
}

impl Unreadable {
    /// Why a look at `inside` ended with `error`, without the path where the error begins with it.
    pub fn new(host: &Host, inside: &str, error: &anyhow::Error) -> Self {
        let text = format!("{error:#}");
        let path = format!("{} ", host.path(inside).display());
        Self {
            reason: text.strip_prefix(&path).unwrap_or(&text).to_owned(),
            is_forbidden: is_forbidden(error),
        }
    }
}

/// Everything that could not be read, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unread(pub BTreeMap<String, Unreadable>);

impl Unread {
    /// What was read of the path; `None`, and taken down, where it could not be.
    pub fn take<T>(&mut self, host: &Host, inside: &str, read: Result<T>) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(error) => {
                let why = Unreadable::new(host, inside, &error);
                self.0.insert(inside.to_owned(), why);
                None
            }
        }
    }

    /// Turns everything that could not be read into one error.
    ///
    /// # Errors
    /// Something could not be read.
    pub fn into_result(self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let lines = self.0.iter();
        let lines: String = lines
            .map(|(path, why)| format!("\n  {path}: {}", why.reason))
            .collect();
        bail!("what is installed cannot be read:{lines}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_cannot_be_read_is_named_at_once() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        std::fs::write(host.path("/broken.so"), "\x7fELF\x02\x01 and no more").unwrap();
        std::fs::create_dir(host.path("/directory")).unwrap();
        let mut unread = Unread::default();
        assert!(unread.take(&host, "/broken.so", host.elf("/broken.so")).is_none());
        assert!(
            unread
                .take(&host, "/directory", host.sha256("/directory"))
                .is_none()
        );
        assert_eq!(unread.take(&host, "/none", host.elf("/none")), Some(None));
        assert!(unread.0.values().all(|why| !why.is_forbidden));
        let text = unread.into_result().unwrap_err().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "what is installed cannot be read:");
        assert!(
            lines[1].starts_with("  /broken.so: is a broken ELF file: "),
            "{text}"
        );
        assert!(lines[2].starts_with("  /directory: cannot read "), "{text}");
        Unread::default().into_result().unwrap();
    }
}

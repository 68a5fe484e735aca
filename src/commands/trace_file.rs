//! The file of `--trace`: whole and valid from the start of an installation on, however that ends.

use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::Result;

use crate::host::local;
use crate::lock::lock;
use crate::report::trace;

/// A trace that grows, and the file it belongs into.
#[derive(Debug)]
pub struct Trace {
    path: PathBuf,
    /// What is known so far.
    text: Mutex<String>,
}

impl Trace {
    /// A trace without a step, in a file that is written at once: better now than after an hour of compiling.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin(path: PathBuf) -> Result<Self> {
        let file = Self {
            path,
            text: Mutex::new(trace::render(&[], &[])),
        };
        file.write()?;
        Ok(file)
    }

    /// Takes a trace that has come further. It is not written yet.
    pub fn update(&self, text: String) {
        *lock(&self.text) = text;
    }

    /// Writes what is known.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self) -> Result<()> {
        local::write_text(&self.path, &lock(&self.text))
    }
}

//! The file of `--trace`: complete and valid from the start of an installation on, however it ends.

use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::Result;

use crate::host::local;
use crate::lock::lock;
use crate::report::trace;

/// A growing trace and its file.
#[derive(Debug)]
pub struct Trace {
    path: PathBuf,
    text: Mutex<String>,
}

impl Trace {
    /// An empty trace. The file is written at once, so that a wrong path fails now and not after an hour of compiling.
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

    /// Replaces the trace in memory. [`Self::write`] writes it to the file.
    pub fn update(&self, text: String) {
        *lock(&self.text) = text;
    }

    /// Writes the trace to its file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self) -> Result<()> {
        local::write_text(&self.path, &lock(&self.text))
    }
}

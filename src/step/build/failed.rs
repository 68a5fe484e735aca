//! The record of a failed build: its command, directory and variables. It is written beside the source tree, where
//! `pgsetup shell` finds it.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::host::Host;
use crate::layout;
use crate::step::install::files;

/// A build that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FailedBuild {
    /// The component's name: `citus`.
    pub name: String,
    /// The component's slug, which names its directories: `citus-14.0.1`.
    pub slug: String,
    /// The command that failed.
    pub command: Command,
    /// The log of the step.
    pub log: String,
}

impl FailedBuild {
    /// Writes the record.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&self, host: &Host) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("a failed build as JSON")?;
        host.write(&layout::failed(&self.slug), &text, files::ROOT_FILE)
    }

    /// Every failed build of this root that has not succeeded since, sorted by slug.
    ///
    /// # Errors
    /// A record cannot be read, or another version of pgsetup wrote it.
    pub fn all(host: &Host) -> Result<Vec<Self>> {
        let directory = layout::failed("");
        let directory = directory.trim_end_matches('/');
        if !host.exists(directory) {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for name in host.names(directory)? {
            let path = layout::failed(&name);
            let text = host.read(&path)?.unwrap_or_default();
            let failed = serde_json::from_str(&text)
                .with_context(|| format!("{path} was not written by this pgsetup"))?;
            all.push(failed);
        }
        all.sort_by(|a: &Self, b| a.slug.cmp(&b.slug));
        Ok(all)
    }
}

//! Finds what dpkg began and did not finish. It reads the package states (dpkg(1), "Package states") and the journal in
//! `updates`, which dpkg merges into `status` at its end.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::deb822::paragraphs;
use super::dpkg::DATABASE;
use crate::host::Host;

/// States in which a package may stay.
const SETTLED: [&str; 3] = ["installed", "config-files", "not-installed"];

/// What dpkg has of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What is wanted: `install`, `hold`, `deinstall`, `purge` or `unknown`.
    pub want: String,
    /// `reinstreq` where the package is broken and must be installed again.
    pub flag: String,
    /// The state of the package.
    pub state: String,
}

impl Condition {
    fn parse(status: &str) -> Option<Self> {
        let words: Vec<&str> = status.split_whitespace().collect();
        let [want, flag, state] = words.as_slice() else {
            return None;
        };
        Some(Self {
            want: (*want).to_owned(),
            flag: (*flag).to_owned(),
            state: (*state).to_owned(),
        })
    }

    /// True if dpkg was interrupted.
    pub fn is_unsettled(&self) -> bool {
        self.flag != "ok" || !SETTLED.contains(&self.state.as_str())
    }
}

impl Host {
    /// Every package that dpkg knows, by `NAME:ARCHITECTURE` as its commands take it (`NAME` for one of all
    /// architectures), with its condition. The journal is included.
    ///
    /// # Errors
    /// A file of the database cannot be read.
    pub fn conditions(&self) -> Result<BTreeMap<String, Condition>> {
        let mut conditions = BTreeMap::new();
        let mut texts = vec![self.read(&format!("{DATABASE}/status"))?.unwrap_or_default()];
        for name in self.journal()? {
            texts.push(
                self.read(&format!("{DATABASE}/updates/{name}"))?
                    .unwrap_or_default(),
            );
        }
        for fields in texts.iter().flat_map(|text| paragraphs(text)) {
            let Some(condition) = fields.get("Status").and_then(|status| Condition::parse(status)) else {
                continue;
            };
            let Some(name) = fields.get("Package") else {
                continue;
            };
            let architecture = fields.get("Architecture").filter(|name| *name != "all");
            let name =
                architecture.map_or_else(|| name.clone(), |architecture| format!("{name}:{architecture}"));
            conditions.insert(name, condition);
        }
        Ok(conditions)
    }

    /// True if dpkg ended before it merged its journal into its database.
    ///
    /// # Errors
    /// The directory of the journal cannot be read.
    pub fn has_journal(&self) -> Result<bool> {
        Ok(!self.journal()?.is_empty())
    }

    fn journal(&self) -> Result<Vec<String>> {
        let names = self.names(&format!("{DATABASE}/updates"))?;
        let is_entry = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
        Ok(names.into_iter().filter(is_entry).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_journal_is_what_counts() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        std::fs::create_dir_all(host.path("/var/lib/dpkg/updates")).unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(host.path(format!("/var/lib/dpkg/{name}")), text).unwrap();
        };
        write(
            "status",
            "Package: gcc\nStatus: install ok installed\nArchitecture: amd64\n\n\
             Package: media-types\nStatus: install ok unpacked\nArchitecture: all\n\n\
             Package: old\nStatus: deinstall ok config-files\nArchitecture: amd64\n",
        );
        assert!(!host.has_journal().unwrap());
        write(
            "updates/0001",
            "Package: gcc\nStatus: install reinstreq half-installed\nArchitecture: amd64\n",
        );
        write("updates/tmp.i", "");
        assert!(host.has_journal().unwrap());
        let conditions = host.conditions().unwrap();
        let unsettled: Vec<&str> = conditions
            .iter()
            .filter(|(_, condition)| condition.is_unsettled())
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(unsettled, ["gcc:amd64", "media-types"]);
        assert_eq!(conditions["old:amd64"].state, "config-files");
    }
}

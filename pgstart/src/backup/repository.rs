//! What is in the repositories of a cluster, as `pgbackrest info` tells it, and whether it is of this cluster.

use std::path::Path;

use serde_json::Value;

/// What the repositories have of a stanza.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Whether a repository knows the stanza.
    pub exists: bool,
    /// The system identifier of the cluster that the stanza is of now.
    pub system: Option<u64>,
    /// Its backups, the oldest first.
    pub backups: Vec<Backup>,
    /// Repositories that do not answer, with what pgBackRest says.
    pub unreachable: Vec<String>,
}

/// A backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backup {
    /// Its name: `20261201-030405F`.
    pub label: String,
    /// `full`, `diff` or `incr`.
    pub kind: String,
    /// The number of the repository that it is in.
    pub repository: u64,
    /// Seconds since 1970 at which it began.
    pub start: u64,
    /// Seconds since 1970 at which it was complete: the first moment to which it can be restored.
    pub stop: u64,
    /// Bytes of the database.
    pub bytes: u64,
    /// Bytes that it added to the repository.
    pub added: u64,
    /// Whether pages of the database failed their checksums.
    pub has_errors: bool,
}

impl Contents {
    /// Reads what `pgbackrest info --output=json` prints of a stanza.
    ///
    /// # Errors
    /// It is not such a document.
    pub fn parse(text: &str, stanza: &str) -> Result<Self, String> {
        let document: Value = serde_json::from_str(text)
            .map_err(|error| format!("pgbackrest info printed no JSON: {error}"))?;
        let stanzas = document.as_array().map_or(&[][..], Vec::as_slice);
        let Some(own) = stanzas.iter().find(|one| one["name"] == stanza) else {
            return Ok(Self::default());
        };
        let list = |key: &str| own[key].as_array().cloned().unwrap_or_default();
        let unreachable = list("repo").into_iter().filter_map(|repository| {
            let status = &repository["status"];
            let message = status["message"].as_str().unwrap_or_default();
            (status["code"] == 99)
                .then(|| format!("repository {}: {}", repository["key"], first_lines(message)))
        });
        let newest = list("db").into_iter().max_by_key(|one| one["id"].as_u64());
        let backups = list("backup").into_iter().map(|backup| Backup {
            label: backup["label"].as_str().unwrap_or_default().to_owned(),
            kind: backup["type"].as_str().unwrap_or_default().to_owned(),
            repository: backup["database"]["repo-key"].as_u64().unwrap_or(1),
            start: backup["timestamp"]["start"].as_u64().unwrap_or_default(),
            stop: backup["timestamp"]["stop"].as_u64().unwrap_or_default(),
            bytes: backup["info"]["size"].as_u64().unwrap_or_default(),
            added: backup["info"]["repository"]["delta"].as_u64().unwrap_or_default(),
            has_errors: backup["error"] == true,
        });
        let mut backups: Vec<Backup> = backups.collect();
        backups.sort_by_key(|backup| backup.stop);
        Ok(Self {
            exists: newest.is_some(),
            system: newest.and_then(|one| one["system-id"].as_u64()),
            backups,
            unreachable: unreachable.collect(),
        })
    }
}

/// The beginning of an error, which pgBackRest follows with a trace for its developers.
fn first_lines(message: &str) -> String {
    message.lines().take(2).collect::<Vec<_>>().join(" ")
}

/// The system identifier of the cluster in a data directory: the first eight bytes of its control file. `None` where there is no cluster.
///
/// # Errors
/// The control file cannot be read.
pub fn system(data: &Path) -> Result<Option<u64>, String> {
    let path = data.join("global/pg_control");
    match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        Ok(control) => {
            let bytes = control.get(..8).and_then(|bytes| bytes.try_into().ok());
            Ok(bytes.map(u64::from_ne_bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = r#"[{"archive":[],"backup":[
        {"database":{"id":1,"repo-key":1},"error":false,"info":{"delta":5,"repository":{"delta":7},"size":31},
         "label":"20261201-030000F_20261201-040000I","type":"incr","timestamp":{"start":20,"stop":21}},
        {"database":{"id":1,"repo-key":1},"error":true,"info":{"delta":30,"repository":{"delta":4},"size":30},
         "label":"20261201-030000F","type":"full","timestamp":{"start":10,"stop":12}}],
        "db":[{"id":1,"repo-key":1,"system-id":7,"version":"17"},{"id":2,"repo-key":1,"system-id":8,"version":"18"}],
        "name":"main","repo":[{"key":1,"status":{"code":0,"message":"ok"}},
        {"key":2,"status":{"code":99,"message":"[HostConnectError] unable to connect\nto store\ntrace"}}]}]"#;

    #[test]
    fn backups_are_in_order_and_the_last_cluster_counts() {
        let contents = Contents::parse(INFO, "main").unwrap();
        assert_eq!(contents.system, Some(8));
        let labels: Vec<&str> = contents.backups.iter().map(|one| one.label.as_str()).collect();
        assert_eq!(labels, ["20261201-030000F", "20261201-030000F_20261201-040000I"]);
        assert!(contents.backups[0].has_errors && contents.backups[0].added == 4);
        assert_eq!(
            contents.unreachable,
            ["repository 2: [HostConnectError] unable to connect to store"]
        );
    }

    #[test]
    fn a_stanza_that_is_not_there_is_empty() {
        let absent =
            r#"[{"backup":[],"db":[],"name":"main","status":{"code":1,"message":"missing stanza path"}}]"#;
        for text in ["[]", absent] {
            assert_eq!(
                Contents::parse(text, "main").unwrap(),
                Contents::default(),
                "{text}"
            );
        }
        assert!(Contents::parse("ERROR", "main").is_err());
    }

    #[test]
    fn the_identifier_is_what_the_control_file_begins_with() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(system(data.path()), Ok(None));
        std::fs::create_dir(data.path().join("global")).unwrap();
        std::fs::write(
            data.path().join("global/pg_control"),
            [7u64.to_ne_bytes(), [0; 8]].concat(),
        )
        .unwrap();
        assert_eq!(system(data.path()), Ok(Some(7)));
    }
}

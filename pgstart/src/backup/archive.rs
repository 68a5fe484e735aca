//! How far archiving is behind: the write-ahead log that waits in the data directory, seen without asking the server.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, set_parent_process_death_signal, test_kill_process};

use crate::warn;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(5);
/// Between two lines of the log about the same trouble.
const REPEAT: Duration = Duration::from_secs(60);
/// How long a segment may wait before archiving is behind.
const PATIENCE: Duration = Duration::from_secs(30);

/// Segments that wait to be archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// How many.
    pub count: usize,
    /// How long the oldest has waited.
    pub oldest: Duration,
}

impl Behind {
    /// What waits in a data directory, if the oldest has waited for too long. The server marks a segment that is complete by a file whose name
    /// ends with `.ready` (the manual, "Continuous Archiving").
    pub fn look(data: &Path, now: SystemTime) -> Option<Self> {
        let entries = std::fs::read_dir(data.join("pg_wal/archive_status")).ok()?;
        let waits = entries.filter_map(|entry| {
            let entry = entry.ok()?;
            let is_ready = entry.path().extension().is_some_and(|end| end == "ready");
            let since = entry.metadata().ok()?.modified().ok()?;
            is_ready.then(|| now.duration_since(since).unwrap_or_default())
        });
        let waits: Vec<Duration> = waits.collect();
        let oldest = waits.iter().max().copied()?;
        (oldest >= PATIENCE).then_some(Self {
            count: waits.len(),
            oldest,
        })
    }

    /// For people.
    pub fn describe(&self) -> String {
        let segments = if self.count == 1 {
            "segment waits"
        } else {
            "segments wait"
        };
        format!(
            "archiving is behind: {} {segments}, the oldest for {} s",
            self.count,
            self.oldest.as_secs()
        )
    }
}

/// Says once a minute that archiving is behind, and once that it is not any more, for as long as process `server` lives. Calls `retry` before
/// each line. Ends with its parent.
pub fn watch(data: &Path, server: Pid, retry: impl Fn()) {
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    let mut said: Option<SystemTime> = None;
    while test_kill_process(server).is_ok() {
        let now = SystemTime::now();
        match Behind::look(data, now) {
            Some(behind) => {
                let is_due = said.is_none_or(|last| now.duration_since(last).unwrap_or_default() >= REPEAT);
                if is_due {
                    retry();
                    warn(&format!(
                        "{}. Until it succeeds, WAL stays in {}, and what happened since cannot be restored",
                        behind.describe(),
                        data.display()
                    ));
                    said = Some(now);
                }
            }
            None if said.take().is_some() => crate::say("archiving has caught up"),
            None => {}
        }
        std::thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_waits_long_counts() {
        let data = tempfile::tempdir().unwrap();
        let status = data.path().join("pg_wal/archive_status");
        std::fs::create_dir_all(&status).unwrap();
        for name in ["000000010000000000000001.done", "000000010000000000000002.ready"] {
            std::fs::write(status.join(name), "").unwrap();
        }
        let now = SystemTime::now();
        assert_eq!(Behind::look(data.path(), now), None);
        let behind = Behind::look(data.path(), now + Duration::from_secs(100)).expect("it waits");
        assert_eq!(behind.count, 1);
        assert!(
            behind
                .describe()
                .starts_with("archiving is behind: 1 segment waits, the oldest for ")
        );
        assert_eq!(Behind::look(Path::new("/absent"), now), None);
    }
}

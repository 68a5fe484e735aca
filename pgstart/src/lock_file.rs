//! Reads the lock files of PostgreSQL: `postmaster.pid` in the data directory, and the one beside each socket.
//!
//! Both have the same lines (`src/include/utils/pidfile.h`). A power loss can leave one empty or full of zero bytes.

use std::io;
use std::path::Path;

/// What a lock file says. Each part is absent where its line is missing or is not what it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockFile {
    /// Process id of the server, or of a standalone backend, which writes it with a minus sign.
    pub pid: Option<u32>,
    /// Seconds since 1970 at which that process started.
    pub started: Option<u64>,
    /// TCP port.
    pub port: Option<u16>,
    /// The first socket directory.
    pub socket_directory: String,
    /// The first address that is listened on; empty where there is none.
    pub address: String,
    /// `starting`, `stopping`, `ready` or `standby`.
    pub status: String,
}

impl LockFile {
    /// Reads a file; `None` where there is none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(text) => Ok(Some(Self::parse(&text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the text of a file.
    pub fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut lines = text.split('\n').map(str::trim);
        let mut line = || lines.next().unwrap_or_default();
        let pid = line().trim_start_matches('-').parse().ok().filter(|&pid| pid > 0);
        let _data_directory = line();
        Self {
            pid,
            started: line().parse().ok(),
            port: line().parse().ok(),
            socket_directory: line().to_owned(),
            address: line().to_owned(),
            // Line 7 is the key of the shared memory.
            status: {
                line();
                line().to_owned()
            },
        }
    }

    /// What it says, for a person: `process 1, port 5432, started 2026-01-31 12:00:00 UTC`.
    pub fn describe(&self) -> String {
        let Some(pid) = self.pid else {
            return "it is empty or damaged, as after a power loss".to_owned();
        };
        let port = self.port.map_or(String::new(), |port| format!(", port {port}"));
        let started = self
            .started
            .map_or(String::new(), |seconds| format!(", started {}", utc(seconds)));
        format!("process {pid}{port}{started}")
    }
}

/// Seconds since 1970 as a date and time of the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
pub fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = "71\n/var/lib/postgresql/data\n1796062744\n6543\n/var/run/postgresql\n*\n   262176         3\nready   \n";

    #[test]
    fn the_lines_of_a_running_server_are_read() {
        let file = LockFile::parse(READY.as_bytes());
        assert_eq!(
            (file.pid, file.started, file.port),
            (Some(71), Some(1_796_062_744), Some(6543))
        );
        assert_eq!(
            (
                file.address.as_str(),
                file.status.as_str(),
                file.socket_directory.as_str()
            ),
            ("*", "ready", "/var/run/postgresql")
        );
        assert_eq!(
            file.describe(),
            "process 71, port 6543, started 2026-11-30 18:19:04 UTC"
        );
    }

    #[test]
    fn a_standalone_backend_has_a_process_id_too() {
        assert_eq!(LockFile::parse(b"-71\n/data\n1\n").pid, Some(71));
    }

    #[test]
    fn what_a_power_loss_leaves_names_no_process() {
        for text in [&b""[..], &[0; 94], b"\n\n", b"0\n", b"words\n"] {
            let file = LockFile::parse(text);
            assert_eq!(file.pid, None, "{text:?}");
            assert_eq!(file.describe(), "it is empty or damaged, as after a power loss");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(4_102_444_799), "2099-12-31 23:59:59 UTC");
    }
}

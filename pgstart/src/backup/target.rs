//! The moment to which a cluster is restored.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment in the history of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The end of the archive.
    Latest,
    /// A time, as pgBackRest writes it, and in seconds since 1970.
    Time {
        /// `2026-12-01 03:04:05.678901+00`.
        text: String,
        /// Whole seconds since 1970.
        seconds: u64,
    },
    /// A position of the write-ahead log.
    Lsn(String),
    /// A restore point.
    Name(String),
}

impl Target {
    /// What `RESTORE_FROM` says: `latest`, `name=NAME`, `lsn=LSN`, or a time. `None` where it is not set.
    ///
    /// # Errors
    /// It is none of these.
    pub fn of_variable() -> Result<Option<Self>, String> {
        let text = std::env::var("RESTORE_FROM").unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        Self::parse(&text).map(Some).map_err(|why| {
            format!("RESTORE_FROM is '{text}', but may be latest, a time, name=NAME or lsn=LSN: {why}")
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            _ if text == "latest" => Ok(Self::Latest),
            Some(("name", name)) => Self::name(name),
            Some(("lsn", lsn)) => Self::lsn(lsn),
            _ => Self::time(text),
        }
    }

    /// A time with or without a zone, in any form that date(1) reads.
    ///
    /// # Errors
    /// It is not a time, or one that is still to come.
    pub fn time(text: &str) -> Result<Self, String> {
        let output = Command::new("date")
            .args(["--utc", "--date", text, "+%s %Y-%m-%d %H:%M:%S.%6N+00"])
            .env("LC_ALL", "C")
            .output()
            .map_err(|error| format!("cannot run date: {error}"))?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let parsed = printed
            .trim_end()
            .split_once(' ')
            .filter(|_| output.status.success());
        let parsed = parsed.and_then(|(seconds, text)| Some((seconds.parse::<u64>().ok()?, text.to_owned())));
        // `now` and `yesterday` are times as well, and mean another one at each start.
        let (seconds, time) = parsed
            .filter(|_| text.starts_with(|c: char| c.is_ascii_digit()))
            .ok_or_else(|| format!("'{text}' is not a time such as 2026-12-01T03:04:05Z"))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if seconds > now.as_secs() {
            return Err(format!("{time} is still to come"));
        }
        Ok(Self::Time { text: time, seconds })
    }

    /// A position such as `0/3000028`.
    ///
    /// # Errors
    /// It is not one.
    pub fn lsn(text: &str) -> Result<Self, String> {
        let is_hex =
            |part: &str| !part.is_empty() && part.len() <= 8 && part.chars().all(|c| c.is_ascii_hexdigit());
        let fits = text
            .split_once('/')
            .is_some_and(|(high, low)| is_hex(high) && is_hex(low));
        fits.then(|| Self::Lsn(text.to_owned()))
            .ok_or_else(|| format!("'{text}' is not a position such as 0/3000028"))
    }

    /// The name of a restore point, of which the server keeps 63 bytes.
    ///
    /// # Errors
    /// It cannot be one.
    pub fn name(text: &str) -> Result<Self, String> {
        let fits = !text.is_empty() && text.len() <= 63 && !text.chars().any(char::is_control);
        fits.then(|| Self::Name(text.to_owned()))
            .ok_or_else(|| format!("'{text}' is not a name: expected 1 to 63 bytes in one line"))
    }

    /// Seconds since 1970, of a time.
    pub fn seconds(&self) -> Option<u64> {
        match self {
            Self::Time { seconds, .. } => Some(*seconds),
            _ => None,
        }
    }

    /// pgBackRest's options. The server serves when the moment is reached.
    pub fn options(&self) -> Vec<String> {
        let (kind, target) = match self {
            Self::Latest => return vec!["--type=default".to_owned()],
            Self::Time { text, .. } => ("time", text),
            Self::Lsn(lsn) => ("lsn", lsn),
            Self::Name(name) => ("name", name),
        };
        vec![
            format!("--type={kind}"),
            format!("--target={target}"),
            "--target-action=promote".to_owned(),
        ]
    }

    /// For people.
    pub fn describe(&self) -> String {
        match self {
            Self::Latest => "the latest state that is archived".to_owned(),
            Self::Time { text, .. } => format!("the state of {text}"),
            Self::Lsn(lsn) => format!("the state at {lsn}"),
            Self::Name(name) => format!("the state at the restore point '{name}'"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_any_zone_and_given_in_one() {
        let expected = Target::Time {
            text: "2026-01-31 12:34:56.500000+00".to_owned(),
            seconds: 1_769_862_896,
        };
        for text in [
            "2026-01-31T12:34:56.5Z",
            "2026-01-31 14:34:56.5+02",
            "2026-01-31 12:34:56.5",
        ] {
            assert_eq!(Target::parse(text), Ok(expected.clone()), "{text}");
        }
        for text in [
            "now",
            "yesterday",
            "2999-01-01",
            "2026-13-01",
            "name",
            "lsn=x",
            "name=",
            "lsn=0/",
        ] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn other_moments_have_their_words() {
        assert_eq!(Target::parse("latest").unwrap().options(), ["--type=default"]);
        assert_eq!(
            Target::parse("name=before=it").unwrap().options(),
            ["--type=name", "--target=before=it", "--target-action=promote"]
        );
        assert_eq!(
            Target::parse("lsn=0/3000028"),
            Ok(Target::Lsn("0/3000028".to_owned()))
        );
    }
}

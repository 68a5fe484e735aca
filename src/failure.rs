//! Why pgsetup ends without success: an explanation for people and an exit status for programs.

use std::fmt;

/// The kind of a failure; each has an exit status of its own, which `--help` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A fault of pgsetup or of the machine.
    Internal,
    /// The command line is wrong.
    Usage,
    /// Something is wrong in a manifest.
    Manifest,
    /// Something could not be downloaded.
    Network,
    /// A download differs from what its manifest says.
    Checksum,
    /// A command failed: a build, a package installation.
    Build,
    /// What was installed does not work.
    Test,
    /// pgsetup is not permitted to do what it was asked to.
    Permission,
    /// pgsetup was told to stop.
    Interrupted,
}

impl Cause {
    /// All of them, in the order of their exit statuses.
    pub const ALL: [Self; 9] = [
        Self::Internal,
        Self::Usage,
        Self::Manifest,
        Self::Network,
        Self::Checksum,
        Self::Build,
        Self::Test,
        Self::Permission,
        Self::Interrupted,
    ];

    /// The exit status. An interruption has the status of a shell command that SIGINT ended.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Manifest => 3,
            Self::Network => 4,
            Self::Checksum => 5,
            Self::Build => 6,
            Self::Test => 7,
            Self::Permission => 8,
            Self::Interrupted => 130,
        }
    }

    /// What the exit status means, for `--help` and the reference.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Internal => "a fault of pgsetup or of the machine",
            Self::Usage => "the command line is wrong",
            Self::Manifest => "a manifest is wrong",
            Self::Network => "something could not be downloaded or looked up",
            Self::Checksum => "a download is not what its manifest says",
            Self::Build => "a command failed: a build, an installation of packages",
            Self::Test => "a test failed, a version is outdated, or an image differs from its receipt",
            Self::Permission => "pgsetup is not permitted to do what it was asked to",
            Self::Interrupted => "pgsetup was told to stop",
        }
    }
}

/// A failure with its explanation.
#[derive(Debug)]
pub struct Failure {
    /// Its kind.
    pub cause: Cause,
    /// What happened, where, and what to do.
    pub error: anyhow::Error,
    /// What other failures may have in common with it.
    pub shared: Option<Shared>,
}

/// A reason for which many things fail at the same time: it is reported once for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// What failed: `citus 14.0.1`.
    pub subject: String,
    /// Why, without a word of the subject: `no connection: Connection refused`.
    pub reason: String,
}

/// Failures in their order, those together that have their reason in common.
pub fn groups<T>(all: &[T], failure: impl Fn(&T) -> &Failure) -> Vec<Vec<&T>> {
    let mut groups: Vec<Vec<&T>> = Vec::new();
    for one in all {
        let reason = |one: &T| failure(one).shared.as_ref().map(|shared| shared.reason.clone());
        let wanted = reason(one);
        match groups
            .iter_mut()
            .find(|group| wanted.is_some() && reason(group[0]) == wanted)
        {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

/// The explanation of failures that have their reason in common; that of one alone, which is as long as it has to be.
pub fn explanation(group: &[&Failure]) -> String {
    let shared: Vec<&Shared> = group
        .iter()
        .filter_map(|failure| failure.shared.as_ref())
        .collect();
    match (group, shared.first()) {
        ([_, _, ..], Some(first)) => {
            let subjects: Vec<&str> = shared.iter().map(|shared| shared.subject.as_str()).collect();
            format!(
                "could not fetch {} files: {}: {}",
                shared.len(),
                first.reason,
                subjects.join(", ")
            )
        }
        _ => group.iter().map(ToString::to_string).collect(),
    }
}

/// Gives an error its kind.
pub trait WithCause<T> {
    /// Converts the error to a [`Failure`] of the kind `cause`.
    fn cause(self, cause: Cause) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> WithCause<T> for Result<T, E> {
    fn cause(self, cause: Cause) -> Result<T, Failure> {
        self.map_err(|error| Failure {
            cause,
            error: error.into(),
            shared: None,
        })
    }
}

impl Failure {
    /// A failure with one message.
    pub fn new(cause: Cause, message: impl fmt::Display) -> Self {
        Self {
            cause,
            error: anyhow::anyhow!("{message}"),
            shared: None,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            cause: Cause::Internal,
            error,
            shared: None,
        }
    }
}

impl From<crate::host::CommandError> for Failure {
    fn from(error: crate::host::CommandError) -> Self {
        let is_mismatch = error.tail.iter().any(|line| line.contains(MISMATCH_OF_PIP))
            || error.errors.mention(MISMATCH_OF_PIP);
        let cause = match (error.interrupted, is_mismatch) {
            (true, _) => Cause::Interrupted,
            (false, true) => Cause::Checksum,
            (false, false) => Cause::Build,
        };
        Self {
            cause,
            error: error.into(),
            shared: None,
        }
    }
}

/// What pip says of a file whose digest is not the one in its requirements.
const MISMATCH_OF_PIP: &str = "DO NOT MATCH THE HASHES";

/// The whole chain of reasons on one line, as anyhow's alternate form has it.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::CommandError;

    fn failed(subject: &str, reason: Option<&str>) -> Failure {
        Failure {
            shared: reason.map(|reason| Shared {
                subject: subject.to_owned(),
                reason: reason.to_owned(),
            }),
            ..Failure::new(Cause::Network, format_args!("could not fetch {subject}"))
        }
    }

    #[test]
    fn one_reason_is_told_once() {
        let all = [
            failed("a", Some("no connection")),
            failed("b", None),
            failed("c", Some("no connection")),
            failed("d", Some("timed out")),
            failed("e", None),
        ];
        let lines: Vec<String> = groups(&all, |one| one)
            .iter()
            .map(|group| explanation(group))
            .collect();
        assert_eq!(
            lines,
            [
                "could not fetch 2 files: no connection: a, c",
                "could not fetch b",
                "could not fetch d",
                "could not fetch e"
            ]
        );
    }

    #[test]
    fn a_mismatch_that_pip_finds_is_a_wrong_checksum() {
        let error = |line: &str| CommandError {
            command: "pip".to_owned(),
            outcome: "exit status 1".to_owned(),
            tail: vec![line.to_owned(), "Got abc".to_owned()],
            errors: Box::default(),
            log: None,
            interrupted: false,
            timed_out: false,
        };
        let line = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.";
        assert_eq!(Failure::from(error(line)).cause, Cause::Checksum);
        assert_eq!(Failure::from(error("ERROR: no space")).cause, Cause::Build);
    }
}

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
        })
    }
}

impl Failure {
    /// A failure with one message.
    pub fn new(cause: Cause, message: impl fmt::Display) -> Self {
        Self {
            cause,
            error: anyhow::anyhow!("{message}"),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            cause: Cause::Internal,
            error,
        }
    }
}

impl From<crate::host::CommandError> for Failure {
    fn from(error: crate::host::CommandError) -> Self {
        let cause = if error.interrupted {
            Cause::Interrupted
        } else {
            Cause::Build
        };
        Self {
            cause,
            error: error.into(),
        }
    }
}

/// The whole chain of reasons on one line, as anyhow's alternate form has it.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

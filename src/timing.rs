//! Times of an installation: begin, end and processor time of each step and each command. Data only; the summary and the
//! trace are made from it.

use std::time::Duration;

/// A period, as two durations since the installation began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub began: Duration,
    /// When it ended.
    pub ended: Duration,
}

impl Span {
    /// How long it took.
    pub fn elapsed(self) -> Duration {
        self.ended.saturating_sub(self.began)
    }
}

/// A command that was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its command line, as you would type it.
    pub command: String,
    /// When.
    pub span: Span,
    /// Processor time of it and of those of its children that it waited for.
    pub cpu: Duration,
}

//! How long the steps of a plan took.

use std::time::Duration;

use crate::plan::Step;
use crate::timing::{Ran, Span};

/// Where the result of a step came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResultOrigin {
    /// The step always has to be done: no cache can hold its result.
    #[default]
    Done,
    /// It was built.
    Built,
    /// It was taken from a cache.
    Cached,
    /// It was downloaded.
    Fetched,
}

impl ResultOrigin {
    /// Its word in tables; a dash if no cache can hold the result.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "-",
            Self::Built => "built",
            Self::Cached => "cached",
            Self::Fetched => "fetched",
        }
    }
}

/// How long a step took.
#[derive(Debug, Clone)]
pub struct Timing<'a> {
    /// The step.
    pub step: &'a Step,
    /// Its position in the plan.
    pub id: usize,
    /// Its beginning and its end.
    pub span: Span,
    /// Processor time of its own thread and of its commands.
    pub cpu: Duration,
    /// Where its result came from; `None` if it failed.
    pub origin: Option<ResultOrigin>,
    /// One line about its result.
    pub note: String,
    /// The commands it ran, in the order in which they ended.
    pub commands: Vec<Ran>,
}

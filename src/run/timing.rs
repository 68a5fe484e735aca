//! What the steps of a plan took.

use std::time::Duration;

use crate::plan::Step;
use crate::timing::{Ran, Span};

/// Where the result of a step comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResultOrigin {
    /// It had to be done; nothing of it can be kept.
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
    /// The word for it in tables; a dash for what no cache knows of.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "-",
            Self::Built => "built",
            Self::Cached => "cached",
            Self::Fetched => "fetched",
        }
    }
}

/// What a step took.
#[derive(Debug, Clone)]
pub struct Timing<'a> {
    /// The step.
    pub step: &'a Step,
    /// Its position in the plan.
    pub id: usize,
    /// When.
    pub span: Span,
    /// Processor time: of its own thread, and of its commands.
    pub cpu: Duration,
    /// Where its result comes from; `None` where it failed.
    pub origin: Option<ResultOrigin>,
    /// The line on what came of it.
    pub note: String,
    /// The commands it ran, in the order in which they ended.
    pub commands: Vec<Ran>,
}

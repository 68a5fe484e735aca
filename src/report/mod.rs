//! The only place that prints. Progress and diagnostics go to standard error, results to standard output.
//!
//! On a terminal, running steps have bars; elsewhere (in `docker build`) each step is one plain line when it
//! starts and one when it ends. `NO_COLOR` is honoured.

#![allow(clippy::disallowed_methods, reason = "the printer")]

pub mod json;
pub mod junit;
pub mod outcome;
pub mod summary;
pub mod tap;
pub mod trace;

use std::collections::{HashMap, HashSet};
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::failure::{self, Cause, Failure};
use crate::host;
use crate::lock::lock;
use crate::run::{FailedStep, Incomplete};

/// How many names a list of steps shows.
const MAX_NAMES: usize = 6;

/// The printer of progress, diagnostics and results.
#[derive(Debug)]
pub struct Reporter {
    bars: MultiProgress,
    running: Mutex<HashMap<String, ProgressBar>>,
    told: Mutex<HashSet<String>>,
    styled: bool,
}

impl Default for Reporter {
    fn default() -> Self {
        let styled = io::stderr().is_terminal() && host::variable("NO_COLOR").is_none();
        let styled = styled && host::variable("TERM").is_none_or(|terminal| terminal != "dumb");
        Self {
            bars: MultiProgress::new(),
            running: Mutex::default(),
            told: Mutex::default(),
            styled,
        }
    }
}

impl Reporter {
    /// Whether standard error shows colours.
    pub fn is_styled(&self) -> bool {
        self.styled
    }

    /// Writes a result to standard output. A reader that closed the pipe is not an error.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn result(&self, text: &str) -> io::Result<()> {
        self.bars.suspend(|| {
            let mut out = io::stdout().lock();
            match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                written => written,
            }
        })
    }

    /// Prints a line or a page above the bars.
    pub fn line(&self, text: &str) {
        // If standard error cannot be written, there is no place to report that.
        self.bars
            .suspend(|| drop(writeln!(io::stderr().lock(), "{text}")));
    }

    /// The same, but only once for one reason: what many things say of it is one line.
    pub fn line_once(&self, reason: &str, text: &str) {
        let mut told = lock(&self.told);
        if told.insert(reason.to_owned()) {
            self.line(text);
        }
    }

    /// Shows that a step begins.
    pub fn started(&self, step: &str) {
        if self.bars.is_hidden() {
            self.line(&format!("start  {step}"));
        }
        self.bar(step);
    }

    /// Shows a bar, on terminals only.
    pub fn bar(&self, step: &str) {
        if self.bars.is_hidden() {
            return;
        }
        let bar = ProgressBar::new_spinner()
            .with_style(style("{spinner} {elapsed:>4} {prefix}"))
            .with_prefix(step.to_owned());
        let bar = self.bars.add(bar);
        bar.enable_steady_tick(Duration::from_millis(120));
        self.running().insert(step.to_owned(), bar);
    }

    /// Shows the progress of a step, with the speed, on terminals only. `done` and `total` are bytes; the total may be
    /// unknown.
    pub fn advanced(&self, step: &str, done: u64, total: Option<u64>) {
        if let Some(bar) = self.running().get(step) {
            if bar.length() != total || bar.position() == 0 {
                bar.set_style(style(match total {
                    Some(_) => {
                        "{spinner} {elapsed:>4} {prefix} {bar:20} {bytes} of {total_bytes}, {bytes_per_sec}"
                    }
                    None => "{spinner} {elapsed:>4} {prefix} {bytes}, {bytes_per_sec}",
                }));
            }
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
        }
    }

    /// Shows that a step is done.
    pub fn finished(&self, step: &str, elapsed: Duration, note: &str) {
        self.ended(step);
        let note = if note.is_empty() {
            String::new()
        } else {
            format!("  {note}")
        };
        self.line(&format!("done   {step}  {}{note}", seconds(elapsed)));
    }

    /// Shows that a step failed; of the steps that have their reason in common, the first is shown. The reason follows with
    /// [`Reporter::explain`] or at the end.
    pub fn failed(&self, step: &str, elapsed: Duration, failure: &Failure) {
        self.ended(step);
        let line = format!("FAILED {step}  {}", seconds(elapsed));
        match &failure.shared {
            Some(shared) => self.line_once(&format!("FAILED: {}", shared.reason), &line),
            None => self.line(&line),
        }
    }

    /// Prints why a step failed, unless others may fail for the same reason, which is told once at the end.
    pub fn explain(&self, step: &str, failure: &Failure) {
        if is_told_at_once(failure) {
            self.line(&format!("\npgsetup: {}\n", explained(step, &failure.to_string())));
        }
    }

    fn ended(&self, step: &str) {
        if let Some(bar) = self.running().remove(step) {
            bar.finish_and_clear();
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<String, ProgressBar>> {
        lock(&self.running)
    }

    /// Prints the reasons that were not told when their steps failed, and the steps that were skipped because of all of them.
    pub fn failures(&self, unfinished: &Incomplete) {
        let groups = failure::groups(&unfinished.failed, |step| &step.failure);
        let is_open = |group: &Vec<&FailedStep>| !is_told_at_once(&group[0].failure);
        for group in groups.into_iter().filter(is_open) {
            let failures: Vec<&Failure> = group.iter().map(|step| &step.failure).collect();
            let explanation = failure::explanation(&failures);
            self.line(&match group.as_slice() {
                [step] => format!("\npgsetup: {}", explained(&step.name, &explanation)),
                _ => format!("\npgsetup: {explanation}"),
            });
        }
        for untried in &unfinished.untried {
            let steps = first_of(&untried.steps);
            self.line(&match untried.because.as_slice() {
                [] => format!(
                    "\npgsetup: skipped after the failure: {steps}\n  hint: --keep-going also runs the steps that do not need a failed one"
                ),
                because => format!("\npgsetup: skipped because {} failed: {steps}", because.join(" and ")),
            });
        }
    }

    /// Prints the explanation of a failure.
    pub fn failure(&self, failure: &Failure) {
        self.line(&format!("pgsetup: {failure}"));
    }
}

/// The explanation of a failed step, which is named once.
fn explained(step: &str, explanation: &str) -> String {
    if explanation.starts_with(&format!("could not {step}")) {
        explanation.to_owned()
    } else {
        format!("{step} failed: {explanation}")
    }
}

/// Whether a failure is explained when it happens.
fn is_told_at_once(failure: &Failure) -> bool {
    failure.shared.is_none() && failure.cause != Cause::Interrupted
}

/// The first names, and how many more there are.
fn first_of(names: &[String]) -> String {
    let shown = names.len().min(MAX_NAMES);
    let text = names[..shown].join(", ");
    match names.len() - shown {
        0 => text,
        more => format!("{text}, and {more} more"),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// A time as `12.3 s` or `4 min 05 s`.
pub fn seconds(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:02} s", elapsed.as_secs() / 60, elapsed.as_secs() % 60)
    }
}

/// A size as `1.2 MB`; 1 MB is 1,000,000 bytes.
pub fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{} kB", count / 1_000),
        _ => format!("{}.{} MB", count / 1_000_000, count % 1_000_000 / 100_000),
    }
}

//! What a signal does to a command: its work ends, and what it was about is said.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::failure::{Cause, Failure, WithCause};
use crate::host::{self, Host};
use crate::report::Reporter;
use crate::run::STOPPED;

/// How long work may go on that no signal ends (a download, an archive) when all commands have been stopped.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Work that ends when a signal asks for that: first every command, then, where it is busy with something else, this
/// process. What is left then is what a kill leaves, and the caches are made for that.
pub struct Stoppable<'a> {
    /// The machine it works on.
    pub host: &'a Host,
    /// The printer.
    pub reporter: &'a Reporter,
    /// What is said before the reason: `not installed`.
    pub refusal: &'a str,
    /// What is done when it was stopped and none of its commands runs any more.
    pub leave: &'a (dyn Fn() + Sync),
}

impl Stoppable<'_> {
    /// Does `work`.
    pub fn run(&self, work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        host::cmd::become_subreaper().cause(Cause::Internal)?;
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).cause(Cause::Internal)?;
        let handle = signals.handle();
        let (working, work_ends) = mpsc::channel::<()>();
        let interrupt = self.host.interrupt();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for _ in signals.forever() {
                    interrupt.stop_all();
                    if work_ends.recv_timeout(LAST_WORDS) == Err(RecvTimeoutError::Timeout) {
                        self.reporter.failure(&self.interrupted());
                        host::cmd::kill_orphans();
                        (self.leave)();
                        host::exit(Cause::Interrupted.exit_status());
                    }
                }
            });
            // Dropped from the last to the first, also by a panic: the thread ends when its signals are closed.
            let _watched = Watched(handle);
            let _working = working;
            let result = work();
            host::cmd::kill_orphans();
            if matches!(&result, Err(failure) if failure.cause == Cause::Interrupted) {
                (self.leave)();
            }
            result
        })
    }

    fn interrupted(&self) -> Failure {
        Failure::new(Cause::Interrupted, format_args!("{}; {STOPPED}", self.refusal))
    }
}

/// Signals that a thread waits for until this is dropped.
struct Watched(Handle);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.close();
    }
}

pub fn interrupted() -> Failure {
    Failure::new(Cause::Interrupted, format_args!("not installed; {STOPPED}"))
}

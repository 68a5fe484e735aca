//! What a signal does to a command: its work ends, and the command says what it was doing.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::failure::{Cause, Failure, WithCause};
use crate::host::{self, Host};
use crate::report::Reporter;
use crate::run::STOPPED;

/// How long other work, such as a download, may continue after all commands have been stopped.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Work that a signal ends. The signal stops every command first, and then this process if it is busy with something
/// else. What remains is what a kill leaves; the caches are designed for that.
pub struct Stoppable<'a> {
    /// The machine that the work changes.
    pub host: &'a Host,
    /// The printer.
    pub reporter: &'a Reporter,
    /// The words before the reason: `not installed`.
    pub refusal: &'a str,
    /// What to do after the work was stopped and none of its commands runs any more.
    pub leave: &'a (dyn Fn() + Sync),
}

impl Stoppable<'_> {
    /// Does `work`.
    ///
    /// # Errors
    /// The work failed or was interrupted, or the signals cannot be handled.
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
            // Values are dropped in reverse order, even after a panic, so the thread ends when its signals are closed.
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

/// Signals that a thread waits for until this value is dropped.
struct Watched(Handle);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.close();
    }
}

pub fn interrupted() -> Failure {
    Failure::new(Cause::Interrupted, format_args!("not installed; {STOPPED}"))
}

//! What processes and threads have used of the processors.
//!
//! A process that has ended keeps its times until its parent waits for it (proc(5), `/proc/PID/stat`), with those of
//! the children that it has waited for itself: a `make` accounts for its compilers. What left its parent behind
//! is not in it.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use rustix::time::{ClockId, clock_gettime};

/// The shortest and the longest pause between two looks at a process that has a time limit.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(20)];

/// Waits until the child `pid` has ended, and leaves it to its owner to reap it. Returns false when `limit` is over
/// before that.
pub fn wait_for_end(pid: Pid, limit: Option<Duration>) -> bool {
    let wait = |options| loop {
        match waitid(
            WaitId::Pid(pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | options,
        ) {
            Err(Errno::INTR) => {}
            // There is no such child. The next wait reports it.
            Err(_) => return true,
            Ok(status) => return status.is_some(),
        }
    };
    let Some(limit) = limit else {
        return wait(WaitIdOptions::empty());
    };
    let began = Instant::now();
    while !wait(WaitIdOptions::NOHANG) {
        let elapsed = began.elapsed();
        if elapsed >= limit {
            return false;
        }
        // Short commands are many, and must not be made longer by being watched.
        let pause = (elapsed / 8).clamp(PAUSES[0], PAUSES[1]);
        std::thread::sleep(pause.min(limit.saturating_sub(elapsed)));
    }
    true
}

/// Processor time of a process that is not reaped yet, with the children it has waited for. Zero if it cannot be
/// read. The kernel reports steps of 10 ms.
pub fn of_process(pid: Pid) -> Duration {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let ticks = std::fs::read_to_string(path).ok().and_then(|stat| ticks(&stat));
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(ticks.unwrap_or_default() * 1000 / per_second)
}

/// utime, stime, cutime and cstime are the fields 14 to 17 of proc(5); the second one is a name in parentheses that
/// may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let times: Vec<u64> = fields
        .split_whitespace()
        .skip(11)
        .take(4)
        .map_while(|field| field.parse().ok())
        .collect();
    (times.len() == 4).then(|| times.iter().sum())
}

/// Processor time of the calling thread.
pub fn of_this_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_process_and_of_its_children_are_added_whatever_it_is_called() {
        let stat = "42 (a) b (c) R 1 42 42 0 -1 4194304 10 20 0 0 7 5 100 50 20 0 1 0 99";
        assert_eq!(ticks(stat), Some(162));
        assert_eq!(ticks("42 (cut"), None);
    }

    #[test]
    fn a_command_accounts_for_the_children_it_waited_for() {
        // The children count to a number that takes a while on any machine.
        let count = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let mut child = std::process::Command::new("sh")
            .args(["-c", &format!("sh -c '{count}' & wait")])
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        assert!(wait_for_end(pid, Some(Duration::from_secs(60))));
        let cpu = of_process(pid);
        assert!(child.wait().unwrap().success(), "it was left to its owner");
        assert!(cpu >= Duration::from_millis(20), "{cpu:?}");
    }

    #[test]
    fn a_time_limit_ends_the_wait_and_not_the_process() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(!wait_for_end(
            Pid::from_child(&child),
            Some(Duration::from_millis(30))
        ));
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

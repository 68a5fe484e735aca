//! Walks a plan: starts each step as soon as what it needs is done and its lane has room, the longest remaining
//! chain first.
//!
//! What a step does is handed in as a closure, so this knows nothing of steps but their names, lanes and edges.
//! The calling thread schedules and speaks; each step runs on a thread of its own and sends one message when it
//! ends. After a failure nothing new starts, what runs is let finish, and all failures are returned. A step that
//! panics is a failed step.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::failure::{Cause, Failure};
use crate::plan::{Lane, Step};

/// What is said of everything that a signal ended.
pub const STOPPED: &str = "stopped because pgsetup was told to stop";

/// How many steps of a lane run at the same time.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Processors: builds at the same time.
    pub cpu: usize,
    /// Downloads at the same time.
    pub net: usize,
}

impl Limits {
    fn of(&self, lane: Lane) -> usize {
        match lane {
            Lane::Cpu => self.cpu.max(1),
            Lane::Net => self.net.max(1),
            Lane::Dpkg | Lane::Files => 1,
        }
    }
}

/// What happens to a step, for whoever watches.
#[derive(Debug)]
pub enum Event<'a> {
    /// It begins.
    Started(&'a Step),
    /// It is done; the text says what came of it.
    Finished(&'a Step, Duration, &'a str),
    /// It failed; why is in the result of [`run`].
    Failed(&'a Step, Duration),
}

/// A step that failed.
#[derive(Debug)]
pub struct FailedStep {
    /// Its name.
    pub name: String,
    /// Why.
    pub failure: Failure,
}

/// Runs `steps`. `perform` does the work of one step and returns a line on what came of it; `watch` is told what
/// happens, on the calling thread; `stopped` says whether no further step may start.
///
/// # Errors
/// Every step that failed, in the order they failed; an interruption alone is one failure without steps.
pub fn run(
    steps: &[Step],
    limits: Limits,
    stopped: impl Fn() -> bool,
    perform: impl Fn(&Step) -> Result<String, Failure> + Sync,
    mut watch: impl FnMut(Event<'_>),
) -> Result<(), Vec<FailedStep>> {
    let mut schedule = Schedule::new(steps, limits);
    let mut failed: Vec<FailedStep> = Vec::new();
    let (sender, messages) = mpsc::channel();
    std::thread::scope(|scope| {
        loop {
            while failed.is_empty() && !stopped() {
                let Some(id) = schedule.next() else { break };
                let step = &steps[id];
                watch(Event::Started(step));
                let (sender, perform) = (sender.clone(), &perform);
                scope.spawn(move || {
                    let began = Instant::now();
                    let result = catch_unwind(AssertUnwindSafe(|| perform(step))).unwrap_or_else(|panic| {
                        Err(Failure::new(
                            Cause::Internal,
                            format_args!("pgsetup panicked: {}", text_of(&*panic)),
                        ))
                    });
                    // The receiver outlives every worker: the scope ends after the loop.
                    let _ = sender.send((id, began.elapsed(), result));
                });
            }
            if schedule.running == 0 {
                break;
            }
            let Ok((id, elapsed, result)) = messages.recv() else {
                break;
            };
            schedule.done(id);
            match result {
                Ok(note) => watch(Event::Finished(&steps[id], elapsed, &note)),
                Err(failure) => {
                    watch(Event::Failed(&steps[id], elapsed));
                    failed.push(FailedStep {
                        name: steps[id].name.clone(),
                        failure,
                    });
                }
            }
        }
    });
    if failed.is_empty() && schedule.finished < steps.len() {
        let failure = Failure::new(Cause::Interrupted, STOPPED);
        failed.push(FailedStep {
            name: "install".to_owned(),
            failure,
        });
    }
    if failed.is_empty() { Ok(()) } else { Err(failed) }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// Which step may start next.
struct Schedule<'a> {
    steps: &'a [Step],
    limits: Limits,
    /// Weight of the longest chain from each step to the end.
    remaining: Vec<u32>,
    /// How many needs of each step are not done yet.
    missing: Vec<usize>,
    dependents: Vec<Vec<usize>>,
    ready: Vec<usize>,
    busy: BTreeMap<Lane, usize>,
    running: usize,
    finished: usize,
}

impl<'a> Schedule<'a> {
    fn new(steps: &'a [Step], limits: Limits) -> Self {
        let mut dependents = vec![Vec::new(); steps.len()];
        for (id, step) in steps.iter().enumerate() {
            for need in &step.needs {
                dependents[*need].push(id);
            }
        }
        let mut remaining = vec![0; steps.len()];
        for id in (0..steps.len()).rev() {
            let longest = dependents[id].iter().map(|dependent| remaining[*dependent]).max();
            remaining[id] = steps[id].weight + longest.unwrap_or(0);
        }
        let missing: Vec<usize> = steps.iter().map(|step| step.needs.len()).collect();
        let ready = (0..steps.len()).filter(|id| missing[*id] == 0).collect();
        Self {
            steps,
            limits,
            remaining,
            missing,
            dependents,
            ready,
            busy: BTreeMap::new(),
            running: 0,
            finished: 0,
        }
    }

    /// The ready step with the longest remaining chain whose lane has room; the earlier one of two equals.
    fn next(&mut self) -> Option<usize> {
        let has_room = |id: usize| {
            let lane = self.steps[id].lane;
            self.busy.get(&lane).copied().unwrap_or(0) < self.limits.of(lane)
        };
        let position = (0..self.ready.len())
            .filter(|position| has_room(self.ready[*position]))
            .max_by_key(|position| {
                (
                    self.remaining[self.ready[*position]],
                    std::cmp::Reverse(self.ready[*position]),
                )
            })?;
        let id = self.ready.swap_remove(position);
        *self.busy.entry(self.steps[id].lane).or_default() += 1;
        self.running += 1;
        Some(id)
    }

    fn done(&mut self, id: usize) {
        self.running -= 1;
        self.finished += 1;
        *self.busy.entry(self.steps[id].lane).or_default() -= 1;
        for dependent in std::mem::take(&mut self.dependents[id]) {
            self.missing[dependent] -= 1;
            if self.missing[dependent] == 0 {
                self.ready.push(dependent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::plan::Action;

    fn step(name: &str, lane: Lane, weight: u32, needs: &[usize]) -> Step {
        Step {
            name: name.to_owned(),
            lane,
            needs: needs.to_vec(),
            why: Vec::new(),
            weight,
            action: Action::RecordBase,
        }
    }

    const LIMITS: Limits = Limits { cpu: 2, net: 4 };

    /// Runs the steps and returns the order in which they started.
    fn order(steps: &[Step], limits: Limits) -> Vec<String> {
        let mut started = Vec::new();
        let watch = |event: Event<'_>| {
            if let Event::Started(step) = event {
                started.push(step.name.clone());
            }
        };
        run(steps, limits, || false, |_| Ok(String::new()), watch).unwrap();
        started
    }

    #[test]
    fn the_longest_remaining_chain_starts_first() {
        let steps = [
            step("short", Lane::Cpu, 1, &[]),
            step("head of a long chain", Lane::Cpu, 1, &[]),
            step("long", Lane::Cpu, 50, &[1]),
        ];
        assert_eq!(
            order(&steps, Limits { cpu: 1, net: 1 }),
            ["head of a long chain", "long", "short"]
        );
    }

    #[test]
    fn no_step_starts_before_what_it_needs_and_no_lane_is_overfull() {
        let steps: Vec<Step> = (0..40)
            .map(|n| {
                let needs: Vec<usize> = (0..n).filter(|m| n % (m + 2) == 0).collect();
                step(
                    &n.to_string(),
                    if n % 3 == 0 { Lane::Dpkg } else { Lane::Cpu },
                    1,
                    &needs,
                )
            })
            .collect();
        let done = Mutex::new(Vec::new());
        let (cpu, dpkg) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let perform = |step: &Step| {
            let (counter, most) = if step.lane == Lane::Cpu {
                (&cpu, 2)
            } else {
                (&dpkg, 1)
            };
            assert!(
                counter.fetch_add(1, Ordering::SeqCst) < most,
                "{} is one too many",
                step.name
            );
            for need in &step.needs {
                assert!(
                    done.lock().unwrap().contains(&need.to_string()),
                    "{} before {need}",
                    step.name
                );
            }
            std::thread::yield_now();
            counter.fetch_sub(1, Ordering::SeqCst);
            done.lock().unwrap().push(step.name.clone());
            Ok(String::new())
        };
        run(&steps, LIMITS, || false, perform, |_| ()).unwrap();
        assert_eq!(done.lock().unwrap().len(), steps.len());
    }

    #[test]
    fn after_a_failure_nothing_starts_and_what_runs_is_let_finish() {
        let steps = [
            step("fails", Lane::Cpu, 9, &[]),
            step("runs beside it", Lane::Net, 1, &[]),
            step("never", Lane::Cpu, 1, &[1]),
        ];
        // The step beside it ends only when the failure is known, so that no order of events is left to chance.
        let (known, failure_known) = mpsc::channel();
        let failure_known = Mutex::new(failure_known);
        let finished = Mutex::new(Vec::new());
        let perform = |step: &Step| match step.name.as_str() {
            "fails" => Err(Failure::new(Cause::Build, "no")),
            "runs beside it" => Ok(failure_known
                .lock()
                .unwrap()
                .recv()
                .map(|()| String::new())
                .unwrap()),
            other => panic!("{other} was started"),
        };
        let watch = |event: Event<'_>| match event {
            Event::Finished(step, ..) => finished.lock().unwrap().push(step.name.clone()),
            Event::Failed(..) => known.send(()).unwrap(),
            Event::Started(_) => {}
        };
        let failed = run(&steps, LIMITS, || false, perform, watch).unwrap_err();
        assert_eq!(
            failed.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(),
            ["fails"]
        );
        assert_eq!(finished.into_inner().unwrap(), ["runs beside it"]);
    }

    #[test]
    fn a_panic_is_a_failed_step_and_an_interruption_is_no_success() {
        let steps = [step("panics", Lane::Cpu, 1, &[])];
        let failed = run(&steps, LIMITS, || false, |_| panic!("oh {}", 1), |_| ()).unwrap_err();
        assert_eq!(failed[0].failure.to_string(), "pgsetup panicked: oh 1");
        let failed = run(&steps, LIMITS, || true, |_| Ok(String::new()), |_| ()).unwrap_err();
        assert_eq!(failed[0].failure.cause, Cause::Interrupted);
    }
}

//! Runs a plan: each step starts as soon as its needs are done and its lane has room, the longest remaining chain
//! first.
//!
//! The work of a step is a closure, so this module knows only names, lanes and edges of steps. The calling thread
//! schedules and reports. Each step runs on a thread of its own and sends one message when it ends. After a failure
//! nothing new starts, or only steps that do not need the failed one. Running steps finish, and all failures are
//! returned. A step that panics has failed. A step that another process blocks gives its place to others and is tried
//! again.

pub mod parallel;
pub mod timing;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::Duration;

use crate::failure::{Cause, Failure};
use crate::plan::{Lane, Step};
use crate::timing::Span;

/// The reason for everything that a signal ended.
pub const STOPPED: &str = "stopped because pgsetup was told to stop";

/// The pause before a postponed step is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// What happens to a step.
#[derive(Debug)]
pub enum Event<'a, D> {
    /// It begins.
    Started(usize),
    /// It is done, with its result.
    Finished(usize, Span, &'a D),
    /// It failed.
    Failed(usize, Span, &'a Failure),
}

/// A step that failed.
#[derive(Debug)]
pub struct FailedStep {
    /// Its name.
    pub name: String,
    /// Why.
    pub failure: Failure,
}

/// Steps that were skipped for the same reason.
#[derive(Debug, PartialEq, Eq)]
pub struct Untried {
    /// The failed steps that they need; empty if they need none of them and were skipped only because nothing new may
    /// start.
    pub because: Vec<String>,
    /// Their names.
    pub steps: Vec<String>,
}

/// A run that did not finish.
#[derive(Debug)]
pub struct Incomplete {
    /// The failed steps in the order of their failures. A mere interruption is one failure without a step.
    pub failed: Vec<FailedStep>,
    /// The skipped steps.
    pub untried: Vec<Untried>,
}

/// How a plan is run.
#[derive(Clone, Copy)]
pub struct RunOptions<'a> {
    /// Builds at the same time.
    pub jobs: usize,
    /// Downloads at the same time.
    pub downloads: usize,
    /// Whether steps that do not need a failed step still start.
    pub keep_going: bool,
    /// Whether no further step may start.
    pub stopped: &'a dyn Fn() -> bool,
}

impl RunOptions<'_> {
    /// How many steps of a lane run at the same time.
    fn limit(&self, lane: Lane) -> usize {
        match lane {
            Lane::Cpu => self.jobs.max(1),
            Lane::Net => self.downloads.max(1),
            Lane::Dpkg | Lane::Files => 1,
        }
    }
}

/// Runs `steps`.
///
/// `perform` does the work of one step and returns its result, or `None` if the step has to be tried again later.
/// `clock` tells the time since a fixed moment. `watch` receives events on the calling thread.
///
/// # Errors
/// The failed steps, and the steps that were skipped because of them.
pub fn run<D: Send>(
    steps: &[Step],
    options: RunOptions<'_>,
    clock: impl Fn() -> Duration + Sync,
    perform: impl Fn(&Step) -> Result<Option<D>, Failure> + Sync,
    mut watch: impl FnMut(Event<'_, D>),
) -> Result<(), Incomplete> {
    let mut schedule = Schedule::new(steps, options);
    let mut failed: Vec<(usize, Failure)> = Vec::new();
    let (sender, messages) = mpsc::channel();
    std::thread::scope(|scope| {
        loop {
            let may_start = || (failed.is_empty() || options.keep_going) && !(options.stopped)();
            while may_start() {
                let Some(id) = schedule.next() else { break };
                if !std::mem::replace(&mut schedule.announced[id], true) {
                    watch(Event::Started(id));
                }
                let (sender, perform, clock) = (sender.clone(), &perform, &clock);
                scope.spawn(move || {
                    let began = clock();
                    let result = caught(|| perform(&steps[id]));
                    let ended = clock();
                    // The receiver outlives every worker, because the scope ends after the loop.
                    let _ = sender.send((id, Span { began, ended }, result));
                });
            }
            if schedule.running == 0 && (schedule.postponed.is_empty() || !may_start()) {
                break;
            }
            let message = if schedule.postponed.is_empty() {
                messages.recv().ok()
            } else {
                messages.recv_timeout(PAUSE).ok()
            };
            let Some((id, span, result)) = message else {
                // The pause is over. The channel is never closed, because this thread has a sender itself.
                schedule.try_again();
                continue;
            };
            match result {
                Ok(None) => schedule.postpone(id),
                Ok(Some(done)) => {
                    schedule.done(id);
                    watch(Event::Finished(id, span, &done));
                }
                Err(failure) => {
                    schedule.failed(id);
                    watch(Event::Failed(id, span, &failure));
                    failed.push((id, failure));
                }
            }
        }
    });
    if failed.is_empty() && schedule.finished == steps.len() {
        return Ok(());
    }
    Err(unfinished(steps, failed, &schedule.started))
}

/// Does `work` and turns a panic into a failure.
fn caught<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = format_args!("pgsetup panicked: {}", text_of(&*panic));
        Err(Failure::new(Cause::Internal, message))
    })
}

/// The result of a run in which a step was not done.
fn unfinished(steps: &[Step], failed: Vec<(usize, Failure)>, started: &[bool]) -> Incomplete {
    let untried = untried(steps, &failed, started);
    let name = |id: usize| steps[id].name.clone();
    let failed = failed.into_iter();
    let mut failed: Vec<FailedStep> = failed
        .map(|(id, failure)| FailedStep {
            name: name(id),
            failure,
        })
        .collect();
    if failed.is_empty() {
        failed.push(FailedStep {
            name: "install".to_owned(),
            failure: Failure::new(Cause::Interrupted, STOPPED),
        });
    }
    Incomplete { failed, untried }
}

/// The skipped steps, grouped by the failed steps that they need.
fn untried(steps: &[Step], failed: &[(usize, Failure)], started: &[bool]) -> Vec<Untried> {
    // Steps come after their needs, so one pass is enough.
    let mut because: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); steps.len()];
    for (id, step) in steps.iter().enumerate() {
        for need in &step.needs {
            let inherited = because[*need].clone();
            because[id].extend(inherited);
            if failed.iter().any(|(failed, _)| failed == need) {
                because[id].insert(*need);
            }
        }
    }
    let names = |ids: &BTreeSet<usize>| ids.iter().map(|id| steps[*id].name.clone()).collect();
    let mut groups: BTreeMap<&BTreeSet<usize>, Vec<String>> = BTreeMap::new();
    for (id, step) in steps.iter().enumerate().filter(|(id, _)| !started[*id]) {
        groups.entry(&because[id]).or_default().push(step.name.clone());
    }
    let group = |(because, steps)| Untried {
        because: names(because),
        steps,
    };
    groups.into_iter().map(group).collect()
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// The state that decides which step starts next.
struct Schedule<'a> {
    steps: &'a [Step],
    options: RunOptions<'a>,
    /// Weight of the longest chain from each step to the end.
    remaining: Vec<u32>,
    /// How many needs of each step are not satisfied yet.
    unmet: Vec<usize>,
    dependents: Vec<Vec<usize>>,
    /// The steps that wait for the end of each step, whether it succeeds or not.
    followers: Vec<Vec<usize>>,
    /// Steps that will never start, because they need a failed step.
    blocked: Vec<bool>,
    ready: Vec<usize>,
    started: Vec<bool>,
    /// Steps whose start was reported.
    announced: Vec<bool>,
    /// Steps that have to be tried again.
    postponed: Vec<usize>,
    busy: BTreeMap<Lane, usize>,
    running: usize,
    finished: usize,
}

impl<'a> Schedule<'a> {
    fn new(steps: &'a [Step], options: RunOptions<'a>) -> Self {
        let mut dependents = vec![Vec::new(); steps.len()];
        let mut followers = vec![Vec::new(); steps.len()];
        for (id, step) in steps.iter().enumerate() {
            for need in &step.needs {
                dependents[*need].push(id);
            }
            for earlier in &step.after {
                followers[*earlier].push(id);
            }
        }
        let mut remaining = vec![0; steps.len()];
        for id in (0..steps.len()).rev() {
            let later = dependents[id].iter().chain(&followers[id]);
            let longest = later.map(|later| remaining[*later]).max();
            remaining[id] = steps[id].weight + longest.unwrap_or(0);
        }
        let unmet: Vec<usize> = steps
            .iter()
            .map(|step| step.needs.len() + step.after.len())
            .collect();
        let ready = (0..steps.len()).filter(|id| unmet[*id] == 0).collect();
        Self {
            steps,
            options,
            remaining,
            unmet,
            dependents,
            followers,
            blocked: vec![false; steps.len()],
            ready,
            started: vec![false; steps.len()],
            announced: vec![false; steps.len()],
            postponed: Vec::new(),
            busy: BTreeMap::new(),
            running: 0,
            finished: 0,
        }
    }

    /// Takes the ready step with the longest remaining chain whose lane has room; the earlier one of two equals.
    fn next(&mut self) -> Option<usize> {
        let has_room = |id: usize| {
            let lane = self.steps[id].lane;
            self.busy.get(&lane).copied().unwrap_or(0) < self.options.limit(lane)
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
        self.started[id] = true;
        Some(id)
    }

    /// Frees the place of a step that has to be tried again.
    fn postpone(&mut self, id: usize) {
        self.free_lane(id);
        self.started[id] = false;
        self.postponed.push(id);
    }

    /// Makes postponed steps ready again.
    fn try_again(&mut self) {
        self.ready.append(&mut self.postponed);
    }

    /// Frees the step's place in its lane. The steps that need it never start.
    fn failed(&mut self, id: usize) {
        self.free_lane(id);
        self.give_up(id);
    }

    fn done(&mut self, id: usize) {
        self.free_lane(id);
        self.finished += 1;
        for dependent in std::mem::take(&mut self.dependents[id]) {
            self.satisfy(dependent);
        }
        self.ended(id);
    }

    fn free_lane(&mut self, id: usize) {
        self.running -= 1;
        *self.busy.entry(self.steps[id].lane).or_default() -= 1;
    }

    /// Blocks the steps that need this one. For steps that only wait for its end, it has ended.
    fn give_up(&mut self, id: usize) {
        self.blocked[id] = true;
        self.ended(id);
        for dependent in std::mem::take(&mut self.dependents[id]) {
            if !self.blocked[dependent] {
                self.give_up(dependent);
            }
        }
    }

    fn ended(&mut self, id: usize) {
        for follower in std::mem::take(&mut self.followers[id]) {
            self.satisfy(follower);
        }
    }

    fn satisfy(&mut self, id: usize) {
        self.unmet[id] -= 1;
        if self.unmet[id] == 0 && !self.blocked[id] {
            self.ready.push(id);
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
            after: Vec::new(),
            why: Vec::new(),
            weight,
            action: Action::RecordBase,
        }
    }

    const TWO: RunOptions<'_> = RunOptions {
        jobs: 2,
        downloads: 4,
        keep_going: false,
        stopped: &|| false,
    };

    fn clock() -> Duration {
        Duration::ZERO
    }

    /// Runs the steps one at a time and returns the order in which they started.
    fn order(steps: &[Step]) -> Vec<String> {
        let mut started = Vec::new();
        let watch = |event: Event<'_, ()>| {
            if let Event::Started(id) = event {
                started.push(steps[id].name.clone());
            }
        };
        let one = RunOptions {
            jobs: 1,
            downloads: 1,
            ..TWO
        };
        run(steps, one, clock, |_| Ok(Some(())), watch).unwrap();
        started
    }

    fn names(failed: &[FailedStep]) -> Vec<&str> {
        failed.iter().map(|step| step.name.as_str()).collect()
    }

    #[test]
    fn the_longest_remaining_chain_starts_first() {
        let steps = [
            step("short", Lane::Cpu, 1, &[]),
            step("head of a long chain", Lane::Cpu, 1, &[]),
            step("long", Lane::Cpu, 50, &[1]),
        ];
        assert_eq!(order(&steps), ["head of a long chain", "long", "short"]);
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
            Ok(Some(()))
        };
        run(&steps, TWO, clock, perform, |_| ()).unwrap();
        assert_eq!(done.lock().unwrap().len(), steps.len());
    }

    #[test]
    fn after_a_failure_nothing_starts_and_what_runs_is_let_finish() {
        let steps = [
            step("fails", Lane::Cpu, 9, &[]),
            step("runs beside it", Lane::Net, 1, &[]),
            step("never", Lane::Cpu, 1, &[1]),
        ];
        // The other step ends only when the failure is known, so that the order of events is fixed.
        let (known, failure_known) = mpsc::channel();
        let failure_known = Mutex::new(failure_known);
        let finished = Mutex::new(Vec::new());
        let perform = |step: &Step| match step.name.as_str() {
            "fails" => Err(Failure::new(Cause::Build, "no")),
            "runs beside it" => {
                failure_known.lock().unwrap().recv().unwrap();
                Ok(Some(()))
            }
            other => panic!("{other} was started"),
        };
        let watch = |event: Event<'_, ()>| match event {
            Event::Finished(id, ..) => finished.lock().unwrap().push(steps[id].name.clone()),
            Event::Failed(..) => known.send(()).unwrap(),
            Event::Started(_) => {}
        };
        let unfinished = run(&steps, TWO, clock, perform, watch).unwrap_err();
        assert_eq!(names(&unfinished.failed), ["fails"]);
        assert_eq!(finished.into_inner().unwrap(), ["runs beside it"]);
        let never = Untried {
            because: Vec::new(),
            steps: vec!["never".to_owned()],
        };
        assert_eq!(unfinished.untried, [never]);
    }

    #[test]
    fn what_does_not_need_the_failed_step_goes_on_where_that_is_wanted() {
        let steps = [
            step("fails", Lane::Cpu, 9, &[]),
            step("fails too", Lane::Net, 9, &[]),
            step("independent", Lane::Cpu, 1, &[]),
            step("needs one", Lane::Cpu, 1, &[0, 2]),
            step("needs it indirectly", Lane::Cpu, 1, &[3]),
            step("needs both", Lane::Files, 1, &[1, 4]),
        ];
        let perform = |step: &Step| match step.name.as_str() {
            "independent" => Ok(Some(())),
            name if name.starts_with("fails") => Err(Failure::new(Cause::Build, "no")),
            other => panic!("{other} was started"),
        };
        let keep_going = RunOptions {
            jobs: 1,
            downloads: 1,
            keep_going: true,
            ..TWO
        };
        let mut finished = Vec::new();
        let watch = |event: Event<'_, ()>| {
            if let Event::Finished(id, ..) = event {
                finished.push(id);
            }
        };
        let unfinished = run(&steps, keep_going, clock, perform, watch).unwrap_err();
        assert_eq!(finished, [2]);
        let mut failed = names(&unfinished.failed);
        failed.sort_unstable();
        assert_eq!(failed, ["fails", "fails too"]);
        let untried = |because: &[&str], steps: &[&str]| Untried {
            because: because.iter().map(|name| (*name).to_owned()).collect(),
            steps: steps.iter().map(|name| (*name).to_owned()).collect(),
        };
        let expected = [
            untried(&["fails"], &["needs one", "needs it indirectly"]),
            untried(&["fails", "fails too"], &["needs both"]),
        ];
        assert_eq!(unfinished.untried, expected);
    }

    #[test]
    fn what_cannot_be_done_yet_gives_its_place_to_what_can_and_is_tried_again() {
        let steps = [
            step("is with another process", Lane::Cpu, 9, &[]),
            step("short", Lane::Cpu, 1, &[]),
            step("shorter", Lane::Cpu, 0, &[]),
        ];
        let one = RunOptions {
            jobs: 1,
            downloads: 1,
            ..TWO
        };
        let tries = AtomicUsize::new(0);
        let perform = |step: &Step| {
            let is_with_another = step.name == steps[0].name && tries.fetch_add(1, Ordering::SeqCst) < 3;
            Ok((!is_with_another).then_some(()))
        };
        let mut events = Vec::new();
        let watch = |event: Event<'_, ()>| {
            events.push(match event {
                Event::Started(id) => format!("start {id}"),
                Event::Finished(id, ..) => format!("done {id}"),
                Event::Failed(id, ..) => format!("failed {id}"),
            });
        };
        run(&steps, one, clock, perform, watch).unwrap();
        assert_eq!(
            events,
            ["start 0", "start 1", "done 1", "start 2", "done 2", "done 0"]
        );
        assert_eq!(tries.load(Ordering::SeqCst), 4);

        // A run that is told to stop does not try again for ever.
        let tries = AtomicUsize::new(0);
        let never = |_: &Step| -> Result<Option<()>, Failure> {
            tries.fetch_add(1, Ordering::SeqCst);
            Ok(None)
        };
        let until_stopped = RunOptions {
            stopped: &|| tries.load(Ordering::SeqCst) > 2,
            ..one
        };
        let unfinished = run(&steps[..1], until_stopped, clock, never, |_| ()).unwrap_err();
        assert_eq!(unfinished.failed[0].failure.cause, Cause::Interrupted);
        assert_eq!(unfinished.untried[0].steps, ["is with another process"]);
    }

    #[test]
    fn a_panic_is_a_failed_step_and_an_interruption_is_no_success() {
        let steps = [step("panics", Lane::Cpu, 1, &[])];
        let panics = |_: &Step| -> Result<Option<()>, Failure> { panic!("oh {}", 1) };
        let unfinished = run(&steps, TWO, clock, panics, |_| ()).unwrap_err();
        assert_eq!(unfinished.failed[0].failure.to_string(), "pgsetup panicked: oh 1");
        let stopped = RunOptions {
            stopped: &|| true,
            ..TWO
        };
        let unfinished = run(&steps, stopped, clock, |_| Ok(Some(())), |_| ()).unwrap_err();
        assert_eq!(unfinished.failed[0].failure.cause, Cause::Interrupted);
    }
}

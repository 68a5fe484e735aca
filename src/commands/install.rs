//! `pgsetup install`: resolves, plans, runs, and reports the result.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::interrupt::{Stoppable, interrupted};
use super::locking;
use super::setup::{self, remote, sources, target, unavailable};
use super::trace_file::Trace;
use crate::cli::InstallArgs;
use crate::failure::{self, Cause, Failure, WithCause};
use crate::host::sandbox::Sandbox;
use crate::host::{self, Host};
use crate::layout;
use crate::plan::{self, Plan};
use crate::report::trace::{self, Jobs};
use crate::report::{Reporter, summary};
use crate::resolve::Resolved;
use crate::run::timing::Timing;
use crate::run::{self, Event, FailedStep, RunOptions};
use crate::source::error::{ErrorKind, FetchError};
use crate::source::{SourceRequest, Sources};
use crate::step::build::tokens::Tokens;
use crate::step::context::{Context, Done, Providers, State, TestOptions};
use crate::step::install::{program, user};
use crate::step::recover::unfinished::{self, Unfinished};
use crate::step::recover::{earlier, repair};
use crate::step::{self, fetch};
use crate::store::Store;
use crate::store::remote::Remote;
use crate::timing::Span;

/// How often a trace counts the running jobs.
const COUNTED_EVERY: Duration = Duration::from_millis(100);

/// Installs what the manifests select.
///
/// # Errors
/// The user is not permitted to install, a manifest or an argument is wrong, or a step failed or was interrupted.
pub fn install(args: &InstallArgs, reporter: &Reporter) -> Result<(), Failure> {
    let host = Host::new(&args.root);
    permitted(&host)?;
    // A wrong SOURCE_DATE_EPOCH is found now and not after all builds.
    step::clean::times::image_time().cause(Cause::Usage)?;
    host::set_usual_umask();
    let trace = args.trace.clone().map(Trace::begin);
    let trace = trace.transpose().cause(Cause::Usage)?;
    let leave = || {
        write(trace.as_ref(), reporter);
        cut_off(&host, reporter);
    };
    let stoppable = Stoppable {
        host: &host,
        reporter,
        refusal: "not installed",
        leave: &leave,
    };
    stoppable.run(|| resolve_and_perform(args, &host, trace.as_ref(), reporter))
}

/// Writes the trace as far as it is known. If it cannot be written, the installation still counts.
fn write(trace: Option<&Trace>, reporter: &Reporter) {
    if let Some(Err(error)) = trace.map(Trace::write) {
        reporter.line(&format!("could not write the trace: {error:#}"));
    }
}

/// Names the packages that dpkg was working on when it was stopped. If they cannot be read now, the next run reports
/// them.
fn cut_off(host: &Host, reporter: &Reporter) {
    let packages = repair::unsettled(host).unwrap_or_default();
    if !packages.is_empty() {
        reporter.line(&format!(
            "dpkg was stopped during {}; the next installation repairs that first",
            repair::names(&packages)
        ));
    }
}

fn resolve_and_perform(
    args: &InstallArgs,
    host: &Host,
    trace: Option<&Trace>,
    reporter: &Reporter,
) -> Result<(), Failure> {
    let remote = remote(&args.artifact_cache, &args.sources, reporter)?;
    let mut manifests = args.manifests.clone();
    let files = super::files(&manifests, "install")?;
    let mut resolved = super::resolved_here(&files, &manifests, target(host)?, reporter)?;
    if resolved.prune.keep_pgsetup {
        program::has_a_place(host)?;
    }
    // A step of the plan checks the same, but only after other steps have begun.
    user::exist(host, &resolved.user)?;
    let sources = sources(&args.sources, &args.cache.dir, host)?;
    let left_out = if args.skip_unavailable {
        unavailable(&resolved, &sources, reporter)?
    } else {
        BTreeMap::new()
    };
    if !left_out.is_empty() {
        manifests.without.extend(left_out.keys().cloned());
        resolved = super::resolved_here(&files, &manifests, resolved.target.clone(), reporter)?;
        resolved.left_out = left_out;
    }
    if args.lock.locked {
        locking::use_lock(&mut resolved, &manifests.place, Some(host))?;
    }
    let plan = plan::build(&resolved);
    let sandbox = setup::sandbox(args.sandbox, reporter)?;
    if args.sources.offline {
        all_at_hand(&plan, &sources, reporter)?;
    }
    let earlier = earlier::read(host, &resolved)?;
    let say = |line: &str| reporter.line(line);
    let unfinished = Unfinished::begin(host, host::now(), earlier, &say)?;
    host.empty_contents(layout::WORK)?;
    let install = InstallContext {
        host,
        sources: &sources,
        remote: remote.as_ref(),
        sandbox: sandbox.as_ref(),
        trace,
        reporter,
    };
    perform(&plan, args, install, unfinished, &resolved)?;
    plan.leaves.iter().for_each(|line| reporter.line(line));
    Ok(())
}

/// Checks before anything begins that every file is there for an offline installation. Names all missing files at
/// once.
fn all_at_hand(plan: &Plan, sources: &Sources, reporter: &Reporter) -> Result<(), Failure> {
    let archives = plan.sources().map(SourceRequest::from);
    let distributions = plan.distributions().map(SourceRequest::from);
    let lock = plan.locked.iter();
    let packages = lock.flat_map(|lock| {
        let packages = lock.packages.iter();
        packages.map(|package| SourceRequest::of_package(package, &lock.archives))
    });
    let missing: Vec<_> = archives
        .chain(distributions)
        .chain(packages)
        .filter_map(|wanted| sources.obtain(&wanted, &|_| ()).err())
        .collect();
    let names: Vec<&str> = missing.iter().map(FetchError::name).collect();
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let kind = missing
        .iter()
        .map(FetchError::kind)
        .find(|kind| *kind != ErrorKind::Missing);
    let message = format!("not installed; not available: {}", names.join(", "));
    let cause = fetch::cause(kind.unwrap_or_else(|| first.kind()));
    let failures: Vec<Failure> = missing.into_iter().map(fetch::failure).collect();
    for group in failure::groups(&failures, |failure| failure) {
        reporter.line(&format!("\npgsetup: {}", failure::explanation(&group)));
    }
    Err(Failure::new(cause, message))
}

fn permitted(host: &Host) -> Result<(), Failure> {
    if host.is_system() && !host::is_root() {
        let message = "only root can install into the running system; `pgsetup plan` shows any user what would be done, \
                       and `--root DIR` installs below a directory";
        return Err(Failure::new(Cause::Permission, message));
    }
    Ok(())
}

/// What a plan is performed with.
#[derive(Clone, Copy)]
struct InstallContext<'a> {
    host: &'a Host,
    sources: &'a Sources,
    remote: Option<&'a Remote>,
    sandbox: Option<&'a Sandbox>,
    trace: Option<&'a Trace>,
    reporter: &'a Reporter,
}

/// Performs `plan`, which was made of `resolved`, as the installation that has begun.
fn perform(
    plan: &Plan,
    args: &InstallArgs,
    install: InstallContext<'_>,
    unfinished: Unfinished,
    resolved: &Resolved,
) -> Result<(), Failure> {
    let InstallContext {
        host,
        sources,
        remote,
        sandbox,
        trace,
        reporter,
    } = install;
    let (began, made_work) = (unfinished.began, unfinished.made_work);
    let jobs = args.jobs.count.map_or_else(host::processors, usize::from);
    let tokens = Tokens::new(jobs).cause(Cause::Internal)?;
    let debug_symbols = args
        .debug_symbols
        .clone()
        .unwrap_or_else(|| args.cache.dir.join("debug-symbols"));
    let context = Context {
        host,
        reporter,
        providers: Some(Providers {
            sources,
            store: Store::new(sources.cache(), remote),
        }),
        tokens: &tokens,
        named_packages: &resolved.named_packages,
        keep_going: args.keep_going,
        ca_bundle: setup::ca_bundle(&args.sources, host)?,
        debug_symbols: &debug_symbols,
        sandbox,
        test_options: TestOptions::default(),
        state: State::after(unfinished, resolved),
    };
    let interrupt = host.interrupt();
    let options = RunOptions {
        jobs,
        downloads: setup::MAX_DOWNLOADS,
        keep_going: args.keep_going,
        stopped: &|| interrupt.is_interrupted(),
    };
    let mut progress = Progress {
        plan,
        state: &context.state,
        reporter,
        trace,
        timings: Vec::new(),
    };
    let result = run_plan(&mut progress, &context, options);
    if let Some(remote) = remote.filter(|_| !interrupt.is_interrupted()) {
        remote.finish();
        remote.take_notes().iter().for_each(|note| reporter.line(note));
    }
    let is_interrupted = interrupt.is_interrupted();
    let summarise = || {
        let table = summary::render(&progress.timings, host.elapsed(), jobs);
        reporter.line(&format!("\n{table}\n"));
    };
    let Err(unfinished) = result else {
        unfinished::clear(host, made_work)?;
        step::clean::times::settle(host, began, &context.state.inventory())?;
        unfinished::end(host, began)?;
        summarise();
        return Ok(());
    };
    if !is_interrupted {
        summarise();
    }
    Err(not_installed(unfinished, is_interrupted, reporter))
}

/// Reports what happens to steps, and keeps their timings for the trace and the summary.
struct Progress<'a, 'r> {
    plan: &'a Plan,
    state: &'a State<'r>,
    reporter: &'a Reporter,
    trace: Option<&'a Trace>,
    timings: Vec<Timing<'a>>,
}

impl Progress<'_, '_> {
    fn event(&mut self, event: &Event<'_, Done>) {
        let name = |id: usize| self.plan.steps[id].name.as_str();
        match *event {
            Event::Started(id) => self.reporter.started(name(id)),
            Event::Finished(id, span, done) => {
                self.reporter.finished(name(id), span.elapsed(), &done.note);
                self.ended(id, span, Some(done));
            }
            Event::Failed(id, span, failure) => {
                self.reporter.failed(name(id), span.elapsed(), failure);
                self.reporter.explain(name(id), failure);
                self.ended(id, span, None);
            }
        }
    }

    fn ended(&mut self, id: usize, span: Span, done: Option<&Done>) {
        let step = &self.plan.steps[id];
        let spent = self.state.take_spent(&step.name);
        self.timings.push(Timing {
            step,
            id,
            span,
            cpu: spent.cpu,
            origin: done.map(|done| done.origin),
            note: done.map(|done| done.note.clone()).unwrap_or_default(),
            commands: spent.commands,
        });
        self.update_trace(&[]);
    }

    fn update_trace(&self, jobs: &[Jobs]) {
        if let Some(trace) = self.trace {
            trace.update(trace::render(&self.timings, jobs));
        }
    }
}

/// Runs the steps of a plan and writes the trace.
fn run_plan(
    progress: &mut Progress<'_, '_>,
    context: &Context<'_>,
    options: RunOptions<'_>,
) -> Result<(), run::Incomplete> {
    let (plan, trace, host) = (progress.plan, progress.trace, context.host);
    let mut run = || {
        run::run(
            &plan.steps,
            options,
            || host.elapsed(),
            |step| step::perform(step, context),
            |event| progress.event(&event),
        )
    };
    let (result, counted) = match trace {
        None => (run(), Vec::new()),
        Some(_) => counting_jobs(context.tokens, host, run),
    };
    progress.update_trace(&counted);
    write(trace, context.reporter);
    result
}

/// Reports the failed steps and returns the failure of the whole installation.
fn not_installed(mut unfinished: run::Incomplete, is_interrupted: bool, reporter: &Reporter) -> Failure {
    let is_stopped = |step: &FailedStep| step.failure.cause == Cause::Interrupted;
    // A stopped step has not failed: its last lines say nothing, and every other step was skipped.
    if unfinished.failed.iter().all(is_stopped) {
        return interrupted();
    }
    if is_interrupted {
        unfinished.untried.clear();
    }
    unfinished.failed.retain(|step| !is_stopped(step));
    reporter.failures(&unfinished);
    let failed = &unfinished.failed;
    let cause = failed.first().map_or(Cause::Internal, |step| step.failure.cause);
    let names: Vec<&str> = failed.iter().map(|step| step.name.as_str()).collect();
    Failure::new(cause, format_args!("not installed; failed: {}", names.join(", ")))
}

/// Does `work` and samples how many tokens are taken meanwhile. Each change of the number is one entry.
fn counting_jobs<T>(tokens: &Tokens, host: &Host, work: impl FnOnce() -> T) -> (T, Vec<Jobs>) {
    let (working, work_ends) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let counter = scope.spawn(move || {
            let mut counted: Vec<Jobs> = Vec::new();
            loop {
                let count = tokens.taken();
                if counted.last().is_none_or(|last| last.count != count) {
                    let at = host.elapsed();
                    counted.push(Jobs { at, count });
                }
                if work_ends.recv_timeout(COUNTED_EVERY) != Err(RecvTimeoutError::Timeout) {
                    return counted;
                }
            }
        });
        let result = work();
        drop(working);
        (result, counter.join().unwrap_or_default())
    })
}

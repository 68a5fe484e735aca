//! `pgsetup test`: installs what is to be tested unless it is installed already, tests each extension in a throw-away
//! cluster of its own, and reports the outcomes.
//!
//! A failed test or build of one extension does not keep the others from being tested.

use std::collections::BTreeMap;
use std::time::Duration;

use super::interrupt::Stoppable;
use super::manifests::{self, Usage};
use super::{resolved_by, setup};
use crate::cli::{OutcomeFormat, TestArgs};
use crate::failure::{Cause, Failure, WithCause};
use crate::host::{self, Host};
use crate::plan::{self, Action, Plan, Step, Tests};
use crate::report::outcome::{self, Counts, Outcome, Verdict};
use crate::report::{Reporter, json, junit, tap};
use crate::resolve::{ChosenBase, Extension, Purpose, Resolved, Selection};
use crate::run::{self, Event, Incomplete, RunOptions};
use crate::source::Sources;
use crate::step::build::tokens::Tokens;
use crate::step::context::{Context, Providers, State, TestOptions};
use crate::store::Store;
use crate::{layout, step};

/// The name that stands for the server itself.
const SERVER: &str = "postgresql";

/// Tests the extensions that the command line names, or all that the image selects.
///
/// # Errors
/// A test failed, nothing was selected, the user is not permitted to test here, or the work was interrupted.
pub fn test(args: &TestArgs, reporter: &Reporter) -> Result<(), Failure> {
    let host = Host::new(&args.root);
    host::set_usual_umask();
    let test_options = test_options(args, &host);
    let leave = || {
        for directory in TREES
            .map(work)
            .into_iter()
            .chain([test_options.directory.clone()])
        {
            // If a process still holds the directory, its name is removed all the same.
            let _ = host.remove(directory);
        }
    };
    let stoppable = Stoppable {
        host: &host,
        reporter,
        refusal: "not tested",
        leave: &leave,
    };
    let test = TestContext {
        args,
        host: &host,
        options: &test_options,
        reporter,
    };
    stoppable.run(|| resolve_and_test(test))
}

/// What is below the working directory only while something is built or tested.
const TREES: [&str; 5] = ["source", "stage", "tmp", "upstream", setup::CERTIFICATES];

fn work(kind: &str) -> String {
    format!("{}/{kind}", layout::WORK)
}

fn test_options(args: &TestArgs, host: &Host) -> TestOptions {
    let usual = TestOptions {
        keep: args.keep,
        limit: Duration::from_secs(args.timeout.into()),
        is_live: args.format == OutcomeFormat::Text && args.output.is_none(),
        ..TestOptions::default()
    };
    if !host.is_users_own() {
        return usual;
    }
    // The usual directory belongs to root.
    let directory = format!("/tmp/pgsetup-test-{}", host::user_id());
    TestOptions {
        logs: format!("{directory}/log"),
        directory,
        ..usual
    }
}

/// What all of a test works with.
#[derive(Clone, Copy)]
struct TestContext<'a> {
    args: &'a TestArgs,
    host: &'a Host,
    options: &'a TestOptions,
    reporter: &'a Reporter,
}

fn resolve_and_test(test: TestContext<'_>) -> Result<(), Failure> {
    let TestContext {
        args,
        host,
        options,
        reporter,
    } = test;
    let usage = Usage {
        command: "test",
        option: None,
        words: &args.names,
    };
    let files = manifests::read(&args.place, usage)?;
    let names = &args.names;
    if !args.upstream && names.iter().any(|name| name == SERVER) {
        let message = "the server has only upstream's tests: pgsetup test MANIFESTS postgresql --upstream";
        return Err(Failure::new(Cause::Usage, message));
    }
    let extensions: Vec<String> = names.iter().filter(|name| *name != SERVER).cloned().collect();
    let machine = setup::target(host)?;
    // What is installed was made for this machine, whatever the manifests name now.
    let base = if args.installed {
        Some(machine.distribution.clone())
    } else {
        args.base.clone()
    };
    let mut selection = Selection {
        base: ChosenBase::by(base.as_ref(), None),
        target: Some(machine),
        postgresql: args.pg.clone(),
        extensions: (!names.is_empty()).then_some(extensions),
        purpose: Purpose::Test {
            upstream: args.upstream,
            all: args.all,
        },
        ..Selection::default()
    };
    let mut resolved = resolved_by(&files, &selection, reporter)?;
    permitted(args, host, &resolved)?;
    // Nothing is fetched for what is installed: no client is made, and no cache is opened, which may belong to another
    // user.
    let sources = (!args.installed).then(|| setup::sources(&args.sources, &args.cache.dir, host));
    let sources = sources.transpose()?;
    let mut left_out = resolved.left_out.clone();
    if let Some(sources) = sources.as_ref().filter(|_| args.skip_unavailable) {
        left_out.extend(unavailable(&resolved, sources, reporter)?);
        selection.without.extend(left_out.keys().cloned());
        resolved = resolved_by(&files, &selection, reporter)?;
    }
    let tests = Tests {
        extensions: resolved.selected.clone(),
        installed: args.installed,
        upstream: args.upstream,
        server: args.upstream && names.iter().any(|name| name == SERVER),
    };
    let plan = plan::tests(&resolved, &tests);
    let mut outcomes = left_out_outcomes(&left_out);
    if options.is_live {
        outcomes
            .iter()
            .try_for_each(|outcome| reporter.result(&outcome::line(outcome)))
            .cause(Cause::Internal)?;
    }
    outcomes.extend(perform(&plan, test, sources.as_ref(), &resolved)?);
    clean(host, options, &outcomes)?;
    tell(args, &outcomes, reporter)
}

/// Only root may install. Only root and the image's user may start its servers.
fn permitted(args: &TestArgs, host: &Host, resolved: &Resolved) -> Result<(), Failure> {
    let user = &resolved.user;
    let program = resolved.postgresql.program("postgres");
    if host.is_users_own() && !args.installed {
        let message = "a test installs first, and only root can install into the running system: run it in a throw-away \
                       container, or test what is installed with --installed";
        return Err(Failure::new(Cause::Permission, message));
    }
    if host.is_users_own() && host::user_id() != user.uid {
        let message = format!("only root and {} ({}) can run tests here", user.name, user.uid);
        return Err(Failure::new(Cause::Permission, message));
    }
    if args.installed && !host.exists(&program) {
        let message = format!(
            "{} is not installed here: there is no {}",
            resolved.postgresql.component.title(),
            host.path(&program).display()
        );
        return Err(Failure::new(Cause::Test, message));
    }
    Ok(())
}

/// The extensions whose sources are not available, and those that require them, with the reasons as sentences.
fn unavailable(
    resolved: &Resolved,
    sources: &Sources,
    reporter: &Reporter,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut left_out = setup::unavailable(resolved, sources, reporter)?;
    for (name, reason) in &mut left_out {
        if !reason.starts_with("it requires ") {
            *reason = format!("the source of {name} could not be fetched: {reason}");
        }
    }
    Ok(left_out)
}

fn left_out_outcomes(left_out: &BTreeMap<String, String>) -> Vec<Outcome> {
    let outcome = |(name, reason): (&String, &String)| Outcome {
        subject: name.clone(),
        name: "all tests".to_owned(),
        verdict: Verdict::Skipped(reason.clone()),
        elapsed: Duration::ZERO,
    };
    left_out.iter().map(outcome).collect()
}

fn perform(
    plan: &Plan,
    test: TestContext<'_>,
    sources: Option<&Sources>,
    resolved: &Resolved,
) -> Result<Vec<Outcome>, Failure> {
    let TestContext {
        args,
        host,
        options,
        reporter,
    } = test;
    if !args.installed {
        host.empty_contents(layout::WORK)?;
    }
    host.remove(&options.directory)?;
    let sandbox = if args.installed {
        None
    } else {
        setup::sandbox(args.sandbox, reporter)?
    };
    let jobs = args.jobs.count.map_or_else(host::processors, usize::from);
    let tokens = Tokens::new(jobs).cause(Cause::Internal)?;
    let context = Context {
        host,
        reporter,
        providers: sources.map(|sources| Providers {
            sources,
            store: Store::new(sources.cache(), None),
        }),
        tokens: &tokens,
        named_packages: &resolved.named_packages,
        keep_going: true,
        ca_bundle: if args.installed {
            None
        } else {
            setup::ca_bundle(&args.sources, host)?
        },
        // A test strips no symbols.
        debug_symbols: &args.cache.dir.join("debug-symbols"),
        sandbox: sandbox.as_ref(),
        test_options: options.clone(),
        state: if args.installed {
            State::of_installed(host)?
        } else {
            State::default()
        },
    };
    let interrupt = host.interrupt();
    let options = RunOptions {
        jobs,
        downloads: setup::MAX_DOWNLOADS,
        keep_going: true,
        stopped: &|| interrupt.is_interrupted(),
    };
    let name = |id: usize| plan.steps[id].name.as_str();
    let result = run::run(
        &plan.steps,
        options,
        || host.elapsed(),
        |step| step::perform(step, &context),
        |event| match event {
            Event::Started(id) => reporter.started(name(id)),
            Event::Finished(id, span, done) => reporter.finished(name(id), span.elapsed(), &done.note),
            Event::Failed(id, span, failure) => {
                reporter.failed(name(id), span.elapsed(), failure);
                failed(&plan.steps[id], span.elapsed(), failure, resolved, &context);
            }
        },
    );
    if interrupt.is_interrupted() {
        host::cmd::kill_orphans();
        return Err(Failure::new(
            Cause::Interrupted,
            format_args!("not tested; {}", run::STOPPED),
        ));
    }
    if let Err(unfinished) = result {
        attribute(plan, resolved, &context, unfinished)?;
    }
    Ok(context.state.take_outcomes())
}

/// Reports a failed step at once: as a failed test of its extension, or for itself.
fn failed(step: &Step, elapsed: Duration, failure: &Failure, resolved: &Resolved, context: &Context<'_>) {
    let subject = owner(step, resolved).filter(|_| failure.cause != Cause::Interrupted);
    // Where outcomes are printed at the end, this is the first word of it.
    if subject.is_none() || !context.test_options.is_live {
        context.reporter.explain(&step.name, failure);
    }
    if let Some(subject) = subject {
        context.add_outcome(Outcome {
            subject,
            name: step.name.clone(),
            verdict: Verdict::Failed(failure.to_string()),
            elapsed,
        });
    }
}

/// Turns steps that were skipped because of failed ones into failed tests of their extensions.
///
/// # Errors
/// A failed step belongs to no single extension.
fn attribute(
    plan: &Plan,
    resolved: &Resolved,
    context: &Context<'_>,
    unfinished: Incomplete,
) -> Result<(), Failure> {
    let step = |name: &str| plan.steps.iter().find(|step| step.name == name);
    let owner = |name: &str| step(name).and_then(|step| owner(step, resolved));
    if let Some(position) = unfinished
        .failed
        .iter()
        .position(|failed| owner(&failed.name).is_none())
    {
        context.reporter.failures(&unfinished);
        let mut failed = unfinished.failed;
        let failed = failed.swap_remove(position);
        let message = format!("not tested; failed: {}", failed.name);
        return Err(Failure::new(failed.failure.cause, message));
    }
    let add = |subject: String, name: &str, why: String| {
        context.add_outcome(Outcome {
            subject,
            name: name.to_owned(),
            verdict: Verdict::Failed(why),
            elapsed: Duration::ZERO,
        });
    };
    for untried in &unfinished.untried {
        for name in &untried.steps {
            let subject = owner(name).filter(|subject| {
                let is_test = step(name).is_some_and(|step| step.action.is_test());
                let is_told = |because: &String| owner(because).as_ref() == Some(subject);
                is_test && !untried.because.iter().any(is_told)
            });
            if let Some(subject) = subject {
                add(subject, name, format!("{} failed", untried.because.join(", ")));
            }
        }
    }
    Ok(())
}

/// The title of the extension that a step belongs to.
fn owner(step: &Step, resolved: &Resolved) -> Option<String> {
    let mut extensions = resolved.extensions.iter().map(|extension| &extension.component);
    // Steps of an older version belong to the release that is tested.
    let slug = match &step.action {
        Action::Fetch { component, .. }
        | Action::Install { component, .. }
        | Action::Uninstall { component } => component,
        Action::Build(build) => &build.component,
        _ => "",
    };
    let is_updated = |extension: &&Extension| {
        let mut upgrades = extension.upgrades.iter();
        upgrades.any(|older| older.component.slug() == slug)
    };
    if let Some(extension) = resolved.extensions.iter().find(is_updated) {
        return Some(extension.component.title());
    }
    let component = match &step.action {
        Action::Fetch { source, .. } => extensions.find(|component| component.title() == source.title),
        Action::Build(build) => extensions.find(|component| component.slug() == build.component),
        Action::Install { component: slug, .. } => extensions.find(|component| component.slug() == *slug),
        Action::TestExtension(test) => Some(&test.extension.component),
        Action::PrepareUpgrade(test) | Action::TestUpgrade(test) => Some(&test.to.component),
        Action::TestUpstream(test) => return Some(test.subject.clone()),
        _ => None,
    };
    component.map(crate::resolve::Component::title)
}

/// Removes the working files. After a failure, logs and kept clusters stay.
fn clean(host: &Host, test_options: &TestOptions, outcomes: &[Outcome]) -> Result<(), Failure> {
    let is_clean = Counts::of(outcomes).failed == 0;
    for directory in TREES.map(work) {
        host.remove(directory)?;
    }
    if is_clean || !test_options.keep {
        let keep_logs = !is_clean && test_options.logs.starts_with(&test_options.directory);
        if !keep_logs {
            host.remove(&test_options.directory)?;
        }
    }
    host.remove(test_options.template())?;
    if is_clean {
        host.remove(&test_options.logs)?;
    }
    Ok(())
}

/// Prints the outcomes in the requested format. Fails if a test failed.
fn tell(args: &TestArgs, outcomes: &[Outcome], reporter: &Reporter) -> Result<(), Failure> {
    let counts = Counts::of(outcomes);
    let lines = || outcomes.iter().map(outcome::line).collect::<String>();
    let text = match (args.format, &args.output) {
        (OutcomeFormat::Text, None) => format!("{counts}\n"),
        (OutcomeFormat::Text, Some(_)) => format!("{}{counts}\n", lines()),
        (OutcomeFormat::Json, _) => json::render(outcomes).cause(Cause::Internal)?,
        (OutcomeFormat::Tap, _) => tap::render(outcomes),
        (OutcomeFormat::Junit, _) => junit::render(outcomes),
    };
    match &args.output {
        None => reporter.result(&text).cause(Cause::Internal)?,
        Some(path) => host::local::write_text(path, &text)?,
    }
    match (outcomes.len(), counts.failed) {
        (0, _) => Err(Failure::new(
            Cause::Usage,
            "nothing was selected, so nothing was tested",
        )),
        (_, 0) => Ok(()),
        (all, failed) => Err(Failure::new(
            Cause::Test,
            format_args!("{failed} of {all} tests failed"),
        )),
    }
}

//! Runs the tests of this binary, and ignores those that cannot run here.
//!
//! The built-in harness must know before it starts what it ignores; whether there is an engine, an image or a program is
//! known only by looking. So `#[test]` means the attribute of `tests/attribute`, which registers a function with this
//! harness, and a test that calls [`skip`] is ignored, with its reason. Filters, `--skip`, `--exact`, `--list` and
//! `--test-threads` are those of the built-in harness.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::panic;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// A test, as `#[test]` registers it.
pub struct Registered {
    /// The function's path in the crate.
    pub path: &'static str,
    /// The lines of `tests/contract/README.md` that it proves.
    pub lines: &'static [&'static str],
    /// The function.
    pub run: fn(),
}

inventory::collect!(Registered);

/// Tests that run at the same time, for each processor: many of them wait for a container.
const TESTS_PER_PROCESSOR: usize = 2;

/// Unwinds from a test that cannot run here; holds the reason.
struct Ignored(String);

thread_local! {
    /// What the running test has reported; `None` in a thread that runs no test.
    static REPORT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs the tests that the command line selects.
pub fn main() -> ExitCode {
    let (options, filters) = split(std::env::args());
    let mut arguments = Arguments::from_iter(options);
    if arguments.test_threads.is_none() {
        let threads = std::env::var("RUST_TEST_THREADS").ok();
        let threads = threads.and_then(|number| number.parse().ok());
        arguments.test_threads = threads.or_else(|| {
            let processors = std::thread::available_parallelism().ok()?;
            Some(processors.get() * TESTS_PER_PROCESSOR)
        });
    }
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let backtrace = Backtrace::capture();
        let mut text = info.to_string();
        if backtrace.status() == BacktraceStatus::Captured {
            text.push_str(&format!("\n{backtrace}"));
        }
        if report(&text).is_err() {
            default(info);
        }
    }));
    let mut tests: Vec<&Registered> = inventory::iter::<Registered>().collect();
    tests.sort_by_key(|test| test.path);
    let mut trials: Vec<Trial> = spread(&tests).into_iter().map(trial).collect();
    if let [filter] = filters.as_slice() {
        arguments.filter = Some(filter.clone());
    } else if !filters.is_empty() {
        let selects = filters.into_iter().map(|filter| Arguments {
            filter: Some(filter),
            ..arguments.clone()
        });
        let selects: Vec<Arguments> = selects.collect();
        trials.retain(|trial| selects.iter().any(|one| !one.is_filtered_out(trial)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Separates the filters of a command line from its options. The built-in harness takes any number of filters,
/// `libtest_mimic` one.
fn split(arguments: impl Iterator<Item = String>) -> (Vec<String>, Vec<String>) {
    const VALUED: [&str; 6] = [
        "--color",
        "--format",
        "--logfile",
        "--skip",
        "--test-threads",
        "-Z",
    ];
    let (mut options, mut filters) = (Vec::new(), Vec::new());
    for argument in arguments {
        let is_value = options
            .last()
            .is_some_and(|before: &String| VALUED.contains(&before.as_str()));
        if options.is_empty() || is_value || argument.starts_with('-') {
            options.push(argument);
        } else {
            filters.push(argument);
        }
    }
    (options, filters)
}

/// Adds a paragraph to what is printed if the running test fails.
///
/// # Errors
///
/// The calling thread runs no test.
pub fn report(text: &str) -> Result<(), NoTest> {
    REPORT.with_borrow_mut(|report| {
        let report = report.as_mut().ok_or(NoTest)?;
        report.push_str(text);
        report.push('\n');
        Ok(())
    })
}

/// The calling thread runs no test.
#[derive(Debug)]
pub struct NoTest;

/// Ends the running test as ignored, for this reason. With `PGSETUP_REQUIRE_ALL=1` it fails instead.
pub fn skip(reason: &str) -> ! {
    assert!(
        std::env::var("PGSETUP_REQUIRE_ALL").as_deref() != Ok("1"),
        "PGSETUP_REQUIRE_ALL=1, but this test cannot run: {reason}"
    );
    panic::resume_unwind(Box::new(Ignored(
        reason.split_whitespace().collect::<Vec<_>>().join(" "),
    )))
}

/// The tests of each module spread evenly over the whole run: those that wait for containers are beside those that compute,
/// and the first that needs what its module shares is not waited for by all others.
fn spread(tests: &[&'static Registered]) -> Vec<&'static Registered> {
    const WHOLE: usize = 1_000_000;
    let module = |test: &Registered| test.path.rsplit_once("::").map(|(module, _)| module.to_owned());
    let mut ranked = Vec::new();
    for group in tests.chunk_by(|one, other| module(one) == module(other)) {
        let step = WHOLE / group.len();
        let places = group.iter().enumerate();
        ranked.extend(places.map(|(position, test)| (position * step + step / 2, *test)));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, test)| test).collect()
}

fn trial(test: &'static Registered) -> Trial {
    let (_, name) = test.path.split_once("::").expect("a path in a crate");
    Trial::ignorable_test(name, || {
        REPORT.set(Some(String::new()));
        let outcome = panic::catch_unwind(test.run);
        let report = REPORT.take().unwrap_or_default();
        completion(outcome, &report)
    })
    .with_kind(test.lines.join(", "))
}

fn completion(outcome: Result<(), Box<dyn Any + Send>>, report: &str) -> Result<Completion, Failed> {
    let Err(cause) = outcome else {
        return Ok(Completion::Completed);
    };
    match cause.downcast::<Ignored>() {
        Ok(ignored) => Ok(Completion::ignored_with(ignored.0)),
        Err(_) => Err(report.trim_end().into()),
    }
}

#[test]
fn a_test_that_skips_is_ignored_with_its_reason() {
    // The line feed would tear the runner's line.
    let skipped = || completion(panic::catch_unwind(|| skip("no engine:\n  none answers")), "");
    if std::env::var("PGSETUP_REQUIRE_ALL").as_deref() == Ok("1") {
        assert!(skipped().is_err());
    } else {
        let Ok(Completion::Ignored { reason }) = skipped() else {
            panic!("it was not ignored");
        };
        assert_eq!(reason.as_deref(), Some("no engine: none answers"));
    }
}

#[test]
fn any_number_of_filters_may_stand_among_the_options() {
    let line = "suite one --skip two three --exact --test-threads=1 --color never four";
    let (options, filters) = split(line.split(' ').map(str::to_owned));
    assert_eq!(filters, ["one", "three", "four"]);
    assert_eq!(
        options.join(" "),
        "suite --skip two --exact --test-threads=1 --color never"
    );
}

#[test]
fn a_test_that_panics_fails_with_what_it_reported() {
    report("the log of a container").unwrap();
    let failed = panic::catch_unwind(|| panic!("two is not three"));
    let text = REPORT.replace(Some(String::new())).unwrap();
    let Err(failed) = completion(failed, &text) else {
        panic!("it did not fail");
    };
    let text = failed.message().unwrap();
    assert!(
        text.starts_with("the log of a container\npanicked at tests/suite/harness.rs:"),
        "{text}"
    );
    assert!(text.contains(":\ntwo is not three"), "{text}");
}

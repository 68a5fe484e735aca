//! A run as Chrome's trace events, for Perfetto (<https://ui.perfetto.dev>) and `chrome://tracing`. It is made of
//! timings alone.
//!
//! Each lane has as many threads as it had steps at the same time. A step is a slice, with its commands below it. The
//! jobs of the jobserver are a counter. The format is Google's "Trace Event Format" with the phases `X` (complete),
//! `C` (counter) and `M` (metadata); times are in microseconds.

use std::time::Duration;

use serde_json::{Value, json};

use crate::plan::Lane;
use crate::run::timing::{ResultOrigin, Timing};
use crate::timing::{Ran, Span};

/// Lanes from top to bottom.
const LANES: [Lane; 4] = [Lane::Net, Lane::Dpkg, Lane::Cpu, Lane::Files];
/// The distance between the thread numbers of two lanes; a lane never has that many steps at the same time.
const MAX_THREADS: usize = 10_000;
/// The longest name of a slice, in characters. Its arguments have the whole command line.
const MAX_NAME_LENGTH: usize = 80;

/// How many jobs ran at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jobs {
    /// Time since the start.
    pub at: Duration,
    /// Running jobs.
    pub count: usize,
}

/// The trace as JSON text.
pub fn render(timings: &[Timing<'_>], jobs: &[Jobs]) -> String {
    let mut events = vec![json!({"ph": "M", "pid": 1, "name": "process_name", "args": {"name": "pgsetup"}})];
    for (position, lane) in LANES.into_iter().enumerate() {
        let mut timings: Vec<&Timing> = timings.iter().filter(|timing| timing.step.lane == lane).collect();
        timings.sort_by_key(|timing| (timing.span.began, timing.id));
        // When the last step of each thread ended.
        let mut threads: Vec<Duration> = Vec::new();
        for timing in timings {
            let free = threads.iter().position(|ended| *ended <= timing.span.began);
            let thread = free.unwrap_or(threads.len());
            if free.is_none() {
                threads.push(Duration::ZERO);
            }
            threads[thread] = timing.span.ended;
            let id = position * MAX_THREADS + thread + 1;
            events.push(step(timing, id));
            events.extend(timing.commands.iter().map(|ran| command(ran, id)));
        }
        for thread in 0..threads.len() {
            events.extend(thread_names(lane, position * MAX_THREADS + thread + 1, thread));
        }
    }
    let counts = jobs.iter().map(
        |jobs| json!({"ph": "C", "pid": 1, "name": "jobs", "ts": micros(jobs.at), "args": {"jobs": jobs.count}}),
    );
    events.extend(counts);
    format!("{:#}\n", json!({"displayTimeUnit": "ms", "traceEvents": events}))
}

/// The events that give a thread its name and its position.
fn thread_names(lane: Lane, id: usize, thread: usize) -> [Value; 2] {
    let name = format!("{} {}", lane.name(), thread + 1);
    [
        json!({"ph": "M", "pid": 1, "tid": id, "name": "thread_name", "args": {"name": name}}),
        json!({"ph": "M", "pid": 1, "tid": id, "name": "thread_sort_index", "args": {"sort_index": id}}),
    ]
}

fn step(timing: &Timing<'_>, thread: usize) -> Value {
    let result = timing.origin.map_or("failed", |origin| match origin {
        ResultOrigin::Done => "done",
        other => other.word(),
    });
    let mut args = json!({"result": result, "cpu_seconds": timing.cpu.as_secs_f64()});
    if !timing.note.is_empty() {
        args["note"] = json!(timing.note);
    }
    slice("step", &timing.step.name, timing.span, thread, &args)
}

fn command(ran: &Ran, thread: usize) -> Value {
    let args = json!({"command": ran.command, "cpu_seconds": ran.cpu.as_secs_f64()});
    let name: String = ran.command.chars().take(MAX_NAME_LENGTH).collect();
    slice("command", &name, ran.span, thread, &args)
}

fn slice(category: &str, name: &str, span: Span, thread: usize, args: &Value) -> Value {
    json!({
        "ph": "X",
        "pid": 1,
        "tid": thread,
        "cat": category,
        "name": name,
        "ts": micros(span.began),
        "dur": micros(span.elapsed()),
        "args": args,
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Step};

    fn build(name: &str, lane: Lane) -> Step {
        Step {
            name: name.to_owned(),
            lane,
            needs: Vec::new(),
            after: Vec::new(),
            why: Vec::new(),
            weight: 1,
            action: Action::RecordBase,
        }
    }

    #[test]
    fn steps_of_a_lane_share_a_thread_as_long_as_they_do_not_overlap() {
        let steps = [
            build("build a", Lane::Cpu),
            build("build b", Lane::Cpu),
            build("build c", Lane::Cpu),
            build("fetch", Lane::Net),
        ];
        let millis = Duration::from_millis;
        let spans = [(0, 10), (5, 20), (10, 15), (0, 1)].map(|(began, ended)| Span {
            began: millis(began),
            ended: millis(ended),
        });
        let timings = steps.iter().zip(spans).enumerate();
        let mut timings: Vec<Timing> = timings
            .map(|(id, (step, span))| Timing {
                step,
                id,
                span,
                cpu: millis(3),
                origin: Some(ResultOrigin::Built),
                note: String::new(),
                commands: Vec::new(),
            })
            .collect();
        timings[1].origin = None;
        timings[0].note = "1 MB staged".to_owned();
        timings[0].commands.push(Ran {
            command: "make \"x\"".to_owned(),
            span: Span {
                began: millis(1),
                ended: millis(9),
            },
            cpu: millis(2),
        });
        let jobs = [Jobs {
            at: millis(4),
            count: 2,
        }];
        let trace: Value = serde_json::from_str(&render(&timings, &jobs)).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let find = |name: &str| events.iter().find(|event| event["name"] == name).unwrap();
        let thread = |name: &str| find(name)["tid"].as_u64().unwrap();
        assert_eq!(thread("build a"), thread("build c"));
        assert_eq!(thread("build b"), thread("build a") + 1);
        assert_eq!(thread("make \"x\""), thread("build a"));
        assert!(thread("fetch") < thread("build a"));
        assert_eq!(find("build a")["ts"], 0);
        assert_eq!(find("build a")["dur"], 10_000);
        let args = json!({"result": "built", "cpu_seconds": 0.003, "note": "1 MB staged"});
        assert_eq!(find("build a")["args"], args);
        assert_eq!(find("build b")["args"]["result"], "failed");
        assert_eq!(find("jobs")["args"]["jobs"], 2);
        assert_eq!(find("jobs")["ts"], 4000);
        let names = events.iter().filter(|event| event["name"] == "thread_name");
        let names: Vec<&str> = names.filter_map(|event| event["args"]["name"].as_str()).collect();
        assert_eq!(names, ["net 1", "cpu 1", "cpu 2"]);
    }
}

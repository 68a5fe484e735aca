//! The table at the end of an installation, and its trace.

use serde_json::Value;

use crate::machine::{Machine, Recipe};

/// A build that uses a processor for a while, in its own process as compilers do.
const BUSY: &str = "@bash -c 'for ((i = 0; i < 300000; i++)); do :; done'";

#[test]
fn an_installation_ends_with_a_table_of_its_steps() {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    // Short steps share a line.
    machine.extension("alpha", Recipe::new().make(&[BUSY, "@sleep 0.6"]));
    let ran = machine.install(&[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let mut lines = ran.err.lines().skip_while(|line| !line.starts_with("  step "));
    assert_eq!(
        lines.next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["step", "time", "cpu", "time", "result"]
    );
    let lines: Vec<&str> = lines.collect();
    let build = lines
        .iter()
        .find(|line| line.contains("build alpha 1.0"))
        .unwrap();
    let words: Vec<&str> = build.split_whitespace().collect();
    let [.., time, "s", cpu, "s", "built"] = words[..] else {
        panic!("{build}");
    };
    let [time, cpu] = [time, cpu].map(|text| text.parse::<f64>().unwrap());
    assert!(cpu >= 0.1 && time >= 0.6, "{build}");
    // The last step is always on the critical path.
    let path = lines
        .iter()
        .find(|line| line.starts_with("* the critical path, "))
        .unwrap();
    assert!(path.contains(" > "), "{path}");
    assert!(lines.iter().any(|line| line.starts_with("processors: ")));
}

#[test]
fn a_failed_installation_tells_the_reason_and_then_the_table() {
    let machine = Machine::new();
    machine.image(&["alpha"], "");
    machine.extension("alpha", Recipe::new().make(&["@sleep 0.6; false"]));
    let ran = machine.install(&[]);
    assert_eq!(ran.status, 6, "{}", ran.err);
    let at = |text: &str| ran.err.find(text).unwrap_or_else(|| panic!("{}", ran.err));
    let [table, reason] = ["\n  step ", "\npgsetup: build alpha 1.0 failed: "].map(at);
    let failed = at("\nFAILED build alpha 1.0");
    assert!(failed < reason && reason < table, "{}", ran.err);
    let table = &ran.err[table..];
    let build = table
        .lines()
        .find(|line| line.contains(" build alpha 1.0 "))
        .unwrap();
    assert!(build.ends_with(" s  failed"), "{table}");
    assert!(table.contains("\n* the critical path, "), "{table}");
}

#[test]
fn a_trace_has_steps_commands_and_running_jobs() {
    // Two jobs at a time, and a third that has to wait.
    let jobs = "one two three:\n\t@sleep 0.4\n";
    for (make, status) in [
        ("@+$(MAKE) one two three", 0),
        ("@+$(MAKE) one two three; false", 6),
    ] {
        let machine = Machine::new();
        machine.image(&["alpha"], "");
        machine.extension("alpha", Recipe::new().make(&[make]).rules(jobs));
        let file = machine.path("trace.json");
        let ran = machine.install(&["--trace", file.to_str().unwrap()]);
        assert_eq!(ran.status, status, "{}", ran.err);
        let trace: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let of = |category: &str| {
            let events = events.iter().filter(|event| event["cat"] == category);
            events.collect::<Vec<_>>()
        };
        let started = ran.err.lines().filter(|line| line.starts_with("start  ")).count();
        assert_eq!(of("step").len(), started, "{}", ran.err);
        let build = of("step")
            .into_iter()
            .find(|event| event["name"] == "build alpha 1.0")
            .unwrap();
        let result = if status == 0 { "built" } else { "failed" };
        assert_eq!(build["args"]["result"], result);
        assert!(build["dur"].as_u64().unwrap() >= 300_000);
        // Commands are within their step.
        let number = |event: &Value, name: &str| event[name].as_u64().unwrap();
        let end = |event: &Value| number(event, "ts") + number(event, "dur");
        let is_make = |event: &&Value| {
            let line = event["args"]["command"].as_str().unwrap_or_default();
            line.contains("/alpha-1.0 && ") && line.contains(" make ")
        };
        let command = of("command").into_iter().find(is_make).unwrap();
        assert_eq!(command["tid"], build["tid"]);
        assert!(number(command, "ts") >= number(build, "ts") && end(command) <= end(build));
        let counts = events.iter().filter(|event| event["ph"] == "C");
        let counts: Vec<u64> = counts
            .map(|event| event["args"]["jobs"].as_u64().unwrap())
            .collect();
        assert_eq!(counts.iter().max(), Some(&2), "{counts:?}");
        assert!(counts.windows(2).all(|two| two[0] != two[1]), "{counts:?}");
    }
}

#[test]
fn a_trace_that_cannot_be_written_fails_at_the_start() {
    let machine = Machine::new();
    let ran = machine.install(&["--trace", "/nonexistent/trace.json"]);
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(ran.err.contains("/nonexistent/trace.json"), "{}", ran.err);
    assert_eq!(machine.trace("apt-get"), "");
}

//! The table at the end of an installation: how long each step took, what came from a cache, and the critical path. It
//! is made of timings alone.

use std::time::Duration;

use crate::run::timing::{ResultOrigin, Timing};

/// Steps shorter than this share one line.
const SHORT: Duration = Duration::from_millis(500);

/// The table, without a final line break. `total` is the time since the start; `jobs` is the number of processors to
/// use.
pub fn render(timings: &[Timing<'_>], total: Duration, jobs: usize) -> String {
    let mut timings: Vec<&Timing> = timings.iter().collect();
    timings.sort_by_key(|timing| (timing.span.began, timing.id));
    let critical = critical_path(&timings);
    let is_critical = |timing: &Timing| critical.iter().any(|other| other.id == timing.id);
    let (short, long): (Vec<&Timing>, Vec<&Timing>) = timings
        .iter()
        .partition(|timing| timing.span.elapsed() < SHORT && timing.cpu < SHORT);
    let mut rows = vec![["  step", "time", "cpu time", "result"].map(str::to_owned)];
    for timing in long {
        rows.push([
            format!(
                "{} {}",
                if is_critical(timing) { '*' } else { ' ' },
                timing.step.name
            ),
            seconds(timing.span.elapsed()),
            seconds(timing.cpu),
            timing.origin.map_or("failed", ResultOrigin::word).to_owned(),
        ]);
    }
    if !short.is_empty() {
        let [time, cpu] = sums(&short);
        rows.push([
            format!("  {}", plural(short.len(), "shorter step")),
            seconds(time),
            seconds(cpu),
            counts(&short),
        ]);
    }
    let cpu = sums(&timings)[1];
    rows.push(["  all".to_owned(), seconds(total), seconds(cpu), counts(&timings)]);
    let mut text = aligned(&rows);
    text.push_str(&format!(
        "\n* the critical path, {} in all: {}",
        seconds(critical.iter().map(|timing| timing.span.elapsed()).sum()),
        chain(&critical)
    ));
    let available = total.as_secs_f64() * f64::from(u32::try_from(jobs).unwrap_or(u32::MAX));
    if available > 0.0 {
        let share = 100.0 * cpu.as_secs_f64() / available;
        text.push_str(&format!("\nprocessors: {share:.0} % of {jobs} busy on average"));
    }
    text
}

/// The critical path in the order of time. It goes back from the step that ended last: of the steps that a step needs
/// and those in its lane, the one that ended last before it began kept it from starting.
fn critical_path<'a>(timings: &[&'a Timing<'a>]) -> Vec<&'a Timing<'a>> {
    let mut path = Vec::new();
    let mut next = timings
        .iter()
        .copied()
        .max_by_key(|timing| (timing.span.ended, timing.id));
    while let Some(timing) = next {
        path.push(timing);
        let before = timings.iter().copied().filter(|other| {
            other.span.ended <= timing.span.began
                && other.id != timing.id
                && (timing.step.needs.contains(&other.id) || other.step.lane == timing.step.lane)
                // A step without duration must not precede itself.
                && (other.span.began, other.id) < (timing.span.began, timing.id)
        });
        next = before.max_by_key(|other| (other.span.ended, timing.step.needs.contains(&other.id), other.id));
    }
    path.reverse();
    path
}

/// The path for people: steps with their times. Short steps in a row share one entry.
fn chain(path: &[&Timing<'_>]) -> String {
    let mut links: Vec<String> = Vec::new();
    for group in path.chunk_by(|a, b| is_short(a) && is_short(b)) {
        let time = seconds(group.iter().map(|timing| timing.span.elapsed()).sum());
        links.push(match group {
            [one] => format!("{} {time}", one.step.name),
            several => format!("{} {time}", plural(several.len(), "short one")),
        });
    }
    links.join(" > ")
}

fn is_short(timing: &Timing<'_>) -> bool {
    timing.span.elapsed() < SHORT
}

fn sums(timings: &[&Timing<'_>]) -> [Duration; 2] {
    [
        timings.iter().map(|timing| timing.span.elapsed()).sum(),
        timings.iter().map(|timing| timing.cpu).sum(),
    ]
}

/// How many were built, taken from a cache, and downloaded.
fn counts(timings: &[&Timing<'_>]) -> String {
    let words = [ResultOrigin::Built, ResultOrigin::Cached, ResultOrigin::Fetched].into_iter();
    let counts = words.filter_map(|origin| {
        let count = timings
            .iter()
            .filter(|timing| timing.origin == Some(origin))
            .count();
        (count > 0).then(|| format!("{count} {}", origin.word()))
    });
    match counts.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => ResultOrigin::Done.word().to_owned(),
        counts => counts,
    }
}

fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// A time in seconds with one decimal, so that columns can be compared.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The rows in aligned columns: names to the left, times to the right.
fn aligned(rows: &[[String; 4]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let [name, time, cpu] = [0, 1, 2].map(width);
    let line = |row: &[String; 4]| {
        let text = format!(
            "{:<name$}  {:>time$}  {:>cpu$}  {}",
            row[0], row[1], row[2], row[3]
        );
        text.trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Lane, Step};
    use crate::timing::Span;

    fn step(name: &str, lane: Lane, needs: &[usize]) -> Step {
        Step {
            name: name.to_owned(),
            lane,
            needs: needs.to_vec(),
            after: Vec::new(),
            why: Vec::new(),
            weight: 1,
            action: Action::RecordBase,
        }
    }

    /// Timings of steps with when they began and ended and their cpu time, in tenths of seconds.
    fn timings<'a>(steps: &'a [Step], rows: &[(u64, u64, u64, ResultOrigin)]) -> Vec<Timing<'a>> {
        let tenths = |count: u64| Duration::from_millis(count * 100);
        let rows = steps.iter().zip(rows).enumerate();
        rows.map(|(id, (step, (began, ended, cpu, origin)))| Timing {
            step,
            id,
            span: Span {
                began: tenths(*began),
                ended: tenths(*ended),
            },
            cpu: tenths(*cpu),
            origin: Some(*origin),
            note: String::new(),
            commands: Vec::new(),
        })
        .collect()
    }

    #[test]
    fn the_table_is_aligned_and_short_and_names_the_chain_that_determined_the_end() {
        let steps = [
            step("record the base's packages", Lane::Dpkg, &[]),
            step("fetch PostgreSQL 18.6", Lane::Net, &[]),
            step("install build packages", Lane::Dpkg, &[0]),
            step("build PostgreSQL 18.6", Lane::Cpu, &[1, 2]),
            step("install PostgreSQL 18.6", Lane::Files, &[3]),
            step("build citus 14.0.1", Lane::Cpu, &[4]),
            step("build pgvector 0.8.6", Lane::Cpu, &[4]),
            step("prune files", Lane::Files, &[5, 6]),
        ];
        let rows = [
            (0, 1, 0, ResultOrigin::Done),
            (0, 30, 1, ResultOrigin::Fetched),
            (1, 151, 90, ResultOrigin::Done),
            (151, 1151, 1900, ResultOrigin::Built),
            (1151, 1154, 3, ResultOrigin::Done),
            (1154, 1454, 450, ResultOrigin::Built),
            (1154, 1160, 4, ResultOrigin::Cached),
            (1454, 1456, 1, ResultOrigin::Done),
        ];
        let text = render(&timings(&steps, &rows), Duration::from_millis(145_700), 2);
        let expected = "  step                       time  cpu time  result
  fetch PostgreSQL 18.6     3.0 s     0.1 s  fetched
* install build packages   15.0 s     9.0 s  -
* build PostgreSQL 18.6   100.0 s   190.0 s  built
* build citus 14.0.1       30.0 s    45.0 s  built
  build pgvector 0.8.6      0.6 s     0.4 s  cached
  3 shorter steps           0.6 s     0.4 s  -
  all                     145.7 s   244.9 s  2 built, 1 cached, 1 fetched
* the critical path, 145.6 s in all: record the base's packages 0.1 s > install build packages 15.0 s > \
build PostgreSQL 18.6 100.0 s > install PostgreSQL 18.6 0.3 s > build citus 14.0.1 30.0 s > prune files 0.2 s
processors: 84 % of 2 busy on average";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_step_that_waited_for_its_lane_was_kept_by_the_one_before_it_there() {
        let steps = [
            step("build a", Lane::Cpu, &[]),
            step("build b", Lane::Cpu, &[]),
            step("unpack", Lane::Files, &[]),
        ];
        let rows = [
            (0, 50, 50, ResultOrigin::Built),
            (50, 60, 10, ResultOrigin::Built),
            (0, 40, 1, ResultOrigin::Done),
        ];
        let timings = timings(&steps, &rows);
        let path = critical_path(&timings.iter().collect::<Vec<_>>());
        assert_eq!(path.iter().map(|timing| timing.id).collect::<Vec<_>>(), [0, 1]);
    }
}

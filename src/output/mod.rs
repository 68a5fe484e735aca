//! Finds the errors in what commands print: the first one, the last one, and the command that exited with a status.
//!
//! Each program reports errors in a form of its own; `programs` knows the forms. A line that may be harmless, such as
//! `git: not found`, counts only if the failed command printed it last. Without any error, the last lines have to do.

pub mod programs;

use std::collections::BTreeSet;
use std::fmt;

use programs::{Kind, kind};

/// How many lines of one error are shown.
const MAX_LINES: usize = 16;
/// How many characters of a line are shown.
const MAX_CHARACTERS: usize = 400;
/// How many lines before a failed command's end are searched for what it printed.
const MAX_DISTANCE: usize = 8;
/// How many lines before an error are searched for the command that reported it.
const MAX_ECHO_DISTANCE: usize = 400;
/// How many errors hints are derived from.
const MAX_ERRORS: usize = 12;
/// How many lines of a part of a longer error are shown, such as of a statement in SQL.
const MAX_PART: usize = 4;

/// The errors in an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors {
    /// The first error.
    pub first: Option<ShownError>,
    /// The last one, if it is another one.
    pub last: Option<ShownError>,
    /// The first command that exited with a status, as the program that had called it says.
    pub exited: Option<Exited>,
    /// The lines of all errors that ended something, for hints.
    pub lines: Vec<String>,
}

/// An error as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownError {
    /// The kind of program that reports it: `compiler`.
    pub program: &'static str,
    /// Its lines.
    pub lines: Vec<String>,
}

/// A command that exited with a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exited {
    /// The command line, if the output has it.
    pub command: Option<String>,
    /// What its caller says of it.
    pub said: String,
}

impl Errors {
    /// Whether the errors that are shown have a text.
    pub fn mention(&self, text: &str) -> bool {
        let shown = self.first.iter().chain(&self.last);
        shown
            .flat_map(|error| &error.lines)
            .any(|line| line.contains(text))
    }
}

impl fmt::Display for Errors {
    /// Each part begins with a line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.last.is_some() {
            "first error"
        } else {
            "error"
        };
        for (word, error) in [(word, &self.first), ("last error", &self.last)] {
            if let Some(error) = error {
                write!(f, "\n  {word} ({}):", error.program)?;
                for line in &error.lines {
                    write!(f, "\n    {line}")?;
                }
            }
        }
        match &self.exited {
            Some(Exited {
                command: Some(command),
                said,
            }) => write!(f, "\n  failed command: {command}\n    {said}"),
            Some(Exited { said, .. }) => write!(f, "\n  failed: {said}"),
            None => Ok(()),
        }
    }
}

/// The errors in `output`, which ended with a failure.
pub fn errors(output: &str) -> Errors {
    let plain: Vec<String> = output.lines().map(plain).collect();
    let lines: Vec<&str> = plain.iter().map(String::as_str).collect();
    let mut kinds: Vec<Kind> = lines.iter().map(|line| kind(line)).collect();
    excuse(&lines, &mut kinds);
    inside_blocks(&lines, &mut kinds);
    let fatal = fatal(&lines, &kinds);
    let blocks: Vec<(usize, usize)> = fatal.iter().map(|at| block(&lines, &kinds, *at)).collect();
    let shown = |position: usize| {
        let (from, to) = blocks[position];
        ShownError {
            program: kinds[fatal[position]].program(),
            lines: clipped(&lines[from..to]),
        }
    };
    let last = fatal.len().saturating_sub(1);
    // An error within the lines of the first one is not another one.
    // Neither is what another compiler says of the same place.
    let place = |position: usize| programs::place(lines[fatal[position]]);
    let is_other = last > 0
        && fatal[last] >= blocks[0].1
        && shown(last).lines != shown(0).lines
        && (place(0).is_none() || place(last) != place(0));
    let error_lines = blocks.iter().take(MAX_ERRORS);
    Errors {
        first: (!fatal.is_empty()).then(|| shown(0)),
        last: is_other.then(|| shown(last)),
        exited: exited(&lines, &kinds, blocks.first().map(|(from, _)| *from)),
        lines: error_lines
            .flat_map(|(from, to)| lines[*from..*to].iter().map(|line| (*line).to_owned()))
            .collect(),
    }
}

/// A line without colours, progress that was overwritten, and white space at its end.
fn plain(line: &str) -> String {
    let line = line.trim_end();
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\u{1b}') {
        plain.push_str(&rest[..at]);
        let sequence = &rest[at + 1..];
        // CSI sequences end with a letter; of OSC sequences, the terminator is a bell.
        let end = match sequence.chars().next() {
            Some('[') => sequence.find(|c: char| c.is_ascii_alphabetic()),
            Some(']') => sequence.find('\u{7}'),
            _ => Some(0),
        };
        rest = end.map_or("", |end| sequence.get(end + 1..).unwrap_or(""));
    }
    plain.push_str(rest);
    plain.trim_end().to_owned()
}

/// What a command printed whose failure its caller ignores is not an error.
fn excuse(lines: &[&str], kinds: &mut [Kind]) {
    for at in 0..kinds.len() {
        if kinds[at] != Kind::Ignored {
            continue;
        }
        for before in (0..at).rev() {
            if programs::is_command(lines[before]) || matches!(kinds[before], Kind::Exit | Kind::Ignored) {
                break;
            }
            kinds[before] = Kind::Other;
        }
    }
}

/// Lines of a traceback or of a page of `CMake` are not errors of their own.
fn inside_blocks(lines: &[&str], kinds: &mut [Kind]) {
    let mut at = 0;
    while at < kinds.len() {
        let (_, to) = match kinds[at] {
            Kind::Error("cmake" | "python") => block(lines, kinds, at),
            _ => (at, at + 1),
        };
        for inside in kinds.iter_mut().take(to).skip(at + 1) {
            if !matches!(inside, Kind::Exit) {
                *inside = Kind::Other;
            }
        }
        at = to.max(at + 1);
    }
}

/// The lines with errors that ended something. A line that may be harmless is one of them if it is the last thing that
/// was printed before a command exited with a status, or before the end of an output without any other error.
fn fatal(lines: &[&str], kinds: &[Kind]) -> Vec<usize> {
    let mut fatal: BTreeSet<usize> = BTreeSet::new();
    fatal.extend((0..kinds.len()).filter(|at| matches!(kinds[*at], Kind::Error(_))));
    let exits = (0..kinds.len()).filter(|at| kinds[*at] == Kind::Exit);
    let ends: Vec<usize> = if fatal.is_empty() {
        exits.chain([kinds.len()]).collect()
    } else {
        exits.collect()
    };
    for end in ends {
        let before = (end.saturating_sub(MAX_DISTANCE)..end).rev();
        for at in before {
            match kinds[at] {
                Kind::Perhaps(_) => drop(fatal.insert(at)),
                Kind::Exit | Kind::Other | Kind::Ignored if !programs::is_command(lines[at]) => continue,
                _ => {}
            }
            break;
        }
    }
    fatal.into_iter().collect()
}

/// The lines that belong to the error at `at`: from, and the one after them.
fn block(lines: &[&str], kinds: &[Kind], at: usize) -> (usize, usize) {
    let mut from = at;
    while from > 0 && at - from < MAX_PART && programs::introduces(lines[from - 1], lines[at]) {
        from -= 1;
    }
    let program = kinds[at].program();
    let mut to = at + 1;
    while to < lines.len() && programs::continues(program, &lines[at..to], lines[to]) {
        to += 1;
    }
    (from, to)
}

/// At most so many lines, without empty ones, each not too long. Parts that are too long are cut: the first line of a part
/// says what it is.
fn clipped(lines: &[&str]) -> Vec<String> {
    let short = |line: &str| match line.char_indices().nth(MAX_CHARACTERS) {
        Some((at, _)) => format!("{} …", &line[..at]),
        None => line.to_owned(),
    };
    let lines: Vec<&str> = lines.iter().copied().filter(|line| !line.is_empty()).collect();
    if lines.len() <= MAX_LINES {
        return lines.into_iter().map(short).collect();
    }
    let mut clipped = Vec::new();
    let mut part = 0;
    let mut left_out = 0;
    let note = |clipped: &mut Vec<String>, left_out: &mut usize| match std::mem::take(left_out) {
        0 => {}
        count => clipped.push(format!("… {count} more lines")),
    };
    for (position, line) in lines.iter().enumerate() {
        if position == 0 || programs::begins_part(line) {
            note(&mut clipped, &mut left_out);
            part = 0;
        }
        part += 1;
        // The last line is often the point: an exception, a context.
        let is_last = position + 1 == lines.len();
        if part <= MAX_PART || is_last {
            if is_last {
                note(&mut clipped, &mut left_out);
            }
            clipped.push(short(line));
        } else {
            left_out += 1;
        }
    }
    clipped
}

/// The first command that exited with a status, and its command line, if it was printed before the error.
fn exited(lines: &[&str], kinds: &[Kind], error: Option<usize>) -> Option<Exited> {
    let at = (0..kinds.len()).find(|at| kinds[*at] == Kind::Exit)?;
    let said = lines[at].trim().to_owned();
    if let Some(command) = programs::command_in(lines[at], lines.get(at + 1).copied()) {
        return Some(Exited {
            command: Some(shortened(&command)),
            said,
        });
    }
    let target = programs::target(lines[at]);
    let names_target = |line: &&str| {
        let name = target.map(|target| target.rsplit('/').next().unwrap_or(target));
        name.is_some_and(|name| line.split([' ', '/', '=', '\'', '"']).any(|word| word == name))
    };
    let echoed = |before: usize| {
        let from = before.saturating_sub(MAX_ECHO_DISTANCE);
        lines[from..before]
            .iter()
            .rev()
            .filter(|line| programs::is_command(line))
    };
    let named = echoed(at).find(|line| names_target(line));
    // Commands of others may have been printed between the error and its end.
    let nearest = || echoed(error.unwrap_or(at).min(at)).next();
    Some(Exited {
        command: named.or_else(nearest).map(|line| shortened(line.trim())),
        said,
    })
}

/// A command line, without the middle of a long one.
fn shortened(command: &str) -> String {
    let count = command.chars().count();
    if count <= MAX_CHARACTERS {
        return command.to_owned();
    }
    let head: String = command.chars().take(MAX_CHARACTERS / 2).collect();
    let tail: String = command.chars().skip(count - MAX_CHARACTERS / 2).collect();
    format!("{head} … {tail}")
}

/// The lines of a server's log, of which long entries are cut: what continues one begins with a tab.
pub fn log_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut part, mut left_out) = (0, 0);
    for line in text.lines() {
        part = if line.starts_with('\t') { part + 1 } else { 0 };
        if part >= MAX_PART {
            left_out += 1;
            continue;
        }
        if left_out > 0 {
            lines.push(format!("\t… {left_out} more lines"));
            left_out = 0;
        }
        lines.push(line.to_owned());
    }
    if left_out > 0 {
        lines.push(format!("\t… {left_out} more lines"));
    }
    lines
}

/// Why a configure script failed, from its `config.log`: the errors of the test before `message`, the error that it printed.
pub fn of_configure(log: &str, message: &str) -> Option<Vec<String>> {
    let lines: Vec<&str> = log.lines().collect();
    let numbered = |line: &str| -> Option<usize> {
        let rest = line.strip_prefix("configure:")?;
        let (number, rest) = rest.split_once(": ")?;
        number.parse::<u32>().ok()?;
        Some(line.len() - rest.len())
    };
    let says =
        |line: &&str| numbered(line).is_some_and(|at| line[at..].strip_prefix("error: ") == Some(message));
    let end = lines.iter().position(says)?;
    let begins = |line: &&str| numbered(line).is_some_and(|at| line[at..].starts_with("checking "));
    let begin = lines[..end].iter().rposition(begins)?;
    let tested = &lines[begin..end];
    let program = tested
        .iter()
        .position(|line| line.starts_with("configure: failed program was"));
    let output = tested[..program.unwrap_or(tested.len())].join("\n");
    let errors = errors(&output);
    let shown = errors.first.map(|error| error.lines)?;
    let question = &tested[0][numbered(tested[0])?..];
    Some(std::iter::once(question.to_owned()).chain(shown).collect())
}

#[cfg(test)]
mod tests;

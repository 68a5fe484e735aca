//! No text of the repository contains a phrase or a name of `tests/fixtures/phrases.txt`.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::support::project;

/// Directories and files that are still to be reworded. An entry goes when its texts are clean.
const PENDING: [&str; 3] = [
    // The record of what was tested covers their tests: they change together with the next `make catalogue`.
    "manifests/contrib.yaml",
    "manifests/extensions/login_hook.yaml",
    "manifests/extensions/semver.yaml",
];

/// Files of other authors, generated files, the list itself, and this test of it.
const SKIPPED: [&str; 12] = [
    ".git",
    "target",
    "dist",
    "vendor",
    "LICENSE",
    "fuzz/target",
    "fuzz/corpus",
    "fuzz/artifacts",
    "cluster/secrets",
    "src/image/licences",
    "tests/fixtures/phrases.txt",
    "tests/suite/phrases.rs",
];

/// The list of what is not said.
#[derive(Default)]
struct List {
    /// Words in lower case, and what to say instead.
    phrases: Vec<(Vec<String>, String)>,
    allowed: Vec<Vec<String>>,
    names: Vec<(String, String)>,
}

impl List {
    fn read() -> Self {
        let mut list = Self::default();
        let mut section = "";
        let text = std::fs::read_to_string(project().join("tests/fixtures/phrases.txt")).unwrap();
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (entry, instead) = line.split_once('|').unwrap_or((line, ""));
            let (entry, instead) = (entry.trim(), instead.trim().to_owned());
            let words = || entry.split(' ').map(str::to_owned).collect();
            match section {
                _ if entry.starts_with('[') => section = line,
                "[phrases]" => list.phrases.push((words(), instead)),
                "[allowed]" => list.allowed.push(words()),
                "[names]" => list.names.push((entry.to_owned(), instead)),
                other => panic!("{other}: {line}"),
            }
        }
        list
    }

    /// Every phrase and name of the list in a text, as `line: what: what to say instead`.
    fn offences(&self, text: &str, is_code: bool) -> Vec<String> {
        let words = Words::of(text);
        let places = |phrases: &[Vec<String>]| -> Vec<Range<usize>> {
            phrases.iter().flat_map(|phrase| words.places(phrase)).collect()
        };
        let allowed = places(&self.allowed);
        let is_allowed = |place: &Range<usize>| {
            allowed
                .iter()
                .any(|other| other.start <= place.start && place.end <= other.end)
        };
        let mut found = Vec::new();
        for (phrase, instead) in &self.phrases {
            for place in words
                .places(phrase)
                .into_iter()
                .filter(|place| !is_allowed(place))
            {
                found.push((
                    line_of(text, words.at[place.start].start),
                    words.text[place].join(" "),
                    instead,
                ));
            }
        }
        for (name, instead) in self.names.iter().filter(|_| is_code) {
            let lines = text.lines().enumerate();
            let lines = lines.filter(|(_, line)| contains(code(line), name));
            found.extend(lines.map(|(number, _)| (number + 1, name.clone(), instead)));
        }
        found.sort();
        let say = |(line, said, instead)| format!("{line}: \"{said}\": say {instead}");
        found.into_iter().map(say).collect()
    }
}

/// The words of a text in lower case. Hyphens and underscores join them.
struct Words {
    text: Vec<String>,
    /// Where each of them is.
    at: Vec<Range<usize>>,
    /// Whether only space, the end of a line and marks of comments are between a word and the one before.
    is_joined: Vec<bool>,
    /// Where a word is among the words.
    index: HashMap<String, Vec<usize>>,
}

impl Words {
    fn of(text: &str) -> Self {
        let mut at: Vec<Range<usize>> = Vec::new();
        for (start, character) in text.char_indices() {
            if character.is_alphanumeric() || "_-'\u{2019}".contains(character) {
                let end = start + character.len_utf8();
                match at.last_mut() {
                    Some(last) if last.end == start => last.end = end,
                    _ => at.push(start..end),
                }
            }
        }
        let is_gap = |character: char| character.is_whitespace() || "/!#*>\\`\":".contains(character);
        let mut words = Self {
            text: at
                .iter()
                .map(|word| text[word.clone()].trim_matches('\'').to_lowercase())
                .collect(),
            is_joined: at
                .windows(2)
                .map(|pair| text[pair[0].end..pair[1].start].chars().all(is_gap))
                .collect(),
            at,
            index: HashMap::new(),
        };
        words.is_joined.insert(0, false);
        for (number, word) in words.text.iter().enumerate() {
            words.index.entry(word.clone()).or_default().push(number);
        }
        words
    }

    /// Where a phrase is, as ranges of words.
    fn places(&self, phrase: &[String]) -> Vec<Range<usize>> {
        let starts = self.index.get(&phrase[0]).into_iter().flatten();
        let ranges = starts.map(|start| *start..start + phrase.len());
        let is_phrase = |place: &Range<usize>| {
            self.text.get(place.clone()).is_some_and(|words| {
                let mut pairs = words.iter().zip(phrase);
                pairs.all(|(word, expected)| expected == "*" || word == expected)
                    && self.is_joined[place.start + 1..place.end]
                        .iter()
                        .all(|is_joined| *is_joined)
            })
        };
        ranges.filter(is_phrase).collect()
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// A line without its comment.
fn code(line: &str) -> &str {
    let trimmed = line.trim_start();
    if trimmed.starts_with('#') {
        return "";
    }
    line.split("// ").next().unwrap_or_default()
}

/// Whether a line of code contains a name, and not as a part of a longer one.
fn contains(line: &str, name: &str) -> bool {
    let is_part = |character: Option<char>| {
        character.is_some_and(|character| character.is_alphanumeric() || character == '_')
    };
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back().filter(|_| !name.starts_with('.'));
        let after = line[at + name.len()..]
            .chars()
            .next()
            .filter(|_| !name.ends_with('('));
        !is_part(before) && !is_part(after)
    })
}

/// Every file of the project that is text, by its path from the project's directory.
fn texts(directory: &Path, found: &mut Vec<(String, String)>) {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        let name = path.strip_prefix(project()).unwrap().display().to_string();
        let is_skipped =
            SKIPPED.contains(&name.as_str()) || Path::new(&name).extension().is_some_and(|end| end == "lock");
        if is_skipped || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            texts(&path, found);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            found.push((name, text));
        }
    }
}

#[test]
fn no_text_contains_a_phrase_of_the_list() {
    let list = List::read();
    let mut files = Vec::new();
    texts(project(), &mut files);
    assert!(files.len() > 200, "only {} texts were found", files.len());
    // PHRASES=all shows what is pending as well.
    let is_pending =
        |name: &str| PENDING.iter().any(|place| name.starts_with(place)) && std::env::var("PHRASES").is_err();
    let mut found = Vec::new();
    for (name, text) in files.iter().filter(|(name, _)| !is_pending(name)) {
        let is_code = [".rs", ".sh", ".py", "run"].iter().any(|end| name.ends_with(end));
        found.extend(
            list.offences(text, is_code)
                .into_iter()
                .map(|line| format!("{name}:{line}")),
        );
    }
    assert!(found.is_empty(), "{} places:\n{}", found.len(), found.join("\n"));
}

#[test]
fn phrases_are_found_however_they_are_written() {
    let list = List::read();
    let offences = |text: &str| list.offences(text, true);
    assert_eq!(
        offences("// One:\n/// it cannot be\n/// had."),
        ["2: \"be had\": say is available, can be fetched"]
    );
    assert_eq!(offences("# Whoever\n").len(), 1);
    assert_eq!(
        offences("`x` is no number."),
        ["1: \"is no number\": say is not a …, there is no …"]
    );
    assert_eq!(offences("\"this is no \\\n   number\"").len(), 1);
    assert_eq!(offences("fn f(s: Supply) {}"), ["1: \"Supply\": say Sources"]);
    assert_eq!(offences("x.because(y)").len(), 1);
    for text in [
        "There is no number.",
        "it is no longer",
        "what it is. No number",
        "is a no-op",
        "SupplyChain",
        "// Supply",
        "nobody_home",
    ] {
        assert_eq!(offences(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn every_entry_of_the_list_is_looked_for() {
    let list = List::read();
    assert!(list.phrases.len() > 15 && list.allowed.len() > 5 && list.names.len() > 20);
    for (phrase, instead) in &list.phrases {
        let text = phrase.join(" ").replace('*', "word");
        assert_eq!(list.offences(&text, false).len(), 1, "{text}");
        assert_eq!(list.offences(instead, true), Vec::<String>::new(), "{instead}");
    }
    for (name, instead) in &list.names {
        assert_eq!(
            list.offences(
                &format!(
                    "x{}",
                    if name.starts_with('.') {
                        name.clone()
                    } else {
                        format!(" {name} ")
                    }
                ),
                true
            )
            .len(),
            1,
            "{name}"
        );
        assert!(!instead.is_empty(), "{name}");
    }
}

//! The invariants that the compiler does not hold: who may touch the machine, who may print, and what stands in
//! the project's files.

use std::path::{Path, PathBuf};

use crate::support::project;

/// Every Rust file below `directory`, by its path from there.
fn rust_files(directory: &Path) -> Vec<(String, String)> {
    fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(directory, &mut files);
    files.sort();
    let name = |path: &Path| path.strip_prefix(directory).unwrap().display().to_string();
    files
        .into_iter()
        .map(|path| (name(&path), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

/// The code of a file without its unit tests, with the number of each line.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text
        .lines()
        .take_while(|line| !line.trim().ends_with("mod tests {"));
    lines
        .enumerate()
        .map(|(number, line)| (number + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Lines of `src` outside of the files and directories in `allowed` that contain one of `words`.
fn uses(words: &[&str], allowed: &[&str]) -> Vec<String> {
    let files = rust_files(&project().join("src"));
    assert!(files.len() > 20, "the sources were not found");
    // `tests.rs` is a module's unit tests in a file of their own.
    let outside = files.iter().filter(|(name, _)| {
        !name.ends_with("/tests.rs") && !allowed.iter().any(|place| name.starts_with(place))
    });
    outside
        .flat_map(|(name, text)| {
            let found = code(text).filter(|(_, line)| words.iter().any(|word| line.contains(word)));
            found.map(move |(number, line)| format!("src/{name}:{number}: {}", line.trim()))
        })
        .collect()
}

#[test]
fn only_host_touches_the_machine() {
    let words = [
        "std::fs",
        "use std::{fs",
        "File::",
        "std::process::Command",
        "std::env",
        "std::net",
        "duct::",
        "reqwest::",
    ];
    assert_eq!(
        uses(
            &words,
            &[
                "archive/",
                "host/",
                "image/elf.rs",
                "image/symbols.rs",
                "source/",
                "store/"
            ]
        ),
        Vec::<String>::new()
    );
}

#[test]
fn only_report_prints() {
    let words = [
        "println!",
        "print!(",
        "eprint",
        "io::stdout",
        "io::stderr",
        "dbg!",
    ];
    assert_eq!(uses(&words, &["report/"]), Vec::<String>::new());
}

#[test]
fn what_is_pure_knows_neither_machine_nor_clock() {
    let words = [
        "crate::host",
        "std::time",
        "SystemTime",
        "Instant",
        "crate::report",
        "crate::step",
    ];
    let files = rust_files(&project().join("src"));
    let pure = [
        "manifest/",
        "resolve/",
        "plan/",
        "image/closure.rs",
        "command.rs",
        "step/build/hint.rs",
        "record/",
        "report/summary.rs",
        "target.rs",
        "run/timing.rs",
        "timing.rs",
        "report/trace.rs",
        "layout.rs",
        "store/reapi.rs",
    ];
    let mut found = Vec::new();
    for (name, text) in files
        .iter()
        .filter(|(name, _)| pure.iter().any(|place| name.starts_with(place)))
    {
        // What is known of an ELF file is data, wherever it was read, and so is a length of time.
        let is_bad = |line: &str| {
            let line = line
                .replace("crate::image::elf::", "")
                .replace("std::time::Duration", "");
            words.iter().any(|word| line.contains(word))
        };
        let bad = code(text).filter(|(_, line)| is_bad(line));
        found.extend(bad.map(|(number, line)| format!("src/{name}:{number}: {}", line.trim())));
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_file_opens_with_what_it_is() {
    let mut silent = Vec::new();
    for directory in ["src", "tests/suite"] {
        let files = rust_files(&project().join(directory));
        silent.extend(
            files
                .into_iter()
                .filter(|(_, text)| !text.starts_with("//! "))
                .map(|(name, _)| name),
        );
    }
    assert_eq!(silent, Vec::<String>::new());
}

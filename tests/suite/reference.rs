//! The reference of the image's variables against the scripts that read them. The other pages are generated from the program
//! and held by its unit tests (`src/reference`).

use std::collections::BTreeSet;

use crate::support::project;

/// Prefixes of the variables that are the image's.
const PREFIXES: [&str; 4] = ["POSTGRES_", "PATRONI_", "CITUS_", "RESTORE_"];

/// Every word in the scripts that has the form of such a variable, by the file it is in.
fn words() -> BTreeSet<String> {
    fn walk(directory: &std::path::Path, words: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, words);
            } else if path.extension().is_some_and(|extension| extension == "sh") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
                for line in code {
                    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
                    let found = line
                        .split(|c| !is_part(c))
                        .filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix)));
                    words.extend(found.map(str::to_owned));
                }
            }
        }
    }
    let mut words = BTreeSet::new();
    walk(&project().join("entrypoint.d"), &mut words);
    words
}

/// The names in the table.
fn names() -> BTreeSet<String> {
    let table = std::fs::read_to_string(project().join("src/reference/variables.tsv")).unwrap();
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("name\tdefault\tfile\tmeaning"));
    let mut names = BTreeSet::new();
    for line in lines {
        let columns: Vec<&str> = line.split('\t').collect();
        let [name, _, file, meaning] = columns.as_slice() else {
            panic!("four columns: {line}");
        };
        assert!(matches!(*file, "yes" | "no"), "{line}");
        assert!(
            meaning.ends_with('.') || meaning.ends_with(')'),
            "a sentence: {line}"
        );
        assert!(names.insert((*name).to_owned()), "{name} stands there twice");
    }
    names
}

#[test]
fn every_variable_that_the_image_reads_is_in_the_table() {
    let names = names();
    assert!(names.contains("PATRONI_*"), "Patroni's own variables");
    let missing: Vec<String> = words()
        .into_iter()
        .filter(|word| !word.ends_with('_') && !word.starts_with("PATRONI_"))
        .filter(|word| !names.contains(word) && !names.contains(word.trim_end_matches("_FILE")))
        .collect();
    assert_eq!(
        missing,
        Vec::<String>::new(),
        "add them to src/reference/variables.tsv"
    );
}

#[test]
fn every_variable_in_the_table_is_read_by_the_image() {
    let words = words();
    // pgstart takes every option of pgBackRest by its prefix.
    let is_taken = |name: &String| name.ends_with('*') || name.starts_with("PGBACKREST_") || name == "PGDATA";
    let is_read = |name: &String| words.contains(name) || is_taken(name);
    let unread: Vec<String> = names().into_iter().filter(|name| !is_read(name)).collect();
    assert_eq!(
        unread,
        Vec::<String>::new(),
        "take them out of entrypoint.d/variables.tsv"
    );
}

//! The pages of the repository: every link leads somewhere, every page is in the index, none is too long, and no command
//! line has an option that pgsetup does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::markdown::{Page, Part, commands, pages};
use crate::support::{pgsetup, project};

/// How many lines the README may have: a newcomer reads it in two minutes.
const MAX_README: usize = 110;
/// How many lines a guide may have. A longer one does two tasks.
const MAX_GUIDE: usize = 150;

/// A path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

/// What is wrong with a link, if anything is.
fn broken(page: &Page, link: &str, anchors: &BTreeMap<PathBuf, &[String]>) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.path.clone(),
        file => normal(&page.path.with_file_name(file)),
    };
    if !project().join(&target).exists() {
        return Some(format!("{} does not exist", target.display()));
    }
    let has = |anchors: &[String]| anchors.iter().any(|known| known == anchor);
    match anchors.get(&target) {
        Some(known) if anchor.is_empty() || has(known) => None,
        None if anchor.is_empty() => None,
        _ => Some(format!("{} has no heading `{anchor}`", target.display())),
    }
}

#[test]
fn every_link_and_anchor_leads_somewhere() {
    let pages = pages();
    assert!(pages.len() > 50, "the pages were not found");
    let anchors: BTreeMap<PathBuf, &[String]> = pages
        .iter()
        .map(|page| (page.path.clone(), page.anchors.as_slice()))
        .collect();
    let links = pages
        .iter()
        .flat_map(|page| page.links.iter().map(move |link| (page, link)));
    let mut wrong = Vec::new();
    for (page, link) in links {
        if let Some(why) = broken(page, link, &anchors) {
            wrong.push(format!("{}: ({link}): {why}", page.path.display()));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// The site that `make docs` builds has the pages of `docs/` and no others.
#[test]
fn pages_of_docs_link_to_pages_of_docs() {
    let mut wrong = Vec::new();
    for page in pages().iter().filter(|page| page.path.starts_with("docs")) {
        for link in page.links.iter().filter(|link| !link.contains("://")) {
            let (file, _) = link.split_once('#').unwrap_or((link, ""));
            if !normal(&page.path.with_file_name(file)).starts_with("docs") {
                wrong.push(format!("{}: ({link})", page.path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_index_names_every_page_of_docs() {
    let pages = pages();
    let index = Path::new("docs/README.md");
    let links = &pages
        .iter()
        .find(|page| page.path == index)
        .expect("the index")
        .links;
    let listed: BTreeSet<PathBuf> = links.iter().map(|link| Path::new("docs").join(link)).collect();
    let missing: Vec<String> = pages
        .iter()
        .map(|page| &page.path)
        .filter(|path| path.starts_with("docs") && *path != index && !listed.contains(*path))
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_readme_and_the_guides_are_short() {
    let mut long = Vec::new();
    for page in pages() {
        let most = match page.path.to_str() {
            Some("README.md") => MAX_README,
            Some(path) if path.starts_with("docs/guides/") || path == "docs/getting-started.md" => MAX_GUIDE,
            _ => continue,
        };
        if page.lines > most {
            long.push(format!(
                "{}: {} lines, at most {most}",
                page.path.display(),
                page.lines
            ));
        }
    }
    assert_eq!(long, Vec::<String>::new());
}

/// The words of a command as a shell splits them, up to a pipe, a redirection or a comment.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for character in command.replace("\\\n", " ").chars() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, ' ') => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            (None, '|' | '>' | '<' | '&' | '#') => break,
            _ => word.push(character),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// The arguments of a command of this program; assignments may stand before it.
fn arguments(command: &str, program: &str) -> Option<Vec<String>> {
    let mut words = words(command).into_iter().skip_while(|word| word.contains('='));
    let first = words.next()?;
    let is_it = first == program || first.ends_with(&format!("/{program}"));
    is_it.then(|| words.collect())
}

/// `--help` at the end of a command line prints help if everything before it can be parsed.
#[test]
fn every_command_line_of_pgsetup_can_be_parsed() {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (path, command) in shown_commands() {
        let Some(arguments) = arguments(&command, "pgsetup") else {
            continue;
        };
        let parsed = arguments
            .iter()
            .take_while(|word| *word != "--")
            .map(String::as_str);
        let ran = pgsetup(parsed.chain(["--help"]));
        tried += 1;
        if ran.status != 0 {
            wrong.push(format!("{}: {command}\n{}", path.display(), ran.err));
        }
    }
    assert!(tried > 20, "the commands were not found");
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_make_target_exists() {
    let makefile = std::fs::read_to_string(project().join("Makefile")).unwrap();
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(target, _)| target)
        .collect();
    let mut wrong = Vec::new();
    for (path, command) in shown_commands() {
        let named = arguments(&command, "make").unwrap_or_default();
        for target in named.iter().filter(|word| !word.contains('=')) {
            if !targets.contains(target.as_str()) {
                wrong.push(format!("{}: make {target}", path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn words_are_split_as_a_shell_splits_them() {
    let command = "PG=17 make image \\\n  EXTENSIONS=\"citus pgvector\"   # and a comment";
    assert_eq!(
        arguments(command, "make").unwrap(),
        ["image", "EXTENSIONS=citus pgvector"]
    );
    assert_eq!(
        arguments("dist/pgsetup plan | head", "pgsetup").unwrap(),
        ["plan"]
    );
    assert_eq!(arguments("docker run make", "make"), None);
}

/// The commands of the console blocks that readers are meant to type.
fn shown_commands() -> Vec<(PathBuf, String)> {
    let mut shown = Vec::new();
    for page in pages() {
        if page.path != Path::new("README.md") && !page.path.starts_with("docs") {
            continue;
        }
        for part in &page.parts {
            if let Part::Code { language, text } = part
                && language == "console"
            {
                let of_block = commands(text);
                shown.extend(
                    of_block
                        .into_iter()
                        .map(|shown| (page.path.clone(), shown.command)),
                );
            }
        }
    }
    shown
}

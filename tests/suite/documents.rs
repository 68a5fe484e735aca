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
    let links = &pages.iter().find(|page| page.path == index).expect("the index").links;
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

/// The words after `pgsetup` or `make` in a command, up to what a shell would take for the end or a comment.
fn words_after<'a>(command: &'a str, program: &str) -> Option<Vec<&'a str>> {
    let mut words = command.split_whitespace();
    words.find(|word| *word == program || word.strip_suffix(program).is_some_and(|rest| rest.ends_with('/')))?;
    let ends = |word: &&str| !["|", "&&", ">", "#", "&", "<", "--", "…"].contains(word);
    Some(words.take_while(ends).filter(|word| *word != "\\").collect())
}

/// `--help` at the end of a command line prints help if everything before it can be parsed.
#[test]
fn every_command_line_of_pgsetup_can_be_parsed() {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (path, command) in shown_commands() {
        let Some(words) = words_after(&command, "pgsetup") else {
            continue;
        };
        let text = words.join(" ").replace(['"', '\''], "");
        let mut words: Vec<&str> = text.split_whitespace().collect();
        if words.first().is_none_or(|first| first.starts_with("-v") || *first == "/usr/local/bin/pgsetup") {
            continue;
        }
        words.push("--help");
        let ran = pgsetup(words.iter().copied());
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
        let Some(words) = words_after(&command, "make") else {
            continue;
        };
        let target = words.iter().find(|word| !word.contains('='));
        // `pgsetup shell NAME -- make V=1` is a makefile of another project.
        if let Some(target) = target.filter(|target| !targets.contains(**target)) {
            wrong.push(format!("{}: make {target}", path.display()));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
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
                shown.extend(of_block.into_iter().map(|shown| (page.path.clone(), shown.command)));
            }
        }
    }
    shown
}

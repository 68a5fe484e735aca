//! Pages of Markdown as a reader sees them: headings, links, and blocks of code with the comment before them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::support::project;

/// A page of the repository.
pub struct Page {
    /// From the project's directory.
    pub path: PathBuf,
    /// How many lines it has.
    pub lines: usize,
    /// Where its links and images lead, as they are written.
    pub links: Vec<String>,
    /// The anchors of its headings, as GitHub and mdBook name them.
    pub anchors: Vec<String>,
    /// Its comments and blocks of code, in their order.
    pub parts: Vec<Part>,
}

/// A comment, or a block of code.
pub enum Part {
    /// The text of `<!-- … -->`.
    Comment(String),
    /// A block of code.
    Code {
        /// What it is written in: `console`, `yaml`.
        language: String,
        /// Its text.
        text: String,
    },
}

/// Every page of the repository, by its path.
pub fn pages() -> Vec<Page> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).expect("a directory of the project") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if path.is_symlink() || ["target", "dist", ".git"].contains(&name) {
                continue;
            }
            if path.is_dir() {
                walk(&path, found);
            } else if Path::new(&name).extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(project(), &mut found);
    found.sort();
    found.iter().map(|path| page(path)).collect()
}

fn page(path: &Path) -> Page {
    let text = std::fs::read_to_string(path).expect("a page is UTF-8");
    let mut page = Page {
        path: path
            .strip_prefix(project())
            .expect("a page of the project")
            .to_owned(),
        lines: text.lines().count(),
        links: Vec::new(),
        anchors: Vec::new(),
        parts: Vec::new(),
    };
    let mut heading: Option<String> = None;
    let mut code: Option<(String, String)> = None;
    let mut html = String::new();
    let mut seen = BTreeMap::new();
    for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap_or_default());
                let earlier = seen
                    .entry(anchor.clone())
                    .and_modify(|count| *count += 1)
                    .or_insert(0);
                page.anchors.push(match *earlier {
                    0 => anchor,
                    number => format!("{anchor}-{number}"),
                });
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push(dest_url.into_string());
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.into_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                code = Some((language, String::new()));
            }
            Event::End(TagEnd::CodeBlock) => {
                let (language, text) = code.take().expect("a block of code began");
                page.parts.push(Part::Code { language, text });
            }
            Event::Html(text) => html.push_str(&text),
            Event::End(TagEnd::HtmlBlock) => page.parts.extend(comments(&std::mem::take(&mut html))),
            Event::Text(text) | Event::Code(text) => {
                if let Some((_, block)) = &mut code {
                    block.push_str(&text);
                } else if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    page
}

/// The anchor of a heading: lower case, without punctuation, hyphens for spaces.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

fn comments(html: &str) -> Vec<Part> {
    let (mut rest, mut found) = (html, Vec::new());
    while let Some((_, after)) = rest.split_once("<!--") {
        let (comment, after) = after.split_once("-->").expect("a comment ends");
        found.push(Part::Comment(comment.trim().to_owned()));
        rest = after;
    }
    found
}

/// A command of a console block, with what a reader is shown of its outcome.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    /// The command; several lines if a backslash continues it.
    pub command: String,
    /// The output.
    pub output: String,
    /// The exit status; 0 unless the last line says `? 3`.
    pub status: i32,
}

/// The commands of a console block, which stand after `$ `.
pub fn commands(block: &str) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    let mut continues = false;
    for line in block.lines() {
        let prompt = line.strip_prefix("$ ");
        if let (false, Some(command)) = (continues, prompt) {
            commands.push(Shown {
                command: command.to_owned(),
                output: String::new(),
                status: 0,
            });
        } else if let Some(last) = commands.last_mut() {
            if continues {
                last.command.push('\n');
                last.command.push_str(line);
            } else if let Some(status) = line.strip_prefix("? ") {
                last.status = status.parse().expect("an exit status is a number");
            } else {
                last.output.push_str(line);
                last.output.push('\n');
            }
        }
        continues = line.ends_with('\\') && (continues || prompt.is_some());
    }
    commands
}

#[test]
fn a_console_block_is_read_as_its_reader_reads_it() {
    let block = "$ pgsetup plan \\\n    --pg 17\nerror: none\n? 3\n$ id\n";
    let shown = |command: &str, output: &str, status| Shown {
        command: command.to_owned(),
        output: output.to_owned(),
        status,
    };
    let expected = [
        shown("pgsetup plan \\\n    --pg 17", "error: none\n", 3),
        shown("id", "", 0),
    ];
    assert_eq!(commands(block), expected);
}

#[test]
fn anchors_are_those_of_github() {
    assert_eq!(anchor("What is `compiled` again?"), "what-is-compiled-again");
    assert_eq!(anchor("1. Build the binary"), "1-build-the-binary");
}

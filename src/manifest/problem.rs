//! Something wrong in a manifest, and how it is shown: file, line, column, the line itself with a mark under
//! it, and what to do.

use std::ops::Range;
use std::sync::Arc;

use super::secret;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// A file's name and text, for pointing into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// The path as it is shown to the reader.
    pub file: String,
    /// The text.
    pub text: String,
}

/// One thing wrong in a manifest.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The file it is in.
    pub source: Arc<SourceText>,
    /// The bytes it is about.
    pub span: Range<usize>,
    /// What is wrong, in one line.
    pub message: String,
    /// What to write instead, where that is known.
    pub help: Option<String>,
}

impl Problem {
    /// Adds what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All problems as one text, in the order of files and lines. `styled` adds colour.
pub fn render(problems: &[Problem], styled: bool) -> String {
    let mut problems: Vec<&Problem> = problems.iter().collect();
    problems.sort_by(|a, b| {
        (&a.source.file, a.span.start, &a.message).cmp(&(&b.source.file, b.span.start, &b.message))
    });
    let renderer = if styled {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut page = String::new();
    // Lines are counted once for each file, not for each problem: they are sorted by file.
    let mut lines: (&str, Vec<usize>) = ("", Vec::new());
    for problem in &problems {
        if lines.0 != problem.source.file || lines.1.is_empty() {
            let text = &problem.source.text;
            let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
            lines = (&problem.source.file, starts.collect());
        }
        page.push_str(&renderer.render(&[group(problem, &lines.1)]));
        page.push_str("\n\n");
    }
    let files: std::collections::BTreeSet<&str> = problems.iter().map(|p| p.source.file.as_str()).collect();
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    page.push_str(&format!(
        "{} in {}\n",
        plural(problems.len(), "problem"),
        plural(files.len(), "file")
    ));
    page
}

/// The message with the line it is about; `starts` are the places where the file's lines begin.
fn group<'p>(problem: &'p Problem, starts: &[usize]) -> Group<'p> {
    let text = &problem.source.text;
    // One line is handed over and not the file, and the mark stays on it: a whole block under the mark hides the
    // message. What is wrong at the very end is shown behind the last thing that is written.
    let from = problem.span.start.min(text.trim_end().len());
    let line = starts.partition_point(|start| *start <= from).max(1) - 1;
    let begin = starts[line];
    let end = text[begin..].find('\n').map_or(text.len(), |at| begin + at);
    let span = from - begin..problem.span.end.clamp(from, end) - begin;
    let snippet = Snippet::source(secret::masked(&text[begin..end]))
        .line_start(line + 1)
        .path(problem.source.file.as_str())
        .annotation(AnnotationKind::Primary.span(span));
    let group = Level::ERROR
        .primary_title(problem.message.as_str())
        .element(snippet);
    match &problem.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

//! Something wrong in a manifest, and how it is shown: file, line, column, the line itself with a mark under
//! it, and what to do.

use std::ops::Range;
use std::rc::Rc;

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
    pub source: Rc<SourceText>,
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
    for problem in &problems {
        page.push_str(&renderer.render(&[group(problem)]));
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

fn group(problem: &Problem) -> Group<'_> {
    let text = &problem.source.text;
    // The mark stays on the first line of what it is about: a whole block under the mark hides the message.
    let first_line = text[problem.span.clone()]
        .find('\n')
        .map_or(problem.span.end, |at| problem.span.start + at);
    let span = problem.span.start..first_line;
    let snippet = Snippet::source(text.as_str())
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

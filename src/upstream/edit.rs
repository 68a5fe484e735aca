//! Edits a manifest's text and keeps comments, order, quotes and line ends.
//!
//! A value is replaced where it stands. The result is parsed again and compared with the original. An edit that would
//! change anything else is not made.

pub mod list;

use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};

use crate::manifest::document::{Document, Node, NodeKind};

/// A value to replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Its path, such as `releases[0].version`.
    pub path: String,
    /// The new value.
    pub value: String,
}

/// `text` with every edit made.
///
/// # Errors
/// The text is not a plain YAML document, a path does not lead to a value, or a replacement would change something
/// else.
pub fn apply(text: &str, edits: &[Edit]) -> Result<String> {
    let before = document(text)?;
    let mut changes = Vec::new();
    for Edit { path, value } in edits {
        let node = find(&before.root, "", path).with_context(|| format!("there is no `{path}`"))?;
        let span = extent(text, node)
            .with_context(|| format!("`{path}` cannot be changed in place: it is more than a word"))?;
        let new = written_like(&text[span.clone()], value);
        changes.push((span, new));
    }
    changes.sort_by_key(|(span, _)| span.start);
    let overlap = changes.windows(2).any(|pair| pair[0].0.end > pair[1].0.start);
    ensure!(!overlap, "two changes affect the same value");
    let mut edited = text.to_owned();
    // Edits start at the end, so that earlier positions stay valid.
    for (span, new) in changes.iter().rev() {
        edited.replace_range(span.clone(), new);
    }
    let after = document(&edited)?;
    compare(&before.root, &after.root, "", edits)?;
    Ok(edited)
}

fn document(text: &str) -> Result<Document> {
    Document::parse(text).map_err(|error| {
        let line = text[..error.span.start.min(text.len())].matches('\n').count() + 1;
        anyhow::anyhow!("line {line}: {}", error.message)
    })
}

/// The node at `path`; `here` is the path of `node` itself.
fn find<'n>(node: &'n Node, here: &str, path: &str) -> Option<&'n Node> {
    if here == path {
        return Some(node);
    }
    match &node.kind {
        NodeKind::Scalar { .. } => None,
        NodeKind::List(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(position, item)| find(item, &format!("{here}[{position}]"), path))
        }
        NodeKind::Map(entries) => entries
            .iter()
            .find_map(|entry| find(&entry.value, &below(here, &entry.key), path)),
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The range of a scalar with its quotes. The parser's range includes a comment behind it, which is cut off.
fn extent(text: &str, node: &Node) -> Option<Range<usize>> {
    let NodeKind::Scalar { text: word, plain } = &node.kind else {
        return None;
    };
    let start = node.span.start;
    let rest = &text[start..];
    let length = match rest.as_bytes().first()? {
        b'"' => {
            let mut escaped = false;
            1 + rest[1..].find(|c| {
                let closes = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                closes
            })?
        }
        b'\'' => {
            let mut at = 1;
            loop {
                at += rest[at..].find('\'')?;
                if !rest[at + 1..].starts_with('\'') {
                    break at;
                }
                at += 2;
            }
        }
        _ if *plain && !word.is_empty() && rest.starts_with(word.as_str()) => word.len() - 1,
        // A block, a scalar over several lines, or no value.
        _ => return None,
    };
    (!rest[..length].contains('\n')).then(|| start..start + length + 1)
}

/// `value` in the same quotes as `old`.
fn written_like(old: &str, value: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "._-/:+~%=?&${}".contains(c);
    let is_plain = value.starts_with(|c: char| c.is_ascii_alphanumeric()) && value.chars().all(is_word);
    match old.as_bytes() {
        [b'\'', ..] => format!("'{}'", value.replace('\'', "''")),
        [first, ..] if *first != b'"' && is_plain => value.to_owned(),
        _ => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// Whether two trees differ in the edited values only.
fn compare(before: &Node, after: &Node, path: &str, edits: &[Edit]) -> Result<()> {
    match (&before.kind, &after.kind) {
        (NodeKind::Scalar { text: old, .. }, NodeKind::Scalar { text: new, .. }) => {
            let expected = edits
                .iter()
                .find(|edit| edit.path == path)
                .map_or(old, |edit| &edit.value);
            ensure!(
                new == expected,
                "`{path}` would become {new:?} instead of {expected:?}"
            );
        }
        (NodeKind::List(old), NodeKind::List(new)) if old.len() == new.len() => {
            for (position, (old, new)) in old.iter().zip(new).enumerate() {
                compare(old, new, &format!("{path}[{position}]"), edits)?;
            }
        }
        (NodeKind::Map(old), NodeKind::Map(new)) if old.len() == new.len() => {
            for (old, new) in old.iter().zip(new) {
                ensure!(
                    old.key == new.key,
                    "the key `{}` would become `{}`",
                    old.key,
                    new.key
                );
                let path = below(path, &old.key);
                compare(&old.value, &new.value, &path, edits)?;
            }
        }
        _ => bail!("`{path}` would become something else"),
    }
    Ok(())
}

/// The lines of `text`, counted from 1, that contain `word` as a whole word.
pub fn lines_with(text: &str, word: &str) -> Vec<usize> {
    let belongs = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.');
    let stands_alone = |line: &str, at: usize| {
        let mut after = line[at + word.len()..].chars();
        let next = after.next();
        // A full stop after a version ends the sentence, unless another digit follows.
        let goes_on = match next {
            Some('.') => belongs(after.next()),
            next => belongs(next),
        };
        !belongs(line[..at].chars().next_back()) && !goes_on
    };
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| line.match_indices(word).any(|(at, _)| stands_alone(line, at)))
        .map(|(number, _)| number + 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(pairs: &[(&str, &str)]) -> Vec<Edit> {
        let edit = |(path, value): &(&str, &str)| Edit {
            path: (*path).to_owned(),
            value: (*value).to_owned(),
        };
        pairs.iter().map(edit).collect()
    }

    #[test]
    fn only_the_values_change_and_each_keeps_its_quotes() {
        let text = "# 1.0 is old\r\nversion: '1.0'   # a comment: \"1.0\"\r\nlist:\r\n# between\r\n- {a: \"1.0\", b: 1.0, c: é} # end\r\n\r\n# last";
        let edited = apply(
            text,
            &edits(&[("version", "2.0"), ("list[0].a", "2.0-1"), ("list[0].b", "2.0")]),
        );
        assert_eq!(
            edited.unwrap(),
            "# 1.0 is old\r\nversion: '2.0'   # a comment: \"1.0\"\r\nlist:\r\n# between\r\n- {a: \"2.0-1\", b: 2.0, c: é} # end\r\n\r\n# last"
        );
        let edited = apply("a: 1.0", &edits(&[("a", "x: y # z")])).unwrap();
        assert_eq!(edited, "a: \"x: y # z\"");
        let edited = apply("a: 'it''s'\n", &edits(&[("a", "that's")])).unwrap();
        assert_eq!(edited, "a: 'that''s'\n");
    }

    #[test]
    fn what_cannot_be_changed_in_place_is_left_alone() {
        for (text, path, expected) in [
            ("a: |\n  1.0\n", "a", "cannot be changed in place"),
            ("a:\n  b: 1.0\n", "a", "cannot be changed in place"),
            ("a: &x 1.0\nb: *x\n", "a", "anchors"),
            ("a: 1.0\n", "b", "there is no `b`"),
            ("a: one\n  two\n", "a", "cannot be changed in place"),
            ("a: 1.0\nb: [\n", "a", "not valid YAML"),
            ("a:\nb: 1\n", "a", "cannot be changed in place"),
        ] {
            let error = format!("{:#}", apply(text, &edits(&[(path, "2.0")])).unwrap_err());
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_version_is_found_where_it_stands_by_itself() {
        let text = "1.2\nx1.2\n1.2.3\n11.2\nsince 1.2.\nv 1.2, \"1.2\"\n21.2 and 1.2\n";
        assert_eq!(lines_with(text, "1.2"), [1, 5, 6, 7]);
    }
}

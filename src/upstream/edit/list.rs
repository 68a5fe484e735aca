//! Adds and removes words of a list at the top of a manifest, such as `extensions`. Everything else keeps its place, comments
//! included.

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};

use super::{compare, document, extent};
use crate::manifest::document::{Document, Node, NodeKind};

/// A list of words as it is written.
struct Written<'t> {
    text: &'t str,
    /// The bytes behind the key and its colon.
    behind_key: usize,
    /// Each word with its bytes.
    words: Vec<(String, Range<usize>)>,
    /// Whether it is written as `[a, b]`.
    is_flow: bool,
}

/// `text` with `word` at the end of the list `key`, which is made if it is not there.
///
/// # Errors
/// The text is not a plain YAML document, the list is not one of words, or something else would change.
pub fn add(text: &str, key: &str, word: &str) -> Result<String> {
    let before = document(text)?;
    let edited = match written(text, &before, key)? {
        None => {
            let end = if text.is_empty() || text.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            format!("{text}{end}{key}:\n  - {word}\n")
        }
        Some(list) => list.with(word),
    };
    let mut expected = words(text, &before, key)?;
    expected.push(word.to_owned());
    checked(&before, edited, key, &expected)
}

/// `text` without `word` in the list `key`.
///
/// # Errors
/// As for [`add`], or the word is not in the list.
pub fn remove(text: &str, key: &str, word: &str) -> Result<String> {
    let before = document(text)?;
    let list = written(text, &before, key)?.with_context(|| format!("there is no list `{key}`"))?;
    let position = list.words.iter().position(|(one, _)| one == word);
    let position = position.with_context(|| format!("`{word}` is not in `{key}`"))?;
    let mut expected = words(text, &before, key)?;
    expected.remove(position);
    checked(&before, list.without(position), key, &expected)
}

/// The words of a list; none if it is not there.
fn words(text: &str, document: &Document, key: &str) -> Result<Vec<String>> {
    let list = written(text, document, key)?;
    let words = list.into_iter().flat_map(|list| list.words);
    Ok(words.map(|(word, _)| word).collect())
}

fn written<'t>(text: &'t str, document: &Document, key: &str) -> Result<Option<Written<'t>>> {
    let NodeKind::Map(entries) = &document.root.kind else {
        return Ok(None);
    };
    let Some(entry) = entries.iter().find(|entry| entry.key == key) else {
        return Ok(None);
    };
    let NodeKind::List(items) = &entry.value.kind else {
        anyhow::bail!("`{key}` is not a list");
    };
    let word = |item: &Node| Some((item.text()?.to_owned(), extent(text, item)?));
    let words = items.iter().map(word).collect::<Option<Vec<_>>>();
    let colon = text[entry.key_span.end..].find(':').unwrap_or(0);
    let behind_key = entry.key_span.end + colon + 1;
    // A comment may stand between the key and a list of lines.
    let is_flow = text[behind_key..]
        .trim_start_matches([' ', '\t'])
        .starts_with('[');
    Ok(Some(Written {
        text,
        behind_key,
        words: words.with_context(|| format!("`{key}` has more than words"))?,
        is_flow,
    }))
}

impl Written<'_> {
    fn with(&self, word: &str) -> String {
        let text = self.text;
        let Some((_, last)) = self.words.last() else {
            return self.first(word);
        };
        if self.is_flow {
            return format!("{}, {word}{}", &text[..last.end], &text[last.end..]);
        }
        let line = line_of(text, last.start);
        let indent = &text[line.start..last.start];
        let end = if text[..line.end].ends_with('\n') {
            ""
        } else {
            "\n"
        };
        format!("{}{end}{indent}{word}\n{}", &text[..line.end], &text[line.end..])
    }

    /// The first word of a list that was `[]`. It becomes a list of lines unless something stands behind it.
    fn first(&self, word: &str) -> String {
        let text = self.text;
        let open = self.behind_key + text[self.behind_key..].find('[').unwrap_or(0);
        let close = open + text[open..].find(']').map_or(0, |at| at + 1);
        let rest = text[close..].split('\n').next().unwrap_or_default();
        if rest.trim().is_empty() {
            format!("{}\n  - {word}{}", &text[..self.behind_key], &text[close..])
        } else {
            format!("{}[{word}]{}", &text[..open], &text[close..])
        }
    }

    fn without(&self, position: usize) -> String {
        let text = self.text;
        let bytes = &self.words[position].1;
        let cut = match (self.is_flow, position.checked_sub(1)) {
            (true, Some(before)) => self.words[before].1.end..bytes.end,
            (true, None) => match self.words.get(1) {
                Some((_, next)) => bytes.start..next.start,
                None => bytes.clone(),
            },
            (false, _) => line_of(text, bytes.start),
        };
        let rest = format!("{}{}", &text[..cut.start], &text[cut.end..]);
        if !self.is_flow && self.words.len() == 1 {
            return format!("{} []{}", &rest[..self.behind_key], &rest[self.behind_key..]);
        }
        rest
    }
}

/// The line around a position, with its end.
fn line_of(text: &str, position: usize) -> Range<usize> {
    let start = text[..position].rfind('\n').map_or(0, |at| at + 1);
    let end = text[position..]
        .find('\n')
        .map_or(text.len(), |at| position + at + 1);
    start..end
}

/// `edited`, if the list is the only thing in it that differs from `before`, and is as expected.
fn checked(before: &Document, edited: String, key: &str, expected: &[String]) -> Result<String> {
    let after = document(&edited)?;
    let found = words(&edited, &after, key)?;
    ensure!(
        found == expected,
        "`{key}` would become [{}] instead of [{}]",
        found.join(", "),
        expected.join(", ")
    );
    let (NodeKind::Map(old), NodeKind::Map(new)) = (&before.root.kind, &after.root.kind) else {
        anyhow::bail!("the manifest is not a mapping");
    };
    let others = |entries: &'_ [crate::manifest::document::KeyValue]| -> Vec<usize> {
        let positions = entries.iter().enumerate();
        positions
            .filter(|(_, entry)| entry.key != key)
            .map(|(position, _)| position)
            .collect()
    };
    let (olds, news) = (others(old), others(new));
    ensure!(olds.len() == news.len(), "other keys would change");
    for (old_at, new_at) in olds.into_iter().zip(news) {
        let (old, new) = (&old[old_at], &new[new_at]);
        ensure!(
            old.key == new.key,
            "the key `{}` would become `{}`",
            old.key,
            new.key
        );
        compare(&old.value, &new.value, &old.key, &[])?;
    }
    Ok(edited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_added_as_the_others_are_written() {
        for (text, expected) in [
            ("a: 1\n", "a: 1\nlist:\n  - new\n"),
            ("a: 1", "a: 1\nlist:\n  - new\n"),
            ("list: []\nb: 2\n", "list:\n  - new\nb: 2\n"),
            ("list: []   # none yet\n", "list: [new]   # none yet\n"),
            ("list: [one] # c\n", "list: [one, new] # c\n"),
            ("list: [ 'one', \"two\" ]\n", "list: [ 'one', \"two\", new ]\n"),
            (
                "list:\n  # first\n  - one   # why\n  # last\n\nb: 2\n",
                "list:\n  # first\n  - one   # why\n  - new\n  # last\n\nb: 2\n",
            ),
            (
                "list: # c\n- one\n- two\nb: 2\n",
                "list: # c\n- one\n- two\n- new\nb: 2\n",
            ),
            ("b: 2\nlist:\n  - one", "b: 2\nlist:\n  - one\n  - new\n"),
        ] {
            assert_eq!(add(text, "list", "new").unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_word_is_removed_with_its_line_and_nothing_else() {
        for (text, expected) in [
            ("list:\n  # c\n  - one # 1\n  - two\n", "list:\n  # c\n  - two\n"),
            ("list:\n  # c\n  - one\nb: 2\n", "list: []\n  # c\nb: 2\n"),
            ("list: [one]\n", "list: []\n"),
            ("list: [one, two] # c\n", "list: [two] # c\n"),
            ("list: [two, one] # c\n", "list: [two] # c\n"),
            (
                "list: [\n  two,\n  one,\n  three]\n",
                "list: [\n  two,\n  three]\n",
            ),
        ] {
            assert_eq!(remove(text, "list", "one").unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_a_list_of_words_is_left_alone() {
        for (text, says) in [
            ("list: one\n", "is not a list"),
            ("list: [[one]]\n", "more than words"),
            ("list:\n", "is not a list"),
            ("list: [two]\n", "is not in `list`"),
            ("b: 1\n", "there is no list"),
            ("list: [one\n", "not valid YAML"),
        ] {
            let error = format!("{:#}", remove(text, "list", "one").unwrap_err());
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }
}

//! A YAML document with the place of every key and value.
//!
//! `serde_yaml` decodes a manifest into its type but forgets where things stood and stops at the first
//! mistake. This tree is read once beside it, so that every problem of every file can point at its line. It
//! knows nothing of manifests; it refuses what a plain manifest never needs (anchors, tags, several
//! documents), because such a file would not mean what it seems to.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// A node of the tree. Spans are byte ranges into the text.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where the value stands.
    pub span: Range<usize>,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// A scalar with its text as written; `plain` is true when it was not quoted.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order written. Duplicate keys are still in it.
    Map(Vec<KeyValue>),
}

/// One `key: value` of a mapping.
#[derive(Debug, Clone)]
pub struct KeyValue {
    /// The key's text.
    pub key: String,
    /// Where the key stands.
    pub key_span: Range<usize>,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The value of `key` when this is a mapping that has it.
    pub fn value_of(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            NodeKind::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The text when this is a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The text when this is a scalar that was not quoted.
    pub fn plain(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, plain: true } => Some(text),
            _ => None,
        }
    }

    /// True for `null`, `~` and nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, NodeKind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// Something that keeps a text from being read as one plain YAML document.
#[derive(Debug)]
pub struct SyntaxError {
    /// Where it was noticed.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
}

/// One manifest file: its tree, and the place of everything in it.
#[derive(Debug)]
pub struct Document {
    /// The top of the tree.
    pub root: Node,
    places: HashMap<String, Spans>,
}

/// Where the thing at one path stands.
#[derive(Debug, Clone)]
struct Spans {
    key: Option<Range<usize>>,
    value: Range<usize>,
}

impl Document {
    /// Parses `text`.
    ///
    /// # Errors
    /// The text is not one plain YAML document.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let root = Reader::new(text).document()?;
        let mut places = HashMap::new();
        index(&root, None, &mut String::new(), &mut places);
        Ok(Self { root, places })
    }

    /// The document with other keys, each by the byte where it begins: what stands there instead, or nothing. Every place
    /// stays that of the written text.
    pub fn with_keys(&self, keys: &HashMap<usize, Option<&str>>) -> Rc<Self> {
        let mut root = self.root.clone();
        change_keys(&mut root, keys);
        let mut places = HashMap::new();
        index(&root, None, &mut String::new(), &mut places);
        Rc::new(Self { root, places })
    }

    /// The place of the value at `path` (such as `releases[0].version`); where the path does not exist, the
    /// place of the nearest thing around it.
    pub fn value_at(&self, path: &str) -> Range<usize> {
        self.nearest(path).value.clone()
    }

    /// The place of the key at `path`, or of the value where it has no key.
    pub fn key_at(&self, path: &str) -> Range<usize> {
        let place = self.nearest(path);
        place.key.clone().unwrap_or_else(|| place.value.clone())
    }

    /// The paths, below `path`, of what the mapping there gives: of its scalars, its lists, and its empty mappings.
    pub fn given(&self, path: &str) -> Vec<String> {
        fn walk(node: &Node, path: &str, paths: &mut Vec<String>) {
            match &node.kind {
                NodeKind::Map(entries) if !entries.is_empty() => {
                    for KeyValue { key, value, .. } in entries {
                        let path = if path.is_empty() {
                            key.clone()
                        } else {
                            format!("{path}.{key}")
                        };
                        walk(value, &path, paths);
                    }
                }
                _ => paths.push(path.to_owned()),
            }
        }
        let mut paths = Vec::new();
        if let Some(node) = self.node_at(path) {
            walk(node, "", &mut paths);
        }
        paths
    }

    /// The node at a path such as `variants[0].packages`.
    fn node_at(&self, path: &str) -> Option<&Node> {
        let mut node = &self.root;
        for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
            node = match (&node.kind, part.strip_suffix(']')) {
                (NodeKind::List(items), Some(position)) => items.get(position.parse::<usize>().ok()?)?,
                _ => node.value_of(part)?,
            };
        }
        Some(node)
    }

    /// Every scalar with its path, in the order written.
    pub fn texts(&self) -> Vec<(String, String)> {
        fn walk(node: &Node, path: &str, texts: &mut Vec<(String, String)>) {
            match &node.kind {
                NodeKind::Scalar { text, .. } => texts.push((path.to_owned(), text.clone())),
                NodeKind::List(items) => {
                    for (position, item) in items.iter().enumerate() {
                        walk(item, &format!("{path}[{position}]"), texts);
                    }
                }
                NodeKind::Map(entries) => {
                    for KeyValue { key, value, .. } in entries {
                        let path = if path.is_empty() {
                            key.clone()
                        } else {
                            format!("{path}.{key}")
                        };
                        walk(value, &path, texts);
                    }
                }
            }
        }
        let mut texts = Vec::new();
        walk(&self.root, "", &mut texts);
        texts
    }

    fn nearest(&self, path: &str) -> &Spans {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return place;
            }
            path = path.rfind(['.', '[']).map_or("", |end| &path[..end]);
        }
    }
}

fn change_keys(node: &mut Node, keys: &HashMap<usize, Option<&str>>) {
    match &mut node.kind {
        NodeKind::Scalar { .. } => {}
        NodeKind::List(items) => items.iter_mut().for_each(|item| change_keys(item, keys)),
        NodeKind::Map(entries) => {
            entries.retain(|entry| keys.get(&entry.key_span.start) != Some(&None));
            for entry in entries {
                if let Some(Some(key)) = keys.get(&entry.key_span.start) {
                    (*key).clone_into(&mut entry.key);
                }
                change_keys(&mut entry.value, keys);
            }
        }
    }
}

fn index(node: &Node, key: Option<Range<usize>>, path: &mut String, places: &mut HashMap<String, Spans>) {
    places.insert(
        path.clone(),
        Spans {
            key,
            value: node.span.clone(),
        },
    );
    let length = path.len();
    match &node.kind {
        NodeKind::Scalar { .. } => {}
        NodeKind::List(items) => {
            for (position, item) in items.iter().enumerate() {
                path.push_str(&format!("[{position}]"));
                index(item, None, path, places);
                path.truncate(length);
            }
        }
        NodeKind::Map(entries) => {
            for entry in entries {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&entry.key);
                index(&entry.value, Some(entry.key_span.clone()), path, places);
                path.truncate(length);
            }
        }
    }
}

/// How deep lists and mappings may be nested: a manifest needs about eight levels, and a hostile file must not
/// exhaust the stack.
const MAX_DEPTH: usize = 64;

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    /// Byte offset of every character, because the parser counts characters; empty for ASCII text.
    offsets: Vec<usize>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let offsets = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(at, _)| at).collect()
        };
        Self {
            text,
            parser: Parser::new_from_str(text),
            offsets,
        }
    }

    fn offset(&self, character: usize) -> usize {
        if self.offsets.is_empty() {
            character.min(self.text.len())
        } else {
            self.offsets.get(character).copied().unwrap_or(self.text.len())
        }
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.offset(span.start.index());
        let end = self.offset(span.end.index()).max(start);
        // A block's span ends where the next token begins; the mark should not cover the white space before it.
        start..start + self.text[start..end].trim_end().len()
    }

    fn next(&mut self) -> Result<(Event<'a>, Range<usize>), SyntaxError> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.range(span))),
            Some(Err(error)) => {
                let at = self.offset(error.marker().index());
                Err(SyntaxError {
                    span: at..at,
                    message: format!("not valid YAML: {}", error.info()),
                })
            }
            None => Ok((Event::StreamEnd, self.text.len()..self.text.len())),
        }
    }

    fn document(&mut self) -> Result<Node, SyntaxError> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_), _) => {}
                (Event::StreamEnd, span) => {
                    return Err(SyntaxError {
                        span,
                        message: "the file contains no manifest".to_owned(),
                    });
                }
                (event, span) => {
                    let node = self.node(event, span, 0)?;
                    self.end()?;
                    return Ok(node);
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), SyntaxError> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(_), span) => {
                    let message = "a second document begins here; a file holds one manifest".to_owned();
                    return Err(SyntaxError { span, message });
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Range<usize>, depth: usize) -> Result<Node, SyntaxError> {
        let refuse = |what: &str| {
            Err(SyntaxError {
                span: span.clone(),
                message: what.to_owned(),
            })
        };
        if depth > MAX_DEPTH {
            return refuse("nested too deeply");
        }
        let (anchor, tagged) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(anchor, tag)
            | Event::MappingStart(anchor, tag) => (*anchor, tag.is_some()),
            Event::Alias(_) => (1, false),
            _ => (0, false),
        };
        if anchor != 0 {
            return refuse("manifests do not support anchors and aliases; write the value out");
        }
        if tagged {
            return refuse("manifests do not support tags; write the plain value");
        }
        match event {
            Event::Scalar(text, style, _, _) => {
                let plain = style == ScalarStyle::Plain;
                Ok(Node {
                    span,
                    kind: NodeKind::Scalar {
                        text: text.into_owned(),
                        plain,
                    },
                })
            }
            Event::SequenceStart(..) => self.list(&span, depth),
            Event::MappingStart(..) => self.map(&span, depth),
            _ => refuse("expected a value"),
        }
    }

    /// The rest of a list whose beginning is at `span`.
    fn list(&mut self, span: &Range<usize>, depth: usize) -> Result<Node, SyntaxError> {
        let mut items = Vec::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::SequenceEnd {
                let span = around(span, items.last(), &place);
                let kind = NodeKind::List(items);
                return Ok(Node { span, kind });
            }
            items.push(self.node(event, place, depth + 1)?);
        }
    }

    /// The rest of a map whose beginning is at `span`.
    fn map(&mut self, span: &Range<usize>, depth: usize) -> Result<Node, SyntaxError> {
        let mut entries: Vec<KeyValue> = Vec::new();
        loop {
            let (event, key_span) = self.next()?;
            if event == Event::MappingEnd {
                let span = around(span, entries.last().map(|entry| &entry.value), &key_span);
                let kind = NodeKind::Map(entries);
                return Ok(Node { span, kind });
            }
            let NodeKind::Scalar { text: key, .. } = self.node(event, key_span.clone(), depth + 1)?.kind
            else {
                return Err(SyntaxError {
                    span: key_span,
                    message: "a key must be a word".to_owned(),
                });
            };
            let (event, place) = self.next()?;
            let value = self.node(event, place, depth + 1)?;
            entries.push(KeyValue { key, key_span, value });
        }
    }
}

/// A block from its first character to the end of its last item: the parser's own end of a block collection is
/// the start of whatever follows.
fn around(start: &Range<usize>, last: Option<&Node>, end: &Range<usize>) -> Range<usize> {
    let flow = end.end > end.start;
    let until = if flow {
        end.end
    } else {
        last.map_or(start.end, |node| node.span.end)
    };
    start.start..until.max(start.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_byte_ranges_of_the_written_text() {
        let text = "name: é\nlist:\n  - a: 17.10\n  - {b: 2}\n";
        let document = Document::parse(text).unwrap();
        let at = |path: &str| &text[document.value_at(path)];
        assert_eq!(at("name"), "é");
        assert_eq!(at("list[0].a"), "17.10");
        assert_eq!(at("list[1]"), "{b: 2}");
        assert_eq!(&text[document.key_at("list[1].b")], "b");
        assert_eq!(at("list[1].missing.deeper"), "{b: 2}");
    }

    #[test]
    fn what_is_not_one_plain_document_is_refused() {
        for (text, expected) in [
            ("", "contains no manifest"),
            ("a: 1\n---\nb: 2\n", "second document"),
            ("a: &x 1\nb: *x\n", "anchors"),
            ("a: !!int 1\n", "tags"),
            ("a: [1\n", "not valid YAML"),
            ("? [a]\n: 1\n", "a key must be a word"),
        ] {
            let error = Document::parse(text).unwrap_err();
            assert!(error.message.contains(expected), "{text:?}: {}", error.message);
        }
        let deep = "[".repeat(MAX_DEPTH + 2);
        assert!(Document::parse(&deep).unwrap_err().message.contains("deep"));
        assert!(Document::parse(&"[".repeat(100_000)).is_err());
    }
}

//! Checks a document's shape against the JSON schema of its manifest type, and reports every mistake.
//!
//! The schema is the one that `pgsetup schema` prints and that is derived from the Rust types, so the types are
//! the only place where keys are named. Only the words of JSON Schema that those types produce are understood;
//! a test holds that. What a value means (is this url right, is that package known) is not looked at here.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Map, Value};

use super::document::{KeyValue, Node, NodeKind};

/// A mistake in the shape of a document.
#[derive(Debug)]
pub struct Mistake {
    /// The bytes it is about.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Whether it is a value that is still to be filled in.
    pub is_mark: bool,
    /// How the text can be read on in spite of it.
    pub repair: Option<Repair>,
}

/// A change of the text that makes a mistake go away: bytes, and what stands there instead. Only for reading on, so
/// that what else is wrong with the file is found in the same run; nothing is done with a repaired manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// What is replaced.
    pub span: Range<usize>,
    /// By what; spaces, as many as the bytes that are not line ends, where it is nothing.
    pub by: Option<String>,
}

/// Every mistake of `node` against `schema`, whose `$ref`s are found below `$defs` of the same schema.
pub fn check(node: &Node, schema: &Value) -> Vec<Mistake> {
    let mut walk = Walk {
        definitions: &schema["$defs"],
        mistakes: Vec::new(),
    };
    walk.node(node, schema, "");
    walk.mistakes
}

struct Walk<'a> {
    definitions: &'a Value,
    mistakes: Vec<Mistake>,
}

impl<'a> Walk<'a> {
    fn mistake(&mut self, span: &Range<usize>, message: String, help: Option<String>) {
        self.mistakes.push(Mistake {
            span: span.clone(),
            message,
            help,
            is_mark: false,
            repair: None,
        });
    }

    /// The last mistake can be read over by `repair`.
    fn repaired_by(&mut self, span: Range<usize>, by: Option<&str>) {
        if let Some(mistake) = self.mistakes.last_mut() {
            mistake.repair = Some(Repair {
                span,
                by: by.map(str::to_owned),
            });
        }
    }

    /// Follows `$ref` and takes the branch that is not `null`.
    fn schema(&self, schema: &'a Value) -> &'a Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or_default();
            return self.schema(&self.definitions[name]);
        }
        if let Some(branches) = schema["anyOf"].as_array()
            && let Some(branch) = branches.iter().find(|branch| branch["type"] != "null")
        {
            return self.schema(branch);
        }
        schema
    }

    fn node(&mut self, node: &Node, schema: &'a Value, path: &str) {
        let schema = self.schema(schema);
        if let Some(mark) = node.text().and_then(|text| text.strip_prefix("TODO")) {
            let what = mark.trim_start_matches(':').trim();
            let help = (!what.is_empty()).then(|| format!("write {what}"));
            self.mistake(&node.span, format!("`{path}` is still to be filled in"), help);
            self.mistakes
                .last_mut()
                .into_iter()
                .for_each(|mark| mark.is_mark = true);
            return;
        }
        if let Some(words) = choices(schema) {
            return self.choice(node, &words, path);
        }
        match kind_of(schema) {
            "object" => match &node.kind {
                NodeKind::Map(entries) => self.map(node, entries, schema, path),
                _ => self.wrong_type(node, "a mapping (`key: value` lines)", path),
            },
            "array" => match &node.kind {
                NodeKind::List(items) => {
                    if items.is_empty() && schema["minItems"].as_u64().unwrap_or(0) > 0 {
                        self.mistake(&node.span, format!("`{path}` needs at least one entry"), None);
                    }
                    for (position, item) in items.iter().enumerate() {
                        self.node(item, &schema["items"], &format!("{path}[{position}]"));
                    }
                }
                _ => self.wrong_type(node, "a list (`- item` lines or `[a, b]`)", path),
            },
            "boolean" => match node.plain() {
                Some("true" | "false") => {}
                _ => self.wrong_type(node, "true or false, without quotes", path),
            },
            "integer" => {
                let whole = |text: &&str| *text == "0" || !text.starts_with(['0', '+']);
                let number = node
                    .plain()
                    .filter(whole)
                    .and_then(|text| text.parse::<u64>().ok());
                let limit = if schema["format"] == "uint32" {
                    u64::from(u32::MAX)
                } else {
                    u64::MAX
                };
                let most = schema["maximum"].as_u64().unwrap_or(limit);
                let least = schema["minimum"].as_u64().unwrap_or(0);
                if !number.is_some_and(|number| (least..=most).contains(&number)) {
                    self.wrong_type(node, "a whole number, without quotes", path);
                }
            }
            _ => match &node.kind {
                NodeKind::Scalar { .. } if !node.is_null() => {}
                _ => self.wrong_type(node, "text", path),
            },
        }
    }

    fn map(&mut self, node: &Node, entries: &[KeyValue], schema: &'a Value, path: &str) {
        let below = |key: &str| {
            if path.is_empty() {
                key.to_owned()
            } else {
                format!("{path}.{key}")
            }
        };
        let properties = schema["properties"].as_object();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        // Keys that a misspelt one was most likely meant to be: they are not reported as lacking as well.
        let mut meant: Vec<&str> = Vec::new();
        for entry in entries {
            let key = entry.key.as_str();
            if seen.contains(key) {
                let help = Some("keep one of the two".to_owned());
                self.mistake(&entry.key_span, format!("duplicate key `{key}`"), help);
                self.repaired_by(entry.key_span.start..entry.value.span.end, None);
                continue;
            }
            seen.insert(key);
            let property = properties.and_then(|properties| properties.get(key));
            match property {
                Some(property) => {
                    if entry.value.is_null() {
                        let message = format!("`{}` has no value", below(key));
                        self.mistake(
                            &entry.key_span,
                            message,
                            Some("give it a value, or leave the key out".to_owned()),
                        );
                    } else {
                        self.node(&entry.value, property, &below(key));
                    }
                }
                None if schema["additionalProperties"].is_object() => {
                    self.node(&entry.value, &schema["additionalProperties"], &below(key));
                }
                None => {
                    // A key that is there as well cannot be what was meant.
                    let is_free = |key: &&str| !entries.iter().any(|entry| entry.key == **key);
                    if let Some(near) = self.unknown_key(entry, properties, path).filter(is_free) {
                        let span = entry.key_span.clone();
                        self.repaired_by(span, Some(near));
                        meant.push(near);
                        self.node(&entry.value, &schema["properties"][near], &below(near));
                    }
                }
            }
        }
        let required = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let missing: Vec<String> = required
            .filter(|key| !seen.contains(key) && !meant.contains(key))
            .map(|key| format!("`{key}`"))
            .collect();
        if !missing.is_empty() {
            let place = if path.is_empty() {
                "the manifest".to_owned()
            } else {
                format!("`{path}`")
            };
            self.mistake(&node.span, format!("{place} lacks {}", missing.join(", ")), None);
        }
        let count = seen.len() as u64;
        if schema["minProperties"]
            .as_u64()
            .is_some_and(|least| count < least)
            || schema["maxProperties"].as_u64().is_some_and(|most| count > most)
        {
            let keys: Vec<&str> = properties
                .into_iter()
                .flatten()
                .map(|(key, _)| key.as_str())
                .collect();
            let message = format!("`{path}` takes exactly one of: {}", keys.join(", "));
            self.mistake(&node.span, message, None);
        }
    }

    /// Reports an unknown key; returns the one it was most likely meant to be.
    fn unknown_key(
        &mut self,
        entry: &KeyValue,
        properties: Option<&'a Map<String, Value>>,
        path: &str,
    ) -> Option<&'a str> {
        let keys: Vec<&str> = properties
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str())
            .collect();
        let place = if path.is_empty() {
            String::new()
        } else {
            format!(" in `{path}`")
        };
        let near = nearest(&entry.key, keys.iter().copied());
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the keys here are: {}", keys.join(", ")),
        };
        self.mistake(
            &entry.key_span,
            format!("unknown key `{}`{place}", entry.key),
            Some(help),
        );
        self.repaired_by(entry.key_span.start..entry.value.span.end, None);
        near
    }

    fn choice(&mut self, node: &Node, words: &[&str], path: &str) {
        match node.text() {
            Some(text) if words.contains(&text) => {}
            Some(text) => {
                let help = match nearest(text, words.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`? the values are: {}", words.join(", ")),
                    None => format!("the values are: {}", words.join(", ")),
                };
                self.mistake(&node.span, format!("`{path}` cannot be `{text}`"), Some(help));
            }
            None => self.wrong_type(node, &format!("one of: {}", words.join(", ")), path),
        }
    }

    fn wrong_type(&mut self, node: &Node, expected: &str, path: &str) {
        let found = match &node.kind {
            NodeKind::List(_) => "a list".to_owned(),
            NodeKind::Map(_) => "a mapping".to_owned(),
            NodeKind::Scalar { .. } if node.is_null() => "nothing".to_owned(),
            NodeKind::Scalar { text, plain: true } => format!("`{text}`"),
            NodeKind::Scalar { text, plain: false } => format!("`\"{text}\"`"),
        };
        let place = if path.is_empty() {
            "the manifest".to_owned()
        } else {
            format!("`{path}`")
        };
        self.mistake(
            &node.span,
            format!("{place} must be {expected}, not {found}"),
            None,
        );
    }
}

/// The words of an enumeration: `enum: [..]`, or `oneOf` constants when the variants carry documentation.
fn choices(schema: &Value) -> Option<Vec<&str>> {
    if let Some(words) = schema["enum"].as_array() {
        return Some(words.iter().filter_map(Value::as_str).collect());
    }
    if let Some(word) = schema["const"].as_str() {
        return Some(vec![word]);
    }
    let branches = schema["oneOf"].as_array()?;
    Some(branches.iter().filter_map(choices).flatten().collect())
}

/// The `type` of a schema, without the `null` that an optional field adds.
fn kind_of(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null")
            .unwrap_or("string"),
        _ => "string",
    }
}

/// The word of `words` that `word` was most likely meant to be, if any is close.
pub fn nearest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let distance =
        |candidate: &str| strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase());
    let (best, candidate) = words
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .min()?;
    let longest = word.chars().count().max(candidate.chars().count());
    let contained = word.len() >= 3 && (candidate.contains(word) || word.contains(candidate));
    (best * 3 <= longest + 1 || contained).then_some(candidate)
}

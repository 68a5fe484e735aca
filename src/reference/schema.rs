//! The keys of manifests and the fields of documents, from their JSON schemas.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;

use clap::ValueEnum as _;
use serde_json::{Map, Value};

use crate::cli::DocumentName;
use crate::commands::schema_of;

/// The order in which the kinds of manifests are explained.
const KINDS: [&str; 7] = [
    "image",
    "postgresql",
    "extension",
    "program",
    "contrib",
    "patroni",
    "python",
];

/// `manifest.md`.
pub fn manifests() -> String {
    let schema = schema_of(DocumentName::Manifest);
    let mut text = super::page(
        "Manifest keys",
        "A manifest is one YAML file. Its `kind` decides which keys it has; unknown keys are problems. `pgsetup schema` prints \
         the JSON schema for editors, from which this page is made.\n",
    );
    let known: Vec<&str> = schema["properties"]["kind"]["enum"]
        .as_array()
        .map(|kinds| kinds.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    assert!(known.iter().all(|kind| KINDS.contains(kind)), "{known:?}");
    let mut types = Types::new(&schema, "default");
    for kind in KINDS {
        let _ = writeln!(text, "- [`kind: {kind}`](#kind-{kind})");
    }
    for kind in KINDS {
        types.section(&format!("## Kind {kind}"), &schema["$defs"][kind], &mut text);
        types.referenced(&mut text);
    }
    text
}

/// `receipt.md`.
pub fn receipt() -> String {
    let introduction = "The receipt is `/usr/share/pgsetup/receipt.json`: the record of an installation. `pgsetup verify` compares \
                        an image with it. `pgsetup schema receipt` prints the schema that this page is made of. Within one \
                        `schema_version`, fields are added but neither renamed nor given another meaning.\n";
    let mut text = super::page("Receipt", introduction);
    document(DocumentName::Receipt, "## The document", &mut text);
    text
}

/// `json.md`.
pub fn documents() -> String {
    let mut text = super::page(
        "JSON documents",
        "Every list has `--format json`. `pgsetup schema DOCUMENT` prints the JSON schema of each document, from which this page \
         is made. Within one `schema_version`, fields are added but neither renamed nor given another meaning. The \
         [receipt](receipt.md) has a page of its own.\n",
    );
    let rows = DocumentName::value_variants()
        .iter()
        .filter_map(clap::ValueEnum::to_possible_value);
    let meaning =
        |value: &clap::builder::PossibleValue| value.get_help().map(ToString::to_string).unwrap_or_default();
    text.push('\n');
    text.push_str(&super::table(
        ["DOCUMENT", "what it is"],
        rows.map(|value| [format!("`{}`", value.get_name()), meaning(&value)]),
    ));
    for one in DocumentName::value_variants() {
        if matches!(one, DocumentName::Manifest | DocumentName::Receipt) {
            continue;
        }
        let value = one.to_possible_value().expect("every document has a name");
        let heading = format!("## {}", value.get_name());
        document(*one, &heading, &mut text);
    }
    text
}

/// A document with the types that it uses.
fn document(which: DocumentName, heading: &str, text: &mut String) {
    let schema = schema_of(which);
    let value = which.to_possible_value().expect("every document has a name");
    let mut types = Types::new(&schema, "presence");
    if which != DocumentName::Receipt {
        // Types of several documents have one name.
        types.prefix = format!("{}: ", value.get_name());
    }
    types.section(heading, &schema, text);
    types.referenced(text);
}

/// The types of a schema, each of which is explained once.
struct Types<'a> {
    definitions: &'a Map<String, Value>,
    /// The head of the column that says what holds where a key is not given.
    absent: &'static str,
    /// What comes before the names of types in headings.
    prefix: String,
    explained: BTreeSet<String>,
    waiting: VecDeque<String>,
}

impl<'a> Types<'a> {
    fn new(schema: &'a Value, absent: &'static str) -> Self {
        static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        Self {
            definitions: schema["$defs"].as_object().unwrap_or(&NONE),
            absent,
            prefix: String::new(),
            explained: BTreeSet::new(),
            waiting: VecDeque::new(),
        }
    }

    /// The types that sections have named and that are not explained yet.
    fn referenced(&mut self, text: &mut String) {
        while let Some(name) = self.waiting.pop_front() {
            let schema = &self.definitions[&name];
            let heading = format!("### {}{name}", self.prefix);
            self.section(&heading, schema, text);
        }
    }

    /// A heading, the description and the table of keys or values.
    fn section(&mut self, heading: &str, schema: &Value, text: &mut String) {
        let _ = writeln!(text, "\n{heading}\n\n{}\n", description(schema));
        let required: Vec<&str> = schema["required"]
            .as_array()
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let Some(properties) = schema["properties"].as_object() else {
            text.push_str(&self.values(schema));
            return;
        };
        let (mut first, mut others) = (Vec::new(), Vec::new());
        for (name, property) in properties {
            let is_required = required.contains(&name.as_str());
            let absent = match &property["default"] {
                _ if is_required => "required".to_owned(),
                Value::Null => String::new(),
                default => format!("`{default}`"),
            };
            let row = [
                format!("`{name}`"),
                self.type_of(property),
                absent,
                description(property),
            ];
            if is_required { &mut first } else { &mut others }.push(row);
        }
        first.extend(others);
        text.push_str(&super::table(["key", "type", self.absent, "meaning"], first));
    }

    /// The values of an enumeration.
    fn values(&mut self, schema: &Value) -> String {
        let choices = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
        let Some(choices) = choices else {
            return format!("Type: {}.\n", self.type_of(schema));
        };
        let row = |choice: &Value| {
            let value = match (&choice["const"], &choice["enum"]) {
                (Value::Null, Value::Array(several)) => several
                    .iter()
                    .map(|one| format!("`{one}`"))
                    .collect::<Vec<_>>()
                    .join(", "),
                (Value::Null, _) => self.type_of(choice),
                (one, _) => format!("`{one}`"),
            };
            [value, description(choice)]
        };
        super::table(["value", "meaning"], choices.iter().map(row).collect::<Vec<_>>())
    }

    /// What a value is, in a few words.
    fn type_of(&mut self, schema: &Value) -> String {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            return self.reference(name);
        }
        if let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
            let is_null = |choice: &&Value| choice["type"] == "null";
            let words: Vec<String> = choices
                .iter()
                .filter(|one| !is_null(one))
                .map(|one| self.type_of(one))
                .collect();
            return words.join(" or ");
        }
        if !schema["const"].is_null() {
            return format!("`{}`", schema["const"]);
        }
        if let Some(values) = schema["enum"].as_array() {
            return values
                .iter()
                .map(|value| format!("`{value}`"))
                .collect::<Vec<_>>()
                .join(" or ");
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => return "any".to_owned(),
        };
        let words = types
            .into_iter()
            .filter(|word| *word != "null")
            .map(|word| match word {
                "array" => format!("list of {}", self.type_of(&schema["items"])),
                "object" if schema["additionalProperties"].is_object() => {
                    format!(
                        "map of names to {}",
                        self.type_of(&schema["additionalProperties"])
                    )
                }
                "object" => "map".to_owned(),
                "string" => "text".to_owned(),
                "boolean" => "`true` or `false`".to_owned(),
                other => other.to_owned(),
            });
        words.collect::<Vec<_>>().join(" or ")
    }

    /// A type of its own is explained below; a name for a text is not worth that.
    fn reference(&mut self, name: &str) -> String {
        let Some(schema) = self.definitions.get(name) else {
            return name.to_owned();
        };
        let is_plain = schema["type"].is_string() && schema["type"] != "object" && schema["enum"].is_null();
        if is_plain {
            return self.type_of(schema);
        }
        if self.explained.insert(name.to_owned()) {
            self.waiting.push_back(name.to_owned());
        }
        let anchor = format!("{}{name}", self.prefix).to_lowercase();
        format!("[{name}](#{})", anchor.replace(": ", "-"))
    }
}

/// A description, in which links of Rust's documentation are only names.
fn description(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.replace("[`", "`").replace("`]", "`")
}

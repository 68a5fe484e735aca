//! Manifests as they are written: YAML files, one thing each, with closed schemas.
//!
//! This layer turns text into typed values and reports what has the wrong shape. What the values mean together
//! is `resolve`'s. It opens no file: the caller hands in names and texts.

pub mod build;
mod check;
pub mod contrib;
pub mod document;
pub mod extension;
pub mod image;
pub mod pattern;
pub mod postgresql;
pub mod problem;
pub mod program;
pub mod python;
pub mod secret;
pub mod source;
pub mod variant;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::catalogue::{Catalogue, Edition};
pub use check::nearest;
use check::{Mistake, Repair};
use contrib::Contrib;
use document::{Document, Node, NodeKind};
use extension::Extension;
use image::{Image, LAID_OUT};
use postgresql::Postgresql;
use problem::{Problem, SourceText};
use program::Program;
use python::{Patroni, Python};

/// A manifest with the file it was read from.
#[derive(Debug)]
pub struct Located<T> {
    /// The manifest.
    pub value: T,
    document: Rc<Document>,
    source: Arc<SourceText>,
    /// Where in its file it stands: empty, or the place in a list that holds several, such as `modules[3].`.
    place: String,
    /// Whether it is the catalogue's and not the user's own.
    pub is_of_catalogue: bool,
}

impl<T> Located<T> {
    /// The same place with another value.
    fn map<U>(self, into: impl FnOnce(T) -> U) -> Located<U> {
        Located {
            value: into(self.value),
            document: self.document,
            source: self.source,
            place: self.place,
            is_of_catalogue: self.is_of_catalogue,
        }
    }

    /// A problem with the value at `path`, for example `releases[0].version`.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        let path = format!("{}{path}", self.place);
        self.problem_at(self.document.value_at(&path), message.into())
    }

    /// A problem with the key at `path`.
    pub fn problem_with_key(&self, path: &str, message: impl Into<String>) -> Problem {
        let path = format!("{}{path}", self.place);
        self.problem_at(self.document.key_at(&path), message.into())
    }

    fn problem_at(&self, span: std::ops::Range<usize>, message: String) -> Problem {
        Problem {
            source: Arc::clone(&self.source),
            span,
            message,
            help: None,
        }
    }

    /// Its text: that of its file, or the entry of a list that holds several.
    pub fn text(&self) -> &str {
        let text = self.source.text.as_str();
        match self.place.trim_end_matches('.') {
            "" => text,
            place => {
                let span = self.document.value_at(place);
                let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
                text.get(start..span.end).unwrap_or(text)
            }
        }
    }

    /// Every text of the manifest with its path.
    pub fn texts(&self) -> Vec<(String, String)> {
        let mut texts = self.document.texts();
        texts.retain_mut(|(path, _)| match path.strip_prefix(&self.place) {
            Some(below) => {
                *path = below.to_owned();
                true
            }
            None => false,
        });
        texts
    }

    /// The paths of what the mapping at `path` gives: of its scalars, its lists, and its empty mappings.
    pub fn given(&self, path: &str) -> Vec<String> {
        self.document.given(&format!("{}{path}", self.place))
    }

    /// The file's name as it is shown to the reader.
    pub fn file(&self) -> &str {
        &self.source.file
    }
}

/// A file that was found where manifests are.
#[derive(Debug, Clone)]
pub struct ManifestFile {
    /// Its path as it is shown to the reader.
    pub name: String,
    /// Its text, as far as it can be read.
    pub text: String,
    /// Why it cannot be read as a manifest.
    pub fault: Option<Fault>,
}

impl ManifestFile {
    /// A file that can be read.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            fault: None,
        }
    }
}

/// Why a file cannot be read as a manifest.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The byte of the text at which it was noticed.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

/// An extension's manifest with values that are still to be filled in, as `pgsetup new` writes it. It is wrong only where it
/// is selected.
#[derive(Debug)]
pub struct Draft {
    /// Its name.
    pub name: String,
    /// The SQL extensions that it says it provides.
    pub provides: Vec<String>,
    /// What is left to fill in, and what else is wrong with it.
    pub problems: Vec<Problem>,
}

impl Draft {
    /// Its name, and why it is left out where everything is selected that can be.
    pub fn left_out(&self) -> (String, String) {
        let problem = self.problems.first().map(|problem| problem.message.as_str());
        let why = format!("its manifest is a draft: {}", problem.unwrap_or_default());
        (self.name.clone(), why)
    }
}

/// Every manifest that was read, by kind.
#[derive(Debug, Default)]
pub struct Manifests {
    /// Images; `resolve` wants exactly one.
    pub images: Vec<Located<Image>>,
    /// PostgreSQL servers.
    pub postgresql: Vec<Located<Postgresql>>,
    /// Pythons.
    pub pythons: Vec<Located<Python>>,
    /// Patronis.
    pub patronis: Vec<Located<Patroni>>,
    /// Extensions, the modules that come with PostgreSQL, and programs beside it.
    pub extensions: Vec<Located<Extension>>,
    /// The catalogue that completes the user's own manifests.
    pub catalogue: Option<Edition>,
    /// What the user has another manifest of than the catalogue: its kind and name, and the user's file.
    pub replaced: Vec<Replaced>,
    /// Extensions that are still drafts.
    pub drafts: Vec<Draft>,
    /// Kind and name of manifests that have the wrong shape: they exist, and what names them is not wrong.
    unreadable: Vec<(String, String)>,
}

/// A manifest of the user's that counts in place of the catalogue's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// `extension`, `postgresql`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The file of the user's.
    pub file: String,
}

/// The kind that a manifest says it is of; `None` where it is not YAML or does not say it.
pub fn kind(text: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    document
        .root
        .value_of("kind")
        .and_then(Node::text)
        .map(str::to_owned)
}

/// False of YAML that is something else: it has no `kind`, or an `apiVersion` as well. What is not YAML may be a manifest with
/// a mistake.
pub fn may_be_manifest(text: &str) -> bool {
    let Ok(document) = Document::parse(text) else {
        return true;
    };
    let has = |key: &str| document.root.value_of(key).is_some();
    has("kind") && !has("apiVersion")
}

/// The manifests in `files`, and the problems of those that have the wrong shape.
pub fn parse(files: &[ManifestFile]) -> (Manifests, Vec<Problem>) {
    let mut manifests = Manifests::default();
    let mut problems = Vec::new();
    for ManifestFile { name, text, fault } in files {
        let source = Arc::new(SourceText {
            file: name.clone(),
            text: text.clone(),
        });
        let problem = |span, message: &str| Problem {
            source: Arc::clone(&source),
            span,
            message: message.to_owned(),
            help: None,
        };
        if let Some(Fault { at, message }) = fault {
            manifests.add_unreadable(name, text);
            problems.push(problem(*at..*at, message));
            continue;
        }
        match Document::parse(text) {
            Ok(document) => problems.extend(manifests.add(document, &source)),
            Err(error) => {
                manifests.add_unreadable(name, text);
                problems.push(problem(error.span, &error.message));
            }
        }
    }
    (manifests, problems)
}

impl Manifests {
    /// True where a manifest of this kind and name was found, but could not be read.
    pub fn has_unreadable(&self, kind: &str, name: &str) -> bool {
        self.unreadable
            .iter()
            .any(|(its_kind, its_name)| its_kind == kind && its_name == name)
    }

    /// True where any manifest of this kind could not be read.
    pub fn has_unreadable_kind(&self, kind: &str) -> bool {
        self.unreadable.iter().any(|(its_kind, _)| its_kind == kind)
    }

    /// The draft of an extension.
    pub fn draft(&self, name: &str) -> Option<&Draft> {
        self.drafts.iter().find(|draft| draft.name == name)
    }

    /// The names of all extensions, also of drafts and of those that could not be read.
    pub fn extension_names(&self) -> Vec<&str> {
        let readable = self
            .extensions
            .iter()
            .map(|extension| extension.value.name.as_str());
        let others = self
            .unreadable
            .iter()
            .filter(|(kind, _)| [EXTENSION, Extension::PROGRAM].contains(&kind.as_str()))
            .map(|(_, name)| name.as_str());
        let drafts = self.drafts.iter().map(|draft| draft.name.as_str());
        readable.chain(others).chain(drafts).collect()
    }

    /// A file of which nothing more is known than lines such as `kind: extension`. Without any, it is called what its file
    /// is called.
    fn add_unreadable(&mut self, file: &str, text: &str) {
        let line = |key: &str| {
            let mut lines = text.lines();
            let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            value.map(|value| {
                value
                    .split(" #")
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .trim_matches(['"', '\''])
                    .to_owned()
            })
        };
        let file = file.rsplit('/').next().unwrap_or(file);
        let stem = || file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_owned();
        let name = line("name").unwrap_or_else(stem);
        let kinds = match line("kind") {
            Some(kind) => vec![kind],
            None => vec![String::new(), "extension".to_owned(), "postgresql".to_owned()],
        };
        self.unreadable
            .extend(kinds.into_iter().map(|kind| (kind, name.clone())));
    }

    /// Completes these manifests from a catalogue: its manifests are added unless there is one of the same kind and name, and an
    /// image of the standard layout takes from the catalogue's image what it leaves out. Returns what cannot be completed.
    pub fn complete(&mut self, catalogue: &Catalogue) -> Vec<Problem> {
        let texts: BTreeSet<&str> = self.texts().collect();
        // What is the same is not read twice. The image of the catalogue is only read for its layout.
        let has_layout = self.images.iter().any(|image| image.value.layout.is_some());
        let is_wanted = |path: &str, text: &str| match path {
            STANDARD_IMAGE => has_layout,
            _ => !texts.contains(text),
        };
        let files = catalogue
            .manifests
            .iter()
            .filter(|(path, text)| is_wanted(path, text));
        let files: Vec<ManifestFile> = files
            .map(|(path, text)| ManifestFile::new(Catalogue::shown(path), text.clone()))
            .collect();
        let (mut others, mut problems) = parse(&files);
        // A draft of the user's counts as well.
        others
            .extensions
            .retain(|other| self.draft(&other.value.name).is_none());
        problems.extend(self.lay_out(others.images.first()));
        self.catalogue = Some(catalogue.edition.clone());
        // One that cannot be read is a problem of its own, and what names it is not wrong.
        let mut merge = Merge {
            replaced: &mut self.replaced,
        };
        merge.take(
            &mut self.postgresql,
            others.postgresql,
            "postgresql",
            |one: &Postgresql| &one.name,
        );
        merge.take(&mut self.pythons, others.pythons, "python", |one: &Python| {
            &one.name
        });
        merge.take(
            &mut self.extensions,
            others.extensions,
            "extension",
            |one: &Extension| &one.name,
        );
        // An image has one Patroni, whatever it is called.
        merge.take(&mut self.patronis, others.patronis, "patroni", |_| "patroni");
        problems
    }

    /// Lays out the images that leave it to the standard.
    fn lay_out(&mut self, standard: Option<&Located<Image>>) -> Vec<Problem> {
        let mut problems = Vec::new();
        let waiting = self
            .images
            .iter_mut()
            .filter(|image| image.value.layout.is_some());
        for image in waiting {
            let Some(standard) = standard else {
                problems.push(no_standard(image));
                continue;
            };
            let document = Rc::clone(&image.document);
            let is_absent = |key: &str| document.root.value_of(key).is_none();
            image.value.lay_out(&standard.value, is_absent);
        }
        problems
    }

    /// A problem for each image that leaves its layout to a catalogue that there is not.
    pub fn without_catalogue(&self) -> Vec<Problem> {
        let waiting = self.images.iter().filter(|image| image.value.layout.is_some());
        waiting.map(no_standard).collect()
    }

    /// The text of every file, some of them more than once.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let images = self.images.iter().map(|one| &one.source);
        let servers = self.postgresql.iter().map(|one| &one.source);
        let pythons = self.pythons.iter().map(|one| &one.source);
        let patronis = self.patronis.iter().map(|one| &one.source);
        let extensions = self.extensions.iter().map(|one| &one.source);
        let all = images
            .chain(servers)
            .chain(pythons)
            .chain(patronis)
            .chain(extensions);
        all.map(|source| source.text.as_str())
    }

    fn count(&self) -> usize {
        let servers = self.images.len() + self.postgresql.len();
        servers + self.pythons.len() + self.patronis.len() + self.extensions.len()
    }

    fn add(&mut self, document: Document, source: &Arc<SourceText>) -> Vec<Problem> {
        let document = Rc::new(document);
        let kind = document
            .root
            .value_of("kind")
            .and_then(Node::text)
            .unwrap_or_default()
            .to_owned();
        let read = Read {
            document: &document,
            source,
            kind: &kind,
        };
        let before = self.count();
        let Found { problems, is_draft } = match kind.as_str() {
            "image" => read.append_to(&mut self.images),
            "postgresql" => read.append_to(&mut self.postgresql),
            "python" => read.append_to(&mut self.pythons),
            "patroni" => read.append_to(&mut self.patronis),
            "extension" => read.append_to(&mut self.extensions),
            Extension::PROGRAM => {
                let mut files = Vec::new();
                let found = read.append_to::<Program>(&mut files);
                let programs = files.into_iter().map(|file| file.map(Program::into_extension));
                self.extensions.extend(programs);
                found
            }
            "contrib" => {
                let mut files = Vec::new();
                let found = read.append_to::<Contrib>(&mut files);
                let modules = files.into_iter().flat_map(modules_of);
                self.extensions.extend(modules);
                found
            }
            _ => Found {
                problems: vec![read.unknown_kind()],
                is_draft: false,
            },
        };
        if is_draft && kind == "extension" {
            self.drafts.push(Draft {
                name: text_at(&document.root, "name"),
                provides: provided(&document.root),
                problems,
            });
            return Vec::new();
        }
        if self.count() == before {
            let modules = if kind == "contrib" {
                items(document.root.value_of("modules"))
            } else {
                &[]
            };
            let modules = modules.iter().map(|module| ("extension", module));
            for (kind, node) in modules.chain([(kind.as_str(), &document.root)]) {
                self.unreadable.push((kind.to_owned(), text_at(node, "name")));
            }
        }
        problems
    }
}

/// The kind of an extension's manifest.
const EXTENSION: &str = "extension";

/// The catalogue's image, whose layout is the standard.
pub const STANDARD_IMAGE: &str = "image.yaml";

fn no_standard(image: &Located<Image>) -> Problem {
    let message = "the standard layout is that of the catalogue's image, and there is no such catalogue";
    image
        .problem("layout", message)
        .help("leave --no-catalogue out, or write `user`, `locale`, `configuration` and `prune`")
}

/// Manifests of a catalogue on their way to the user's own.
struct Merge<'a> {
    replaced: &'a mut Vec<Replaced>,
}

impl Merge<'_> {
    fn take<T: Serialize>(
        &mut self,
        own: &mut Vec<Located<T>>,
        others: Vec<Located<T>>,
        kind: &'static str,
        name: impl Fn(&T) -> &str,
    ) {
        let count = own.len();
        for mut other in others {
            let its_name = name(&other.value);
            let Some(same) = own[..count].iter().find(|one| name(&one.value) == its_name) else {
                other.is_of_catalogue = true;
                own.push(other);
                continue;
            };
            if !means_the_same(&same.value, &other.value) {
                self.replaced.push(Replaced {
                    kind,
                    name: its_name.to_owned(),
                    file: same.file().to_owned(),
                });
            }
        }
    }
}

/// Whether two manifests differ in comments and spelling at most.
fn means_the_same<T: Serialize>(one: &T, other: &T) -> bool {
    let value = |manifest: &T| serde_json::to_value(manifest).ok();
    value(one) == value(other)
}

/// The text of `key`; empty without one.
fn text_at(node: &Node, key: &str) -> String {
    node.value_of(key)
        .and_then(Node::text)
        .unwrap_or_default()
        .to_owned()
}

/// The items of a list; none if it is not one.
fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.kind) {
        Some(NodeKind::List(items)) => items,
        _ => &[],
    }
}

/// The SQL extensions that the manifest of an extension says it provides.
fn provided(root: &Node) -> Vec<String> {
    let releases = items(root.value_of("releases")).iter();
    let provides = releases.flat_map(|release| items(release.value_of("provides")));
    provides.map(|provided| text_at(provided, "name")).collect()
}

/// The modules of a file, each with its place there.
fn modules_of(file: Located<Contrib>) -> impl Iterator<Item = Located<Extension>> {
    let (document, source) = (file.document, file.source);
    let modules = file.value.into_extensions().into_iter().enumerate();
    modules.map(move |(position, value)| Located {
        value,
        document: Rc::clone(&document),
        source: Arc::clone(&source),
        place: format!("modules[{position}]."),
        is_of_catalogue: false,
    })
}

/// The text without its mistakes, where every one of them can be repaired.
fn repaired(text: &str, mistakes: &[Mistake]) -> Option<String> {
    let mut repairs = mistakes
        .iter()
        .map(|mistake| mistake.repair.as_ref())
        .collect::<Option<Vec<_>>>()?;
    // From the end, so that the places of the others stay what they are.
    repairs.sort_by_key(|repair| std::cmp::Reverse(repair.span.start));
    let mut text = text.to_owned();
    for Repair { span, by } in repairs {
        let blank = || {
            text[span.clone()]
                .chars()
                .map(|c| if c == '\n' { c } else { ' ' })
                .collect()
        };
        let by = by.clone().unwrap_or_else(blank);
        text.replace_range(span.clone(), &by);
    }
    Some(text)
}

/// One document on its way to a typed manifest.
struct Read<'a> {
    document: &'a Rc<Document>,
    source: &'a Arc<SourceText>,
    kind: &'a str,
}

/// What was found wrong with a document.
struct Found {
    problems: Vec<Problem>,
    /// Whether values are still to be filled in.
    is_draft: bool,
}

impl Read<'_> {
    fn append_to<T: DeserializeOwned>(&self, list: &mut Vec<Located<T>>) -> Found {
        let schema = match self.document.root.value_of("layout") {
            Some(_) if self.kind == "image" => laid_out(),
            _ => &schemas()[self.kind],
        };
        let mistakes = check::check(&self.document.root, schema);
        let is_draft = mistakes.iter().any(|mistake| mistake.is_mark);
        if !mistakes.is_empty() {
            // Read on, so that what else is wrong with it is found as well.
            let repaired = repaired(&self.source.text, &mistakes);
            if let Some(Ok(value)) = repaired.map(|text| serde_yaml::from_str::<T>(&text)) {
                let repairs = mistakes.iter().filter_map(|mistake| mistake.repair.as_ref());
                let keys = repairs.map(|repair| (repair.span.start, repair.by.as_deref()));
                self.push(value, list, self.document.with_keys(&keys.collect()));
            }
            let problems = mistakes.into_iter();
            let problems = problems
                .map(|m| self.problem(m.span, m.message, m.help))
                .collect();
            return Found { problems, is_draft };
        }
        let problems = match serde_yaml::from_str::<T>(&self.source.text) {
            Ok(value) => {
                self.push(value, list, Rc::clone(self.document));
                Vec::new()
            }
            // The check above follows the same types, so this is what only the decoder can see.
            Err(error) => {
                let at = error
                    .location()
                    .map_or(0, |place| place.index().min(self.source.text.len()));
                vec![self.problem(at..at, error.to_string(), None)]
            }
        };
        Found { problems, is_draft }
    }

    fn push<T>(&self, value: T, list: &mut Vec<Located<T>>, document: Rc<Document>) {
        let source = Arc::clone(self.source);
        list.push(Located {
            value,
            document,
            source,
            place: String::new(),
            is_of_catalogue: false,
        });
    }

    fn unknown_kind(&self) -> Problem {
        let kinds = KINDS.map(|(kind, _)| kind);
        let (span, message) = if self.kind.is_empty() {
            (self.document.value_at(""), "the manifest lacks `kind`".to_owned())
        } else {
            (
                self.document.value_at("kind"),
                format!("`kind` cannot be `{}`", self.kind),
            )
        };
        let help = match nearest(self.kind, kinds) {
            Some(near) if !self.kind.is_empty() => format!("did you mean `{near}`?"),
            _ => format!("the kinds are: {}", kinds.join(", ")),
        };
        self.problem(span, message, Some(help))
    }

    fn problem(&self, span: std::ops::Range<usize>, message: String, help: Option<String>) -> Problem {
        Problem {
            source: Arc::clone(self.source),
            span,
            message,
            help,
        }
    }
}

/// A kind of manifest with its schema.
type Kind = (&'static str, fn() -> Value);

const KINDS: [Kind; 7] = [
    ("contrib", schema_of::<Contrib>),
    ("extension", schema_of::<Extension>),
    ("image", schema_of::<Image>),
    ("patroni", schema_of::<Patroni>),
    ("postgresql", schema_of::<Postgresql>),
    (Extension::PROGRAM, schema_of::<Program>),
    ("python", schema_of::<Python>),
];

fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// The schema of each kind, made once.
fn schemas() -> &'static Map<String, Value> {
    static SCHEMAS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
        KINDS
            .iter()
            .map(|(kind, schema)| {
                let mut schema = schema();
                schema["properties"]["kind"] = json!({"const": kind});
                if *kind == "image" {
                    require_layout(&mut schema);
                }
                ((*kind).to_owned(), schema)
            })
            .collect()
    });
    &SCHEMAS
}

/// Requires of an image what a layout would give.
fn require_layout(schema: &mut Value) {
    for key in LAID_OUT {
        if let Some(property) = schema["properties"][key].as_object_mut() {
            property.remove("default");
        }
        if let Some(required) = schema["required"].as_array_mut() {
            required.push(key.into());
        }
    }
}

/// The schema of an image that has a layout.
fn laid_out() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let mut schema = schemas()["image"].clone();
        if let Some(required) = schema["required"].as_array_mut() {
            required.retain(|key| !LAID_OUT.iter().any(|name| key == name));
        }
        schema
    });
    &SCHEMA
}

/// One JSON schema for all kinds of manifest, for editors: `# yaml-language-server: $schema=…`.
pub fn schema() -> Value {
    let mut definitions = Map::new();
    let mut branches = Vec::new();
    for (kind, schema) in schemas() {
        let mut schema = schema.clone();
        if let Some(Value::Object(own)) = schema.as_object_mut().and_then(|schema| schema.remove("$defs")) {
            definitions.extend(own);
        }
        schema
            .as_object_mut()
            .expect("a schema is an object")
            .remove("$schema");
        if kind == "image" {
            schema["required"] = laid_out()["required"].clone();
            schema["anyOf"] = json!([{"required": ["layout"]}, {"required": LAID_OUT}]);
        }
        definitions.insert(kind.clone(), schema);
        branches.push(json!({
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"$ref": format!("#/$defs/{kind}")},
        }));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pgsetup manifest",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": KINDS.map(|(kind, _)| kind)}},
        "allOf": branches,
        "$defs": definitions,
    })
}

//! Which file of a crate imports which, read from the syntax: `use` trees with groups, globs and renames, and paths
//! within code and macros. Unit tests are left out. Methods are not seen; their types are named where they come from.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Macro, UseTree};

/// A path from the root of the crate, without `crate`.
type Path = Vec<String>;

/// The imports between files.
pub struct Graph {
    /// By file, the files that it imports from. Every file that is not of tests only is a key.
    pub edges: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// The imports between `files`, names with their texts. A name is a path below the directory of `main.rs`.
    pub fn of(files: &BTreeMap<String, String>) -> Self {
        let mut read = BTreeMap::new();
        for (name, text) in files {
            let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut reader = Reader {
                module: module(name),
                ..Reader::default()
            };
            reader.children = children(&syntax.items);
            reader.visit_file(&syntax);
            read.insert(name.as_str(), reader);
        }
        let tests: Vec<Path> = read.values().flat_map(|reader| reader.tests.clone()).collect();
        let is_test = |name: &str| tests.iter().any(|test| module(name).starts_with(test));
        let modules: BTreeMap<Path, &str> = read
            .keys()
            .filter(|name| !is_test(name))
            .map(|name| (module(name), *name))
            .collect();
        let edges = modules.values().map(|name| {
            let imported = read[name]
                .imports
                .iter()
                .filter_map(|path| file_of(path, &modules));
            let others = imported.filter(|other| other != name).map(str::to_owned);
            ((*name).to_owned(), others.collect())
        });
        Self {
            edges: edges.collect(),
        }
    }

    /// Every import: from which file, and to which.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.edges
            .iter()
            .flat_map(|(from, to)| to.iter().map(|to| (from.as_str(), to.as_str())))
    }

    /// Groups of files that each lead to all others of the group and are not in one folder, a line each.
    pub fn circles_of_folders(&self) -> Vec<String> {
        let reached: BTreeMap<&str, BTreeSet<&str>> = self
            .edges
            .keys()
            .map(|file| (file.as_str(), self.reached(file)))
            .collect();
        let mut circles = BTreeSet::new();
        for (file, others) in &reached {
            let circle: BTreeSet<&str> = others
                .iter()
                .copied()
                .filter(|other| reached[other].contains(file))
                .collect();
            let folders: BTreeSet<&str> = circle.iter().map(|file| folder(file)).collect();
            if folders.len() > 1 {
                circles.insert(circle.into_iter().collect::<Vec<_>>().join(", "));
            }
        }
        circles.into_iter().collect()
    }

    /// The files that `file` imports, and those that these import, and so on.
    fn reached(&self, file: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut ahead: Vec<&str> = self.edges[file].iter().map(String::as_str).collect();
        while let Some(next) = ahead.pop() {
            if reached.insert(next) {
                ahead.extend(self.edges[next].iter().map(String::as_str));
            }
        }
        reached
    }
}

/// The module of a file.
fn module(file: &str) -> Path {
    let stem = file.trim_end_matches(".rs");
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    match stem {
        "main" => Path::new(),
        stem => stem.split('/').map(str::to_owned).collect(),
    }
}

/// The folder of a file.
fn folder(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The file of the innermost module that a path names.
fn file_of<'f>(path: &[String], modules: &BTreeMap<Path, &'f str>) -> Option<&'f str> {
    (1..=path.len())
        .rev()
        .find_map(|length| modules.get(&path[..length]).copied())
}

/// The modules that items declare.
fn children(items: &[Item]) -> BTreeSet<String> {
    let name = |item: &Item| match item {
        Item::Mod(item) => Some(item.ident.to_string()),
        _ => None,
    };
    items.iter().filter_map(name).collect()
}

/// Whether an item is there in tests only.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    };
    attributes.iter().any(is_test)
}

/// What a file imports.
#[derive(Default)]
struct Reader {
    /// The module that is read.
    module: Path,
    /// The modules that it declares.
    children: BTreeSet<String>,
    /// What names stand for that `use` has brought.
    names: BTreeMap<String, Path>,
    /// Every path of the crate that the file names.
    imports: BTreeSet<Path>,
    /// Modules that are there in tests only.
    tests: Vec<Path>,
}

impl Reader {
    /// The path that `segments` stand for; `None` where it is of another crate or a local name.
    fn resolve(&self, segments: &[String]) -> Option<Path> {
        let (first, rest) = segments.split_first()?;
        let base = match first.as_str() {
            "crate" => Path::new(),
            "self" => self.module.clone(),
            "super" => {
                let above = self.module.split_last()?.1.to_vec();
                let outer = Self {
                    module: above.clone(),
                    ..Self::default()
                };
                return match rest.first().map(String::as_str) {
                    Some("super") => outer.resolve(rest),
                    _ => Some([above, rest.to_vec()].concat()),
                };
            }
            name if self.children.contains(name) => [self.module.clone(), vec![name.to_owned()]].concat(),
            name => self.names.get(name)?.clone(),
        };
        Some([base, rest.to_vec()].concat())
    }

    fn take(&mut self, segments: &[String]) {
        self.imports.extend(self.resolve(segments));
    }

    /// Takes every path of a `use` tree, and what its names stand for from there on.
    fn take_tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &dyn ToString| [before.to_vec(), vec![name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.take_tree(&with(&path.ident), &path.tree),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.take_tree(before, tree)),
            UseTree::Glob(_) => self.take(before),
            UseTree::Name(name) if name.ident == "self" => self.bring(before, before.last().cloned()),
            UseTree::Name(name) => self.bring(&with(&name.ident), Some(name.ident.to_string())),
            UseTree::Rename(rename) if rename.ident == "self" => {
                self.bring(before, Some(rename.rename.to_string()));
            }
            UseTree::Rename(rename) => self.bring(&with(&rename.ident), Some(rename.rename.to_string())),
        }
    }

    fn bring(&mut self, segments: &[String], name: Option<String>) {
        if let (Some(path), Some(name)) = (self.resolve(segments), name) {
            self.imports.insert(path.clone());
            self.names.insert(name, path);
        }
    }
}

impl<'s> Visit<'s> for Reader {
    fn visit_item(&mut self, item: &'s Item) {
        let attributes = match item {
            Item::Const(item) => &item.attrs,
            Item::Enum(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Static(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Trait(item) => &item.attrs,
            Item::Type(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_for_tests(attributes) {
            return visit::visit_item(self, item);
        }
        if let Item::Mod(item) = item {
            self.tests
                .push([self.module.clone(), vec![item.ident.to_string()]].concat());
        }
    }

    fn visit_item_mod(&mut self, item: &'s ItemMod) {
        let Some((_, items)) = &item.content else { return };
        let mut inner = Self {
            module: [self.module.clone(), vec![item.ident.to_string()]].concat(),
            children: children(items),
            ..Self::default()
        };
        for item in items {
            inner.visit_item(item);
        }
        self.imports.extend(inner.imports);
        self.tests.extend(inner.tests);
    }

    fn visit_item_use(&mut self, item: &'s ItemUse) {
        self.take_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'s syn::Path) {
        let segments: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if segments.len() > 1 {
            self.take(&segments);
        }
        visit::visit_path(self, path);
    }

    /// The arguments of a macro are not parsed: every row of names with `::` between them is taken for a path.
    fn visit_macro(&mut self, item: &'s Macro) {
        let text = item.tokens.to_string();
        let mut row: Vec<String> = Vec::new();
        let mut is_joined = false;
        for word in words(&text) {
            if word == "::" {
                is_joined = true;
                continue;
            }
            if !is_joined {
                self.take(&row);
                row.clear();
            }
            row.push(word.to_owned());
            is_joined = false;
        }
        self.take(&row);
        visit::visit_macro(self, item);
    }
}

/// Names, `::`, and whatever else stands between them, without texts.
fn words(tokens: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = tokens;
    while let Some(first) = rest.chars().next() {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let length = if first == '"' {
            // The end of a text is the next mark that is not escaped.
            let mut is_escaped = true;
            let end = rest.find(|c: char| {
                let is_end = c == '"' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                is_end
            });
            end.map_or(rest.len(), |end| end + 1)
        } else if is_name(first) {
            rest.find(|c: char| !is_name(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (word, after) = rest.split_at(length);
        if !word.trim().is_empty() {
            words.push(word);
        }
        rest = after;
    }
    words
}

//! The rules between files that neither the compiler nor clippy holds: what may import what, and what is at the top of
//! `src`. What may touch the machine, print or ask the clock is clippy's (`clippy.toml`).

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

use crate::support::project;
use imports::Graph;

/// The floors of `src`, from the top. A room is a folder or a file at the top of `src`; it imports only from floors below
/// its own. ARCHITECTURE.md has the same table.
const FLOORS: [&[&str]; 10] = [
    &["main"],
    &["commands"],
    &["step", "upstream"],
    &["report", "source", "verify"],
    &["image", "run", "store"],
    &["archive", "debian", "failure", "plan", "record"],
    &["artifact", "cli", "host", "resolve"],
    &["control", "manifest"],
    &["catalogue", "crates", "locked"],
    &[
        "command", "digest", "layout", "lock", "output", "target", "timing",
    ],
];

/// Rooms that know neither the machine nor the clock: the same input gives the same output. They import no room that is
/// not one of them.
const PURE: [&str; 17] = [
    "artifact",
    "catalogue",
    "cli",
    "command",
    "control",
    "crates",
    "digest",
    "layout",
    "lock",
    "locked",
    "manifest",
    "output",
    "plan",
    "record",
    "resolve",
    "target",
    "timing",
];

/// The folders that clippy's fence (`clippy.toml`) is open for, and no others.
const DOORS: [&str; 5] = [
    "archive/mod.rs",
    "host/mod.rs",
    "report/mod.rs",
    "source/mod.rs",
    "store/mod.rs",
];

/// Files at the top of `src` beside the folders.
const MAX_FILES_AT_THE_TOP: usize = 12;

/// Every Rust file below `directory`, by its path from there.
fn rust_files(directory: &Path) -> BTreeMap<String, String> {
    fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(directory, &mut files);
    let name = |path: &Path| path.strip_prefix(directory).unwrap().display().to_string();
    let read = |path: PathBuf| (name(&path), std::fs::read_to_string(&path).unwrap());
    files.into_iter().map(read).collect()
}

/// The import graph of `src`, without unit tests.
fn graph() -> Graph {
    let graph = Graph::of(&rust_files(&project().join("src")));
    assert!(graph.edges.len() > 100, "the sources were not found");
    let known = graph.edges["commands/install.rs"].contains("step/mod.rs");
    assert!(known, "commands/install.rs performs steps");
    graph
}

/// The room that a file of `src` is in.
fn room(file: &str) -> &str {
    match file.split_once('/') {
        Some((folder, _)) => folder,
        None => file.trim_end_matches(".rs"),
    }
}

/// The floor of a room, counted from the top.
fn floor(room: &str) -> usize {
    let floor = FLOORS.iter().position(|rooms| rooms.contains(&room));
    floor.unwrap_or_else(|| panic!("the room {room} has no floor"))
}

/// Imports from one room to another that is not on a lower floor.
fn upward(graph: &Graph) -> BTreeSet<String> {
    let is_upward =
        |(from, to): &(&str, &str)| room(from) != room(to) && floor(room(from)) >= floor(room(to));
    graph.pairs().filter(is_upward).map(arrow).collect()
}

fn arrow((from, to): (&str, &str)) -> String {
    format!("{from} -> {to}")
}

#[test]
fn no_circle_of_imports_spans_folders() {
    assert_eq!(graph().circles_of_folders(), Vec::<String>::new());
}

#[test]
fn no_import_leads_to_a_floor_above() {
    assert_eq!(upward(&graph()), BTreeSet::new());
}

#[test]
fn every_room_is_on_one_floor() {
    let files = rust_files(&project().join("src"));
    let graph = graph();
    let rooms: BTreeSet<&str> = files
        .keys()
        .filter(|file| graph.edges.contains_key(*file))
        .map(|file| room(file))
        .collect();
    let mut listed: Vec<&str> = FLOORS.concat();
    listed.sort_unstable();
    assert_eq!(listed, rooms.into_iter().collect::<Vec<_>>());
}

#[test]
fn pure_rooms_import_only_pure_rooms() {
    let is_pure = |file: &str| PURE.contains(&room(file));
    let graph = graph();
    let bad = graph.pairs().filter(|(from, to)| is_pure(from) && !is_pure(to));
    assert_eq!(bad.map(arrow).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn few_files_are_at_the_top() {
    let files = rust_files(&project().join("src"));
    let top: Vec<&String> = files.keys().filter(|file| !file.contains('/')).collect();
    assert!(top.len() <= MAX_FILES_AT_THE_TOP, "{top:?}");
}

#[test]
fn the_fence_is_up_and_open_only_for_the_doors() {
    let files = rust_files(&project().join("src"));
    let mentions = |lint: &str| -> Vec<&str> {
        let has = |(_, text): &(&String, &String)| text.contains(lint);
        files.iter().filter(has).map(|(name, _)| name.as_str()).collect()
    };
    let with_main = [&DOORS[..2], &["main.rs"], &DOORS[2..]].concat();
    assert_eq!(mentions("clippy::disallowed_methods"), with_main);
    assert_eq!(mentions("clippy::print_stdout"), ["main.rs"]);
    let main = &files["main.rs"];
    assert!(
        main.contains("#![cfg_attr(\n    not(test),\n    warn("),
        "main.rs does not turn the lints on"
    );
}

#[test]
fn the_architecture_page_has_the_same_floors() {
    let page = std::fs::read_to_string(project().join("ARCHITECTURE.md")).unwrap();
    let (_, section) = page.split_once("## Floors").expect("a section on floors");
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let rooms = |row: &str| -> Vec<String> {
        let cell = row.split('|').nth(2).unwrap_or_default();
        let names = cell
            .split(',')
            .map(|name| name.trim().trim_matches('`').to_owned());
        names.collect()
    };
    assert_eq!(rows.map(rooms).collect::<Vec<_>>(), FLOORS);
}

#[test]
fn every_file_opens_with_what_it_is() {
    let mut silent = Vec::new();
    for directory in ["src", "tests/suite"] {
        let files = rust_files(&project().join(directory));
        silent.extend(
            files
                .into_iter()
                .filter(|(_, text)| !text.starts_with("//! "))
                .map(|(name, _)| name),
        );
    }
    assert_eq!(silent, Vec::<String>::new());
}

/// Functions that others call, return a `Result`, and do not say when it is an error.
#[derive(Default)]
struct Silent(Vec<String>);

impl Silent {
    fn look(
        &mut self,
        attributes: &[syn::Attribute],
        visibility: &syn::Visibility,
        signature: &syn::Signature,
    ) {
        let is_result = |path: &syn::Path| path.segments.last().is_some_and(|last| last.ident == "Result");
        let returns_result = matches!(&signature.output, syn::ReturnType::Type(_, kind)
            if matches!(&**kind, syn::Type::Path(kind) if is_result(&kind.path)));
        let says = |attribute: &syn::Attribute| match &attribute.meta {
            syn::Meta::NameValue(doc) if doc.path.is_ident("doc") => {
                matches!(&doc.value, syn::Expr::Lit(text)
                    if matches!(&text.lit, syn::Lit::Str(text) if text.value().trim() == "# Errors"))
            }
            _ => false,
        };
        let is_private = matches!(visibility, syn::Visibility::Inherited);
        if returns_result && !is_private && !attributes.iter().any(says) {
            self.0.push(signature.ident.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for Silent {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.look(&function.attrs, &function.vis, &function.sig);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.look(&function.attrs, &function.vis, &function.sig);
    }
}

#[test]
fn what_can_fail_says_with_which_errors() {
    let mut silent = Vec::new();
    for directory in ["src", "pgstart/src"] {
        for (name, text) in rust_files(&project().join(directory)) {
            if name.ends_with("tests.rs") {
                continue;
            }
            let mut found = Silent::default();
            found.visit_file(&syn::parse_file(&text).unwrap());
            silent.extend(
                found
                    .0
                    .iter()
                    .map(|function| format!("{directory}/{name}: {function}")),
            );
        }
    }
    assert_eq!(silent, Vec::<String>::new(), "each needs a section `# Errors`");
    let mut found = Silent::default();
    found.visit_file(&syn::parse_quote! {
        pub(super) fn wrong() -> std::io::Result<()> { Ok(()) }
        fn private() -> Result<(), String> { Ok(()) }
        impl Thing {
            #[doc = " # Errors"]
            pub fn right() -> Result<(), String> { Ok(()) }
            pub fn wrong_as_well(&self) -> Result<()> { Ok(()) }
        }
    });
    assert_eq!(found.0, ["wrong", "wrong_as_well"]);
}

/// The graph of a crate of these files.
fn graph_of(files: &[(&str, &str)]) -> Graph {
    let files = files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Graph::of(&files.collect())
}

fn arrows(graph: &Graph) -> Vec<String> {
    graph.pairs().map(arrow).collect()
}

#[test]
fn imports_are_found_however_they_are_written() {
    for text in [
        "use crate::{digest, host::{look, Host}};",
        "use crate::{host::{Host, look}, digest::Sha256};",
        "use crate::host::look::*; use crate::host::Host; use crate::digest;",
        "use crate::host; fn f() -> host::look::Found { crate::digest::of(&host::Host) }",
        "use crate::host as machine; fn f() { machine::look::at(); println!(\"{}\", crate::digest::of(1)); machine::Host }",
        "fn f(h: &crate::host::Host) { g!(x, crate::digest::Sha256, [crate::host::look::Found]) }",
        "impl From<crate::host::look::Found> for crate::digest::Sha256 { fn f() -> crate::host::Host {} }",
        "mod inner { use super::super::host::{look, Host}; use super::super::digest; }",
        "fn f() { use crate::{host::look::Found, digest}; let _: crate::host::Host; }",
    ] {
        let graph = graph_of(&[
            ("main.rs", "mod store; mod digest; mod host;"),
            ("store.rs", text),
            ("digest.rs", ""),
            ("host/mod.rs", "pub mod look;"),
            ("host/look.rs", ""),
        ]);
        let found = arrows(&graph);
        let expected = [
            "store.rs -> digest.rs",
            "store.rs -> host/look.rs",
            "store.rs -> host/mod.rs",
        ];
        assert!(
            expected.iter().all(|arrow| found.contains(&(*arrow).to_owned())),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn unit_tests_and_other_crates_are_not_imports() {
    let graph = graph_of(&[
        ("main.rs", "mod a; mod b; #[cfg(test)] mod reference;"),
        (
            "a.rs",
            "use std::{io, fs}; use b2::b; #[cfg(test)] mod tests; #[cfg(test)] use crate::b::B;",
        ),
        ("a/tests.rs", "use crate::b;"),
        (
            "b.rs",
            "//! crate::a\nconst TEXT: &str = \"crate::a::A\"; #[cfg(test)] mod tests { use crate::a; }",
        ),
        ("reference.rs", "use crate::a;"),
    ]);
    assert_eq!(arrows(&graph), Vec::<String>::new());
}

#[test]
fn a_circle_is_found_only_where_it_spans_folders() {
    let within = graph_of(&[
        ("main.rs", "mod a;"),
        ("a/mod.rs", "mod b; mod c;"),
        ("a/b.rs", "use super::c::C;"),
        ("a/c.rs", "use super::b;"),
    ]);
    assert_eq!(arrows(&within), ["a/b.rs -> a/c.rs", "a/c.rs -> a/b.rs"]);
    assert_eq!(within.circles_of_folders(), Vec::<String>::new());
    let across = graph_of(&[
        ("main.rs", "mod a; mod d;"),
        ("a/mod.rs", "mod b;"),
        ("a/b.rs", "use crate::{d::{self}};"),
        ("d/mod.rs", "mod e; pub use e::E;"),
        ("d/e.rs", "fn f() { crate::a::b::g() }"),
    ]);
    assert_eq!(across.circles_of_folders(), ["a/b.rs, d/e.rs, d/mod.rs"]);
}

#[test]
fn an_import_from_above_is_found() {
    let graph = graph_of(&[
        ("main.rs", "mod host; mod step; mod plan; mod record;"),
        ("step/mod.rs", "use crate::{plan, host};"),
        ("plan.rs", "use crate::record::Receipt;"),
        ("record.rs", ""),
        ("host/mod.rs", "fn f() { crate::step::perform() }"),
    ]);
    let expected = ["host/mod.rs -> step/mod.rs", "plan.rs -> record.rs"];
    assert_eq!(upward(&graph), expected.map(str::to_owned).into());
}

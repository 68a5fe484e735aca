//! Checks of an extension that need no server: whether its files exist and fit together.
//!
//! A server reports the same faults one at a time, and some of them only when a function is called.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::control;
use crate::failure::{Cause, Failure};
use crate::host::Host;
use crate::image::needs;
use crate::lock::lock;
use crate::manifest::extension::SqlExtension;
use crate::plan::Server;
use crate::record::inventory::Content;
use crate::resolve::Extension;
use crate::step::context::Context;

/// Checks that the control files, scripts and libraries of `extension` exist and say what the manifest says.
///
/// # Errors
/// One error has every finding.
pub fn check(context: &Context<'_>, server: &Server, extension: &Extension) -> Result<(), Failure> {
    let mut findings = BTreeSet::new();
    if extension.is_program {
        if !installs_a_program(context, extension) {
            findings.insert("it installed no program that can be executed".to_owned());
        }
        return failure_of(findings);
    }
    let libraries = libraries(context, server, extension, &mut findings)?;
    if extension.provides.is_empty() && libraries.is_empty() && findings.is_empty() {
        findings.insert(format!(
            "it provides no SQL extension, and it installed no module that the server can load in {}",
            server.libraries
        ));
    }
    failure_of(findings)
}

/// Whether a program has installed a file that can be executed.
fn installs_a_program(context: &Context<'_>, program: &Extension) -> bool {
    let inventory = context.state.inventory();
    inventory.iter().any(|file| {
        let is_file = matches!(file.content, Content::File { .. });
        file.is_of(&program.component) && is_file && file.mode & 0o111 != 0
    })
}

/// Checks that each library of `extension` can be loaded. `others` are the extensions whose libraries are loaded as well.
///
/// # Errors
/// One error has every finding.
pub fn check_symbols(
    context: &Context<'_>,
    server: &Server,
    extension: &Extension,
    others: &[&Extension],
) -> Result<(), Failure> {
    if extension.is_program {
        return Ok(());
    }
    // What does not exist is reported by `check`, and of the others by their own tests.
    let mut reported = BTreeSet::new();
    let libraries = libraries(context, server, extension, &mut reported)?;
    let mut beside = BTreeSet::new();
    for other in others {
        beside.extend(self::libraries(context, server, other, &mut reported)?);
    }
    let mut findings = BTreeSet::new();
    symbols(context, server, &libraries, &beside, &mut findings)?;
    failure_of(findings)
}

/// The paths of the modules of an extension that provides no SQL.
///
/// # Errors
/// A file cannot be read.
pub fn libraries_to_load(
    context: &Context<'_>,
    server: &Server,
    extension: &Extension,
) -> Result<BTreeSet<String>, Failure> {
    Ok(libraries(context, server, extension, &mut BTreeSet::new())?)
}

fn failure_of(findings: BTreeSet<String>) -> Result<(), Failure> {
    let mut findings = findings.into_iter();
    let Some(mut message) = findings.next() else {
        return Ok(());
    };
    for finding in findings {
        let _ = write!(message, "\n{finding}");
    }
    Err(Failure::new(Cause::Test, message))
}

/// The paths of the extension's libraries. Each one that does not exist is a finding.
fn libraries(
    context: &Context<'_>,
    server: &Server,
    extension: &Extension,
    findings: &mut BTreeSet<String>,
) -> anyhow::Result<BTreeSet<String>> {
    let host = context.host;
    let mut names: BTreeSet<(String, String)> = BTreeSet::new();
    for provided in &extension.provides {
        for library in provided_libraries(host, server, provided, findings)? {
            names.insert((library, format!("the script of {}", provided.name)));
        }
    }
    for library in extension.preload.iter().flat_map(|preload| &preload.libraries) {
        names.insert((library.clone(), "the manifest's `preload`".to_owned()));
    }
    let mut paths = BTreeSet::new();
    for (name, by) in names {
        let name = name.strip_prefix("$libdir/").unwrap_or(&name);
        let path = match name {
            absolute if absolute.starts_with('/') => absolute.to_owned(),
            below => format!("{}/{below}", server.libraries),
        };
        let candidates = [path.clone(), format!("{path}.so")];
        let mut found = None;
        for candidate in candidates {
            if found.is_none() && host.real_path(&candidate)?.is_some() {
                found = Some(candidate);
            }
        }
        match found {
            Some(path) => drop(paths.insert(path)),
            None => drop(findings.insert(format!("{path}.so does not exist; {by} names it"))),
        }
    }
    if extension.provides.is_empty() {
        paths.extend(modules(context, server, extension)?);
    }
    Ok(paths)
}

/// The symbol that `PG_MODULE_MAGIC` defines, without which the server loads nothing.
const MAGIC: &str = "Pg_magic_func";

/// The modules that an extension without SQL has installed: what the server can load, no matter what names it. Where no
/// record says which files are its own, as of a module of PostgreSQL itself, the library of its name is.
fn modules(
    context: &Context<'_>,
    server: &Server,
    extension: &Extension,
) -> anyhow::Result<BTreeSet<String>> {
    let host = context.host;
    let own = format!("{}/{}.so", server.libraries, extension.component.name);
    let is_beside = |path: &String| {
        path.rsplit_once('/')
            .is_some_and(|(top, _)| top == server.libraries)
    };
    let mut candidates: Vec<String> = {
        let inventory = context.state.inventory();
        let files = inventory.iter().filter(|file| file.is_of(&extension.component));
        files.map(|file| file.path.clone()).filter(is_beside).collect()
    };
    if candidates.is_empty() {
        candidates.push(own);
    }
    let mut modules = BTreeSet::new();
    for path in candidates {
        if host.exists(&path) && host.elf(&path)?.is_some() && host.symbols(&path)?.defined.contains(MAGIC) {
            modules.insert(path);
        }
    }
    Ok(modules)
}

/// The libraries that the scripts of one SQL extension name, as written there.
fn provided_libraries(
    host: &Host,
    server: &Server,
    provided: &SqlExtension,
    findings: &mut BTreeSet<String>,
) -> anyhow::Result<BTreeSet<String>> {
    let name = &provided.name;
    let directory = format!("{}/extension", server.share);
    let control = format!("{directory}/{name}.control");
    let Some(text) = host.read_lossy(&control)? else {
        findings.insert(format!("{control} does not exist"));
        return Ok(BTreeSet::new());
    };
    let wanted = &provided.default_version;
    match control::value(&text, "default_version") {
        Some(version) if version == *wanted => {}
        Some(version) => drop(findings.insert(format!(
            "{name} has default_version {version} in its control file, and {wanted} in the manifest"
        ))),
        None => drop(findings.insert(format!("{control} names no default_version"))),
    }
    let directory = match control::value(&text, "directory") {
        None => directory,
        Some(other) if other.starts_with('/') => other,
        Some(other) => format!("{}/{other}", server.share),
    };
    let Some(scripts) = control::scripts(name, wanted, &host.names(&directory)?) else {
        findings.insert(format!(
            "no script in {directory} leads to version {wanted} of {name}"
        ));
        return Ok(BTreeSet::new());
    };
    let module = control::value(&text, "module_pathname");
    let encoding = control::value(&text, "encoding");
    let mut libraries = BTreeSet::new();
    for script in scripts {
        let bytes = host
            .read_bytes(&format!("{directory}/{script}"))?
            .unwrap_or_default();
        match control::script(&bytes, encoding.as_deref()) {
            Ok(text) => libraries.extend(control::libraries(&text, module.as_deref())),
            Err(at) => drop(findings.insert(format!(
                "{directory}/{script}: byte {at} is not UTF-8, and {name}.control names no other `encoding`"
            ))),
        }
    }
    Ok(libraries)
}

/// Checks that each library can be loaded: that its own libraries exist, and that these, the server or `beside` define its
/// symbols.
fn symbols(
    context: &Context<'_>,
    server: &Server,
    libraries: &BTreeSet<String>,
    beside: &BTreeSet<String>,
    findings: &mut BTreeSet<String>,
) -> anyhow::Result<()> {
    let host = context.host;
    let mut own = Vec::new();
    for path in libraries {
        own.extend(host.elf(path)?.map(|elf| (path.clone(), elf)));
    }
    let Some(of_server) = of_server(context, server)?.filter(|_| !own.is_empty()) else {
        return Ok(());
    };
    let mut wanted = Vec::new();
    let mut defined = BTreeSet::new();
    for (path, _) in &own {
        let symbols = host.symbols(path)?;
        defined.extend(symbols.defined.iter().cloned());
        wanted.extend(symbols.wanted.iter().map(|name| (path.clone(), name.clone())));
    }
    for path in beside {
        if host.elf(path)?.is_some() {
            defined.extend(host.symbols(path)?.defined.iter().cloned());
        }
    }
    let dpkg = host.dpkg()?;
    let closure = needs::follow(host, &dpkg, own)?;
    let elsewhere = needs::elsewhere(&closure, &dpkg, &context.state.inventory());
    let finding = |missing| needs::astray(missing, &elsewhere).unwrap_or_else(|| missing.to_string());
    findings.extend(closure.missing.iter().map(finding));
    for (_, real_path) in closure.found.keys() {
        defined.extend(host.symbols(real_path)?.defined.iter().cloned());
    }
    for (path, symbol) in wanted {
        if !of_server.contains(&symbol) && !defined.contains(&symbol) {
            findings.insert(format!(
                "{path} cannot be loaded: undefined symbol `{symbol}`, which neither {} nor a library that it is linked \
                 with has",
                server.title
            ));
        }
    }
    Ok(())
}

/// The symbols of the server and of the libraries it links; `None` if the server is not an ELF file. They are collected
/// once per server.
fn of_server(context: &Context<'_>, server: &Server) -> anyhow::Result<Option<Arc<BTreeSet<String>>>> {
    let program = format!("{}/postgres", server.programs);
    if let Some(known) = lock(&context.state.server_symbols).get(&program) {
        return Ok(Some(Arc::clone(known)));
    }
    let host = context.host;
    let Some(elf) = host.elf(&program)? else {
        return Ok(None);
    };
    let mut defined = host.symbols(&program)?.defined.clone();
    let dpkg = host.dpkg()?;
    for (_, real_path) in needs::follow(host, &dpkg, [(program.clone(), elf)])?.found.keys() {
        defined.extend(host.symbols(real_path)?.defined.iter().cloned());
    }
    let defined = Arc::new(defined);
    lock(&context.state.server_symbols).insert(program, Arc::clone(&defined));
    Ok(Some(defined))
}

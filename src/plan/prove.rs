//! Builds the plan of `pgsetup test`: what is installed in order to be tested, and the tests.

use super::build::{Builder, Id};
use super::{Action, ExtensionTest, Lane, Plan, Server, Settings, Unloaded};
use crate::manifest::extension::PreloadScope;
use crate::resolve::{Extension, Resolved};

/// What is tested, and how.
#[derive(Debug, Clone, Default)]
pub struct Tests {
    /// Names of the extensions; the others of the resolved ones are only required by them.
    pub extensions: Vec<String>,
    /// Whether all that is tested is there already.
    pub installed: bool,
}

/// The plan that tests `resolved`.
pub fn tests(resolved: &Resolved, tests: &Tests) -> Plan {
    let mut builder = Builder::new(resolved);
    let mut installed: Vec<(&str, Id)> = Vec::new();
    let mut ready: Vec<Id> = Vec::new();
    if !tests.installed {
        let base = builder.base();
        let server = builder.server(&base);
        ready.push(server.all);
        ready.extend(builder.locale(&base));
        for extension in &resolved.extensions {
            let id = builder.extension(extension, &base, &server);
            installed.push((&extension.component.name, id));
        }
    }
    let server = server(resolved);
    let initialise = Action::InitialiseTemplate(server.clone());
    let template = builder.step("initialise a cluster", Lane::Cpu, 2, &ready, initialise);
    for extension in &resolved.extensions {
        if !tests.extensions.contains(&extension.component.name) {
            continue;
        }
        let requires = required(resolved, extension);
        let with_it = requires.iter().copied().chain([extension]);
        let mut needs = vec![template];
        needs.extend(
            with_it
                .filter_map(|one| installed.iter().find(|(name, _)| *name == one.component.name))
                .map(|(_, id)| *id),
        );
        let test = extension_test(&server, extension, &requires);
        let name = format!("test {}", extension.component.title());
        builder.step(name, Lane::Cpu, 5, &needs, Action::TestExtension(Box::new(test)));
    }
    builder.plan(Vec::new())
}

/// What throw-away clusters are made of.
pub fn server(resolved: &Resolved) -> Server {
    let postgresql = &resolved.postgresql;
    Server {
        title: postgresql.component.title(),
        programs: format!("{}/bin", postgresql.prefix()),
        libraries: postgresql.library_directory(),
        share: postgresql.share(),
        user: resolved.user.clone(),
        locale: resolved.locale.clone(),
    }
}

fn extension_test(server: &Server, extension: &Extension, requires: &[&Extension]) -> ExtensionTest {
    let refusal = extension
        .preload
        .as_ref()
        .and_then(|preload| preload.required.clone());
    ExtensionTest {
        server: server.clone(),
        settings: settings(extension, requires, true),
        extension: extension.clone(),
        requires: requires.iter().map(|one| (*one).clone()).collect(),
        unloaded: refusal.map(|required| Unloaded {
            settings: settings(extension, requires, false),
            required,
        }),
    }
}

/// The settings of an extension's own cluster: what it and its requirements want, and what its tests do.
fn settings(extension: &Extension, requires: &[&Extension], is_loaded: bool) -> Settings {
    let mut libraries = Libraries::default();
    libraries.add(requires.iter().copied());
    libraries.add([extension].into_iter().filter(|_| is_loaded));
    let all = requires.iter().copied().chain([extension]);
    let mut settings: Settings = all.flat_map(|one| one.settings.clone()).collect();
    settings.extend(extension.test_settings.clone());
    settings.extend(libraries.settings());
    settings
}

/// All that an extension requires, and what those require, each after what it requires itself.
fn required<'r>(resolved: &'r Resolved, extension: &Extension) -> Vec<&'r Extension> {
    let mut names: Vec<&str> = extension.requires.iter().map(String::as_str).collect();
    let mut position = 0;
    while let Some(name) = names.get(position).copied() {
        let mut others = resolved.extensions.iter();
        if let Some(other) = others.find(|other| other.component.name == name) {
            for name in &other.requires {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
        }
        position += 1;
    }
    // Those of the resolved image are in that order already.
    let is_required = |one: &&Extension| names.contains(&one.component.name.as_str());
    resolved.extensions.iter().filter(is_required).collect()
}

/// Libraries that are loaded before anything else happens.
#[derive(Debug, Default)]
pub struct Libraries {
    /// When the server starts, in order.
    pub server: Vec<String>,
    /// When a session starts, in order.
    pub session: Vec<String>,
}

impl Libraries {
    /// Adds the libraries of `extensions` that are not there yet: before all others those that insist on it.
    pub fn add<'e>(&mut self, extensions: impl Iterator<Item = &'e Extension>) {
        for preload in extensions.filter_map(|extension| extension.preload.as_ref()) {
            let list = match preload.scope {
                PreloadScope::Server => &mut self.server,
                PreloadScope::Session => &mut self.session,
            };
            let new: Vec<String> = preload
                .libraries
                .iter()
                .filter(|library| !list.contains(library))
                .cloned()
                .collect();
            let place = if preload.first { 0 } else { list.len() };
            list.splice(place..place, new);
        }
    }

    /// The settings that load them.
    pub fn settings(&self) -> Settings {
        [
            ("shared_preload_libraries", &self.server),
            ("session_preload_libraries", &self.session),
        ]
        .into_iter()
        .filter(|(_, libraries)| !libraries.is_empty())
        .map(|(name, libraries)| (name.to_owned(), libraries.join(",")))
        .collect()
    }
}

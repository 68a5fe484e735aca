//! Throw-away clusters: their programs, settings and preloaded libraries.

use super::{Gate, Server, Settings, TryOut, WithoutLibraries};
use crate::manifest::extension::PreloadScope;
use crate::resolve::{Extension, Postgresql, Resolved};

/// The final test of a server with its extensions. The image's settings apply to its own server only; a cluster of an
/// older major has the settings that its extensions need.
pub fn try_out(resolved: &Resolved, postgresql: &Postgresql, extensions: &[Extension]) -> TryOut {
    let mut libraries = Libraries::default();
    let mut settings = Settings::new();
    let is_own = postgresql.component.older_major.is_none();
    if is_own {
        libraries.server.clone_from(&resolved.preload);
    } else {
        settings.extend(extensions.iter().flat_map(|one| one.settings.clone()));
    }
    // Every library that an extension preloads. Those that the image preloads come first.
    libraries.add(extensions.iter());
    settings.extend(extensions.iter().flat_map(|one| one.test_settings.clone()));
    settings.extend(libraries.settings());
    TryOut {
        server: server(resolved, postgresql),
        configuration: is_own.then(|| resolved.configuration.clone()),
        settings,
        extensions: extensions.to_vec(),
        gate: Gate {
            declared: resolved.declared(),
            ..Gate::default()
        },
        unloaded: without_libraries(extensions),
    }
}

/// One start for all extensions whose errors show with the same libraries loaded.
fn without_libraries(extensions: &[Extension]) -> Vec<WithoutLibraries> {
    let mut starts: Vec<WithoutLibraries> = Vec::new();
    for extension in extensions {
        let required = extension.preload.as_ref().and_then(|one| one.required.as_ref());
        if required.is_none() {
            continue;
        }
        let needed = settings(extension, &required_by(extensions, extension), false);
        let libraries = |settings: &Settings| {
            let lists = ["shared_preload_libraries", "session_preload_libraries"];
            lists.map(|name| settings.get(name).cloned())
        };
        let fits = |one: &&mut WithoutLibraries| libraries(&one.settings) == libraries(&needed);
        let name = extension.component.name.clone();
        if let Some(start) = starts.iter_mut().find(fits) {
            start.settings.extend(needed);
            start.extensions.push(name);
        } else {
            starts.push(WithoutLibraries {
                settings: needed,
                extensions: vec![name],
            });
        }
    }
    starts
}

/// All direct and indirect requirements of an extension, each after its own.
pub fn required_by<'r>(extensions: &'r [Extension], extension: &Extension) -> Vec<&'r Extension> {
    let mut names: Vec<&str> = extension.requires.iter().map(String::as_str).collect();
    let mut position = 0;
    while let Some(name) = names.get(position).copied() {
        let mut others = extensions.iter();
        if let Some(other) = others.find(|other| other.component.name == name) {
            for name in &other.requires {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
        }
        position += 1;
    }
    // The resolved image has them in that order.
    let is_required = |one: &&Extension| names.contains(&one.component.name.as_str());
    extensions.iter().filter(is_required).collect()
}

/// The programs and directories for throw-away clusters of a server.
pub fn server(resolved: &Resolved, postgresql: &Postgresql) -> Server {
    Server {
        title: postgresql.component.title(),
        programs: format!("{}/bin", postgresql.prefix()),
        libraries: postgresql.library_directory(),
        share: postgresql.share(),
        user: resolved.user.clone(),
        locale: resolved.locale.clone(),
    }
}

/// The settings of an extension's own cluster: its own, those of its requirements, and those of its tests.
pub fn settings(extension: &Extension, requires: &[&Extension], is_loaded: bool) -> Settings {
    let mut libraries = Libraries::default();
    libraries.add(requires.iter().copied());
    libraries.add([extension].into_iter().filter(|_| is_loaded));
    let all = requires.iter().copied().chain([extension]);
    let mut settings: Settings = all.flat_map(|one| one.settings.clone()).collect();
    settings.extend(extension.test_settings.clone());
    settings.extend(libraries.settings());
    settings
}

/// Preloaded libraries.
#[derive(Debug, Default)]
pub struct Libraries {
    /// `shared_preload_libraries`, in order.
    pub server: Vec<String>,
    /// `session_preload_libraries`, in order.
    pub session: Vec<String>,
}

impl Libraries {
    /// Adds the libraries of `extensions`. Those that must be first come before all others.
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

    /// The settings that preload them.
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

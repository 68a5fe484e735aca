//! The part of each artifact's key that manifests decide.

use std::collections::BTreeSet;
use std::path::Path;

use super::{locale, python, recipe, rust};
use crate::artifact::{Inputs, Key, Recipe, SourceInput};
use crate::command::Command;
use crate::layout;
use crate::manifest::image::{Prune, Removal};
use crate::manifest::postgresql::ServerSource;
use crate::resolve::{Component, Extension, Patroni, Postgresql, Resolved, Source, Tool};

/// The recipes of everything that is built. Each server comes before what is compiled against it, the image's own
/// server first.
pub fn recipes(resolved: &Resolved) -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = locales(resolved).into_iter().collect();
    recipes.extend(resolved.tools().values().map(|one| tool(resolved, one)));
    for (postgresql, extensions) in resolved.servers() {
        let server = server(resolved, postgresql);
        let against = Against {
            postgresql,
            key: server.as_ref().map(|recipe| recipe.inputs.key()),
        };
        recipes.extend(server);
        let compiled = extensions.iter().filter(|one| !one.comes_with_postgresql());
        recipes.extend(compiled.map(|one| extension(resolved, one, &against)));
        let own = resolved.patroni.iter();
        let own = own.filter(|_| postgresql.component.older_major.is_none());
        recipes.extend(own.map(|one| patroni(resolved, one, &against)));
    }
    recipes
}

/// The server that something is compiled against.
struct Against<'a> {
    postgresql: &'a Postgresql,
    /// The key of the server's recipe, if it is compiled itself.
    key: Option<Key>,
}

fn inputs(resolved: &Resolved, title: String, sources: Vec<SourceInput>, commands: &[Command]) -> Inputs {
    Inputs {
        sources,
        commands: commands.iter().map(Command::to_string).collect(),
        removed: removed(&resolved.prune),
        excluded: excluded(&resolved.prune),
        ..Inputs::new(title, resolved.target.to_string())
    }
}

/// What is removed from a stage before it is packed, in a fixed order. Files that are removed only from the image do
/// not count.
fn removed(prune: &Prune) -> Vec<String> {
    let kinds = Removal::FROM_STAGES.iter().chain([&Removal::DebugSymbols]);
    let removed = kinds.filter(|kind| prune.remove.contains(kind));
    let mut removed: Vec<String> = removed.map(|kind| kind.name().to_owned()).collect();
    if prune.keep_debug_symbols && prune.remove.contains(&Removal::DebugSymbols) {
        removed.push("debug symbols, but kept apart".to_owned());
    }
    removed
}

/// Files of packages that the policy excludes, so that a build does not see them although the package's version
/// includes them. Builds do not read documentation.
fn excluded(prune: &Prune) -> Vec<String> {
    let is_read = |pattern: &&String| {
        !layout::DOCUMENTATION
            .iter()
            .any(|top| Path::new(pattern).starts_with(top))
    };
    let excluded: BTreeSet<String> = prune.package_paths.iter().filter(is_read).cloned().collect();
    excluded.into_iter().collect()
}

fn source(source: &Source) -> SourceInput {
    let tar = source.tar_sha256.iter().map(|digest| format!("tar {digest}"));
    SourceInput {
        accepted: source
            .accepted
            .iter()
            .map(ToString::to_string)
            .chain(tar)
            .collect(),
        strip: source.strip,
        into: source.into.clone(),
    }
}

fn server(resolved: &Resolved, postgresql: &Postgresql) -> Option<Recipe> {
    let archive = postgresql.source.as_ref()?;
    Some(Recipe {
        slug: postgresql.component.slug(),
        inputs: Inputs {
            cpu_flags: postgresql.cpu_flags.clone(),
            ..inputs(
                resolved,
                postgresql.component.title(),
                vec![source(archive)],
                &recipe::postgresql(postgresql),
            )
        },
        packages: postgresql.packages.build.clone(),
        against: None,
        tool: None,
        is_tool: false,
    })
}

fn extension(resolved: &Resolved, extension: &Extension, against: &Against<'_>) -> Recipe {
    let commands = recipe::extension(extension, against.postgresql);
    let sources = extension.sources.iter().map(source).collect();
    let built_with = extension.rust.as_ref().and_then(|rust| rust.tool.as_ref());
    let inputs = Inputs {
        cpu_flags: extension.cpu_flags.clone(),
        cargo_lock: extension.rust.as_ref().map(|rust| rust.lock),
        tool: built_with.map(|one| tool(resolved, one).inputs.key()),
        ..inputs(resolved, extension.component.title(), sources, &commands)
    };
    let packages = [&extension.packages.build[..], &against.packages()].concat();
    Recipe {
        tool: built_with.map(Tool::slug),
        ..against.recipe(&extension.component, inputs, packages)
    }
}

fn tool(resolved: &Resolved, tool: &Tool) -> Recipe {
    let inputs = inputs(
        resolved,
        tool.title(),
        vec![source(&tool.source())],
        &rust::tool(tool).commands,
    );
    Recipe {
        slug: tool.slug(),
        inputs: Inputs {
            cargo_lock: Some(tool.lock),
            ..inputs
        },
        packages: tool.packages.clone(),
        against: None,
        tool: None,
        is_tool: true,
    }
}

fn patroni(resolved: &Resolved, patroni: &Patroni, against: &Against<'_>) -> Recipe {
    let commands = python::installation(patroni, against.postgresql).map(|part| part.commands);
    let sources = patroni.distributions.iter().map(|distribution| SourceInput {
        accepted: vec![distribution.sha256.to_string()],
        strip: 0,
        into: String::new(),
    });
    let inputs = inputs(
        resolved,
        patroni.component.title(),
        sources.collect(),
        &commands.concat(),
    );
    let mut packages = [&patroni.packages.build[..], &patroni.packages.runtime].concat();
    if against.postgresql.origin == ServerSource::Apt {
        packages.extend(against.packages());
    }
    against.recipe(&patroni.component, inputs, packages)
}

fn locales(resolved: &Resolved) -> Option<Recipe> {
    let (title, commands) = locale::build(resolved)?;
    Some(Recipe {
        slug: locale::SLUG.to_owned(),
        inputs: inputs(resolved, title, Vec::new(), &commands),
        packages: vec![locale::PACKAGE.to_owned()],
        against: None,
        tool: None,
        is_tool: false,
    })
}

impl Against<'_> {
    fn recipe(&self, component: &Component, inputs: Inputs, packages: Vec<String>) -> Recipe {
        Recipe {
            slug: component.slug(),
            inputs: Inputs {
                postgresql: self.key,
                ..inputs
            },
            packages,
            against: self.key.map(|_| self.postgresql.component.slug()),
            tool: None,
            is_tool: false,
        }
    }

    /// The packages that compiling against this server needs. Debian's server is itself one of them.
    fn packages(&self) -> Vec<String> {
        let postgresql = self.postgresql;
        match postgresql.origin {
            ServerSource::Archive => postgresql.development.clone(),
            ServerSource::Apt => [&postgresql.development[..], &postgresql.packages.runtime].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_done_to_a_stage_before_it_is_packed_is_in_its_key() {
        let of = |remove: &[Removal], package_paths: &[&str]| {
            let prune = Prune {
                remove: remove.to_vec(),
                keep_debug_symbols: true,
                package_paths: package_paths.iter().map(|path| (*path).to_owned()).collect(),
                ..Prune::default()
            };
            (removed(&prune), excluded(&prune))
        };
        let late = [
            Removal::StaticLibraries,
            Removal::Development,
            Removal::PackageLists,
            Removal::Logs,
        ];
        let documentation = ["/usr/share/man/*", "/usr/share/doc/*"];
        assert_eq!(of(&late, &documentation), of(&[], &[]));
        for kind in [Removal::FROM_STAGES.as_slice(), &[Removal::DebugSymbols]].concat() {
            assert_ne!(of(&[kind], &[]), of(&[], &[]), "{kind:?}");
        }
        // The order in a manifest does not matter.
        let names = [Removal::Translations, Removal::Bitcode, Removal::DebugSymbols];
        let patterns = ["/usr/share/misc/*", "/usr/include/x.h"];
        let mut reversed = (names, patterns);
        reversed.0.reverse();
        reversed.1.reverse();
        assert_eq!(of(&names, &patterns), of(&reversed.0, &reversed.1));
        assert_eq!(
            of(&names, &patterns),
            (
                [
                    "bitcode",
                    "translations",
                    "debug-symbols",
                    "debug symbols, but kept apart"
                ]
                .map(str::to_owned)
                .to_vec(),
                ["/usr/include/x.h", "/usr/share/misc/*"]
                    .map(str::to_owned)
                    .to_vec()
            )
        );
    }
}

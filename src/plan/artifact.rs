//! What of each artifact's key is decided by manifests.

use super::{python, recipe};
use crate::artifact::{Inputs, Key, Recipe, SourceInput};
use crate::command::Command;
use crate::manifest::postgresql::Origin;
use crate::resolve::{Component, Extension, Patroni, Postgresql, Resolved, Source};

/// The recipe of everything that is built: each server before what is compiled against it, the image's own first.
pub fn recipes(resolved: &Resolved) -> Vec<Recipe> {
    let mut recipes = Vec::new();
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

/// What something is compiled against.
struct Against<'a> {
    postgresql: &'a Postgresql,
    /// The key of its recipe, where it is compiled itself.
    key: Option<Key>,
}

fn inputs(
    resolved: &Resolved,
    component: &Component,
    sources: Vec<SourceInput>,
    commands: &[Command],
) -> Inputs {
    let removed = resolved.prune.remove.iter().map(|kind| kind.name().to_owned());
    let kept_apart = resolved.prune.keep_debug_symbols;
    let kept_apart = kept_apart.then(|| "debug symbols, but kept apart".to_owned());
    Inputs {
        sources,
        commands: commands.iter().map(Command::to_string).collect(),
        removed: removed.chain(kept_apart).collect(),
        ..Inputs::new(component.title(), resolved.target.to_string())
    }
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
    }
}

fn server(resolved: &Resolved, postgresql: &Postgresql) -> Option<Recipe> {
    let archive = postgresql.source.as_ref()?;
    Some(Recipe {
        slug: postgresql.component.slug(),
        inputs: inputs(
            resolved,
            &postgresql.component,
            vec![source(archive)],
            &recipe::postgresql(postgresql),
        ),
        packages: postgresql.packages.build.clone(),
        against: None,
    })
}

fn extension(resolved: &Resolved, extension: &Extension, against: &Against<'_>) -> Recipe {
    let commands = recipe::extension(extension, against.postgresql);
    let sources = extension.sources.iter().map(source).collect();
    let inputs = inputs(resolved, &extension.component, sources, &commands);
    let packages = [&extension.packages.build[..], &against.packages()].concat();
    against.recipe(&extension.component, inputs, packages)
}

fn patroni(resolved: &Resolved, patroni: &Patroni, against: &Against<'_>) -> Recipe {
    let installation = python::installation(patroni, against.postgresql);
    let sources = patroni.distributions.iter().map(|distribution| SourceInput {
        accepted: vec![distribution.sha256.to_string()],
        strip: 0,
    });
    let inputs = inputs(
        resolved,
        &patroni.component,
        sources.collect(),
        &installation.commands,
    );
    let mut packages = [&patroni.packages.build[..], &patroni.packages.runtime].concat();
    if against.postgresql.origin == Origin::Apt {
        packages.extend(against.packages());
    }
    against.recipe(&patroni.component, inputs, packages)
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
        }
    }

    /// The packages that compiling against this server needs; where it is Debian's, the server itself is one of them.
    fn packages(&self) -> Vec<String> {
        let postgresql = self.postgresql;
        match postgresql.origin {
            Origin::Archive => postgresql.development.clone(),
            Origin::Apt => [&postgresql.development[..], &postgresql.packages.runtime].concat(),
        }
    }
}

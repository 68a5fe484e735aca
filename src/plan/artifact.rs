//! What of each artifact's key is decided by manifests.

use super::{python, recipe};
use crate::artifact::{Inputs, Key, Recipe, SourceInput};
use crate::command::Command;
use crate::manifest::postgresql::Origin;
use crate::resolve::{Component, Extension, Patroni, Resolved, Source};

/// The recipe of everything that is built: the server first, then what is compiled against it.
pub fn recipes(resolved: &Resolved) -> Vec<Recipe> {
    let server = server(resolved);
    let server_key = server.as_ref().map(|recipe| recipe.inputs.key());
    let extensions = resolved
        .extensions
        .iter()
        .filter(|extension| !extension.comes_with_postgresql());
    let others = extensions.map(|one| extension(resolved, one, server_key)).chain(
        resolved
            .patroni
            .iter()
            .map(|one| patroni(resolved, one, server_key)),
    );
    let others: Vec<Recipe> = others.collect();
    server.into_iter().chain(others).collect()
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

fn server(resolved: &Resolved) -> Option<Recipe> {
    let postgresql = &resolved.postgresql;
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

fn extension(resolved: &Resolved, extension: &Extension, server_key: Option<Key>) -> Recipe {
    let commands = recipe::extension(extension, &resolved.postgresql);
    let sources = extension.sources.iter().map(source).collect();
    let inputs = inputs(resolved, &extension.component, sources, &commands);
    let packages = [&extension.packages.build[..], &against_packages(resolved)].concat();
    compiled_against(resolved, &extension.component, inputs, packages, server_key)
}

fn patroni(resolved: &Resolved, patroni: &Patroni, server_key: Option<Key>) -> Recipe {
    let installation = python::installation(patroni, &resolved.postgresql);
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
    if resolved.postgresql.origin == Origin::Apt {
        packages.extend(against_packages(resolved));
    }
    compiled_against(resolved, &patroni.component, inputs, packages, server_key)
}

fn compiled_against(
    resolved: &Resolved,
    component: &Component,
    inputs: Inputs,
    packages: Vec<String>,
    server_key: Option<Key>,
) -> Recipe {
    Recipe {
        slug: component.slug(),
        inputs: Inputs {
            postgresql: server_key,
            ..inputs
        },
        packages,
        against: server_key.map(|_| resolved.postgresql.component.slug()),
    }
}

/// The packages that compiling against this server needs; where it is Debian's, the server itself is one of them.
fn against_packages(resolved: &Resolved) -> Vec<String> {
    let postgresql = &resolved.postgresql;
    match postgresql.origin {
        Origin::Archive => postgresql.development.clone(),
        Origin::Apt => [&postgresql.development[..], &postgresql.packages.runtime].concat(),
    }
}

//! What of an image is the catalogue's.

use std::collections::BTreeMap;

use super::CatalogueUse;
use super::select::Chosen;
use crate::manifest::postgresql::Postgresql as ServerManifest;
use crate::manifest::{Located, Manifests, Replaced};

/// What of the selection is the catalogue's, and what of the user's replaces the catalogue's.
pub fn catalogue_use(
    manifests: &Manifests,
    server: Option<&Located<ServerManifest>>,
    chosen: &[Chosen<'_>],
    with_patroni: bool,
) -> Option<CatalogueUse> {
    let edition = manifests.catalogue.as_ref()?;
    let patronis = manifests.patronis.iter().take(usize::from(with_patroni));
    let patronis = patronis.map(|one| ("patroni", &one.value.name, one.is_of_catalogue));
    let servers = server.into_iter();
    let servers = servers.map(|one| ("postgresql", &one.value.name, one.is_of_catalogue));
    let extensions = chosen.iter().map(|one| one.manifest);
    let extensions = extensions.map(|one| ("extension", &one.value.name, one.is_of_catalogue));
    let parts: Vec<_> = servers.chain(extensions).chain(patronis).collect();
    let named = |kind: &str, name: &str| match kind {
        "postgresql" => format!("postgresql {name}"),
        _ => name.to_owned(),
    };
    let taken = parts.iter().filter(|(.., is_of_catalogue)| *is_of_catalogue);
    let taken: Vec<String> = taken.map(|(kind, name, _)| named(kind, name)).collect();
    let is_selected = |replaced: &&Replaced| {
        parts
            .iter()
            .any(|(kind, name, _)| replaced.kind == *kind && replaced.name == **name)
    };
    let replaced = manifests.replaced.iter().filter(is_selected);
    let replaced: BTreeMap<String, String> = replaced
        .map(|one| (named(one.kind, &one.name), one.file.clone()))
        .collect();
    (!taken.is_empty() || !replaced.is_empty()).then(|| CatalogueUse {
        edition: edition.clone(),
        taken,
        replaced,
    })
}

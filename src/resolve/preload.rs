//! Merges what has to be loaded at server start into one ordered list.
//!
//! `shared_preload_libraries` is one setting for all extensions, and the order matters: Citus refuses to start
//! unless it is first. Lost and doubled entries are the commonest fault of hand-written images.

use std::collections::BTreeSet;

use crate::manifest::Located;
use crate::manifest::extension::{Extension, PreloadScope};
use crate::manifest::image::Image;
use crate::manifest::nearest;
use crate::manifest::problem::Problem;

/// Libraries for `shared_preload_libraries` and for `session_preload_libraries`.
#[derive(Debug, Default)]
pub struct Preload {
    /// Loaded when the server starts.
    pub server: Vec<String>,
    /// Loaded when a session starts.
    pub session: Vec<String>,
}

/// The libraries that data need preloaded if they hold one of these extensions, sorted. Those of extensions that the
/// image does not have are among them: data that come from elsewhere may hold them.
pub fn required(manifests: &[Located<Extension>]) -> Vec<String> {
    let preloads = manifests
        .iter()
        .filter_map(|extension| extension.value.preload.as_ref());
    let required = preloads.filter(|one| one.required.is_some() && one.scope == PreloadScope::Server);
    let libraries: BTreeSet<String> = required.flat_map(|one| one.libraries.iter().cloned()).collect();
    libraries.into_iter().collect()
}

/// The libraries of those `selected` extensions that the image preloads. `declared` are the extensions the image
/// manifest itself lists: preloading another one is a problem of the manifest, while leaving one out on the
/// command line quietly leaves out its libraries too.
pub fn merge(
    image: &Located<Image>,
    declared: &[String],
    selected: &[&Located<Extension>],
    problems: &mut Vec<Problem>,
) -> Preload {
    let mut wanted: Vec<&Located<Extension>> = Vec::new();
    for (position, name) in image.value.preload.iter().enumerate() {
        let path = format!("preload[{position}]");
        if image.value.preload[..position].contains(name) {
            problems.push(image.problem(&path, format!("`{name}` is preloaded twice")));
            continue;
        }
        if !declared.contains(name) && !selected.iter().any(|extension| extension.value.name == *name) {
            let mut problem = image.problem(&path, format!("`{name}` is preloaded, but not selected"));
            if let Some(near) = nearest(name, declared.iter().map(String::as_str)) {
                problem = problem.help(format!("did you mean `{near}`?"));
            } else {
                problem = problem.help("add it to `extensions`, or remove it from `preload`");
            }
            problems.push(problem);
            continue;
        }
        let Some(extension) = selected.iter().find(|extension| extension.value.name == *name) else {
            continue;
        };
        if extension.value.preload.is_none() {
            let message = format!("`{name}` has nothing to preload: its manifest has no `preload`");
            problems.push(image.problem(&path, message));
            continue;
        }
        wanted.push(extension);
    }
    let mut preload = Preload::default();
    for extension in in_order(image, &wanted, problems) {
        let Some(declared) = &extension.value.preload else {
            continue;
        };
        let list = match declared.scope {
            PreloadScope::Server => &mut preload.server,
            PreloadScope::Session => &mut preload.session,
        };
        for library in &declared.libraries {
            if !list.contains(library) {
                list.push(library.clone());
            }
        }
    }
    preload
}

/// Those that insist on the first place, then the others in the image's order, each after what it names.
fn in_order<'m>(
    image: &Located<Image>,
    wanted: &[&'m Located<Extension>],
    problems: &mut Vec<Problem>,
) -> Vec<&'m Located<Extension>> {
    let first = |extension: &Located<Extension>| extension.value.preload.as_ref().is_some_and(|p| p.first);
    let mut firsts = wanted.iter().filter(|extension| first(extension));
    if let (Some(one), Some(other)) = (firsts.next(), firsts.next()) {
        let names = format!("`{}` and `{}`", one.value.name, other.value.name);
        problems.push(image.problem("preload", format!("{names} must both be preloaded first")));
    }
    let mut waiting: Vec<&Located<Extension>> = wanted.to_vec();
    waiting.sort_by_key(|extension| !first(extension));
    let mut ordered: Vec<&Located<Extension>> = Vec::new();
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|extension| {
            let after = extension.value.preload.iter().flat_map(|preload| &preload.after);
            after
                .into_iter()
                .all(|name| !waiting.iter().any(|other| other.value.name == *name))
        });
        let Some(ready) = ready else {
            let names: Vec<String> = waiting.iter().map(|e| format!("`{}`", e.value.name)).collect();
            let message = format!("the `preload.after` of these form a circle: {}", names.join(", "));
            problems.push(waiting[0].problem("preload.after", message));
            return ordered;
        };
        ordered.push(waiting.remove(ready));
    }
    ordered
}

//! Which manifest names which Debian package, with the place, for a package that apt turns out not to know.

use crate::manifest::Located;
use crate::manifest::problem::Problem;
use crate::manifest::variant::Varied;
use crate::target::Target;

/// Where manifests name Debian packages.
const LISTS: [&str; 7] = [
    "packages.build[",
    "packages.runtime[",
    "development[",
    "jit.packages.build[",
    "jit.packages.runtime[",
    "jit.development[",
    "upstream.packages[",
];

/// A package with the place that names it.
#[derive(Debug, Clone)]
pub struct NamedPackage {
    /// Its name.
    pub package: String,
    /// The slug of the extension that wants it; `None` where the whole image does.
    pub slug: Option<String>,
    /// What is wrong if there is no such package.
    pub problem: Problem,
}

/// The packages that a manifest names for the component of this slug, or for the image, on a target.
pub fn named<T: Varied>(manifest: &Located<T>, target: &Target, slug: Option<&str>) -> Vec<NamedPackage> {
    let extents = manifest.value.extents();
    let counts = |path: &str| match of_variant(path) {
        Some((position, path)) => {
            let is_for = extents.get(position).is_some_and(|extent| extent.has(target));
            is_for && is_listed(path)
        }
        None => is_listed(path),
    };
    let texts = manifest.texts().into_iter();
    let named = texts.filter(|(path, _)| counts(path));
    named
        .map(|(path, package)| NamedPackage {
            slug: slug.map(str::to_owned),
            problem: manifest.problem(&path, format!("there is no Debian package `{package}`")),
            package,
        })
        .collect()
}

/// Of a path below an entry of `variants`: the position of the entry, and the path below it.
fn of_variant(path: &str) -> Option<(usize, &str)> {
    let (position, path) = path.strip_prefix("variants[")?.split_once("].")?;
    Some((position.parse().ok()?, path))
}

fn is_listed(path: &str) -> bool {
    LISTS.iter().any(|list| path.starts_with(list))
}

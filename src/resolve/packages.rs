//! Which manifest names which Debian package, with the place, for a package that apt turns out not to know.

use crate::manifest::Located;
use crate::manifest::problem::Problem;

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

/// The packages that a manifest names for the component of this slug, or for the image.
pub fn named<T>(manifest: &Located<T>, slug: Option<&str>) -> Vec<NamedPackage> {
    let texts = manifest.texts().into_iter();
    let named = texts.filter(|(path, _)| LISTS.iter().any(|list| path.starts_with(list)));
    named
        .map(|(path, package)| NamedPackage {
            slug: slug.map(str::to_owned),
            problem: manifest.problem(&path, format!("there is no Debian package `{package}`")),
            package,
        })
        .collect()
}

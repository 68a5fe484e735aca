//! Values of a manifest that count on some bases or architectures only.
//!
//! Every kind of manifest has the same list, `variants`. What an entry may hold differs by kind, and its type is beside
//! that of the kind. `resolve` adds the values of the entries that count to the manifest's own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extension::{Extension, ExtensionVariant};
use super::image::Image;
use super::postgresql::{Postgresql, ServerVariant};
use super::python::{Patroni, Python, PythonVariant};
use super::source::Packages;
use crate::target::Target;

/// The bases and architectures that an entry of `variants` is for.
#[derive(Debug, Clone, Copy)]
pub struct Extent<'a> {
    /// Distributions, `debian:trixie`; every one where there is none.
    pub bases: &'a [String],
    /// Debian architectures; every one where there is none.
    pub architectures: &'a [String],
}

impl Extent<'_> {
    /// Whether it is for a distribution, on one of its architectures at least.
    pub fn has_base(&self, base: &str) -> bool {
        self.bases.is_empty() || self.bases.iter().any(|one| one == base)
    }

    /// Whether it is for a target.
    pub fn has(&self, target: &Target) -> bool {
        let architecture = target.architecture.name();
        self.has_base(&target.distribution)
            && (self.architectures.is_empty() || self.architectures.iter().any(|one| one == architecture))
    }
}

/// A manifest with variants.
pub trait Varied {
    /// An entry of its `variants`.
    type Variant;
    /// The entries.
    fn variants(&self) -> &[Self::Variant];
    /// What each entry of `variants` is for.
    fn extents(&self) -> Vec<Extent<'_>>;
}

/// Debian packages on some bases or architectures.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageVariant {
    /// The distributions it is for, `debian:trixie`; every one where none is given.
    #[serde(default)]
    pub bases: Vec<String>,
    /// The Debian architectures it is for; every one where none is given.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Debian packages that are needed besides.
    #[serde(default)]
    pub packages: Packages,
}

macro_rules! varied {
    ($($kind:ty: $variant:ty),* $(,)?) => {
        $(impl Varied for $kind {
            type Variant = $variant;

            fn variants(&self) -> &[$variant] {
                &self.variants
            }

            fn extents(&self) -> Vec<Extent<'_>> {
                let extent = |bases, architectures| Extent { bases, architectures };
                let variants = self.variants.iter();
                variants.map(|one| extent(&one.bases, &one.architectures)).collect()
            }
        })*
    };
}

varied!(
    Image: PackageVariant,
    Postgresql: ServerVariant,
    Extension: ExtensionVariant,
    Patroni: PackageVariant,
    Python: PythonVariant,
);

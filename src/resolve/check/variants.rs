//! Checks of `variants`.

use super::Checks;
use crate::manifest::variant::{Extent, Varied};
use crate::resolve::wheel;
use crate::target::{Architecture, parse_distribution};

impl<T> Checks<'_, T> {
    /// Each entry is for some bases or architectures that exist; `check` looks at what it gives.
    pub(super) fn variants<V: Varied>(&mut self, value: &V, check: impl Fn(&mut Self, &str, &V::Variant)) {
        for (position, (extent, variant)) in value.extents().into_iter().zip(value.variants()).enumerate() {
            let path = format!("variants[{position}]");
            self.extent(&path, extent);
            check(self, &path, variant);
        }
    }

    fn extent(&mut self, path: &str, extent: Extent<'_>) {
        if extent.bases.is_empty() && extent.architectures.is_empty() {
            let message = format!("`{path}` needs `bases`, `architectures` or both");
            self.wrong(path, message);
        }
        self.each(&format!("{path}.bases"), extent.bases, |base| {
            parse_distribution(base).map(drop)
        });
        self.each(&format!("{path}.architectures"), extent.architectures, |name| {
            name.parse::<Architecture>().map(drop)
        });
    }

    /// A version of two numbers.
    pub(super) fn numbers(&mut self, path: &str, version: Option<&String>) {
        if let Some(version) = version
            && wheel::numbers(version).is_none()
        {
            self.wrong(path, format!("`{version}` must be two numbers, such as `3.13`"));
        }
    }
}

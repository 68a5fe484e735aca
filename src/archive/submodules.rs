//! The git submodules of a project, whose directories its archive has and leaves empty.

/// A git submodule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Submodule {
    /// Its directory in the source tree.
    pub path: String,
    /// Its repository.
    pub url: String,
}

/// The submodules that `.gitmodules` names.
pub fn submodules(text: &str) -> Vec<Submodule> {
    let mut all: Vec<Submodule> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("[submodule") {
            all.push(Submodule::default());
        } else if let (Some(last), Some((key, value))) = (all.last_mut(), line.split_once('=')) {
            match key.trim() {
                "path" => value.trim().clone_into(&mut last.path),
                "url" => value.trim().clone_into(&mut last.url),
                _ => {}
            }
        }
    }
    all.retain(|submodule| !submodule.path.is_empty());
    all
}

//! Reads the part of Cargo's configuration that says where crates come from, so that an index that works for Cargo works here.
//!
//! The files, their order and the names of the variables are those of the Cargo Book ("Configuration", "Source Replacement").

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use toml::{Table, Value};

use crate::host;

/// Cargo's default index.
const DEFAULT_INDEX: &str = "sparse+https://index.crates.io/";
/// Sources that replace one another at most.
const MAX_REPLACEMENTS: usize = 16;

/// The configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Where crates of crates.io come from.
    pub place: Place,
    /// `http.proxy`.
    pub proxy: Option<String>,
    /// `http.cainfo`: certificates that are trusted as well, in PEM form.
    pub cert: Option<PathBuf>,
}

/// Where crates come from.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// A sparse index, by its address without `sparse+`. Credentials are still in it.
    Sparse(String),
    /// A directory of crates (`local-registry`).
    Directory(PathBuf),
}

/// The value of an environment variable, unless it is empty.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;
/// The text of a file, if there is one.
type Text<'a> = &'a dyn Fn(&Path) -> Result<Option<String>>;

impl Configuration {
    /// The configuration of this machine, for the user who runs pgsetup in the current directory.
    ///
    /// # Errors
    /// A file cannot be read or is malformed, or crates come from where pgsetup cannot fetch them.
    pub fn read() -> Result<Self> {
        let variable = |name: &str| {
            let is_roots_home = name == "HOME" && host::is_root();
            let own = name
                .strip_prefix("CARGO_REGISTRIES_")
                .and_then(|rest| rest.strip_suffix("_INDEX"));
            match own {
                Some(own) => host::variable_with("CARGO_REGISTRIES_NAME_INDEX", own),
                None => host::variable(name).or_else(|| is_roots_home.then(|| "/root".to_owned())),
            }
        };
        let text = |path: &Path| path.is_file().then(|| host::local::read_text(path)).transpose();
        let here = host::local::canonical(Path::new("."))?;
        Self::of(&here, &variable, &text)
    }

    fn of(here: &Path, variable: Variable<'_>, text: Text<'_>) -> Result<Self> {
        let mut files = Vec::new();
        let cargo_home = variable("CARGO_HOME").map(PathBuf::from);
        let cargo_home = cargo_home.or_else(|| Some(Path::new(&variable("HOME")?).join(".cargo")));
        let above = here.ancestors().map(|directory| directory.join(".cargo"));
        for directory in above.chain(cargo_home) {
            for name in ["config", "config.toml"] {
                let path = directory.join(name);
                if files.iter().any(|(known, _)| *known == path) {
                    continue;
                }
                if let Some(text) = text(&path)? {
                    let table: Table = match toml::from_str(&text) {
                        Ok(table) => table,
                        Err(error) => bail!("{} is not a configuration of Cargo: {error}", path.display()),
                    };
                    files.push((path, table));
                    break;
                }
            }
        }
        let setting = |keys: &[&str]| {
            let name = keys.join("_").to_uppercase().replace('-', "_");
            let written = || files.iter().find_map(|(_, table)| lookup(table, keys));
            // Cargo takes no `source` from variables.
            let named = || variable(&format!("CARGO_{name}"));
            let is_source = keys.first() == Some(&"source");
            (!is_source).then(named).flatten().or_else(written)
        };
        Ok(Self {
            place: place(&setting)?,
            proxy: setting(&["http", "proxy"]),
            cert: setting(&["http", "cainfo"]).map(PathBuf::from),
        })
    }
}

/// The text at `keys`.
fn lookup(table: &Table, keys: &[&str]) -> Option<String> {
    let (last, above) = keys.split_last()?;
    let mut table = table;
    for key in above {
        table = table.get(*key)?.as_table()?;
    }
    table.get(*last).and_then(Value::as_str).map(str::to_owned)
}

/// Follows the replacements of crates.io.
fn place(setting: &dyn Fn(&[&str]) -> Option<String>) -> Result<Place> {
    let mut name = "crates-io".to_owned();
    for _ in 0..MAX_REPLACEMENTS {
        if let Some(other) = setting(&["source", &name, "replace-with"]) {
            name = other;
            continue;
        }
        if let Some(directory) = setting(&["source", &name, "local-registry"]) {
            return Ok(Place::Directory(directory.into()));
        }
        if let Some(directory) = setting(&["source", &name, "directory"]) {
            bail!(
                "Cargo takes crates unpacked from {directory} (`source.{name}.directory`), where no digest of a lock can be \
                 verified; expected a sparse index, a `local-registry`, or the crates in a directory for --vendor"
            );
        }
        let index =
            setting(&["source", &name, "registry"]).or_else(|| setting(&["registries", &name, "index"]));
        let index = match index {
            None if name == "crates-io" => DEFAULT_INDEX.to_owned(),
            None => {
                bail!("Cargo's configuration replaces crates.io by `{name}`, and does not say where that is")
            }
            Some(index) => index,
        };
        return match index.strip_prefix("sparse+") {
            Some(address) => Ok(Place::Sparse(address.to_owned())),
            None => bail!(
                "Cargo's index of crates `{name}` is a Git repository; expected a sparse one, `sparse+https://…`"
            ),
        };
    }
    bail!("Cargo's configuration replaces sources in a circle, at `{name}`")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn of(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Configuration> {
        let files: BTreeMap<&str, &str> = files.iter().copied().collect();
        let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
        let variable = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        let text = |path: &Path| Ok(files.get(path.to_str().unwrap()).map(|text| (*text).to_owned()));
        Configuration::of(Path::new("/a/b"), &variable, &text)
    }

    fn sparse(address: &str) -> Place {
        Place::Sparse(address.to_owned())
    }

    #[test]
    fn crates_come_from_where_cargo_takes_them() {
        let mirror = "[source.crates-io]\nreplace-with = \"mirror\"\n";
        let at = |address: &str| format!("{mirror}[source.mirror]\nregistry = \"{address}\"\n");
        let (near, far) = (
            at("sparse+https://near.example/"),
            at("sparse+https://far.example/"),
        );
        let home = [("HOME", "/root")];
        let found = of(&[], &home).unwrap();
        assert_eq!(found.place, sparse("https://index.crates.io/"));
        let found = of(&[("/root/.cargo/config.toml", &far)], &home).unwrap();
        assert_eq!(found.place, sparse("https://far.example/"));
        // The nearest file counts.
        let both = [
            ("/root/.cargo/config.toml", far.as_str()),
            ("/a/.cargo/config.toml", &near),
        ];
        assert_eq!(of(&both, &home).unwrap().place, sparse("https://near.example/"));
        let moved = [("HOME", "/root"), ("CARGO_HOME", "/cargo")];
        let found = of(&[("/cargo/config", &far)], &moved).unwrap();
        assert_eq!(found.place, sparse("https://far.example/"));
        // A replacement may be a registry, whose address a variable can have.
        let variables = [
            ("CARGO_REGISTRIES_MIRROR_INDEX", "sparse+https://named.example/"),
            ("CARGO_HTTP_PROXY", "proxy:3128"),
            ("HOME", "/root"),
        ];
        let found = of(&[("/root/.cargo/config.toml", mirror)], &variables).unwrap();
        assert_eq!(found.place, sparse("https://named.example/"));
        assert_eq!(found.proxy.as_deref(), Some("proxy:3128"));
        let local = format!("{mirror}[source.mirror]\nlocal-registry = \"/crates\"\n");
        let found = of(&[("/a/b/.cargo/config.toml", &local)], &home).unwrap();
        assert_eq!(found.place, Place::Directory("/crates".into()));
    }

    #[test]
    fn what_has_no_crates_is_refused_with_the_reason() {
        let replaced = "[source.crates-io]\nreplace-with = \"m\"\n[source.m]\n";
        for (more, expected) in [
            (
                "registry = \"https://git.example/index\"\n",
                "is a Git repository",
            ),
            ("directory = \"/vendor\"\n", "unpacked from /vendor"),
            ("replace-with = \"crates-io\"\n", "in a circle"),
            ("", "does not say where that is"),
            ("]", "is not a configuration of Cargo"),
        ] {
            let text = format!("{replaced}{more}");
            let error = of(&[("/a/.cargo/config.toml", &text)], &[]).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}

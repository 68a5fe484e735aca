//! Crates of Rust: what a `Cargo.lock` names, and what an image says of those that are compiled into an extension.
//!
//! Only crates of crates.io are taken, each with its digest in the lock. A Git source has no digest of what is compiled, and
//! so it is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;

/// How a lock names crates.io, whichever index replaces it.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A crate of a lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Digest of its file in the index.
    pub sha256: Sha256,
}

impl Crate {
    /// Name and version: `serde 1.0.228`.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// The name of its file without the suffix, and of its directory.
    pub fn slug(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    /// The name of its file.
    pub fn file(&self) -> String {
        format!("{}.crate", self.slug())
    }
}

/// A crate that is compiled into an extension, as its image records it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CompiledCrate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SPDX licence expression; empty where the crate has only a text.
    pub license: String,
    /// Digest of its file in the index.
    pub sha256: Sha256,
}

/// The packages of a lock, but those of the project itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// The crates of crates.io, in the lock's order.
    pub crates: Vec<Crate>,
    /// The packages that come from elsewhere: name, version and source.
    pub refused: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

impl Lock {
    /// Reads a `Cargo.lock`.
    ///
    /// # Errors
    /// The text is not a lock, or a crate has no digest.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document: Document = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut lock = Self::default();
        for package in document.package {
            let Package {
                name,
                version,
                source,
                checksum,
            } = package;
            match source.as_deref() {
                // A package of the project.
                None => {}
                Some(CRATES_IO) => {
                    let digest = checksum.unwrap_or_default();
                    let wrong = |error| format!("the checksum of {name} {version}: {error}");
                    let sha256 = digest.parse().map_err(wrong)?;
                    lock.crates.push(Crate {
                        name,
                        version,
                        sha256,
                    });
                }
                Some(other) => lock.refused.push(format!("{name} {version} from {other}")),
            }
        }
        Ok(lock)
    }

    /// The versions of a crate in it.
    pub fn versions<'l>(&'l self, name: &'l str) -> impl Iterator<Item = &'l str> {
        let named = self.crates.iter().filter(move |one| one.name == name);
        named.map(|one| one.version.as_str())
    }
}

/// The licence of a crate, from its `Cargo.toml`. crates.io used to take `/` for `OR`.
pub fn license(cargo_toml: &str) -> String {
    let table: toml::Table = toml::from_str(cargo_toml).unwrap_or_default();
    let package = table.get("package").and_then(toml::Value::as_table);
    let license = package.and_then(|package| package.get("license")?.as_str());
    let words = license.unwrap_or_default().split('/').map(str::trim);
    words.collect::<Vec<_>>().join(" OR ")
}

/// Name and version of a crate, from its `Cargo.toml`.
pub fn name_and_version(cargo_toml: &str) -> Option<(String, String)> {
    let table: toml::Table = toml::from_str(cargo_toml).ok()?;
    let package = table.get("package")?.as_table()?;
    let text = |key: &str| Some(package.get(key)?.as_str()?.to_owned());
    Some((text("name")?, text("version")?))
}

/// What a `.cargo/config.toml` says of processors, as far as it holds for an architecture, as [`of_processor`].
///
/// # Errors
/// The text is not TOML.
pub fn flags(config: &str, machine: &str) -> Result<Vec<String>, String> {
    let table: toml::Table = toml::from_str(config).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    let of = |table: &toml::Table, found: &mut Vec<String>| match table.get("rustflags") {
        Some(toml::Value::String(text)) => found.extend(text.split_whitespace().map(str::to_owned)),
        Some(toml::Value::Array(words)) => {
            let words = words.iter().filter_map(toml::Value::as_str);
            found.extend(words.flat_map(str::split_whitespace).map(str::to_owned));
        }
        _ => {}
    };
    if let Some(build) = table.get("build").and_then(toml::Value::as_table) {
        of(build, &mut found);
    }
    let targets = table.get("target").and_then(toml::Value::as_table);
    for (name, target) in targets.into_iter().flatten() {
        if let Some(target) = target.as_table()
            && is_for(name, machine)
        {
            of(target, &mut found);
        }
    }
    Ok(found.iter().flat_map(|word| of_processor(word)).collect())
}

/// What a word of rustc's command line says of processors, each feature by itself: `target-cpu=native`, `target-feature=+avx2`.
pub fn of_processor(word: &str) -> Vec<String> {
    let option = word.strip_prefix("-C").unwrap_or(word);
    match option.split_once('=') {
        Some(("target-cpu", _)) => vec![option.to_owned()],
        Some((name @ "target-feature", features)) => {
            let each = features.split(',');
            each.map(|feature| format!("{name}={feature}")).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a target of a configuration may be a Linux machine of this architecture: its triple, or `cfg(…)` without the name of
/// another architecture or system.
fn is_for(target: &str, machine: &str) -> bool {
    if !target.starts_with("cfg") {
        return target.starts_with(machine);
    }
    let allows = |key: &str, value: &str| !target.contains(key) || target.contains(&format!("\"{value}\""));
    allows("target_arch", machine) && (allows("target_os", "linux") || target.contains("not("))
}

/// Licence texts of crates in one text, each text once, after the crates that have it.
pub fn notices(texts: &[(String, String)]) -> String {
    let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (owner, text) in texts {
        owners.entry(text.trim()).or_default().push(owner);
    }
    let mut sections: Vec<(Vec<&str>, &str)> =
        owners.into_iter().map(|(text, owners)| (owners, text)).collect();
    sections.sort_unstable();
    let section = |(owners, text): &(Vec<&str>, &str)| format!("{}:\n\n{text}\n\n", owners.join(",\n"));
    sections.iter().map(section).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4

[[package]]
name = "own"
version = "0.1.0"
dependencies = ["ulid"]

[[package]]
name = "ulid"
version = "1.1.3"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "470dbf6591da1b39d43c14523b2b469c86879a53e8b758c8e090a470fe7b1fbe"

[[package]]
name = "wasmtime"
version = "1.0.0"
source = "git+https://example.org/wasmtime?rev=abc#abc"
"#;

    #[test]
    fn a_lock_names_its_crates_and_what_is_refused() {
        let lock = Lock::parse(LOCK).unwrap();
        let titles: Vec<String> = lock.crates.iter().map(Crate::title).collect();
        assert_eq!(titles, ["ulid 1.1.3"]);
        assert_eq!(lock.crates[0].file(), "ulid-1.1.3.crate");
        assert_eq!(lock.versions("ulid").collect::<Vec<_>>(), ["1.1.3"]);
        assert_eq!(
            lock.refused,
            ["wasmtime 1.0.0 from git+https://example.org/wasmtime?rev=abc#abc"]
        );
        let without = LOCK.replace("checksum = \"470dbf65", "checksum = \"");
        let error = Lock::parse(&without).unwrap_err();
        assert!(error.starts_with("the checksum of ulid 1.1.3: "), "{error}");
        assert!(Lock::parse("not a lock").is_err());
    }

    #[test]
    fn the_licence_of_a_crate_is_an_expression() {
        let of = |line: &str| license(&format!("[package]\nname = \"x\"\n{line}\n"));
        assert_eq!(of("license = \"MIT/Apache-2.0\""), "MIT OR Apache-2.0");
        assert_eq!(of("license = \"BSD-3-Clause\""), "BSD-3-Clause");
        assert_eq!(of("license-file = \"LICENSE\""), "");
    }

    #[test]
    fn flags_of_other_machines_do_not_count() {
        let config = r#"
[build]
rustflags = ["-C", "target-cpu=native"]
[target.x86_64-unknown-linux-gnu]
rustflags = "-Ctarget-feature=+avx2,+bmi2 -Copt-level=3"
[target.aarch64-unknown-linux-gnu]
rustflags = ["-Ctarget-feature=+sve"]
[target.'cfg(target_os="macos")']
rustflags = ["-Ctarget-cpu=apple-m1"]
[target.'cfg(any(target_arch = "x86", target_arch = "x86_64"))']
rustflags = ["-Ctarget-feature=+fma"]
"#;
        assert_eq!(
            flags(config, "x86_64").unwrap(),
            [
                "target-cpu=native",
                "target-feature=+fma",
                "target-feature=+avx2",
                "target-feature=+bmi2"
            ]
        );
        assert_eq!(
            flags(config, "aarch64").unwrap(),
            ["target-cpu=native", "target-feature=+sve"]
        );
        assert!(flags("[build", "x86_64").is_err());
    }

    #[test]
    fn a_text_that_two_crates_have_is_there_once() {
        let texts = [
            ("serde-1.0.0/LICENSE-MIT", "MIT\n"),
            ("ulid-1.1.3/LICENSE", "MIT"),
            ("ring-0.17.14/LICENSE", "other"),
        ];
        let texts = texts.map(|(owner, text)| (owner.to_owned(), text.to_owned()));
        assert_eq!(
            notices(&texts),
            "ring-0.17.14/LICENSE:\n\nother\n\nserde-1.0.0/LICENSE-MIT,\nulid-1.1.3/LICENSE:\n\nMIT\n\n"
        );
    }
}

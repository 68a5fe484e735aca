//! What an image says of the crates that are compiled into a component, and what a project's configuration of Cargo asks of
//! processors.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::crates::{CompiledCrate, flags, license, notices};
use crate::digest::Sha256;
use crate::failure::{Cause, Failure};
use crate::host::entry::{FileKind, Ownership};

use super::super::fetch::CHECKSUM;
use super::super::install::files::ROOT_FILE;
use super::licence::{MAX_BYTES, directory};
use crate::host::{Host, local};
use crate::image::kind::is_text;
use crate::layout;
use crate::plan::Build;
use crate::target::Architecture;

/// The file of a component's crates, beside its licence texts.
pub const RECORD: &str = "crates.json";
/// The file of the licence texts of its crates. Its name is not that of a licence text, because its licences are not those of the
/// component.
const NOTICES: &str = "crates.txt";

/// Writes the record and the licence texts of the crates of a build to its stage.
///
/// # Errors
/// A crate cannot be read, or the stage cannot be written.
pub fn keep(host: &Host, build: &Build, stage: &str) -> Result<()> {
    let top = host.reach(layout::vendored(&build.component))?;
    let (mut crates, mut texts) = (Vec::new(), Vec::new());
    let mut names = local::names(&top).with_context(|| top.display().to_string())?;
    names.sort();
    for name in names {
        let one = top.join(&name);
        crates.push(compiled(&one).with_context(|| format!("the crate {name}"))?);
        for entry in local::tree(&one)? {
            let path = entry.path.display().to_string();
            let file = path.rsplit('/').next().unwrap_or(&path);
            if entry.kind == FileKind::File
                && is_text(file)
                && let Some(text) = local::read_foreign(&one.join(&entry.path), MAX_BYTES)
            {
                texts.push((format!("{name}/{path}"), text));
            }
        }
    }
    let mut below = stage.to_owned();
    let into = directory(&build.name);
    for part in into.split('/').filter(|part| !part.is_empty()) {
        below = format!("{below}/{part}");
        host.install_directory(&below)?;
    }
    let record = serde_json::to_string_pretty(&crates)? + "\n";
    host.write(&format!("{below}/{RECORD}"), &record, ROOT_FILE)?;
    host.write(&format!("{below}/{NOTICES}"), &notices(&texts), ROOT_FILE)
}

/// Puts a `rustfmt` on PATH that does nothing: pgrx formats the bindings that it generates, and Debian's toolchain has none.
///
/// # Errors
/// It cannot be written.
pub fn prepare(host: &Host, build: &Build) -> Result<()> {
    let program = Ownership {
        mode: 0o755,
        ..ROOT_FILE
    };
    let home = layout::cargo_home(&build.component);
    host.write(&format!("{home}/bin/rustfmt"), "#!/bin/sh\nexit 0\n", program)
}

/// What is recorded of an unpacked crate.
fn compiled(directory: &Path) -> Result<CompiledCrate> {
    #[derive(serde::Deserialize)]
    struct Checksum {
        package: Sha256,
    }
    let read = |name: &str| local::read_text(&directory.join(name));
    let checksum: Checksum = serde_json::from_str(&read(CHECKSUM)?)?;
    let manifest = read("Cargo.toml")?;
    let (name, version) = crate::crates::name_and_version(&manifest).context("its Cargo.toml has no name")?;
    Ok(CompiledCrate {
        name,
        version,
        license: license(&manifest),
        sha256: checksum.package,
    })
}

/// Fails if the project's configuration of Cargo compiles for more than the architecture's baseline, and the manifest does not
/// declare that. rustc compiles the crates of build scripts with other flags, so the flags are looked for before.
///
/// # Errors
/// There is such a flag, or a file is not a configuration.
pub fn check_flags(host: &Host, build: &Build) -> Result<(), Failure> {
    let source = layout::source(&build.component);
    let architecture = build.architecture;
    let machine = match architecture {
        Architecture::Amd64 => "x86_64",
        Architecture::Arm64 => "aarch64",
    };
    let mut found = Vec::new();
    for entry in host.tree(&source)? {
        let path = entry.path.display().to_string();
        let is_configuration = [".cargo/config.toml", ".cargo/config"]
            .iter()
            .any(|name| path == *name || path.ends_with(&format!("/{name}")));
        let Some(text) = is_configuration
            .then(|| host.read(&format!("{source}/{path}")))
            .transpose()?
            .flatten()
        else {
            continue;
        };
        let wrong = |error| Failure::new(Cause::Build, format_args!("{}: {path}: {error}", build.name));
        let beyond = flags(&text, machine).map_err(wrong)?;
        let beyond = beyond
            .into_iter()
            .filter(|flag| architecture.is_beyond_baseline(flag));
        let undeclared = beyond.filter(|flag| !build.cpu_flags.contains(flag));
        found.extend(undeclared.map(|flag| format!("\n  {flag} in {path}")));
    }
    if found.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{}: its configuration of Cargo compiles for more than every {architecture} has ({}):{}\n  hint: take it out with a step, or \
         declare it in `cpu_flags` with the reason",
        build.name,
        architecture.baseline(),
        found.concat()
    );
    Err(Failure::new(Cause::Manifest, message))
}

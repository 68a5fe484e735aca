//! Plans of each manifest on every PostgreSQL that it supports.
//!
//! The image has only the extension and what it requires, so that a mistake in one manifest fails only its own tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::manifest::{Catalogue, Extension};
use crate::{Outcome, check, project};

/// The base whose plans are agreed.
const AGREED: &str = "debian:bookworm";
/// Every base that the servers are declared for.
const BASES: [&str; 3] = [AGREED, "debian:trixie", "debian:forky"];
/// The architecture that is planned for.
const ARCHITECTURE: &str = "arm64";

/// pgsetup accepts it on every major that it supports, and each of these has a manifest; with the newest of them, on every base
/// that it supports.
pub fn resolves(catalogue: &Catalogue, extension: &Extension) -> Outcome {
    let majors = extension.majors();
    check(!majors.is_empty(), || "it is for no PostgreSQL at all".to_owned())?;
    let unknown: Vec<_> = majors.difference(&catalogue.majors).collect();
    check(unknown.is_empty(), || {
        format!("there is no manifests/postgresql/N.yaml for {unknown:?}")
    })?;
    for major in &majors {
        plan(catalogue, extension, *major, AGREED).map_err(|why| format!("on PostgreSQL {major}:\n{why}"))?;
    }
    for base in BASES {
        if let Some(major) = majors.last().filter(|major| extension.supports(**major, base)) {
            plan(catalogue, extension, *major, base)
                .map_err(|why| format!("on PostgreSQL {major} and {base}:\n{why}"))?;
        }
    }
    Ok(())
}

/// The plan is the one in `tests/golden/extensions`.
pub fn as_agreed(catalogue: &Catalogue, extension: &Extension) -> Outcome {
    let page = page(catalogue, extension)?;
    let golden = golden(&extension.name);
    let overwrites = std::env::var("SNAPSHOTS").is_ok_and(|action| action == "overwrite");
    check(golden.exists() || overwrites, || {
        format!(
            "its plan is not agreed yet; write it, read it, and add it to the commit:\n  \
             SNAPSHOTS=overwrite cargo test --test catalogue extension::{}::",
            extension.name
        )
    })?;
    let agreed = snapbox::Data::read_from(&golden, Some(snapbox::data::DataFormat::Text)).raw();
    snapbox::assert_data_eq!(page, agreed);
    Ok(())
}

/// Everything that a test of an extension depends on.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its version.
    pub version: String,
    /// The server's version.
    pub postgresql: String,
    /// The digest of its archive; that of the server for a module.
    pub sha256: String,
    /// Digest of its plan and of its tests.
    pub recipe: String,
}

/// The subject of a test on one PostgreSQL and one base.
pub fn subject(
    catalogue: &Catalogue,
    extension: &Extension,
    major: u16,
    base: &str,
) -> Result<Subject, String> {
    use sha2::Digest as _;
    let plan = plan(catalogue, extension, major, base)?;
    let download = |name: &str| {
        list(&plan["downloads"]).find(|download| {
            let title = text(&download["title"]);
            title.split(' ').next() == Some(name)
        })
    };
    let version = |download: &serde_json::Value| {
        let (_, version) = text(&download["title"]).split_once(' ').unwrap_or_default();
        version.to_owned()
    };
    let server = download("postgresql").ok_or("the plan has no server")?;
    let own = download(&extension.name).unwrap_or(server);
    // The version of the server is in the row anyway.
    let whole = format!("{}{}", section(&plan, extension), extension.proof);
    let recipe = sha2::Sha256::digest(whole.as_bytes());
    Ok(Subject {
        version: version(own),
        postgresql: version(server),
        sha256: texts(&own["sha256"]).next().unwrap_or_default().to_owned(),
        recipe: recipe.iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
    })
}

/// Every agreed plan has its manifest.
pub fn no_orphans(catalogue: &Catalogue) -> Outcome {
    let files = std::fs::read_dir(golden("any").parent().expect("a directory"))?;
    let orphans: Vec<PathBuf> = files
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            catalogue.extension(&name).is_none()
        })
        .collect();
    check(orphans.is_empty(), || {
        format!("agreed plans without a manifest: {orphans:?}")
    })
}

fn golden(name: &str) -> PathBuf {
    project().join(format!("tests/golden/extensions/{name}.txt"))
}

/// The plans for all majors on one page. Majors whose plans differ only in the number share one.
fn page(catalogue: &Catalogue, extension: &Extension) -> Result<String, String> {
    let mut sections: Vec<(String, Vec<u16>)> = Vec::new();
    for major in extension.majors() {
        let plan = plan(catalogue, extension, major, AGREED)?;
        let section = section(&plan, extension).replace(&format!("/postgresql/{major}/"), "/postgresql/N/");
        match sections.iter_mut().find(|(text, _)| *text == section) {
            Some((_, majors)) => majors.push(major),
            None => sections.push((section, vec![major])),
        }
    }
    let pages = sections.iter().map(|(section, majors)| {
        let majors: Vec<String> = majors.iter().map(u16::to_string).collect();
        format!("PostgreSQL {}\n{section}", majors.join(", "))
    });
    Ok(pages.collect::<Vec<_>>().join("\n"))
}

/// What a plan does for this extension: its downloads, packages, settings and commands.
fn section(plan: &serde_json::Value, extension: &Extension) -> String {
    let name = extension.name.as_str();
    let is_own = |title: &str| title.split(' ').next() == Some(name);
    let mut lines = Vec::new();
    for brings in texts(&plan["leaves"]).filter(|line| is_own(line)) {
        lines.push(format!("leaves {brings}"));
    }
    for download in list(&plan["downloads"]).filter(|download| is_own(text(&download["title"]))) {
        lines.push(format!("download {}", text(&download["title"])));
        lines.extend(texts(&download["sha256"]).map(|digest| format!("  sha256 {digest}")));
        lines.extend(texts(&download["places"]).map(|place| format!("  {place}")));
    }
    for package in list(&plan["packages"]) {
        if texts(&package["wanted_by"]).any(|by| by == name) {
            lines.push(format!(
                "{} package {}",
                text(&package["phase"]),
                text(&package["name"])
            ));
        }
    }
    let steps = || list(&plan["steps"]);
    let wanted = format!(": {name}");
    let settings = steps().flat_map(|step| texts(&step["why"]));
    for setting in settings.filter(|why| why.contains(" = ")) {
        if let Some(setting) = setting
            .strip_suffix(&wanted)
            .or_else(|| setting.strip_suffix(": preload"))
        {
            lines.push(format!("setting {setting}"));
        }
    }
    for step in steps() {
        let is_build = text(&step["name"]).strip_prefix("build ").is_some_and(is_own);
        if is_build {
            lines.extend(texts(&step["commands"]).map(|command| format!("$ {command}")));
        }
    }
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

fn list(value: &serde_json::Value) -> impl Iterator<Item = &serde_json::Value> {
    value.as_array().expect("the plan has a list here").iter()
}

fn texts(value: &serde_json::Value) -> impl Iterator<Item = &str> {
    list(value).map(text)
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().expect("the plan has a text here")
}

/// The plan of an image with this extension and what it requires on one PostgreSQL and one base. It is made once.
fn plan(
    catalogue: &Catalogue,
    extension: &Extension,
    major: u16,
    base: &str,
) -> Result<serde_json::Value, String> {
    type Plans = BTreeMap<(String, u16, String), Result<serde_json::Value, String>>;
    static PLANS: Mutex<Plans> = Mutex::new(Plans::new());
    let plans = || PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (extension.name.clone(), major, base.to_owned());
    let known = plans().get(&key).cloned();
    if let Some(plan) = known {
        return plan;
    }
    let plan = make_plan(catalogue, extension, major, base);
    plans().insert(key, plan.clone());
    plan
}

fn make_plan(
    catalogue: &Catalogue,
    extension: &Extension,
    major: u16,
    base: &str,
) -> Result<serde_json::Value, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let image = directory.path().join("image.yaml");
    let required = required(catalogue, extension);
    std::fs::write(&image, image_manifest(major, extension, &required)).map_err(|error| error.to_string())?;
    // Extensions that it only names are known, but not selected.
    let after = extension.preload.iter().flat_map(|preload| &preload.after);
    let named: BTreeSet<&str> = extension
        .conflicts
        .iter()
        .map(|conflict| &conflict.extension)
        .chain(after)
        .chain(extension.upstream.iter().flat_map(|upstream| &upstream.requires))
        .map(String::as_str)
        .chain(required.keys().copied())
        .collect();
    let others = named.iter().filter_map(|name| catalogue.extension(name));
    // Modules share a file.
    let files: BTreeSet<&Path> = others
        .chain([extension])
        .map(|manifest| manifest.file.as_path())
        .collect();
    let server = project().join(format!("manifests/postgresql/{major}.yaml"));
    for file in files.into_iter().chain([server.as_path()]) {
        let name = file.file_name().unwrap_or_default();
        std::os::unix::fs::symlink(file, directory.path().join(name)).map_err(|error| error.to_string())?;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgsetup"));
    command
        .arg("plan")
        .arg(directory.path())
        .args(["--format", "json", "--target", &format!("{base}/{ARCHITECTURE}")])
        .env("NO_COLOR", "1");
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// What it requires, and what that requires.
fn required<'c>(catalogue: &'c Catalogue, extension: &'c Extension) -> BTreeMap<&'c str, &'c Extension> {
    let mut all = BTreeMap::new();
    let mut open: Vec<&str> = extension.requires.iter().map(String::as_str).collect();
    while let Some(name) = open.pop() {
        if let Some(other) = catalogue.extension(name)
            && all.insert(name, other).is_none()
        {
            open.extend(other.requires.iter().map(String::as_str));
        }
    }
    all
}

fn image_manifest(major: u16, extension: &Extension, required: &BTreeMap<&str, &Extension>) -> String {
    let all = || required.values().copied().chain([extension]);
    let quoted = |extensions: Vec<&Extension>| {
        let names: Vec<String> = extensions.iter().map(|one| format!("\"{}\"", one.name)).collect();
        names.join(", ")
    };
    let (programs, extensions) = all().partition(|one| one.is_program());
    let preloaded = all().filter(|one| one.preload.is_some()).collect();
    format!(
        "kind: image
name: catalogue
base: debian:bookworm
postgresql: \"{major}\"
extensions: [{}]
programs: [{}]
preload: [{}]
user: {{ name: postgres, uid: 999, gid: 999, home: /var/lib/postgresql, shell: /bin/bash }}
locale: C.UTF-8
configuration: /etc/postgresql/image.conf
prune: {{}}
",
        quoted(extensions),
        quoted(programs),
        quoted(preloaded)
    )
}

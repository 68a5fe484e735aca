//! Puts together what was selected: servers, extensions, Patroni and settings, with no "maybe" left.

use std::collections::BTreeMap;

use super::check::{extension_variables, postgresql_variables};
use super::interpolate::interpolate;
use super::select::{Chosen, fitting, in_order, release_for, unmet, unsupported_base, unsupported_major};
use super::wheel::Interpreter;
use super::{
    Component, Directory, Distribution, Extension, Patroni, Place, Postgresql, Previous, Selection, Setting,
    Source, id, preload, rust, value, variant, wheel,
};
use crate::manifest::build::CpuFlags;
use crate::manifest::extension::{Extension as Written, KnownCheck, Release, Test};
use crate::manifest::image::{Image, Prune, Removal};
use crate::manifest::postgresql::Postgresql as ServerManifest;
use crate::manifest::problem::Problem;
use crate::manifest::python::DistributionFile;
use crate::manifest::source::Source as WrittenSource;
use crate::manifest::{Located, Manifests};
use crate::target::Target;

/// The server of an older major, and those of the `chosen` extensions that are for it. Programs are there once.
pub fn previous(
    server: &Located<ServerManifest>,
    image: &Image,
    selection: &Selection,
    chosen: &[Chosen<'_>],
    target: &Target,
) -> Option<Previous> {
    let major = server.value.major;
    let postgresql = postgresql(server, image, Some(major), target)?;
    let wanted = |one: &&Chosen<'_>| {
        let id = id(&one.manifest.value.name, Some(major));
        !selection.without.contains(&id) && !one.manifest.value.is_program()
    };
    let candidates = chosen.iter().filter(wanted).copied();
    let mut left_out = BTreeMap::new();
    let mut fitting = fitting(candidates, server, &postgresql, target, &mut left_out);
    // One that requires another is for this major only where that one is; so it goes on until nothing more is missing.
    while let Some((position, required)) = unmet(&fitting) {
        let one = fitting.remove(position);
        let why = format!("it requires {required}, which is not available");
        left_out.insert(one.manifest.value.name.clone(), why);
    }
    let mut problems = Vec::new();
    let extensions = in_order(&fitting)
        .into_iter()
        .map(|one| extension(one, &postgresql, target, &mut problems));
    let extensions = extensions.collect::<Option<_>>()?;
    Some(Previous {
        postgresql,
        extensions,
        left_out,
    })
}

/// A server; `older_major` where it is not the image's own.
pub fn postgresql(
    manifest: &Located<ServerManifest>,
    image: &Image,
    older_major: Option<u16>,
    target: &Target,
) -> Option<Postgresql> {
    // Its unknown variables are already reported by the checks of every manifest.
    let (value, _) = interpolate(
        manifest,
        &postgresql_variables(&manifest.value, target.architecture),
    );
    let value = variant::varied(value, target);
    let component = Component {
        name: "postgresql".to_owned(),
        version: value.version.clone(),
        older_major,
        license: value.license.clone(),
        homepage: value.homepage.clone(),
    };
    let source = match &value.archive {
        Some(archive) => Some(source(archive, &component.title())?),
        None => None,
    };
    let (mut configure, mut packages) = (value.configure, value.packages);
    if image.prune.keep_debug_symbols && value.archive.is_some() {
        // PGXS hands it on to extensions.
        configure.push("--enable-debug".to_owned());
    }
    let mut development = match value.development.as_slice() {
        [] => packages.build.clone(),
        named => named.to_vec(),
    };
    // An older server only reads what it has written.
    if image.jit && older_major.is_none() {
        configure.extend(value.jit.configure);
        packages = packages.and(value.jit.packages);
        development.extend(value.jit.development);
    }
    Some(Postgresql {
        component,
        major: value.major,
        origin: value.source,
        source,
        configure,
        leave_out: value.leave_out,
        cpu_flags: CpuFlags::of(&value.cpu_flags, target.architecture),
        environment: value.environment,
        upstream: value.upstream,
        packages,
        development,
    })
}

pub fn extension(
    chosen: &Chosen<'_>,
    postgresql: &Postgresql,
    target: &Target,
    problems: &mut Vec<Problem>,
) -> Option<Extension> {
    let manifest = chosen.manifest;
    let name = &manifest.value.name;
    let major = postgresql.major;
    let Some(position) = release_for(&manifest.value, Some(major)) else {
        problems.push(unsupported_major(chosen, major));
        return None;
    };
    if let Some(problem) = unsupported_base(chosen, major, target) {
        problems.push(problem);
        return None;
    }
    let architecture = target.architecture;
    let architectures = &manifest.value.architectures;
    if !architectures.is_empty() && !architectures.iter().any(|known| known == architecture.name()) {
        let message = format!(
            "{name} does not support {architecture}: {}",
            architectures.join(", ")
        );
        problems.push(chosen.by.problem(message));
        return None;
    }
    let version = &manifest.value.releases[position].version;
    let older_major = postgresql.component.older_major;
    let variables = extension_variables(&manifest.value, version, older_major, major, architecture);
    let (value, _) = interpolate(manifest, &variables);
    let mut value = variant::varied(value, target);
    let lacking = variant::missing(manifest, target, |_| true);
    if !lacking.is_empty() {
        problems.extend(lacking);
        return None;
    }
    let release: Release = value.releases.swap_remove(position);
    let is_program = value.is_program();
    let component = Component {
        version: if manifest.value.comes_with_postgresql() {
            postgresql.component.version.clone()
        } else {
            release.version
        },
        older_major,
        name: value.name,
        license: value.license,
        homepage: value.homepage,
    };
    let sources = release
        .sources
        .iter()
        .map(|written| source(written, &component.title()));
    let mut extension = Extension {
        sources: sources.collect::<Option<_>>()?,
        component,
        rust: match release.crates {
            Some(crates) => Some(rust::rust(&crates, &value.build, &target.distribution)?),
            None => None,
        },
        build: value.build,
        cpu_flags: CpuFlags::of(&value.cpu_flags, target.architecture),
        needs_root: value.root.is_some(),
        packages: value.packages,
        provides: release.provides,
        requires: value.requires,
        preload: value.preload,
        settings: value.settings,
        test_settings: value.test_settings,
        tests: for_major(value.tests, major),
        known_failures: known_failures(value.known_failures, major),
        upgrades: Vec::new(),
        upstream: value.upstream,
        is_program,
        runs: value.runs,
    };
    let upgrades = manifest
        .value
        .upgrades
        .iter()
        .enumerate()
        .filter(|(_, upgrade)| upgrade.postgresql.contains(&major))
        .map(|(position, _)| older(manifest, position, &extension, major, target));
    extension.upgrades = upgrades.collect::<Option<_>>()?;
    if let Some(rust) = &extension.rust {
        let packages = rust.packages.iter().cloned();
        extension.packages.build.extend(packages);
    }
    Some(extension)
}

/// The older version of an entry of `upgrades`.
pub fn older(
    manifest: &Located<Written>,
    position: usize,
    today: &Extension,
    major: u16,
    target: &Target,
) -> Option<Extension> {
    let version = &manifest.value.upgrades[position].from;
    let older_major = today.component.older_major;
    let variables = extension_variables(&manifest.value, version, older_major, major, target.architecture);
    let (value, _) = interpolate(manifest, &variables);
    let mut value = variant::varied(value, target);
    let upgrade = value.upgrades.swap_remove(position);
    let component = Component {
        version: upgrade.from,
        ..today.component.clone()
    };
    let sources = upgrade
        .sources
        .iter()
        .map(|written| source(written, &component.title()));
    Some(Extension {
        sources: sources.collect::<Option<_>>()?,
        component,
        rust: match upgrade.crates {
            Some(crates) => {
                let build = upgrade.build.as_ref().unwrap_or(&value.build);
                Some(rust::rust(&crates, build, &target.distribution)?)
            }
            None => None,
        },
        build: upgrade.build.unwrap_or(value.build),
        provides: upgrade.provides,
        tests: if upgrade.tests.is_empty() {
            today.tests.clone()
        } else {
            for_major(upgrade.tests, major)
        },
        ..today.clone()
    })
}

/// The tests that are for `major`.
pub fn for_major(mut tests: Vec<Test>, major: u16) -> Vec<Test> {
    tests.retain(|test| test.postgresql.is_empty() || test.postgresql.contains(&major));
    tests
}

/// The excuses that are for `major`.
fn known_failures(mut known: Vec<KnownCheck>, major: u16) -> Vec<KnownCheck> {
    known.retain(|one| one.postgresql.is_empty() || one.postgresql.contains(&major));
    known
}

/// `None` if a digest is wrong, which the checks of every manifest have reported.
pub fn source(written: &WrittenSource, title: &str) -> Option<Source> {
    let mirrors = written
        .mirrors
        .iter()
        .filter_map(|mirror| match (&mirror.url, &mirror.debian) {
            (Some(url), _) => Some(Place::Url(url.clone())),
            (None, Some(path)) => Some(Place::Debian(path.clone())),
            (None, None) => None,
        });
    let usual = std::iter::once((&written.sha256, &written.sha512));
    let others = written
        .accepted
        .iter()
        .map(|accepted| (&accepted.sha256, &accepted.sha512));
    let (mut accepted, mut sha512) = (Vec::new(), BTreeMap::new());
    for (digest, longer) in usual.chain(others) {
        let digest = digest.parse().ok()?;
        accepted.push(digest);
        if let Some(longer) = longer {
            sha512.insert(digest, longer.parse().ok()?);
        }
    }
    let tar_sha256 = match &written.tar_sha256 {
        Some(digest) => Some(digest.parse().ok()?),
        None => None,
    };
    Some(Source {
        title: title.to_owned(),
        places: std::iter::once(Place::Url(written.url.clone()))
            .chain(mirrors)
            .collect(),
        accepted,
        sha512,
        tar_sha256,
        insecure: written.insecure.clone(),
        max_bytes: written.max_bytes,
        strip: written.strip,
        into: written.into.clone().unwrap_or_default(),
    })
}

pub fn patroni(
    manifests: &Manifests,
    image: &Located<Image>,
    target: &Target,
    problems: &mut Vec<Problem>,
) -> Option<Patroni> {
    let Some(manifest) = manifests.patronis.first() else {
        if !manifests.has_unreadable_kind("patroni") {
            let message = "the image selects Patroni, but there is no manifest of `kind: patroni`";
            problems.push(image.problem_with_key("patroni", message));
        }
        return None;
    };
    let written = &manifest.value;
    let python = manifests
        .pythons
        .iter()
        .find(|python| python.value.name == written.python)?;
    problems.extend(variant::missing(python, target, |_| true));
    problems.extend(variant::missing(manifest, target, |_| true));
    let python = variant::varied(python.value.clone(), target);
    let interpreter = Interpreter {
        version: python.version.as_deref().and_then(wheel::numbers),
        glibc: python.glibc.as_deref().and_then(wheel::numbers),
        architecture: target.architecture,
    };
    let mut distributions = Vec::new();
    for (position, distribution) in written.distributions.iter().enumerate() {
        let wrong = |wrong: Wrong| {
            let path = format!("distributions[{position}].files");
            let problem = manifest.problem(&path, format!("`{}` {}", distribution.name, wrong.message));
            problem.help(wrong.help)
        };
        match file(&distribution.files, &interpreter) {
            Ok(file) => distributions.push(Distribution {
                name: distribution.name.clone(),
                version: distribution.version.clone(),
                license: distribution.license.clone(),
                file: file.file.clone(),
                sha256: file.sha256.parse().ok()?,
            }),
            Err(found) => problems.push(wrong(found)),
        }
    }
    let own = variant::varied(written.clone(), target).packages;
    Some(Patroni {
        component: Component {
            name: written.name.clone(),
            version: written.version.clone(),
            older_major: None,
            license: written.license.clone(),
            homepage: written.homepage.clone(),
        },
        directory: written.directory.clone(),
        interpreter: python.interpreter,
        packages: python.packages.and(own),
        distributions,
        imports: written.imports.clone(),
    })
}

/// Why none of the files of a distribution is taken.
struct Wrong {
    message: String,
    help: String,
}

/// The wheel that an interpreter takes; where it takes none, the archive that is compiled.
fn file<'f>(files: &'f [DistributionFile], interpreter: &Interpreter) -> Result<&'f DistributionFile, Wrong> {
    let (wheels, archives): (Vec<_>, Vec<_>) = files.iter().partition(|file| wheel::is_wheel(&file.file));
    let fitting: Vec<_> = wheels
        .into_iter()
        .filter(|file| interpreter.takes(&file.file))
        .collect();
    let names = |files: &[&DistributionFile]| {
        let names: Vec<&str> = files.iter().map(|file| file.file.as_str()).collect();
        names.join(", ")
    };
    match (fitting.as_slice(), archives.as_slice()) {
        ([one], _) | ([], [one]) => Ok(one),
        ([], []) => Err(Wrong {
            message: format!(
                "has no wheel for {interpreter}: wanted is {}",
                interpreter.wanted()
            ),
            help: "add the file of the package index that has one of these tags, or the archive to compile"
                .to_owned(),
        }),
        ([], several) | (several, _) => Err(Wrong {
            message: format!("has several files for {interpreter}: {}", names(several)),
            help: "keep one of them".to_owned(),
        }),
    }
}

/// The image's policy; where others are to build in the image, without what would keep them from it.
pub fn prune(image: &Image, keep_build_packages: bool) -> Prune {
    let mut prune = image.prune.clone();
    prune.remove.retain(|removal| !image.prune.keep.contains(removal));
    if image.jit {
        // Functions are inlined from it.
        prune.remove.retain(|removal| *removal != Removal::Bitcode);
    }
    if keep_build_packages {
        prune
            .remove
            .retain(|removal| !matches!(removal, Removal::Development | Removal::StaticLibraries));
    }
    prune
}

pub fn directories(image: &Image) -> Vec<Directory> {
    let directory = |written: &crate::manifest::image::Directory| {
        let of_user = written
            .owner
            .as_ref()
            .is_none_or(|owner| *owner == image.user.name);
        Some(Directory {
            path: written.path.clone(),
            mode: value::mode(&written.mode).ok()?,
            of_user,
        })
    };
    image.directories.iter().filter_map(directory).collect()
}

/// The settings of the image and of its extensions; two that disagree are a problem.
pub fn settings(
    image: &Located<Image>,
    selected: &[&Located<Written>],
    preload: &preload::Preload,
    problems: &mut Vec<Problem>,
) -> Vec<Setting> {
    let mut settings: BTreeMap<String, Setting> = BTreeMap::new();
    let mut add = |name: &str, value: &str, wanted_by: &str| {
        let setting = Setting {
            name: name.to_owned(),
            value: value.to_owned(),
            wanted_by: wanted_by.to_owned(),
        };
        settings.insert(name.to_owned(), setting)
    };
    for (list, libraries) in [
        ("shared_preload_libraries", &preload.server),
        ("session_preload_libraries", &preload.session),
    ] {
        if !libraries.is_empty() {
            add(list, &libraries.join(","), "preload");
        }
    }
    for extension in selected {
        for (name, value) in &extension.value.settings {
            if let Some(other) = add(name, value, &extension.value.name)
                && other.value != *value
                && other.wanted_by != "preload"
                && !image.value.settings.contains_key(name)
            {
                let message = format!("`{}` wants `{name}` to be `{}`", other.wanted_by, other.value);
                let help = "decide between the two in the image's `settings`";
                problems.push(extension.problem(&format!("settings.{name}"), message).help(help));
            }
        }
    }
    // The image's author decides: these replace what extensions ask for.
    for (name, value) in &image.value.settings {
        add(name, value, "image");
    }
    settings.into_values().collect()
}

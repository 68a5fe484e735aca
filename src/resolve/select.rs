//! Picks what the image holds out of all manifests, and puts it together.

use std::collections::BTreeMap;

use super::check::{extension_variables, postgresql_variables};
use super::interpolate::interpolate;
use super::{
    Component, Directory, Distribution, Extension, Patroni, Place, Postgresql, Previous, Purpose, Resolved,
    Selection, Setting, Source, command_line_problem, id, preload, value,
};
use crate::manifest::extension::{Extension as Written, Release, Test};
use crate::manifest::image::{Image, Prune, Removal};
use crate::manifest::postgresql::Postgresql as Server;
use crate::manifest::problem::{Problem, SourceText};
use crate::manifest::source::{Packages, Source as WrittenSource};
use crate::manifest::{Located, Manifests, nearest};
use crate::target::{Architecture, Target, parse_distribution};

/// The selected image; `None` where a problem keeps it from being put together. Every problem is in `problems`.
pub fn select(manifests: &Manifests, selection: &Selection, problems: &mut Vec<Problem>) -> Option<Resolved> {
    let image = the_image(manifests, problems)?;
    let target = selection.target.clone().unwrap_or_else(|| Target {
        distribution: image.value.base.clone(),
        architecture: Architecture::of_this_program(),
    });
    if target.distribution != image.value.base && parse_distribution(&image.value.base).is_ok() {
        // Packages are those of one distribution: on another they have other names, or are other versions.
        let (base, other) = (&image.value.base, &target.distribution);
        problems.push(image.problem(
            "base",
            format!("the image is made of {base}, and the target is {other}"),
        ));
    }
    let server = selected_server(manifests, image, selection, problems);
    let value = Image {
        jit: selection.jit || image.value.jit,
        ..image.value.clone()
    };
    let postgresql = server.and_then(|server| postgresql(server, &value, None, target.architecture));
    let major = postgresql.as_ref().map(|postgresql| postgresql.major);
    let is_image = selection.purpose == Purpose::Image;
    let older = match server {
        Some(server) if is_image => older_servers(manifests, image, selection, server, problems),
        _ => Vec::new(),
    };
    let mut left_out = BTreeMap::new();
    let chosen = match selection.purpose {
        Purpose::Test { all: true, .. } => {
            let postgresql = postgresql.as_ref()?;
            let wanted = |manifest: &&Located<Written>| !selection.without.contains(&manifest.value.name);
            let candidates = manifests.extensions.iter().filter(wanted).map(|manifest| Chosen {
                manifest,
                by: By::Option("--all", &manifest.value.name),
            });
            fitting(
                candidates,
                server?,
                postgresql,
                target.architecture,
                &mut left_out,
            )
        }
        _ => chosen(manifests, image, selection, &older, problems),
    };
    let selected_names = chosen.iter().map(|one| one.manifest.value.name.clone());
    let selected_names = selected_names.collect();
    let chosen = match selection.purpose {
        Purpose::Test { upstream, .. } => with_required(manifests, chosen, upstream),
        Purpose::Image => chosen,
    };
    let selected: Vec<&Located<Written>> = chosen.iter().map(|chosen| chosen.manifest).collect();
    let mut preload = preload::Preload::default();
    if let Some(server) = server {
        against_server(server, &chosen, problems);
    }
    if is_image {
        together(manifests, &selected, major, problems);
        preload = preload::merge(image, &image.value.extensions, &selected, problems);
    }
    let extensions: Vec<Option<Extension>> = in_order(&chosen)
        .into_iter()
        .map(|chosen| extension(chosen, postgresql.as_ref()?, target.architecture, problems))
        .collect();
    let previous: Vec<Option<Previous>> = older
        .into_iter()
        .map(|server| previous(server, &value, selection, &chosen, target.architecture))
        .collect();
    let patroni = if image.value.patroni && is_image {
        Some(patroni(manifests, image, target.architecture, problems)?)
    } else {
        None
    };
    let settings = if is_image {
        settings(image, &selected, &preload, problems)
    } else {
        Vec::new()
    };
    Some(Resolved {
        name: value.name.clone(),
        user: value.user.clone(),
        directories: directories(&value),
        locale: value.locale.clone(),
        configuration: value.configuration.clone(),
        preload: preload.server,
        settings,
        packages: value.packages.clone(),
        postgresql: postgresql?,
        extensions: extensions.into_iter().collect::<Option<_>>()?,
        previous: previous.into_iter().collect::<Option<_>>()?,
        selected: selected_names,
        patroni,
        prune: prune(&value, selection.keep_build_packages),
        left_out,
        keep_build_packages: selection.keep_build_packages,
        target,
    })
}

fn the_image<'m>(manifests: &'m Manifests, problems: &mut Vec<Problem>) -> Option<&'m Located<Image>> {
    let Some(first) = manifests.images.first() else {
        if !manifests.has_unreadable_kind("image") && !manifests.has_unreadable_kind("") {
            let source = SourceText {
                file: "the manifests".to_owned(),
                text: String::new(),
            };
            let message = "there is no manifest of `kind: image`, which says what is installed".to_owned();
            problems.push(Problem {
                source: source.into(),
                span: 0..0,
                message,
                help: None,
            });
        }
        return None;
    };
    for second in &manifests.images[1..] {
        let message = format!("a second image; the first is in {}", first.file());
        problems.push(
            second
                .problem("name", message)
                .help("keep one; choose variants on the command line"),
        );
    }
    Some(first)
}

/// The manifest of the selected server.
fn selected_server<'m>(
    manifests: &'m Manifests,
    image: &Located<Image>,
    selection: &Selection,
    problems: &mut Vec<Problem>,
) -> Option<&'m Located<Server>> {
    let name = selection.postgresql.as_ref().unwrap_or(&image.value.postgresql);
    let problem = |message| match selection.postgresql {
        Some(_) => command_line_problem("--pg", name, message),
        None => image.problem("postgresql", message),
    };
    server(manifests, name, &problem, problems)
}

/// The manifest of the server of this name; `problem` is what is wrong with the place that names it.
fn server<'m>(
    manifests: &'m Manifests,
    name: &str,
    problem: &dyn Fn(String) -> Problem,
    problems: &mut Vec<Problem>,
) -> Option<&'m Located<Server>> {
    let known = &manifests.postgresql;
    let found = known.iter().find(|manifest| manifest.value.name == name);
    if found.is_none() && !manifests.has_unreadable("postgresql", name) {
        let names: Vec<&str> = known.iter().map(|manifest| &manifest.value.name[..]).collect();
        let message = format!("there is no PostgreSQL manifest `{name}`");
        problems.push(problem(message).help(format!("there are: {}", names.join(", "))));
    }
    found
}

/// The manifests of the servers of older majors beside `selected`, the newest first.
fn older_servers<'m>(
    manifests: &'m Manifests,
    image: &Located<Image>,
    selection: &Selection,
    selected: &Located<Server>,
    problems: &mut Vec<Problem>,
) -> Vec<&'m Located<Server>> {
    let names = selection.previous.as_ref().unwrap_or(&image.value.previous);
    let mut older: Vec<&Located<Server>> = Vec::new();
    for (position, name) in names.iter().enumerate() {
        let problem = |message| match selection.previous {
            Some(_) => command_line_problem("--previous", name, message),
            None => image.problem(&format!("previous[{position}]"), message),
        };
        let Some(server) = server(manifests, name, &problem, problems) else {
            continue;
        };
        let major = server.value.major;
        if major >= selected.value.major {
            // The image's list is for the server that the image names.
            if selection.previous.is_some() || selection.postgresql.is_none() {
                let message = format!(
                    "PostgreSQL {major} is not older than {}, which is selected",
                    selected.value.major
                );
                problems.push(problem(message));
            }
        } else if older.iter().any(|other| other.value.major == major) {
            problems.push(problem(format!("PostgreSQL {major} is named twice")));
        } else {
            older.push(server);
        }
    }
    older.sort_by_key(|server| std::cmp::Reverse(server.value.major));
    older
}

/// The server of an older major, and those of the `chosen` extensions that are for it.
fn previous(
    server: &Located<Server>,
    image: &Image,
    selection: &Selection,
    chosen: &[Chosen<'_>],
    architecture: Architecture,
) -> Option<Previous> {
    let major = server.value.major;
    let postgresql = postgresql(server, image, Some(major), architecture)?;
    let wanted = |one: &&Chosen<'_>| {
        let id = id(&one.manifest.value.name, Some(major));
        !selection.without.contains(&id)
    };
    let candidates = chosen.iter().filter(wanted).copied();
    let mut left_out = BTreeMap::new();
    let mut fitting = fitting(candidates, server, &postgresql, architecture, &mut left_out);
    // One that requires another is for this major only where that one is; so it goes on until nothing more is missing.
    while let Some((position, required)) = unmet(&fitting) {
        let one = fitting.remove(position);
        let why = format!("it requires {required}, which is not there");
        left_out.insert(one.manifest.value.name.clone(), why);
    }
    let mut problems = Vec::new();
    let extensions = in_order(&fitting)
        .into_iter()
        .map(|one| extension(one, &postgresql, architecture, &mut problems));
    let extensions = extensions.collect::<Option<_>>()?;
    Some(Previous {
        postgresql,
        extensions,
        left_out,
    })
}

/// The position of the first extension that requires one that is not among them, with that one's name.
fn unmet(chosen: &[Chosen<'_>]) -> Option<(usize, String)> {
    let is_there = |name: &String| chosen.iter().any(|one| one.manifest.value.name == *name);
    chosen.iter().enumerate().find_map(|(position, one)| {
        let missing = one.manifest.value.requires.iter().find(|name| !is_there(name))?;
        Some((position, missing.clone()))
    })
}

/// A server; `older_major` where it is not the image's own.
fn postgresql(
    manifest: &Located<Server>,
    image: &Image,
    older_major: Option<u16>,
    architecture: Architecture,
) -> Option<Postgresql> {
    // Its unknown variables are already reported by the checks of every manifest.
    let (value, _) = interpolate(manifest, &postgresql_variables(&manifest.value, architecture));
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
        packages.build.extend(value.jit.packages.build);
        packages.runtime.extend(value.jit.packages.runtime);
        packages.dlopen.extend(value.jit.packages.dlopen);
        packages
            .dlopen_optional
            .extend(value.jit.packages.dlopen_optional);
        packages.programs.extend(value.jit.packages.programs);
        development.extend(value.jit.development);
    }
    Some(Postgresql {
        component,
        major: value.major,
        origin: value.source,
        source,
        configure,
        leave_out: value.leave_out,
        environment: value.environment,
        upstream: value.upstream,
        packages,
        development,
    })
}

/// An extension that is selected, and what selected it.
#[derive(Clone, Copy)]
struct Chosen<'m> {
    manifest: &'m Located<Written>,
    by: By<'m>,
}

/// Where an extension was selected, for pointing at it.
#[derive(Clone, Copy)]
enum By<'m> {
    Image(&'m Located<Image>, usize),
    Option(&'static str, &'m str),
}

impl By<'_> {
    fn problem(&self, message: String) -> Problem {
        match self {
            Self::Image(image, position) => image.problem(&format!("extensions[{position}]"), message),
            Self::Option(option, word) => command_line_problem(option, word, message),
        }
    }
}

fn chosen<'m>(
    manifests: &'m Manifests,
    image: &'m Located<Image>,
    selection: &'m Selection,
    older: &[&Located<Server>],
    problems: &mut Vec<Problem>,
) -> Vec<Chosen<'m>> {
    let known = manifests.extension_names();
    // What is to be tested is named without an option.
    let option = match selection.purpose {
        Purpose::Image => "--extensions",
        Purpose::Test { .. } => "",
    };
    let mut names: Vec<(&str, By<'m>)> = if let Some(only) = &selection.extensions {
        only.iter()
            .map(|name| (name.as_str(), By::Option(option, name)))
            .collect()
    } else {
        let listed = image.value.extensions.iter().enumerate();
        listed
            .map(|(position, name)| (name.as_str(), By::Image(image, position)))
            .collect()
    };
    names.extend(
        selection
            .with
            .iter()
            .map(|name| (name.as_str(), By::Option("--with", name))),
    );
    let of_older = |name: &String| {
        let mut ids = known
            .iter()
            .flat_map(|one| older.iter().map(|server| id(one, Some(server.value.major))));
        ids.any(|id| id == *name)
    };
    for name in &selection.without {
        if !known.contains(&name.as_str()) && !of_older(name) {
            problems.push(unknown(&By::Option("--without", name), name, &known));
        }
    }
    let mut chosen: Vec<Chosen<'m>> = Vec::new();
    for (name, by) in names {
        let Some(manifest) = manifests
            .extensions
            .iter()
            .find(|extension| extension.value.name == name)
        else {
            if !known.contains(&name) {
                problems.push(unknown(&by, name, &known));
            }
            continue;
        };
        let again = chosen.iter().any(|chosen| chosen.manifest.value.name == name);
        if !again && !selection.without.iter().any(|without| without == name) {
            chosen.push(Chosen { manifest, by });
        }
    }
    chosen
}

/// Those of the candidates that are for a server and can be beside those before them; the others are left out with the
/// reason.
fn fitting<'m>(
    candidates: impl Iterator<Item = Chosen<'m>>,
    server: &Located<Server>,
    postgresql: &Postgresql,
    architecture: Architecture,
    left_out: &mut BTreeMap<String, String>,
) -> Vec<Chosen<'m>> {
    let mut chosen: Vec<Chosen<'m>> = Vec::new();
    for candidate in candidates {
        let mut problems = Vec::new();
        against_server(server, &[candidate], &mut problems);
        extension(&candidate, postgresql, architecture, &mut problems);
        let beside = chosen
            .iter()
            .find_map(|other| exclusion(candidate.manifest, other.manifest));
        let why = problems.into_iter().map(|problem| problem.message).next();
        match why.or(beside) {
            None => chosen.push(candidate),
            Some(why) => drop(left_out.insert(candidate.manifest.value.name.clone(), why)),
        }
    }
    chosen
}

/// Why `one` cannot be installed where `other` is, by what either says of its conflicts.
fn exclusion(one: &Located<Written>, other: &Located<Written>) -> Option<String> {
    let said_by = |one: &Written, other: &Written| {
        let mut conflicts = one.conflicts.iter();
        let conflict = conflicts.find(|conflict| conflict.extension == other.name)?;
        Some(format!(
            "`{}` cannot be beside `{}`: {}",
            one.name, other.name, conflict.reason
        ))
    };
    said_by(&one.value, &other.value).or_else(|| said_by(&other.value, &one.value))
}

/// `chosen` with all that they require, each once.
fn with_required<'m>(
    manifests: &'m Manifests,
    mut chosen: Vec<Chosen<'m>>,
    upstream: bool,
) -> Vec<Chosen<'m>> {
    let mut position = 0;
    while let Some(one) = chosen.get(position) {
        let value = &one.manifest.value;
        let for_upstream = value.upstream.iter().filter(|_| upstream);
        let required = for_upstream.flat_map(|upstream| &upstream.requires);
        for name in value.requires.iter().chain(required) {
            let others = &manifests.extensions;
            // One that does not exist is a problem of its manifest.
            if let Some(manifest) = others.iter().find(|other| other.value.name == *name)
                && !chosen.iter().any(|chosen| chosen.manifest.value.name == *name)
            {
                let by = By::Option("--with", name);
                chosen.push(Chosen { manifest, by });
            }
        }
        position += 1;
    }
    chosen
}

fn unknown(by: &By<'_>, name: &str, known: &[&str]) -> Problem {
    let problem = by.problem(format!("there is no extension `{name}`"));
    match nearest(name, known.iter().copied()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("there are: {}", known.join(", "))),
    }
}

/// Selected extensions that a server is known not to work with.
fn against_server(server: &Located<Server>, chosen: &[Chosen<'_>], problems: &mut Vec<Problem>) {
    let name = &server.value.name;
    for conflict in &server.value.conflicts {
        if let Some(chosen) = chosen
            .iter()
            .find(|chosen| chosen.manifest.value.name == conflict.extension)
        {
            let extension = &conflict.extension;
            let message = format!(
                "`{extension}` does not work with PostgreSQL {name}: {}",
                conflict.reason
            );
            let help = format!("leave it out (--without {extension}), or choose another PostgreSQL (--pg)");
            problems.push(chosen.by.problem(message).help(help));
        }
    }
}

/// What selected extensions want of each other.
fn together(
    manifests: &Manifests,
    selected: &[&Located<Written>],
    major: Option<u16>,
    problems: &mut Vec<Problem>,
) {
    // One that could not be read may well be selected.
    let is_selected = |name: &str| {
        selected.iter().any(|extension| extension.value.name == name)
            || manifests.has_unreadable("extension", name)
    };
    let known = manifests.extension_names();
    let mut sql_names: BTreeMap<&str, &str> = BTreeMap::new();
    for extension in selected {
        for (position, required) in extension.value.requires.iter().enumerate() {
            if known.contains(&required.as_str()) && !is_selected(required) {
                let message = format!(
                    "`{}` requires `{required}`, which is not selected",
                    extension.value.name
                );
                let problem = extension.problem(&format!("requires[{position}]"), message);
                problems.push(
                    problem.help("add it to the image's `extensions`, or to the command line with --with"),
                );
            }
        }
        for (position, conflict) in extension.value.conflicts.iter().enumerate() {
            if is_selected(&conflict.extension) {
                let (name, other, reason) = (&extension.value.name, &conflict.extension, &conflict.reason);
                let message = format!("`{name}` cannot be beside `{other}`: {reason}");
                problems.push(extension.problem(&format!("conflicts[{position}].extension"), message));
            }
        }
        let Some(release) = release_for(&extension.value, major) else {
            continue;
        };
        for (position, provided) in extension.value.releases[release].provides.iter().enumerate() {
            if let Some(other) = sql_names.insert(&provided.name, &extension.value.name) {
                let message = format!(
                    "the SQL extension `{}` is also provided by `{other}`",
                    provided.name
                );
                let path = format!("releases[{release}].provides[{position}].name");
                problems.push(extension.problem(&path, message).help("select one of the two"));
            }
        }
    }
}

/// The position of the release for `major`.
fn release_for(extension: &Written, major: Option<u16>) -> Option<usize> {
    extension
        .releases
        .iter()
        .position(|release| major.is_some_and(|major| release.postgresql.contains(&major)))
}

/// Every extension after those it requires; otherwise in the order they were selected.
fn in_order<'c, 'm>(chosen: &'c [Chosen<'m>]) -> Vec<&'c Chosen<'m>> {
    fn visit<'c, 'm>(
        one: &'c Chosen<'m>,
        chosen: &'c [Chosen<'m>],
        depth: usize,
        ordered: &mut Vec<&'c Chosen<'m>>,
    ) {
        let name = |chosen: &Chosen<'m>| chosen.manifest.value.name.clone();
        // The depth ends the walk where manifests require each other in a circle, which is reported elsewhere.
        if depth > chosen.len() || ordered.iter().any(|other| name(other) == name(one)) {
            return;
        }
        for required in &one.manifest.value.requires {
            if let Some(other) = chosen.iter().find(|other| name(other) == *required) {
                visit(other, chosen, depth + 1, ordered);
            }
        }
        if !ordered.iter().any(|other| name(other) == name(one)) {
            ordered.push(one);
        }
    }
    let mut ordered = Vec::new();
    for one in chosen {
        visit(one, chosen, 0, &mut ordered);
    }
    ordered
}

fn extension(
    chosen: &Chosen<'_>,
    postgresql: &Postgresql,
    architecture: Architecture,
    problems: &mut Vec<Problem>,
) -> Option<Extension> {
    let manifest = chosen.manifest;
    let name = &manifest.value.name;
    let major = postgresql.major;
    let Some(position) = release_for(&manifest.value, Some(major)) else {
        problems.push(unsupported_major(chosen, major));
        return None;
    };
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
    let (mut value, _) = interpolate(manifest, &variables);
    let release: Release = value.releases.swap_remove(position);
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
        build: value.build,
        packages: value.packages,
        provides: release.provides,
        requires: value.requires,
        preload: value.preload,
        settings: value.settings,
        test_settings: value.test_settings,
        tests: for_major(value.tests, major),
        upgrades: Vec::new(),
        upstream: value.upstream,
    };
    let upgrades = manifest
        .value
        .upgrades
        .iter()
        .enumerate()
        .filter(|(_, upgrade)| upgrade.postgresql.contains(&major))
        .map(|(position, _)| older(manifest, position, &extension, major, architecture));
    extension.upgrades = upgrades.collect::<Option<_>>()?;
    Some(extension)
}

/// The older version of an entry of `upgrades`.
fn older(
    manifest: &Located<Written>,
    position: usize,
    today: &Extension,
    major: u16,
    architecture: Architecture,
) -> Option<Extension> {
    let version = &manifest.value.upgrades[position].from;
    let older_major = today.component.older_major;
    let variables = extension_variables(&manifest.value, version, older_major, major, architecture);
    let (mut value, _) = interpolate(manifest, &variables);
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
fn for_major(mut tests: Vec<Test>, major: u16) -> Vec<Test> {
    tests.retain(|test| test.postgresql.is_empty() || test.postgresql.contains(&major));
    tests
}

fn unsupported_major(chosen: &Chosen<'_>, major: u16) -> Problem {
    let extension = &chosen.manifest.value;
    let releases: Vec<String> = extension
        .releases
        .iter()
        .map(|release| {
            let majors: Vec<String> = release.postgresql.iter().map(ToString::to_string).collect();
            let version = if extension.comes_with_postgresql() {
                "it"
            } else {
                &release.version
            };
            format!("{version} is for {}", majors.join(", "))
        })
        .collect();
    let reason = extension
        .unsupported
        .iter()
        .find(|unsupported| unsupported.postgresql.contains(&major))
        .map_or_else(|| releases.join("; "), |unsupported| unsupported.reason.clone());
    let message = format!("{} does not support PostgreSQL {major}: {reason}", extension.name);
    let help = format!(
        "leave it out (--without {}), or choose another PostgreSQL (--pg)",
        extension.name
    );
    chosen.by.problem(message).help(help)
}

/// `None` where a digest is wrong, which the checks of every manifest have reported.
fn source(written: &WrittenSource, title: &str) -> Option<Source> {
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
    })
}

fn patroni(
    manifests: &Manifests,
    image: &Located<Image>,
    architecture: Architecture,
    problems: &mut Vec<Problem>,
) -> Option<Patroni> {
    let Some(manifest) = manifests.patronis.first() else {
        if !manifests.has_unreadable_kind("patroni") {
            let message = "the image wants Patroni, but there is no manifest of `kind: patroni`";
            problems.push(image.problem_with_key("patroni", message));
        }
        return None;
    };
    let written = &manifest.value;
    let python = manifests
        .pythons
        .iter()
        .find(|python| python.value.name == written.python)?;
    let mut distributions = Vec::new();
    for (position, distribution) in written.distributions.iter().enumerate() {
        let fits = |name: &Option<String>| name.as_ref().is_none_or(|name| name == architecture.name());
        let Some(file) = distribution.files.iter().find(|file| fits(&file.architecture)) else {
            let message = format!("{} has no file for {architecture}", distribution.name);
            problems.push(manifest.problem(&format!("distributions[{position}].files"), message));
            continue;
        };
        distributions.push(Distribution {
            name: distribution.name.clone(),
            version: distribution.version.clone(),
            license: distribution.license.clone(),
            file: file.file.clone(),
            sha256: file.sha256.parse().ok()?,
        });
    }
    let both = |one: &[String], other: &[String]| [one, other].concat();
    Some(Patroni {
        component: Component {
            name: written.name.clone(),
            version: written.version.clone(),
            older_major: None,
            license: written.license.clone(),
            homepage: written.homepage.clone(),
        },
        directory: written.directory.clone(),
        interpreter: python.value.interpreter.clone(),
        packages: Packages {
            build: both(&python.value.packages.build, &written.packages.build),
            runtime: both(&python.value.packages.runtime, &written.packages.runtime),
            dlopen: both(&python.value.packages.dlopen, &written.packages.dlopen),
            dlopen_optional: both(
                &python.value.packages.dlopen_optional,
                &written.packages.dlopen_optional,
            ),
            programs: both(&python.value.packages.programs, &written.packages.programs),
        },
        distributions,
        imports: written.imports.clone(),
    })
}

/// The image's policy; where others are to build in the image, without what would keep them from it.
fn prune(image: &Image, keep_build_packages: bool) -> Prune {
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

fn directories(image: &Image) -> Vec<Directory> {
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
fn settings(
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
                let help = "say in the image's `settings` which of the two it is";
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

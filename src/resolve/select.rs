//! Selects the server, the older servers and the extensions of an image from all manifests.

use std::collections::BTreeMap;

use super::assemble::{directories, extension, patroni, postgresql, previous, prune, settings};
use super::packages::{NamedPackage, named};
use super::{
    Extension, Patroni, Postgresql, Previous, Purpose, Resolved, Selection, Setting, command_line_problem,
    completed, id, preload, there_are, variant,
};
use crate::manifest::extension::{Conflict, Extension as Written};
use crate::manifest::image::Image;
use crate::manifest::postgresql::Postgresql as ServerManifest;
use crate::manifest::problem::{Problem, SourceText};
use crate::manifest::{Draft, Located, Manifests, nearest};
use crate::target::{Architecture, Target, parse_distribution};

/// The selected image. `None` if a problem keeps it from being put together. Every problem is in `problems`.
pub fn select(manifests: &Manifests, selection: &Selection, problems: &mut Vec<Problem>) -> Option<Resolved> {
    let image = the_image(manifests, problems)?;
    let target = selection.target.clone().unwrap_or_else(|| Target {
        distribution: base_of(image, selection).to_owned(),
        architecture: Architecture::of_this_program(),
    });
    of_base(image, selection, &target, problems);
    let server = selected_server(manifests, image, selection, problems);
    let value = Image {
        jit: selection.jit || image.value.jit,
        ..variant::varied(image.value.clone(), &target)
    };
    problems.extend(variant::missing(image, &target, |_| true));
    if let Some(server) = server {
        on_base(server, image, selection, &target, problems);
        problems.extend(variant::missing(server, &target, |path| {
            value.jit || !path.starts_with("jit.")
        }));
    }
    let postgresql = server.and_then(|server| postgresql(server, &value, None, &target));
    let older = match server {
        Some(server) if selection.purpose == Purpose::Image => {
            older_servers(manifests, image, selection, server, problems)
        }
        _ => Vec::new(),
    };
    let mut left_out = BTreeMap::new();
    let chosen = match selection.purpose {
        Purpose::Test { all: true, .. } => {
            let (server, postgresql) = (server?, postgresql.as_ref()?);
            let candidates = all(manifests, selection);
            left_out.extend(manifests.drafts.iter().map(Draft::left_out));
            fitting(candidates, server, postgresql, &target, &mut left_out)
        }
        _ => chosen(manifests, image, selection, &older, problems),
    };
    let selected = chosen.iter().map(|one| one.manifest.value.name.clone()).collect();
    let (without, upstream): (&[String], bool) = match selection.purpose {
        Purpose::Image => (&selection.without, false),
        Purpose::Test { upstream, .. } => (&[], upstream),
    };
    let chosen = with_required(manifests, chosen, without, upstream, problems);
    if let Some(server) = server {
        misspelt_conflicts(manifests, server, &server.value.conflicts, problems);
        against_server(server, &chosen, problems);
    }
    let whole = match selection.purpose {
        Purpose::Image => {
            let major = postgresql.as_ref().map(|postgresql| postgresql.major);
            whole(manifests, image, &chosen, (major, &target), problems)
        }
        Purpose::Test { .. } => Some(Whole::default()),
    };
    let extensions: Vec<Option<Extension>> = in_order(&chosen)
        .into_iter()
        .map(|chosen| extension(chosen, postgresql.as_ref()?, &target, problems))
        .collect();
    let previous = older.into_iter().map(|server| {
        problems.extend(variant::missing(server, &target, |path| {
            !path.starts_with("jit.")
        }));
        previous(server, &value, selection, &chosen, &target)
    });
    let previous: Option<Vec<Previous>> = previous.collect();
    let extensions = extensions.into_iter().collect::<Option<Vec<Extension>>>();
    let whole = whole?;
    let has_patroni = whole.patroni.is_some();
    Some(Resolved {
        name: value.name.clone(),
        user: value.user.clone(),
        directories: directories(&value),
        locale: value.locale.clone(),
        locales: whole.locales,
        configuration: value.configuration.clone(),
        preload: whole.preload.server,
        required_preload: preload::required(&manifests.extensions),
        settings: whole.settings,
        packages: value.packages.clone(),
        postgresql: postgresql?,
        named_packages: named_packages(
            manifests,
            &target,
            &chosen,
            extensions.as_deref(),
            previous.as_deref(),
        ),
        extensions: extensions?,
        previous: previous?,
        selected,
        patroni: whole.patroni,
        prune: prune(&value, selection.keep_build_packages),
        left_out,
        keep_build_packages: selection.keep_build_packages,
        catalogue: completed::catalogue_use(manifests, server, &chosen, has_patroni),
        target,
        snapshots: value.snapshot.clone(),
        locked: None,
    })
}

/// What an image has as a whole, and separate tests of its extensions do not need.
#[derive(Default)]
struct Whole {
    locales: Vec<String>,
    preload: preload::Preload,
    settings: Vec<Setting>,
    patroni: Option<Patroni>,
}

/// What the `chosen` extensions and Patroni make of the image, for a major and a target.
fn whole(
    manifests: &Manifests,
    image: &Located<Image>,
    chosen: &[Chosen<'_>],
    (major, target): (Option<u16>, &Target),
    problems: &mut Vec<Problem>,
) -> Option<Whole> {
    let selected: Vec<&Located<Written>> = chosen.iter().map(|chosen| chosen.manifest).collect();
    together(manifests, &selected, major, problems);
    let preload = preload::merge(image, &image.value.extensions, &selected, problems);
    let settings = settings(image, &selected, &preload, problems);
    let patroni = if image.value.patroni {
        Some(patroni(manifests, image, target, problems)?)
    } else {
        None
    };
    Some(Whole {
        locales: image.value.locales.clone(),
        preload,
        settings,
        patroni,
    })
}

/// The Debian packages that manifests name: those of the image, of every server and of Patroni, and those of the selected
/// extensions.
fn named_packages(
    manifests: &Manifests,
    target: &Target,
    chosen: &[Chosen<'_>],
    extensions: Option<&[Extension]>,
    previous: Option<&[Previous]>,
) -> Vec<NamedPackage> {
    let images = manifests.images.iter().flat_map(|one| named(one, target, None));
    let servers = manifests
        .postgresql
        .iter()
        .flat_map(|one| named(one, target, None));
    let pythons = manifests.pythons.iter().flat_map(|one| named(one, target, None));
    let patronis = manifests.patronis.iter().flat_map(|one| named(one, target, None));
    let older = previous.into_iter().flatten().flat_map(|one| &one.extensions);
    let extensions = extensions.into_iter().flatten().chain(older);
    let mut all: Vec<NamedPackage> = images.chain(servers).chain(pythons).chain(patronis).collect();
    for extension in extensions {
        let component = &extension.component;
        let slug = (!extension.comes_with_postgresql()).then(|| component.slug());
        let of_it = chosen
            .iter()
            .filter(|one| one.manifest.value.name == component.name);
        all.extend(of_it.flat_map(|one| named(one.manifest, target, slug.as_deref())));
    }
    all
}

/// The base that the image manifest names, or the command line instead: it has to be that of the target.
fn of_base(image: &Located<Image>, selection: &Selection, target: &Target, problems: &mut Vec<Problem>) {
    let (base, other) = (base_of(image, selection), &target.distribution);
    if base != other && parse_distribution(base).is_ok() {
        let message = format!("the image is built on {base}, but the target is {other}");
        let problem = by_base(image, selection, message);
        problems.push(problem.help(format!("`--base {other}` builds it on that distribution")));
    }
}

fn base_of<'a>(image: &'a Located<Image>, selection: &'a Selection) -> &'a str {
    let chosen = selection.base.as_ref();
    chosen.map_or(&image.value.base, |base| &base.distribution)
}

/// A problem with the base, at the place that names it.
fn by_base(image: &Located<Image>, selection: &Selection, message: String) -> Problem {
    match &selection.base {
        Some(base) => command_line_problem(base.option, &base.word, message),
        None => image.problem("base", message),
    }
}

/// A server can be installed on the bases that its manifest declares.
fn on_base(
    server: &Located<ServerManifest>,
    image: &Located<Image>,
    selection: &Selection,
    target: &Target,
    problems: &mut Vec<Problem>,
) {
    let (declared, base) = (&server.value.bases, &target.distribution);
    if !declared.is_empty() && !declared.contains(base) {
        let name = &server.value.name;
        let message = format!(
            "PostgreSQL {name} is not declared for {base}, but for: {}",
            declared.join(", ")
        );
        let help = format!(
            "choose one of them, or add {base} to `bases` in {}",
            server.file()
        );
        problems.push(by_base(image, selection, message).help(help));
    }
}

/// Every extension, but those that are left out by name.
fn all<'m>(manifests: &'m Manifests, selection: &Selection) -> impl Iterator<Item = Chosen<'m>> {
    let wanted = |manifest: &&Located<Written>| !selection.without.contains(&manifest.value.name);
    manifests.extensions.iter().filter(wanted).map(|manifest| Chosen {
        manifest,
        by: By::Option("--all", &manifest.value.name),
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
                .help("keep one, or name the manifest of the one to use on the command line"),
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
) -> Option<&'m Located<ServerManifest>> {
    let name = selection.postgresql.as_ref().unwrap_or(&image.value.postgresql);
    let problem = |message| match selection.postgresql {
        Some(_) => command_line_problem("--pg", name, message),
        None => image.problem("postgresql", message),
    };
    server(manifests, name, &problem, problems)
}

/// The manifest of the server of this name; `problem` is what is wrong with the place that names it.
pub fn server<'m>(
    manifests: &'m Manifests,
    name: &str,
    problem: &dyn Fn(String) -> Problem,
    problems: &mut Vec<Problem>,
) -> Option<&'m Located<ServerManifest>> {
    let known = &manifests.postgresql;
    let found = known.iter().find(|manifest| manifest.value.name == name);
    if found.is_none() && !manifests.has_unreadable("postgresql", name) {
        let mut names: Vec<&str> = known.iter().map(|manifest| &manifest.value.name[..]).collect();
        names.sort_unstable();
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
    selected: &Located<ServerManifest>,
    problems: &mut Vec<Problem>,
) -> Vec<&'m Located<ServerManifest>> {
    let names = selection.previous.as_ref().unwrap_or(&image.value.previous);
    let mut older: Vec<&Located<ServerManifest>> = Vec::new();
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

/// The position of the first extension that requires one that is not among them, with that one's name.
pub fn unmet(chosen: &[Chosen<'_>]) -> Option<(usize, String)> {
    let is_there = |name: &String| chosen.iter().any(|one| one.manifest.value.name == *name);
    chosen.iter().enumerate().find_map(|(position, one)| {
        let missing = one.manifest.value.requires.iter().find(|name| !is_there(name))?;
        Some((position, missing.clone()))
    })
}

/// An extension that is selected, and what selected it.
#[derive(Clone, Copy)]
pub(super) struct Chosen<'m> {
    pub(super) manifest: &'m Located<Written>,
    pub(super) by: By<'m>,
}

/// The image's lists of what is selected.
const EXTENSIONS: &str = "extensions";
const PROGRAMS: &str = "programs";

/// A program among the image's extensions, or an extension among its programs.
fn in_the_wrong_list(manifest: &Located<Written>, by: &By<'_>) -> Option<Problem> {
    let By::Image(_, list, _) = by else {
        return None;
    };
    let (what, right) = if manifest.value.is_program() {
        ("a program", PROGRAMS)
    } else {
        ("an extension", EXTENSIONS)
    };
    let problem = || {
        let message = format!("`{}` is {what}", manifest.value.name);
        by.problem(message).help(format!("list it under `{right}`"))
    };
    (*list != right).then(problem)
}

/// Where an extension was selected, for pointing at it.
#[derive(Clone, Copy)]
pub(super) enum By<'m> {
    Image(&'m Located<Image>, &'static str, usize),
    Option(&'static str, &'m str),
    /// An extension, by an entry of one of its lists of requirements.
    Required(&'m Located<Written>, &'static str, usize),
}

impl By<'_> {
    pub(super) fn problem(&self, message: String) -> Problem {
        match self {
            Self::Image(image, list, position) => image.problem(&format!("{list}[{position}]"), message),
            Self::Option(option, word) => command_line_problem(option, word, message),
            Self::Required(extension, list, position) => {
                extension.problem(&format!("{list}[{position}]"), message)
            }
        }
    }
}

pub fn chosen<'m>(
    manifests: &'m Manifests,
    image: &'m Located<Image>,
    selection: &'m Selection,
    older: &[&Located<ServerManifest>],
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
        let listed = |list: &'static str, names: &'m [String]| {
            let names = names.iter().enumerate();
            names.map(move |(position, name)| (name.as_str(), By::Image(image, list, position)))
        };
        listed(EXTENSIONS, &image.value.extensions)
            .chain(listed(PROGRAMS, &image.value.programs))
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
            let is_wanted = !selection.without.iter().any(|without| without == name);
            match manifests.draft(name) {
                Some(draft) if is_wanted => problems.extend(draft.problems.iter().cloned()),
                None if !known.contains(&name) => problems.push(unknown(&by, name, &known)),
                _ => {}
            }
            continue;
        };
        problems.extend(in_the_wrong_list(manifest, &by));
        let again = chosen.iter().any(|chosen| chosen.manifest.value.name == name);
        if !again && !selection.without.iter().any(|without| without == name) {
            chosen.push(Chosen { manifest, by });
        }
    }
    chosen
}

/// Those of the candidates that are for a server and can be beside those before them; the others are left out with the
/// reason.
pub fn fitting<'m>(
    candidates: impl Iterator<Item = Chosen<'m>>,
    server: &Located<ServerManifest>,
    postgresql: &Postgresql,
    target: &Target,
    left_out: &mut BTreeMap<String, String>,
) -> Vec<Chosen<'m>> {
    let mut chosen: Vec<Chosen<'m>> = Vec::new();
    for candidate in candidates {
        let mut problems = Vec::new();
        against_server(server, &[candidate], &mut problems);
        extension(&candidate, postgresql, target, &mut problems);
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
            "`{}` conflicts with `{}`: {}",
            one.name, other.name, conflict.reason
        ))
    };
    said_by(&one.value, &other.value).or_else(|| said_by(&other.value, &one.value))
}

/// `chosen` with all that they require and that is not left out by name, each once.
fn with_required<'m>(
    manifests: &'m Manifests,
    mut chosen: Vec<Chosen<'m>>,
    without: &[String],
    upstream: bool,
    problems: &mut Vec<Problem>,
) -> Vec<Chosen<'m>> {
    let mut position = 0;
    while let Some(one) = chosen.get(position) {
        let extension = one.manifest;
        let listed = |list: &'static str, names: &'m [String]| {
            let names = names.iter().enumerate();
            names.map(move |(at, name)| (name, By::Required(extension, list, at)))
        };
        let for_upstream = extension.value.upstream.iter().filter(|_| upstream);
        let required = for_upstream.flat_map(|upstream| listed("upstream.requires", &upstream.requires));
        for (name, by) in listed("requires", &extension.value.requires).chain(required) {
            let others = &manifests.extensions;
            let draft = manifests.draft(name).into_iter();
            problems.extend(draft.flat_map(|draft| draft.problems.iter().cloned()));
            // One that does not exist is a problem of its manifest.
            if let Some(manifest) = others.iter().find(|other| other.value.name == *name)
                && !chosen.iter().any(|chosen| chosen.manifest.value.name == *name)
                && !without.contains(name)
            {
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
        None => problem.help(there_are(known)),
    }
}

/// Conflicts with a name that is nearly that of another extension: a misspelt one protects from nothing. Any other name may
/// be of an extension that the directory does not have.
fn misspelt_conflicts<T>(
    manifests: &Manifests,
    manifest: &Located<T>,
    conflicts: &[Conflict],
    problems: &mut Vec<Problem>,
) {
    let known = manifests.extension_names();
    for (position, Conflict { extension, .. }) in conflicts.iter().enumerate() {
        if let Some(near) = nearest(extension, known.iter().copied()).filter(|near| near != extension) {
            let path = format!("conflicts[{position}].extension");
            let problem = manifest.problem(&path, format!("there is no extension `{extension}`"));
            problems.push(problem.help(format!("did you mean `{near}`?")));
        }
    }
}

/// Selected extensions that a server is known not to work with.
fn against_server(server: &Located<ServerManifest>, chosen: &[Chosen<'_>], problems: &mut Vec<Problem>) {
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
                let name = &extension.value.name;
                let message = format!("`{name}` requires `{required}`, which is left out");
                let problem = extension.problem(&format!("requires[{position}]"), message);
                problems.push(problem.help(format!(
                    "leave out both (--without {required} --without {name}), or neither"
                )));
            }
        }
        misspelt_conflicts(manifests, extension, &extension.value.conflicts, problems);
        for (position, conflict) in extension.value.conflicts.iter().enumerate() {
            if is_selected(&conflict.extension) {
                let (name, other, reason) = (&extension.value.name, &conflict.extension, &conflict.reason);
                let message = format!("`{name}` conflicts with `{other}`: {reason}");
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
pub fn release_for(extension: &Written, major: Option<u16>) -> Option<usize> {
    extension
        .releases
        .iter()
        .position(|release| major.is_some_and(|major| release.postgresql.contains(&major)))
}

/// Every extension after those it requires; otherwise in the order they were selected.
pub fn in_order<'c, 'm>(chosen: &'c [Chosen<'m>]) -> Vec<&'c Chosen<'m>> {
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

/// What keeps an extension from a base, by what its manifest says.
pub fn unsupported_base(chosen: &Chosen<'_>, major: u16, target: &Target) -> Option<Problem> {
    let extension = &chosen.manifest.value;
    let base = &target.distribution;
    let mut entries = extension.unsupported.iter();
    let unsupported = entries.find(|one| {
        one.bases.contains(base) && (one.postgresql.is_empty() || one.postgresql.contains(&major))
    })?;
    let name = &extension.name;
    let message = format!("{name} does not support {base}: {}", unsupported.reason);
    let help = format!("leave it out (--without {name}), or choose another base (--base)");
    Some(chosen.by.problem(message).help(help))
}

pub fn unsupported_major(chosen: &Chosen<'_>, major: u16) -> Problem {
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
        .find(|unsupported| unsupported.bases.is_empty() && unsupported.postgresql.contains(&major))
        .map_or_else(|| releases.join("; "), |unsupported| unsupported.reason.clone());
    let message = format!("{} does not support PostgreSQL {major}: {reason}", extension.name);
    let help = format!(
        "leave it out (--without {}), or choose another PostgreSQL (--pg)",
        extension.name
    );
    chosen.by.problem(message).help(help)
}

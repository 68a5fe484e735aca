//! Checks of every manifest by itself and of all of them together, selected or not.

mod cpu_flags;
mod proof;
mod pruned;
mod variants;

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::interpolate::{Variables, interpolate};
use super::{id, jobs, value};
use crate::digest::{Digest, NotADigest};
use crate::manifest::build::{Build, NamedStep};
use crate::manifest::extension::{Crates, Extension, SqlExtension};
use crate::manifest::image::Image;
use crate::manifest::postgresql::{Postgresql, ServerSource};
use crate::manifest::problem::Problem;
use crate::manifest::python::{Patroni, Python};
use crate::manifest::source::{Packages, Source};
use crate::manifest::{Located, Manifests, nearest, secret};
use crate::target::{Architecture, parse_distribution};

/// What to do where a build would be told how many jobs it runs.
const ONE_JOBSERVER: &str = "leave it out: all builds share one jobserver, which keeps every processor busy";

/// The PostgreSQL majors that this project supports: those that upstream does and will for a while.
pub const MAJORS: [u16; 4] = [15, 16, 17, 18];

/// Every problem that does not depend on the selection.
pub fn manifests(manifests: &Manifests) -> Vec<Problem> {
    let mut problems = Vec::new();
    let names = manifests.extension_names();
    unique(&manifests.postgresql, |m| &m.name, &mut problems);
    unique(&manifests.pythons, |m| &m.name, &mut problems);
    unique(&manifests.patronis, |m| &m.name, &mut problems);
    unique(&manifests.extensions, |m| &m.name, &mut problems);
    for manifest in &manifests.images {
        Checks::of(manifest, &mut problems).image(&manifests.patronis);
    }
    for manifest in &manifests.postgresql {
        let variables = postgresql_variables(&manifest.value, Architecture::Amd64);
        interpolated(manifest, &variables, &mut problems, |checks, value| {
            checks.postgresql(value, &names);
        });
    }
    for manifest in &manifests.pythons {
        Checks::of(manifest, &mut problems).python();
    }
    for manifest in &manifests.patronis {
        let pythons: Vec<&str> = manifests
            .pythons
            .iter()
            .map(|python| python.value.name.as_str())
            .collect();
        Checks::of(manifest, &mut problems).patroni(&pythons);
    }
    for manifest in &manifests.extensions {
        for release in 0..manifest.value.releases.len() {
            let major = manifest.value.releases[release].postgresql[0];
            let version = &manifest.value.releases[release].version;
            let variables = extension_variables(&manifest.value, version, None, major, Architecture::Amd64);
            interpolated(manifest, &variables, &mut problems, |checks, value| {
                checks.release(value, release);
                checks.extension(value, &names);
            });
        }
        Checks::of(manifest, &mut problems).majors();
    }
    circles(&manifests.extensions, &mut problems);
    problems
}

/// The variables of a PostgreSQL manifest.
pub fn postgresql_variables(manifest: &Postgresql, architecture: Architecture) -> Variables {
    Variables::from([
        ("version", manifest.version.clone()),
        ("pg_major", manifest.major.to_string()),
        ("arch", architecture.name().to_owned()),
    ])
}

/// The variables of an extension's manifest for one version and one PostgreSQL. `stage` and `pg_config` are
/// where every build finds them.
pub fn extension_variables(
    extension: &Extension,
    version: &str,
    older_major: Option<u16>,
    major: u16,
    architecture: Architecture,
) -> Variables {
    let mut variables = Variables::from([
        ("pg_major", major.to_string()),
        ("arch", architecture.name().to_owned()),
    ]);
    if !extension.comes_with_postgresql() {
        let stage = crate::layout::stage(&format!("{}-{version}", id(&extension.name, older_major)));
        variables.insert("version", version.to_owned());
        variables.insert("stage", stage);
        variables.insert("pg_config", format!("/usr/lib/postgresql/{major}/bin/pg_config"));
    }
    variables
}

fn interpolated<T: Serialize + DeserializeOwned>(
    manifest: &Located<T>,
    variables: &Variables,
    problems: &mut Vec<Problem>,
    check: impl FnOnce(&mut Checks<'_, T>, &T),
) {
    let (value, unknown) = interpolate(manifest, variables);
    problems.extend(unknown);
    check(&mut Checks::of(manifest, problems), &value);
}

fn unique<T>(manifests: &[Located<T>], name: impl Fn(&T) -> &String, problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for manifest in manifests {
        let name = name(&manifest.value);
        if let Some(first) = seen.insert(name, manifest.file()) {
            let message = format!("the name `{name}` is taken by {first}");
            problems.push(
                manifest
                    .problem("name", message)
                    .help("give one of the two another name"),
            );
        }
        if let Err(wrong) = value::name(name) {
            problems.push(manifest.problem("name", wrong));
        }
    }
}

/// Reports each circle of `requires` once, at the first manifest of it.
fn circles(extensions: &[Located<Extension>], problems: &mut Vec<Problem>) {
    let index: BTreeMap<&str, usize> = extensions
        .iter()
        .enumerate()
        .map(|(at, extension)| (extension.value.name.as_str(), at))
        .collect();
    let index = &index;
    let needs = |at: usize| {
        let names = extensions[at].value.requires.iter();
        names.filter_map(|name| index.get(name.as_str()).copied())
    };
    let mut finished = vec![false; extensions.len()];
    for start in 0..extensions.len() {
        let mut path = vec![(start, needs(start))];
        while let Some((at, rest)) = path.last_mut() {
            let at = *at;
            let Some(next) = rest.next().filter(|_| !finished[at]) else {
                finished[at] = true;
                path.pop();
                continue;
            };
            let Some(from) = path.iter().position(|(on_path, _)| *on_path == next) else {
                path.push((next, needs(next)));
                continue;
            };
            let circle = path[from..].iter().map(|(at, _)| *at).chain([next]);
            let names: Vec<&str> = circle.map(|at| extensions[at].value.name.as_str()).collect();
            let message = format!("these require each other in a circle: {}", names.join(" -> "));
            problems.push(extensions[next].problem("requires", message));
            for (at, _) in &path {
                finished[*at] = true;
            }
        }
    }
}

/// The problems of one manifest.
struct Checks<'a, T> {
    manifest: &'a Located<T>,
    problems: &'a mut Vec<Problem>,
}

impl<'a, T> Checks<'a, T> {
    fn of(manifest: &'a Located<T>, problems: &'a mut Vec<Problem>) -> Self {
        Self { manifest, problems }
    }

    fn at(&mut self, path: &str, result: Result<(), String>) {
        if let Err(wrong) = result {
            self.problems.push(self.manifest.problem(path, wrong));
        }
    }

    fn wrong(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(self.manifest.problem(path, message));
    }

    fn wrong_with_help(&mut self, path: &str, message: String, help: impl Into<String>) {
        self.problems
            .push(self.manifest.problem(path, message).help(help));
    }

    /// Checks each entry of the list at `path`.
    fn each<I>(&mut self, path: &str, items: &[I], check: impl Fn(&I) -> Result<(), String>) {
        for (position, item) in items.iter().enumerate() {
            self.at(&format!("{path}[{position}]"), check(item));
        }
    }

    fn directory(&mut self, path: &str, directory: Option<&String>) {
        if let Some(directory) = directory {
            self.at(&format!("{path}.directory"), value::relative_path(directory));
        }
    }

    fn component(&mut self, version: &str, license: &str, homepage: &str) {
        self.at("version", value::version(version));
        self.license_and_homepage(license, homepage);
    }

    fn license_and_homepage(&mut self, license: &str, homepage: &str) {
        if license.trim().is_empty() {
            self.wrong(
                "license",
                "`license` is empty; write an SPDX expression, such as `PostgreSQL`",
            );
        }
        if secret::find(homepage).is_some() {
            self.holds_a_secret("homepage");
        } else if !homepage.starts_with("https://") && !homepage.starts_with("http://") {
            self.wrong("homepage", format!("`{homepage}` is not a web address"));
        }
    }

    fn packages(&mut self, path: &str, packages: &Packages) {
        for (list, names) in [("build", &packages.build), ("runtime", &packages.runtime)] {
            self.package_names(&format!("{path}.{list}"), names);
        }
        for (list, names) in [
            ("dlopen", &packages.dlopen),
            ("dlopen_optional", &packages.dlopen_optional),
        ] {
            self.each(&format!("{path}.{list}"), names, |name| value::library(name));
        }
        self.each(&format!("{path}.programs"), &packages.programs, |name| {
            value::program(name)
        });
    }

    fn package_names(&mut self, path: &str, names: &[String]) {
        self.each(path, names, |name| value::package_name(name));
    }

    fn source(&mut self, path: &str, source: &Source) {
        let insecure = source.insecure.is_some();
        self.address(&format!("{path}.url"), &source.url, insecure);
        self.digests(path, &source.sha256, source.sha512.as_ref());
        if let Some(directory) = &source.into {
            self.at(&format!("{path}.into"), value::relative_path(directory));
        }
        if let Some(digest) = &source.tar_sha256 {
            self.digest::<32>(&format!("{path}.tar_sha256"), digest);
        }
        for (position, accepted) in source.accepted.iter().enumerate() {
            self.digests(
                &format!("{path}.accepted[{position}]"),
                &accepted.sha256,
                accepted.sha512.as_ref(),
            );
        }
        if source
            .insecure
            .as_ref()
            .is_some_and(|reason| reason.trim().is_empty())
        {
            self.wrong(&format!("{path}.insecure"), "`insecure` must say why");
        }
        for (position, mirror) in source.mirrors.iter().enumerate() {
            if let Some(address) = &mirror.url {
                self.address(&format!("{path}.mirrors[{position}].url"), address, insecure);
            }
            if let Some(pool) = &mirror.debian {
                self.at(
                    &format!("{path}.mirrors[{position}].debian"),
                    value::relative_path(pool),
                );
            }
        }
    }

    /// The archives of one build. Only a further one can go into a directory of the first.
    fn sources(&mut self, path: &str, sources: &[Source]) {
        for (position, source) in sources.iter().enumerate() {
            let path = format!("{path}.sources[{position}]");
            self.source(&path, source);
            if position == 0 && source.into.is_some() {
                self.no_tree_to_extract_into(&path);
            }
        }
    }

    /// Refuses `into` where no earlier archive has made a tree.
    fn no_tree_to_extract_into(&mut self, path: &str) {
        let message = "the first archive makes the source tree; `into` is for further ones";
        self.at(&format!("{path}.into"), Err(message.to_owned()));
    }

    /// Credentials at `path`. The message does not repeat them, and the line that is shown has them masked.
    fn holds_a_secret(&mut self, path: &str) {
        let help = "write the address without them: plans, receipts and bills of materials repeat it. What needs credentials is \
                    fetched beforehand, into a directory for --vendor";
        self.wrong_with_help(
            path,
            "an address must not have credentials".to_owned(),
            help.to_owned(),
        );
    }

    fn address(&mut self, path: &str, address: &str, insecure: bool) {
        if secret::find(address).is_some() {
            self.holds_a_secret(path);
            return;
        }
        let plain = address.strip_prefix("http://");
        if plain.is_some() && !insecure {
            let help = "write https, or say under `insecure` why http is good enough".to_owned();
            self.wrong_with_help(path, format!("`{address}` is not encrypted"), help);
            return;
        }
        let rest = address.strip_prefix("https://").or(plain).unwrap_or_default();
        let host = rest.split('/').next().unwrap_or_default();
        if host.is_empty() || !rest.contains('/') || rest.ends_with('/') || rest.contains(char::is_whitespace)
        {
            self.wrong(path, format!("`{address}` must be an https address of a file"));
        }
    }

    fn digests(&mut self, path: &str, sha256: &str, sha512: Option<&String>) {
        self.digest::<32>(&format!("{path}.sha256"), sha256);
        if let Some(sha512) = sha512 {
            self.digest::<64>(&format!("{path}.sha512"), sha512);
        }
    }

    fn digest<const BYTES: usize>(&mut self, path: &str, text: &str) {
        let wrong = |error: NotADigest| format!("`{path}` is not valid: {error}");
        self.at(path, text.parse::<Digest<BYTES>>().map(drop).map_err(wrong));
    }

    fn names(&mut self, path: &str, names: &[String], known: &[&str], what: &str) {
        for (position, name) in names.iter().enumerate() {
            self.known(&format!("{path}[{position}]"), name, known, what);
        }
    }

    fn known(&mut self, path: &str, name: &str, known: &[&str], what: &str) {
        if !known.contains(&name) {
            let help = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => super::there_are(known),
            };
            self.wrong_with_help(path, format!("there is no {what} `{name}`"), help);
        }
    }

    fn settings(&mut self, path: &str, settings: &BTreeMap<String, String>) {
        for (name, setting) in settings {
            let path = format!("{path}.{name}");
            if let Err(wrong) = value::setting_name(name) {
                self.problems.push(self.manifest.problem_with_key(&path, wrong));
            }
            self.at(&path, value::setting_value(setting));
            if name == "shared_preload_libraries" {
                let help =
                    "name the extensions in the image's `preload`; pgsetup merges and orders their libraries";
                let problem = self
                    .manifest
                    .problem_with_key(&path, "this setting is made from `preload`")
                    .help(help);
                self.problems.push(problem);
            }
        }
    }

    /// Arguments of `program`, or a command whose first argument is its program.
    fn arguments(&mut self, path: &str, program: Option<&str>, arguments: &[String]) {
        for (position, wrong) in jobs::problems(program, arguments) {
            self.wrong_with_help(&format!("{path}[{position}]"), wrong, ONE_JOBSERVER);
        }
    }

    fn environment(&mut self, path: &str, environment: &BTreeMap<String, String>) {
        for (name, value) in environment {
            let path = format!("{path}.{name}");
            if let Some(wrong) = jobs::of_name(name) {
                let problem = self.manifest.problem_with_key(&path, wrong);
                self.problems.push(problem.help(ONE_JOBSERVER));
            } else if let Some(wrong) = jobs::of_value(value) {
                self.wrong_with_help(&path, wrong, ONE_JOBSERVER);
            }
        }
    }

    fn build(&mut self, path: &str, build: &Build) {
        if let Some(pgxs) = &build.pgxs {
            self.arguments(&format!("{path}.pgxs.make"), Some("make"), &pgxs.make);
            self.environment(&format!("{path}.pgxs.environment"), &pgxs.environment);
            self.directory(&format!("{path}.pgxs"), pgxs.directory.as_ref());
        }
        if let Some(autoconf) = &build.autoconf {
            self.arguments(&format!("{path}.autoconf.make"), Some("make"), &autoconf.make);
            self.arguments(
                &format!("{path}.autoconf.install"),
                Some("make"),
                &autoconf.install,
            );
            self.arguments(&format!("{path}.autoconf.configure"), None, &autoconf.configure);
            self.environment(&format!("{path}.autoconf.environment"), &autoconf.environment);
        }
        if let Some(cmake) = &build.cmake {
            self.arguments(&format!("{path}.cmake.configure"), None, &cmake.configure);
            self.environment(&format!("{path}.cmake.environment"), &cmake.environment);
        }
        if let Some(meson) = &build.meson {
            self.arguments(&format!("{path}.meson.configure"), None, &meson.configure);
            self.environment(&format!("{path}.meson.environment"), &meson.environment);
        }
        if let Some(pgrx) = &build.pgrx {
            self.environment(&format!("{path}.pgrx.environment"), &pgrx.environment);
            self.directory(&format!("{path}.pgrx"), pgrx.directory.as_ref());
        }
        if let Some(cargo) = &build.cargo {
            self.steps(&format!("{path}.cargo.steps"), &cargo.steps);
        }
        self.steps(
            &format!("{path}.steps"),
            build.steps.as_deref().unwrap_or_default(),
        );
    }

    /// The crates of one version: there where Cargo builds it, and with the tool that the build calls.
    fn crates(&mut self, path: &str, crates: Option<&Crates>, build: &Build) {
        let Some(crates) = crates else {
            if build.is_rust() {
                let message = "Cargo builds it, and `crates` with the digest of its `Cargo.lock` is missing";
                self.wrong(path, message);
            }
            return;
        };
        let path = format!("{path}.crates");
        self.digest::<32>(&format!("{path}.lock"), &crates.lock);
        if let Some(tool) = &crates.cargo_pgrx {
            let path = format!("{path}.cargo_pgrx");
            self.at(&format!("{path}.version"), value::version(&tool.version));
            self.digest::<32>(&format!("{path}.sha256"), &tool.sha256);
            self.digest::<32>(&format!("{path}.lock"), &tool.lock);
        }
        if !build.is_rust() {
            self.wrong(&path, "`crates` is for `build: pgrx` and `build: cargo`");
        } else if build.pgrx.is_some() && crates.cargo_pgrx.is_none() {
            self.wrong(
                &path,
                "`build: pgrx` needs `cargo_pgrx`, with its version and digests",
            );
        }
    }

    fn steps(&mut self, path: &str, steps: &[NamedStep]) {
        let is_for_ninja = |step: &NamedStep| {
            let mut words = step.run.iter().chain(step.environment.values());
            words.any(|word| value::is_for_ninja(word))
        };
        let has_ninja_tree = steps.iter().any(is_for_ninja);
        for (position, step) in steps.iter().enumerate() {
            self.ninja(&format!("{path}[{position}].run"), step, has_ninja_tree);
            self.arguments(&format!("{path}[{position}].run"), None, &step.run);
            self.environment(&format!("{path}[{position}].environment"), &step.environment);
            self.directory(&format!("{path}[{position}]"), step.directory.as_ref());
        }
    }

    /// Rejects calls of ninja that are not told their number of jobs.
    fn ninja(&mut self, path: &str, step: &NamedStep, has_ninja_tree: bool) {
        for (position, argument) in step.run.iter().enumerate() {
            let path = format!("{path}[{position}]");
            if position > 0
                && !step.is_told_jobs()
                && let Err(wrong) = value::script(argument)
            {
                let help =
                    "make it a step of its own, such as `run: [ninja, -C, build]`: that is told its jobs";
                self.wrong_with_help(&path, wrong, help.to_owned());
            }
            if has_ninja_tree && argument.split_whitespace().any(|word| word == "--build") {
                let wrong = "`cmake --build` of a tree for ninja runs a job for each processor".to_owned();
                let help = "write `run: [ninja, -C, build]`, which is told its jobs, or let cmake write makefiles: `-G, Unix Makefiles`";
                self.wrong_with_help(&path, wrong, help.to_owned());
            }
        }
    }

    fn provides(&mut self, path: &str, provides: &[SqlExtension]) {
        for (position, provided) in provides.iter().enumerate() {
            if provided.name.is_empty() || provided.name.contains(['/', '"', '\'']) {
                let message = format!("`{}` cannot be an SQL extension's name", provided.name);
                self.wrong(&format!("{path}.provides[{position}].name"), message);
            }
        }
    }
}

impl Checks<'_, Image> {
    fn image(&mut self, patronis: &[Located<Patroni>]) {
        let image = &self.manifest.value;
        self.at("name", value::name(&image.name));
        self.at("base", parse_distribution(&image.base).map(drop));
        self.at("user.name", value::user_name(&image.user.name));
        for (key, id) in [("uid", image.user.uid), ("gid", image.user.gid)] {
            // 0 is root, and 65534 is the user nobody.
            if id == 0 || id >= 65534 {
                self.wrong(
                    &format!("user.{key}"),
                    format!("`{id}` must be between 1 and 65533"),
                );
            }
        }
        self.at("user.home", value::absolute_path(&image.user.home, &[]));
        self.at("user.shell", value::absolute_path(&image.user.shell, &[]));
        self.at(
            "configuration",
            value::absolute_path(&image.configuration, &["/etc/postgresql"]),
        );
        self.settings("settings", &image.settings);
        self.packages("packages", &image.packages);
        self.variants(image, |checks, path, variant| {
            checks.packages(&format!("{path}.packages"), &variant.packages);
        });
        self.each("snapshot", &image.snapshot, |address| {
            let mut schemes = ["https://", "http://"].into_iter();
            let host = schemes.find_map(|scheme| address.strip_prefix(scheme));
            let fits = host.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace));
            let complaint = || {
                format!(
                    "`{address}` is not the address of a dated archive, such as \
                     `http://snapshot.example/archive/debian/20261201T000000Z`"
                )
            };
            if fits { Ok(()) } else { Err(complaint()) }
        });
        self.each("prune.package_paths", &image.prune.package_paths, |path| {
            let fits = path.starts_with('/') && !path.contains(char::is_whitespace);
            let complaint = || {
                format!("`{path}` is not an absolute path or a pattern of one, such as `/usr/share/man/*`")
            };
            fits.then_some(()).ok_or_else(complaint)
        });
        for (position, directory) in image.directories.iter().enumerate() {
            let path = format!("directories[{position}]");
            self.at(
                &format!("{path}.path"),
                value::absolute_path(&directory.path, &[]),
            );
            self.at(&format!("{path}.mode"), value::mode(&directory.mode).map(drop));
            if let Some(owner) = &directory.owner {
                self.known(
                    &format!("{path}.owner"),
                    owner,
                    &["root", &image.user.name],
                    "owner",
                );
            }
        }
        self.pruned(patronis);
        for (list, names) in [("extensions", &image.extensions), ("programs", &image.programs)] {
            for (position, name) in names.iter().enumerate() {
                if names[..position].contains(name) {
                    self.wrong(
                        &format!("{list}[{position}]"),
                        format!("`{name}` is listed twice"),
                    );
                }
            }
        }
    }
}

impl Checks<'_, Postgresql> {
    fn postgresql(&mut self, manifest: &Postgresql, extensions: &[&str]) {
        self.component(&manifest.version, &manifest.license, &manifest.homepage);
        self.packages("packages", &manifest.packages);
        self.packages("jit.packages", &manifest.jit.packages);
        if let Some(upstream) = &manifest.upstream {
            self.upstream("upstream", upstream, &[manifest.major], extensions);
        }
        self.arguments("configure", None, &manifest.configure);
        self.each("leave_out", &manifest.leave_out, |path| {
            value::relative_path(path)
        });
        self.environment("environment", &manifest.environment);
        self.cpu_flags(&manifest.cpu_flags);
        self.package_names("development", &manifest.development);
        self.package_names("jit.development", &manifest.jit.development);
        self.each("bases", &manifest.bases, |base| {
            parse_distribution(base).map(drop)
        });
        self.variants(manifest, |checks, path, variant| {
            checks.arguments(&format!("{path}.configure"), None, &variant.configure);
            checks.arguments(&format!("{path}.jit.configure"), None, &variant.jit.configure);
            checks.environment(&format!("{path}.environment"), &variant.environment);
            checks.packages(&format!("{path}.packages"), &variant.packages);
            checks.packages(&format!("{path}.jit.packages"), &variant.jit.packages);
            checks.package_names(&format!("{path}.development"), &variant.development);
            checks.package_names(&format!("{path}.jit.development"), &variant.jit.development);
        });
        if !MAJORS.contains(&manifest.major) {
            let majors = MAJORS.map(|major| major.to_string()).join(", ");
            self.wrong(
                "major",
                format!("PostgreSQL {} is not supported: {majors}", manifest.major),
            );
        }
        if manifest.version.split('.').next() != Some(manifest.major.to_string().as_str()) {
            let message = format!(
                "version `{}` is not of major {}",
                manifest.version, manifest.major
            );
            self.wrong("version", message);
        }
        match (manifest.source, &manifest.archive) {
            (ServerSource::Archive, Some(source)) => {
                self.source("archive", source);
                if source.into.is_some() {
                    self.no_tree_to_extract_into("archive");
                }
            }
            (ServerSource::Archive, None) => {
                self.wrong("source", "`source: archive` needs `archive`");
            }
            (ServerSource::Apt, None) => {
                if manifest.packages.runtime.is_empty() {
                    let message = "`source: apt` needs the server's packages in `packages.runtime`";
                    self.wrong("source", message);
                }
            }
            (ServerSource::Apt, Some(_)) => {
                self.wrong(
                    "archive",
                    "`source: apt` installs packages; it takes no `archive`",
                );
            }
        }
    }
}

impl Checks<'_, Python> {
    fn python(&mut self) {
        let python = &self.manifest.value;
        self.packages("packages", &python.packages);
        self.numbers("version", python.version.as_ref());
        self.numbers("glibc", python.glibc.as_ref());
        self.variants(python, |checks, path, variant| {
            checks.numbers(&format!("{path}.version"), variant.version.as_ref());
            checks.numbers(&format!("{path}.glibc"), variant.glibc.as_ref());
            checks.packages(&format!("{path}.packages"), &variant.packages);
        });
        self.at(
            "interpreter",
            value::absolute_path(&python.interpreter, &["/usr"]),
        );
    }
}

impl Checks<'_, Patroni> {
    fn patroni(&mut self, pythons: &[&str]) {
        let patroni = &self.manifest.value;
        self.component(&patroni.version, &patroni.license, &patroni.homepage);
        self.packages("packages", &patroni.packages);
        self.variants(patroni, |checks, path, variant| {
            checks.packages(&format!("{path}.packages"), &variant.packages);
        });
        self.at("directory", value::absolute_path(&patroni.directory, &["/opt"]));
        self.known("python", &patroni.python, pythons, "python");
        for (position, distribution) in patroni.distributions.iter().enumerate() {
            let path = format!("distributions[{position}]");
            self.at(&format!("{path}.version"), value::version(&distribution.version));
            for (position, file) in distribution.files.iter().enumerate() {
                let path = format!("{path}.files[{position}]");
                self.digest::<32>(&format!("{path}.sha256"), &file.sha256);
                if file.file.contains('/') {
                    self.wrong(
                        &format!("{path}.file"),
                        format!("`{}` must be a file name", file.file),
                    );
                }
            }
        }
    }
}

impl Checks<'_, Extension> {
    fn release(&mut self, extension: &Extension, position: usize) {
        let path = format!("releases[{position}]");
        let release = &extension.releases[position];
        if !extension.comes_with_postgresql() {
            self.at(&format!("{path}.version"), value::version(&release.version));
        }
        self.sources(&path, &release.sources);
        self.crates(&path, release.crates.as_ref(), &extension.build);
        self.provides(&path, &release.provides);
    }

    fn extension(&mut self, extension: &Extension, names: &[&str]) {
        self.license_and_homepage(&extension.license, &extension.homepage);
        self.packages("packages", &extension.packages);
        self.build("build", &extension.build);
        self.variants(extension, |checks, path, variant| {
            checks.packages(&format!("{path}.packages"), &variant.packages);
            if let Some(build) = &variant.build {
                checks.build(&format!("{path}.build"), build);
                if build.system() != extension.build.system() {
                    let message = format!(
                        "a variant adds to the build, which is `{}`, and cannot be `{}`",
                        extension.build.system(),
                        build.system()
                    );
                    checks.wrong(&format!("{path}.build"), message);
                }
            }
        });
        self.cpu_flags(&extension.cpu_flags);
        if let Some(reason) = &extension.root {
            self.says_something("root", reason);
        }
        self.settings("settings", &extension.settings);
        self.each("architectures", &extension.architectures, |name| {
            name.parse::<Architecture>().map(drop)
        });
        self.names("requires", &extension.requires, names, "extension");
        if let Some(preload) = &extension.preload {
            self.names("preload.after", &preload.after, names, "extension");
        }
        self.proof(extension, names);
    }

    /// Every major at most once, and only majors that exist.
    fn majors(&mut self) {
        let mut taken: BTreeMap<u16, String> = BTreeMap::new();
        for (position, release) in self.manifest.value.releases.iter().enumerate() {
            for (at, major) in release.postgresql.iter().enumerate() {
                let path = format!("releases[{position}].postgresql[{at}]");
                if !MAJORS.contains(major) {
                    let majors = MAJORS.map(|major| major.to_string()).join(", ");
                    self.wrong(&path, format!("PostgreSQL {major} is not supported: {majors}"));
                }
                if let Some(version) = taken.insert(*major, release.version.clone()) {
                    let message = match version.as_str() {
                        "" => format!("PostgreSQL {major} is already in an earlier entry"),
                        version => format!("PostgreSQL {major} is already served by release {version}"),
                    };
                    self.wrong(&path, message);
                }
            }
        }
        for (position, unsupported) in self.manifest.value.unsupported.iter().enumerate() {
            let path = format!("unsupported[{position}]");
            if unsupported.postgresql.is_empty() && unsupported.bases.is_empty() {
                self.wrong(&path, format!("`{path}` needs `postgresql`, `bases` or both"));
            }
            self.each(&format!("{path}.bases"), &unsupported.bases, |base| {
                parse_distribution(base).map(drop)
            });
            if !unsupported.bases.is_empty() {
                continue;
            }
            for (at, major) in unsupported.postgresql.iter().enumerate() {
                let path = format!("unsupported[{position}].postgresql[{at}]");
                if taken.contains_key(major) {
                    let message = format!("PostgreSQL {major} is in a release as well");
                    self.wrong(&path, message);
                }
            }
        }
    }
}

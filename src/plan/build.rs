//! Builds the plan of a resolved image.

use std::collections::BTreeMap;

use super::{Action, Build, Lane, Phase, Plan, Step, TryOut, WantedPackage, python, recipe};
use crate::command::Command;
use crate::layout;
use crate::manifest::postgresql::Origin;
use crate::manifest::source::Packages;
use crate::resolve::{Declared, Extension, Patroni, Resolved, Setting, Source};

/// The plan that installs `resolved`.
pub fn build(resolved: &Resolved) -> Plan {
    let mut plan = Builder {
        resolved,
        steps: Vec::new(),
        packages: packages(resolved),
    };
    plan.build();
    let Builder { steps, packages, .. } = plan;
    Plan {
        target: resolved.target.clone(),
        image: resolved.name.clone(),
        steps,
        packages,
        leaves: leaves(resolved),
    }
}

struct Builder<'a> {
    resolved: &'a Resolved,
    steps: Vec<Step>,
    packages: Vec<WantedPackage>,
}

/// A step's position.
type Id = usize;

impl Builder<'_> {
    /// Adds a step and returns its position. `weight` is in seconds.
    fn step(&mut self, name: impl Into<String>, lane: Lane, weight: u32, needs: &[Id], action: Action) -> Id {
        let mut needs = needs.to_vec();
        needs.sort_unstable();
        needs.dedup();
        self.steps.push(Step {
            name: name.into(),
            lane,
            needs,
            why: Vec::new(),
            weight,
            action,
        });
        self.steps.len() - 1
    }

    fn because(&mut self, id: Id, why: impl Into<String>) {
        self.steps[id].why.push(why.into());
    }

    fn build(&mut self) {
        let resolved = self.resolved;
        let user = &resolved.user;
        let record = self.step(
            "record the base's packages",
            Lane::Dpkg,
            1,
            &[],
            Action::RecordBase,
        );
        self.because(record, "what the base has stays, whatever is removed at the end");

        let name = format!("create user {} ({}:{})", user.name, user.uid, user.gid);
        let create_user = self.step(name, Lane::Files, 1, &[record], Action::CreateUser(user.clone()));
        let sources: Vec<(String, Vec<Id>)> = self.fetches();
        let tools = self.packages_installed(record, create_user);
        // After the packages: Debian's servers have scripts that give /var/log/postgresql other rights.
        let directories = Action::CreateDirectories {
            directories: resolved.directories.clone(),
            user: user.clone(),
        };
        let directories = self.step("create directories", Lane::Files, 1, &[tools], directories);
        let server = self.server(&sources, tools);
        let mut installed: Vec<Id> = vec![server, directories];
        for extension in &resolved.extensions {
            installed.push(self.extension(extension, &sources, tools, server));
        }
        if let Some(patroni) = &resolved.patroni {
            installed.push(self.patroni(patroni, tools, server));
        }
        if let Some(locale) = compiled_locale(&resolved.locale) {
            installed.push(self.step(
                format!("compile locale {}", resolved.locale),
                Lane::Cpu,
                2,
                &[tools],
                Action::Run(vec![locale]),
            ));
        }
        let text = configuration(&resolved.settings);
        let write = Action::WriteFile {
            path: resolved.configuration.clone(),
            text,
        };
        let name = format!("write {}", resolved.configuration);
        let configuration = self.step(name, Lane::Files, 1, &[directories], write);
        for setting in &resolved.settings {
            self.because(
                configuration,
                format!("{} = {}: {}", setting.name, setting.value, setting.wanted_by),
            );
        }
        installed.push(configuration);
        self.finish(&installed);
    }

    /// A download for every archive, longest build first.
    fn fetches(&mut self) -> Vec<(String, Vec<Id>)> {
        let resolved = self.resolved;
        let postgresql = &resolved.postgresql;
        let server = (
            postgresql.component.slug(),
            postgresql.source.iter().collect::<Vec<_>>(),
        );
        let extensions = resolved
            .extensions
            .iter()
            .filter(|extension| !extension.comes_with_postgresql())
            .map(|e| (e.component.slug(), e.sources.iter().collect()));
        let all: Vec<(String, Vec<&Source>)> = std::iter::once(server).chain(extensions).collect();
        let mut fetches = Vec::new();
        for (slug, sources) in all {
            let several = sources.len() > 1;
            let mut ids = Vec::new();
            for (position, source) in sources.into_iter().enumerate() {
                let part = if several {
                    format!(", archive {}", position + 1)
                } else {
                    String::new()
                };
                let name = format!("fetch {}{part}", source.title);
                ids.push(self.step(name, Lane::Net, 3, &[], Action::Fetch(source.clone())));
            }
            fetches.push((slug, ids));
        }
        fetches
    }

    /// Run-time packages first: they are marked as wanted, and what is left over is the build's.
    fn packages_installed(&mut self, record: Id, create_user: Id) -> Id {
        let update = self.step(
            "update package lists",
            Lane::Dpkg,
            3,
            &[record],
            Action::Run(vec![Command::new(
                "apt-get",
                ["update", "--quiet", "--error-on=any"],
            )]),
        );
        let mut ready = vec![update, create_user];
        if self.resolved.postgresql.origin == Origin::Apt {
            // Debian's package otherwise makes a cluster of its own as soon as it is installed.
            let (path, text) = (
                "/etc/postgresql-common/createcluster.conf",
                "create_main_cluster = false\n",
            );
            let write = Action::WriteFile {
                path: path.to_owned(),
                text: text.to_owned(),
            };
            ready.push(self.step(format!("write {path}"), Lane::Files, 1, &[record], write));
        }
        if !self.resolved.prune.package_paths.is_empty() {
            let path = layout::DPKG_CONFIGURATION;
            let write = Action::WriteFile {
                path: path.to_owned(),
                text: dpkg_configuration(&self.resolved.prune.package_paths),
            };
            let write = self.step(format!("write {path}"), Lane::Files, 1, &[record], write);
            self.because(
                write,
                "dpkg unpacks no file of a package that the image's policy leaves out",
            );
            ready.push(write);
        }
        let mut last = update;
        for (phase, name) in [(Phase::Runtime, "run-time"), (Phase::Build, "build")] {
            let wanted: Vec<&WantedPackage> = self.packages.iter().filter(|p| p.phase == phase).collect();
            if wanted.is_empty() {
                continue;
            }
            let install = install_packages(wanted.iter().map(|package| package.name.as_str()));
            let why: Vec<String> = wanted
                .iter()
                .map(|package| {
                    format!(
                        "{name} package {}: {}",
                        package.name,
                        package.wanted_by.join(", ")
                    )
                })
                .collect();
            last = self.step(
                format!("install {name} packages"),
                Lane::Dpkg,
                15,
                &ready,
                Action::Run(vec![install]),
            );
            self.steps[last].why = why;
            ready = vec![last];
        }
        last
    }

    fn server(&mut self, sources: &[(String, Vec<Id>)], tools: Id) -> Id {
        let postgresql = &self.resolved.postgresql;
        let Some(source) = &postgresql.source else {
            return tools;
        };
        let commands = recipe::postgresql(postgresql);
        let slug = postgresql.component.slug();
        let installed = self.compiled(
            &postgresql.component.title(),
            &slug,
            vec![source.clone()],
            commands,
            200,
            sources,
            &[tools],
        );
        self.because(
            installed,
            format!("the image selects PostgreSQL {}", postgresql.major),
        );
        installed
    }

    fn extension(
        &mut self,
        extension: &Extension,
        sources: &[(String, Vec<Id>)],
        tools: Id,
        server: Id,
    ) -> Id {
        if extension.comes_with_postgresql() {
            let why = format!("{}; {}", extension.component.name, brings(extension));
            self.because(server, why);
            return server;
        }
        let title = extension.component.title();
        let commands = recipe::extension(extension, &self.resolved.postgresql);
        let slug = extension.component.slug();
        let archives = extension.sources.clone();
        let installed = self.compiled(&title, &slug, archives, commands, 10, sources, &[tools, server]);
        self.because(installed, format!("selected; {}", brings(extension)));
        installed
    }

    /// A build and the installation of what it staged.
    #[allow(clippy::too_many_arguments)]
    fn compiled(
        &mut self,
        title: &str,
        slug: &str,
        archives: Vec<Source>,
        commands: Vec<Command>,
        weight: u32,
        sources: &[(String, Vec<Id>)],
        after: &[Id],
    ) -> Id {
        let fetched = sources
            .iter()
            .filter(|(name, _)| name == slug)
            .flat_map(|(_, ids)| ids.iter().copied());
        let needs: Vec<Id> = fetched.chain(after.iter().copied()).collect();
        let prune = self.resolved.prune.clone();
        let build = Build {
            component: slug.to_owned(),
            name: title.split(' ').next().unwrap_or(title).to_owned(),
            sources: archives,
            commands,
            prune,
        };
        let build = self.step(
            format!("build {title}"),
            Lane::Cpu,
            weight,
            &needs,
            Action::Build(build),
        );
        let install = Action::Install {
            component: slug.to_owned(),
        };
        self.step(format!("install {title}"), Lane::Files, 1, &[build], install)
    }

    fn patroni(&mut self, patroni: &Patroni, tools: Id, server: Id) -> Id {
        let title = patroni.component.title();
        let postgresql = &self.resolved.postgresql;
        let fetch = Action::FetchDistributions(python::fetch(patroni, postgresql));
        let name = format!("fetch {title} and what it needs");
        let fetch = self.step(name, Lane::Net, 5, &[tools, server], fetch);
        let installation =
            Action::InstallPatroni(python::installation(patroni, postgresql, &self.resolved.prune));
        let install = self.step(format!("install {title}"), Lane::Cpu, 15, &[fetch], installation);
        for distribution in &patroni.distributions {
            self.because(
                install,
                format!(
                    "{} {}: {}",
                    distribution.name, distribution.version, distribution.license
                ),
            );
        }
        install
    }

    /// Everything that comes after all is installed, one after the other.
    fn finish(&mut self, installed: &[Id]) {
        let resolved = self.resolved;
        let policy = &resolved.prune;
        // Before the packages: nothing must stay for the sake of a file that goes.
        let prune = self.step(
            "prune files",
            Lane::Files,
            1,
            installed,
            Action::Prune(policy.clone()),
        );
        let kinds: Vec<&str> = policy.remove.iter().map(|removal| removal.name()).collect();
        self.because(prune, format!("the image's policy: {}", kinds.join(", ")));
        let mut last = prune;
        if !resolved.keep_build_packages {
            let keep: Vec<WantedPackage> = self
                .packages
                .iter()
                .filter(|package| package.phase == Phase::Runtime)
                .cloned()
                .collect();
            let remove = Action::RemoveBuildPackages {
                keep,
                declared: resolved.declared(),
            };
            last = self.step("remove build packages", Lane::Dpkg, 10, &[last], remove);
            self.because(
                last,
                "besides the run-time packages, those stay that hold a shared library in use",
            );
        }
        let leftovers = Action::RemoveLeftovers(policy.clone());
        last = self.step("remove leftovers", Lane::Files, 1, &[last], leftovers);
        let check = self.step(
            "check shared libraries",
            Lane::Files,
            1,
            &[last],
            Action::CheckLibraries {
                declared: resolved.declared(),
            },
        );
        self.because(check, "nothing that was removed may be missed");
        let Declared {
            libraries, programs, ..
        } = resolved.declared();
        for (library, by) in libraries {
            self.because(check, format!("{library} is opened by {}", by.join(", ")));
        }
        for (program, by) in programs {
            self.because(check, format!("{program} is called by {}", by.join(", ")));
        }
        let try_out = TryOut {
            programs: format!("{}/bin", resolved.postgresql.prefix()),
            user: resolved.user.clone(),
            locale: resolved.locale.clone(),
            configuration: resolved.configuration.clone(),
            settings: test_settings(resolved),
            extensions: resolved.extensions.clone(),
        };
        let try_out = self.step(
            "try every extension in a throw-away cluster",
            Lane::Cpu,
            10,
            &[check],
            Action::TryOut(Box::new(try_out)),
        );
        self.step(
            format!("write {}/receipt.json", layout::RECORDS),
            Lane::Files,
            1,
            &[try_out],
            Action::WriteReceipt(Box::new(resolved.clone())),
        );
    }
}

fn install_packages<'p>(packages: impl Iterator<Item = &'p str>) -> Command {
    let options = ["install", "--yes", "--quiet", "--no-install-recommends"];
    // Ask the same question of dpkg every time: keep a configuration file that is there.
    let dpkg = ["-o", "Dpkg::Options::=--force-confold", "-o", "Dpkg::Use-Pty=0"];
    Command::new("apt-get", options)
        .args(dpkg)
        .args(packages.map(str::to_owned))
}

/// Every package of the image with what wants it, by name. What is wanted at run time is not a build package.
fn packages(resolved: &Resolved) -> Vec<WantedPackage> {
    let mut wanted: BTreeMap<(Phase, String), Vec<String>> = BTreeMap::new();
    let mut add = |packages: &Packages, who: &str| {
        for (phase, names) in [
            (Phase::Runtime, &packages.runtime),
            (Phase::Build, &packages.build),
        ] {
            for name in names {
                let list = wanted.entry((phase, name.clone())).or_default();
                if !list.iter().any(|known| known == who) {
                    list.push(who.to_owned());
                }
            }
        }
    };
    for (who, packages) in resolved.packages() {
        add(packages, who);
    }
    if compiled_locale(&resolved.locale).is_some() {
        add(
            &Packages {
                build: vec!["locales".to_owned()],
                ..Packages::default()
            },
            "locale",
        );
    }
    let runtime: Vec<String> = wanted
        .keys()
        .filter(|(phase, _)| *phase == Phase::Runtime)
        .map(|(_, name)| name.clone())
        .collect();
    wanted
        .into_iter()
        .filter(|((phase, name), _)| *phase == Phase::Runtime || !runtime.contains(name))
        .map(|((phase, name), wanted_by)| WantedPackage {
            name,
            phase,
            wanted_by,
        })
        .collect()
}

/// The command that compiles a locale, for those that the C library does not bring.
fn compiled_locale(locale: &str) -> Option<Command> {
    if matches!(locale, "C" | "POSIX" | "C.UTF-8" | "C.utf8") {
        return None;
    }
    let (name, charset) = locale.split_once('.').unwrap_or((locale, "UTF-8"));
    Some(Command::new(
        "localedef",
        ["--inputfile", name, "--charmap", charset, locale],
    ))
}

/// The text of the file with the image's settings. Values are quoted as postgresql.conf wants it.
fn configuration(settings: &[Setting]) -> String {
    let mut text =
        "# Settings of this image, written by pgsetup from its manifests. The server's own configuration\n\
                    # file, ALTER SYSTEM and the command line override them.\n"
            .to_owned();
    for setting in settings {
        text.push_str(&format!(
            "{} = '{}'\n",
            setting.name,
            setting.value.replace('\'', "''")
        ));
    }
    text
}

/// The text of dpkg's configuration that leaves out `paths`. Of two lines that fit, dpkg obeys the last.
fn dpkg_configuration(paths: &[String]) -> String {
    let excludes: String = paths
        .iter()
        .map(|path| format!("path-exclude={path}\n"))
        .collect();
    format!(
        "# Files of packages that this image does without, written by pgsetup from its manifests.\n{excludes}\
         path-include=/usr/share/doc/*/copyright\n"
    )
}

/// Settings of the throw-away cluster besides the image's: what tests need, and every library that an extension
/// wants loaded, those that the image does not load after those it does.
fn test_settings(resolved: &Resolved) -> BTreeMap<String, String> {
    let mut settings: BTreeMap<String, String> = resolved
        .extensions
        .iter()
        .flat_map(|extension| extension.test_settings.clone())
        .collect();
    let mut libraries = resolved.preload.clone();
    for library in resolved
        .extensions
        .iter()
        .flat_map(|extension| &extension.preload)
    {
        if !libraries.contains(library) {
            libraries.push(library.clone());
        }
    }
    settings.insert("shared_preload_libraries".to_owned(), libraries.join(","));
    settings
}

/// What an extension brings, for people.
fn brings(extension: &Extension) -> String {
    let sql = extension
        .provides
        .iter()
        .map(|sql| format!("{} {}", sql.name, sql.default_version));
    match sql.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "a library to load".to_owned(),
        sql => format!("SQL: {sql}"),
    }
}

/// What is in the image when it is done, a line each.
pub fn leaves(resolved: &Resolved) -> Vec<String> {
    let postgresql = &resolved.postgresql;
    let mut leaves = vec![format!(
        "{} in {}",
        postgresql.component.title(),
        postgresql.prefix()
    )];
    for extension in &resolved.extensions {
        leaves.push(format!("{} ({})", extension.component.title(), brings(extension)));
    }
    if let Some(patroni) = &resolved.patroni {
        leaves.push(format!("{} in {}", patroni.component.title(), patroni.directory));
    }
    leaves.push(format!("settings in {}", resolved.configuration));
    leaves.push(format!(
        "user {} ({}:{})",
        resolved.user.name, resolved.user.uid, resolved.user.gid
    ));
    for (name, reason) in &resolved.left_out {
        leaves.push(format!("not {name}, whose source could not be had: {reason}"));
    }
    leaves.push(format!(
        "the record of it all in {}/receipt.json",
        layout::RECORDS
    ));
    leaves
}

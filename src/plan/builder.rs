//! Builds a plan step by step, for installations and tests.

use std::collections::BTreeMap;

use super::{
    Action, Build, CrateFetch, Lane, PackageInstallation, Part, Phase, Plan, Step, WantedPackage, apt,
    artifact, locale, python, recipe, rust,
};
use crate::artifact::Recipe;
use crate::command::Command;
use crate::layout;
use crate::manifest::postgresql::ServerSource;
use crate::manifest::source::Packages;
use crate::resolve::{Extension, Patroni, Postgresql, Resolved, Source, Tool};

/// A growing plan.
pub(super) struct Builder<'a> {
    pub(super) resolved: &'a Resolved,
    pub(super) steps: Vec<Step>,
    pub(super) packages: Vec<WantedPackage>,
    pub(super) recipes: Vec<Recipe>,
}

/// A step's position in the plan.
pub(super) type Id = usize;

/// The steps that every build needs.
pub(super) struct Base {
    pub(super) tools: Tools,
    /// The step that finds out what need not be built or fetched.
    look_up: Id,
    /// The steps that fetch the archives of each component.
    sources: Vec<(String, Vec<Id>)>,
    /// The steps that build the tools, by slug.
    built_tools: BTreeMap<String, Id>,
}

impl Base {
    /// The step after which all packages are installed. What comes from the cache needs its libraries as well.
    pub(super) fn packages(&self) -> Id {
        self.tools.all
    }
}

impl<'a> Builder<'a> {
    pub(super) fn new(resolved: &'a Resolved) -> Self {
        Self {
            resolved,
            steps: Vec::new(),
            packages: packages(resolved),
            recipes: artifact::recipes(resolved),
        }
    }

    /// Finishes the plan.
    pub(super) fn plan(self, leaves: Vec<String>) -> Plan {
        Plan {
            target: self.resolved.target.clone(),
            image: self.resolved.name.clone(),
            steps: self.steps,
            packages: self.packages,
            recipes: self.recipes,
            leaves,
            catalogue: self.resolved.catalogue.clone(),
            locked: self.resolved.locked.clone(),
        }
    }

    /// Adds a step and returns its position. `weight` is in seconds.
    pub(super) fn step(
        &mut self,
        name: impl Into<String>,
        lane: Lane,
        weight: u32,
        needs: &[Id],
        action: Action,
    ) -> Id {
        let mut needs = needs.to_vec();
        needs.sort_unstable();
        needs.dedup();
        self.steps.push(Step {
            name: name.into(),
            lane,
            needs,
            after: Vec::new(),
            why: Vec::new(),
            weight,
            action,
        });
        self.steps.len() - 1
    }

    /// Writes a file.
    pub(super) fn file(&mut self, path: &str, text: String, after: Id) -> Id {
        let name = format!("write {path}");
        let path = path.to_owned();
        self.step(name, Lane::Files, 1, &[after], Action::WriteFile { path, text })
    }

    pub(super) fn reason(&mut self, id: Id, why: impl Into<String>) {
        self.steps[id].why.push(why.into());
    }

    /// Says which checks of an extension may fail.
    pub(super) fn excuses(&mut self, id: Id, extension: &Extension) {
        for known in &extension.known_failures {
            let (name, check) = (extension.component.id(), known.name.name());
            self.reason(id, format!("{name}: `{check}` may fail: {}", known.reason));
        }
    }

    /// Creates the user and fetches archives and packages.
    pub(super) fn base(&mut self) -> Base {
        let user = &self.resolved.user;
        let record = self.step(
            "record the base's packages",
            Lane::Dpkg,
            1,
            &[],
            Action::RecordBase,
        );
        self.reason(record, "what the base has stays, whatever is removed at the end");

        // Until this is done, only apt's lists, the cache and the working directory may change.
        let files = self.step(
            "record the base's files",
            Lane::Files,
            2,
            &[record],
            Action::RecordBaseFiles,
        );
        self.reason(
            files,
            "what differs from its package, or has none, is the base's and not the installation's",
        );
        let name = format!("create user {} ({}:{})", user.name, user.uid, user.gid);
        let create_user = self.step(name, Lane::Files, 1, &[files], Action::CreateUser(user.clone()));
        let look_up = self.artifacts(record);
        let sources: Vec<(String, Vec<Id>)> = self.fetches(look_up);
        let tools = self.packages_installed(files, look_up, create_user);
        let mut base = Base {
            tools,
            look_up,
            sources,
            built_tools: BTreeMap::new(),
        };
        for (slug, tool) in self.resolved.tools() {
            let built = self.tool(tool, &base);
            base.built_tools.insert(slug, built);
        }
        base
    }

    /// Builds a tool, which stays in its stage.
    fn tool(&mut self, tool: &Tool, base: &Base) -> Id {
        let (slug, title, source) = (tool.slug(), tool.title(), tool.source());
        let fetch = Action::Fetch {
            source: source.clone(),
            component: slug.clone(),
        };
        let fetched = self.step(format!("fetch {title}"), Lane::Net, 3, &[base.look_up], fetch);
        let unpack = Action::Unpack {
            component: slug.clone(),
            sources: vec![source],
        };
        let unpacked = self.step(format!("unpack {title}"), Lane::Cpu, 1, &[fetched], unpack);
        let crates = self.crates(rust::of_tool(tool), unpacked);
        let build = rust::tool(tool);
        let build = Build {
            commands: build.commands,
            files: build.files,
            writable: build.writable,
            has_crates: true,
            ..self.build_of(slug.clone(), slug)
        };
        let needs = [unpacked, crates, base.tools.all];
        let build = self.step(
            format!("build {title}"),
            Lane::Cpu,
            300,
            &needs,
            Action::Build(build),
        );
        self.reason(build, "extensions are built with it; it is in no image");
        build
    }

    /// Fetches the crates of a lock once its tree is unpacked.
    fn crates(&mut self, fetch: CrateFetch, unpacked: Id) -> Id {
        let name = format!("fetch the crates of {}", fetch.title);
        let why = format!("those of its Cargo.lock, sha256 {}", fetch.lock);
        let id = self.step(name, Lane::Net, 10, &[unpacked], Action::FetchCrates(fetch));
        self.reason(id, why);
        id
    }

    /// Looks up what need not be built.
    pub(super) fn artifacts(&mut self, record: Id) -> Id {
        let mut before = record;
        let mut with_lock: fn(Command) -> Command = |command| command;
        if let Some(lock) = &self.resolved.locked {
            with_lock = apt::with_locked;
            let index = Action::IndexLockedPackages(lock.clone());
            let name = "index the packages of the lock";
            before = self.step(name, Lane::Files, 1, &[record], index);
            let count = lock.packages.len();
            self.reason(
                before,
                format!("apt is given an archive with these {count} packages and no other"),
            );
        }
        let update = self.step(
            "update package lists",
            Lane::Dpkg,
            3,
            &[before],
            Action::Run(vec![with_lock(apt::update_package_lists())]),
        );
        let names = self.packages.iter().map(|package| package.name.as_str());
        let look_up = Action::LookUpArtifacts {
            recipes: self.recipes.clone(),
            simulation: with_lock(apt::simulated_installation(names)),
        };
        let look_up = self.step("look up artifacts", Lane::Dpkg, 1, &[update], look_up);
        self.reason(
            look_up,
            "a build whose key is in the cache is not run, and neither its sources nor its build packages are fetched",
        );
        look_up
    }

    /// Builds and installs the locales that the C library does not include.
    pub(super) fn locale(&mut self, base: &Base) -> Option<Id> {
        let (title, commands) = locale::build(self.resolved)?;
        let unpacked = self.unpacked(locale::SLUG, &title, &[], 1, base);
        let build = Build {
            directories: vec![locale::DIRECTORY.to_owned()],
            commands,
            ..self.build_of(locale::SLUG.to_owned(), locale::SLUG.to_owned())
        };
        let (_, installed) = self.built(&title, 2, &[unpacked, base.tools.all], build);
        Some(installed)
    }

    /// Fetches every archive, longest build first.
    fn fetches(&mut self, look_up: Id) -> Vec<(String, Vec<Id>)> {
        let mut fetches = Vec::new();
        for (component, sources) in self.resolved.sources() {
            let slug = component.slug();
            let several = sources.len() > 1;
            let mut ids = Vec::new();
            for (position, source) in sources.iter().enumerate() {
                let part = if several {
                    format!(", archive {}", position + 1)
                } else {
                    String::new()
                };
                let name = format!("fetch {}{part}", source.title);
                let fetch = Action::Fetch {
                    source: source.clone(),
                    component: slug.clone(),
                };
                ids.push(self.step(name, Lane::Net, 3, &[look_up], fetch));
            }
            fetches.push((slug, ids));
        }
        fetches
    }

    /// Installs the packages of the server's build first, so that it is configured while the others are installed.
    fn packages_installed(&mut self, files: Id, look_up: Id, create_user: Id) -> Tools {
        let resolved = self.resolved;
        let mut ready = vec![look_up, create_user];
        if resolved
            .servers()
            .any(|(server, _)| server.origin == ServerSource::Apt)
        {
            // Otherwise Debian's package makes a cluster of its own when it is installed.
            let path = "/etc/postgresql-common/createcluster.conf";
            ready.push(self.file(path, "create_main_cluster = false\n".to_owned(), files));
        }
        if !self.resolved.prune.package_paths.is_empty() {
            let text = dpkg_configuration(&self.resolved.prune.package_paths);
            let write = self.file(layout::DPKG_CONFIGURATION, text, files);
            self.reason(
                write,
                "dpkg unpacks no file of a package that the image's policy leaves out",
            );
            ready.push(write);
        }
        let is_runtime = |package: &WantedPackage| package.phase == Phase::Runtime;
        // The packages of a server that is not built are those that others compile against.
        let built = |(server, _): &(&Postgresql, _)| server.source.is_some();
        let of_server = |package: &WantedPackage| {
            let wants = |(server, _): (&Postgresql, _)| server.packages.build.contains(&package.name);
            !is_runtime(package) && resolved.servers().filter(built).any(wants)
        };
        let of_others = |package: &WantedPackage| !is_runtime(package) && !of_server(package);
        let (recipes, packages) = (self.recipes.clone(), self.packages.clone());
        let builds = |wanted: &dyn Fn(&WantedPackage) -> bool| -> Vec<(String, Vec<String>)> {
            let is_wanted = |name: &&String| packages.iter().any(|p| p.name == **name && wanted(p));
            let of = |recipe: &Recipe| {
                let names: Vec<String> = recipe.packages.iter().filter(is_wanted).cloned().collect();
                (recipe.slug.clone(), names)
            };
            recipes
                .iter()
                .map(of)
                .filter(|(_, names)| !names.is_empty())
                .collect()
        };
        let mut first = None;
        if resolved.servers().any(|server| built(&server)) {
            let of_builds = builds(&of_server);
            first = self.install("install build packages", &ready, &of_server, of_builds, false);
            ready.extend(first);
        }
        let runtime = self.install("install run-time packages", &ready, &is_runtime, Vec::new(), true);
        ready.extend(runtime);
        let of_builds = builds(&of_others);
        let others = self.install(
            "install other build packages",
            &ready,
            &of_others,
            of_builds,
            false,
        );
        let all = others.or(runtime).or(first).unwrap_or(look_up);
        Tools {
            of_server: first.unwrap_or(all),
            all,
        }
    }

    /// Installs the packages that are `wanted`; `None` if it could never install anything.
    fn install(
        &mut self,
        name: &str,
        ready: &[Id],
        wanted: &dyn Fn(&WantedPackage) -> bool,
        of_builds: Vec<(String, Vec<String>)>,
        libraries: bool,
    ) -> Option<Id> {
        let packages: Vec<WantedPackage> = self.packages.iter().filter(|p| wanted(p)).cloned().collect();
        let has_libraries = libraries && !self.recipes.is_empty();
        if packages.is_empty() && !has_libraries {
            return None;
        }
        let of_build = |name: &String| of_builds.iter().any(|(_, names)| names.contains(name));
        let keeps = self.resolved.keep_build_packages;
        let always = packages.iter().map(|package| package.name.clone());
        let action = Action::InstallPackages(PackageInstallation {
            always: always.filter(|name| keeps || !of_build(name)).collect(),
            of_builds,
            libraries,
            locked: self.resolved.locked.clone(),
        });
        let id = self.step(name, Lane::Dpkg, 15, ready, action);
        for package in &packages {
            let phase = match package.phase {
                Phase::Runtime => "run-time",
                Phase::Build => "build",
            };
            let wanted_by = package.wanted_by.join(", ");
            self.reason(id, format!("{phase} package {}: {wanted_by}", package.name));
        }
        if has_libraries {
            self.reason(id, "and those with the libraries of what need not be built");
        }
        Some(id)
    }

    /// Builds and installs a server.
    pub(super) fn server<'p>(&mut self, postgresql: &'p Postgresql, base: &Base) -> ServerSteps<'p> {
        let tools = &base.tools;
        let Some(source) = &postgresql.source else {
            return ServerSteps {
                postgresql,
                development: tools.all,
                all: tools.all,
            };
        };
        let recipe::ServerCommands { development, rest } = recipe::postgresql_parts(postgresql);
        let title = postgresql.component.title();
        let unpacked = self.unpacked(
            &postgresql.component.slug(),
            &title,
            std::slice::from_ref(source),
            4,
            base,
        );
        let first = Build {
            part: Part::First,
            commands: development,
            cpu_flags: postgresql.cpu_flags.clone(),
            ..self.build_of(postgresql.component.slug(), postgresql.component.id())
        };
        let second = Build {
            part: Part::Second,
            commands: rest,
            cpu_flags: postgresql.cpu_flags.clone(),
            ..self.build_of(postgresql.component.slug(), postgresql.component.id())
        };
        let what = format!("development files of {title}");
        let (built, development) = self.built(&what, 40, &[unpacked, tools.of_server], first);
        self.reason(
            development,
            "an extension is compiled as soon as headers, pg_config and libpq are there",
        );
        let (_, all) = self.built(&title, 120, &[built, development], second);
        let why = match postgresql.component.older_major {
            None => format!("the image selects PostgreSQL {}", postgresql.major),
            Some(major) => format!("data of PostgreSQL {major} can be upgraded"),
        };
        self.reason(all, why);
        ServerSteps {
            postgresql,
            development,
            all,
        }
    }

    /// Builds and installs an extension.
    pub(super) fn extension(&mut self, extension: &Extension, base: &Base, server: &ServerSteps<'_>) -> Id {
        if extension.comes_with_postgresql() {
            let what = match self.required_by(extension) {
                Some(by) => format!("{}, required by {by}", extension.component.name),
                None => extension.component.name.clone(),
            };
            let why = format!("{what}; {}", brings(extension));
            self.reason(server.all, why);
            return server.all;
        }
        let (slug, title) = (extension.component.slug(), extension.component.title());
        let unpacked = self.unpacked(&slug, &title, &extension.sources, 1, base);
        let mut needs = vec![unpacked, base.tools.all, server.development];
        let mut prepared = rust::Prepared::default();
        if let Some(of_cargo) = &extension.rust {
            prepared = rust::prepared(&slug, of_cargo, server.postgresql);
            let tool = of_cargo.tool.as_ref();
            needs.push(self.crates(rust::of_extension(&extension.component, of_cargo), unpacked));
            needs.extend(tool.and_then(|tool| base.built_tools.get(&tool.slug())));
        }
        let build = Build {
            directories: server.postgresql.directories(),
            commands: recipe::extension(extension, server.postgresql),
            files: prepared.files,
            writable: prepared.writable,
            has_crates: extension.rust.is_some(),
            needs_root: extension.needs_root,
            cpu_flags: extension.cpu_flags.clone(),
            ..self.build_of(slug, extension.component.id())
        };
        let (_, installed) = self.built(&title, weight(extension), &needs, build);
        let why = match self.required_by(extension) {
            Some(by) => format!("required by {by}"),
            None => "selected".to_owned(),
        };
        self.reason(installed, format!("{why}; {}", brings(extension)));
        installed
    }

    /// What requires an extension that is not selected by its name.
    fn required_by(&self, extension: &Extension) -> Option<String> {
        let names = self.resolved.required_by(&extension.component.name);
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Unpacks what the build of a component begins with. An artifact needs no packages for that, and neither do archives.
    fn unpacked(&mut self, slug: &str, title: &str, sources: &[Source], weight: u32, base: &Base) -> Id {
        let own = base.sources.iter().filter(|(name, _)| name == slug);
        let mut needs: Vec<Id> = own.flat_map(|(_, ids)| ids.iter().copied()).collect();
        if needs.is_empty() {
            needs.push(base.look_up);
        }
        let unpack = Action::Unpack {
            component: slug.to_owned(),
            sources: sources.to_vec(),
        };
        self.step(format!("unpack {title}"), Lane::Cpu, weight, &needs, unpack)
    }

    /// The build of a component without commands.
    fn build_of(&self, slug: String, name: String) -> Build {
        Build {
            component: slug,
            name,
            part: Part::Whole,
            files: Vec::new(),
            directories: Vec::new(),
            places: Vec::new(),
            writable: Vec::new(),
            has_crates: false,
            needs_root: false,
            cpu_flags: Vec::new(),
            architecture: self.resolved.target.architecture,
            commands: Vec::new(),
            prune: self.resolved.prune.clone(),
        }
    }

    /// Builds, and installs the stage.
    fn built(&mut self, title: &str, weight: u32, needs: &[Id], build: Build) -> (Id, Id) {
        let install = Action::Install {
            component: build.component.clone(),
            part: build.part,
        };
        let build = self.step(
            format!("build {title}"),
            Lane::Cpu,
            weight,
            needs,
            Action::Build(build),
        );
        let install = self.step(format!("install {title}"), Lane::Files, 1, &[build], install);
        (build, install)
    }

    /// Builds Patroni's environment. Wheels are installed while the server is configured, which leaves processors
    /// idle.
    pub(super) fn patroni(&mut self, patroni: &Patroni, base: &Base, server: &ServerSteps<'_>) -> Id {
        let title = patroni.component.title();
        let [wheels, archives] = python::fetches(patroni);
        let [of_wheels, of_archives] = python::installation(patroni, server.postgresql);
        let name = format!("fetch {title} and the wheels it needs");
        let fetch = Action::FetchDistributions(wheels);
        let wheels = self.step(name, Lane::Net, 5, &[base.look_up], fetch);
        let name = format!("fetch the archives {title} needs");
        let fetch = Action::FetchDistributions(archives);
        let archives = self.step(name, Lane::Net, 5, &[base.look_up], fetch);
        let slug = patroni.component.slug();
        let unpacked = self.unpacked(&slug, &title, &[], 1, base);
        let part = |part: Part, installation: python::Installation| Build {
            part,
            files: installation.files,
            writable: installation.writable,
            places: vec![patroni.directory.clone()],
            commands: installation.commands,
            ..self.build_of(slug.clone(), patroni.component.id())
        };
        let (first, second) = (part(Part::First, of_wheels), part(Part::Second, of_archives));
        let name = format!("build the environment of {title}");
        let environment = self.step(
            name,
            Lane::Cpu,
            5,
            &[base.tools.all, wheels, unpacked],
            Action::Build(first),
        );
        let (_, installed) = self.built(&title, 25, &[server.development, environment, archives], second);
        for distribution in &patroni.distributions {
            self.reason(
                installed,
                format!(
                    "{} {}: {}",
                    distribution.name, distribution.version, distribution.license
                ),
            );
        }
        installed
    }
}

/// The steps after which packages are installed.
pub(super) struct Tools {
    /// Those that the server's build needs.
    of_server: Id,
    /// All packages.
    pub(super) all: Id,
}

/// A server, and the steps after which it is installed.
pub(super) struct ServerSteps<'p> {
    postgresql: &'p Postgresql,
    /// The parts that others are compiled against.
    development: Id,
    /// The whole server.
    pub(super) all: Id,
}

/// How long an extension compiles, roughly, in seconds. One with a configure step is large, and begins with work for
/// one processor.
fn weight(extension: &Extension) -> u32 {
    if extension.build.is_rust() {
        return 200;
    }
    match extension.build.pgxs {
        Some(_) => 10,
        None => 40,
    }
}

/// Every package of the image by name, with the components that want it. A package that is wanted at run time is not a
/// build package.
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
        add(packages, &who);
    }
    if locale::build(resolved).is_some() {
        add(
            &Packages {
                build: vec![locale::PACKAGE.to_owned()],
                ..Packages::default()
            },
            locale::SLUG,
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

/// The text of dpkg's configuration that excludes `paths`. If two lines match, dpkg obeys the last one.
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

/// The SQL extensions that an extension provides, for people.
pub(super) fn brings(extension: &Extension) -> String {
    if extension.is_program {
        return "a program".to_owned();
    }
    let sql = extension
        .provides
        .iter()
        .map(|sql| format!("{} {}", sql.name, sql.default_version));
    match sql.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "a library to load".to_owned(),
        sql => format!("SQL: {sql}"),
    }
}

//! Builds the plan of `pgsetup test`: what is installed for the tests, and the tests.

use super::builder::{Base, Builder, Id, ServerSteps};
use super::cluster::{required_by, server, settings};
use super::{
    Action, ExtensionTest, Gate, Lane, Phase, Plan, Server, Unloaded, UpgradeTest, UpstreamTest,
    WantedPackage, recipe,
};
use crate::layout;
use crate::manifest::extension::Upstream;
use crate::manifest::source::Packages;
use crate::resolve::{Component, Declared, Extension, Resolved};

/// The time limit of upstream's tests in seconds, if the manifest does not set one.
const MAX_UPSTREAM_SECONDS: u32 = 900;

/// What is tested.
#[derive(Debug, Clone, Default)]
pub struct Tests {
    /// The names of tested extensions. The other resolved ones are only their requirements.
    pub extensions: Vec<String>,
    /// Whether everything is installed already.
    pub installed: bool,
    /// Whether to run upstream's own tests.
    pub upstream: bool,
    /// Whether to run the server's own tests.
    pub server: bool,
}

impl Tests {
    fn has(&self, extension: &Extension) -> bool {
        self.extensions.contains(&extension.component.name)
    }
}

/// The plan that tests `resolved`.
pub fn tests(resolved: &Resolved, tests: &Tests) -> Plan {
    let all = with_tested(resolved, tests);
    let mut builder = Builder::new(&all);
    let server = server(resolved, &resolved.postgresql);
    let mut ready: Vec<Id> = Vec::new();
    let base = (!tests.installed).then(|| {
        let base = builder.base();
        let server = builder.server(&resolved.postgresql, &base);
        ready.extend([server.all, base.packages()]);
        ready.extend(builder.locale(&base));
        (base, server)
    });
    let initialise = Action::InitialiseTemplate(server.clone());
    let template = builder.step("initialise a cluster", Lane::Cpu, 2, &ready, initialise);
    let mut installed: Vec<(&str, Id)> = Vec::new();
    for extension in &resolved.extensions {
        let requires = required_by(&resolved.extensions, extension);
        let mut needs = vec![template];
        needs.extend(ids(
            &installed,
            requires.iter().map(|one| one.component.name.as_str()),
        ));
        let mut prepared = Vec::new();
        if let Some((base, of_server)) = &base {
            let mut removed = None;
            if tests.has(extension) {
                let test = |older: &Extension| upgrade_test(&server, extension, older, &requires);
                let tests = extension.upgrades.iter().map(test);
                (prepared, removed) = prepare_upgrades(&mut builder, tests, base, of_server, &needs);
            }
            let id = builder.extension(extension, base, of_server);
            builder.steps[id].after.extend(removed);
            installed.push((&extension.component.name, id));
            needs.push(id);
        }
        if !tests.has(extension) {
            continue;
        }
        let title = extension.component.title();
        let mut test = extension_test(&server, extension, &requires);
        test.gate = gate(resolved, extension, &requires);
        let test = Action::TestExtension(Box::new(test));
        let test = builder.step(format!("test {title}"), Lane::Cpu, 5, &needs, test);
        builder.excuses(test, extension);
        for (prepare, test) in prepared {
            let mut needs = needs.clone();
            needs.push(prepare);
            let name = format!("update {} to {title}", test.from.component.title());
            builder.step(name, Lane::Cpu, 3, &needs, Action::TestUpgrade(Box::new(test)));
        }
    }
    for test in upstream_tests(resolved, tests, &server) {
        let mut needs = vec![template];
        // Upstream's tests may create any of the extensions.
        needs.extend(installed.iter().map(|(_, id)| *id));
        run_upstream(&mut builder, test, &ready, needs);
    }
    builder.plan(Vec::new())
}

/// For one older version after the other: installs it, fills a database with it, and removes it. Returns each test with
/// the step that fills its database, and the step that removes the last version.
fn prepare_upgrades(
    builder: &mut Builder<'_>,
    tests: impl Iterator<Item = UpgradeTest>,
    base: &Base,
    server: &ServerSteps<'_>,
    needs: &[Id],
) -> (Vec<(Id, UpgradeTest)>, Option<Id>) {
    let mut prepared = Vec::new();
    let mut removed: Option<Id> = None;
    for test in tests {
        let older = &test.from.component;
        let (title, component) = (older.title(), older.slug());
        let installed = builder.extension(&test.from, base, server);
        builder.steps[installed].after.extend(removed);
        let needs = [needs, &[installed]].concat();
        let prepare = Action::PrepareUpgrade(Box::new(test.clone()));
        let prepare = builder.step(
            format!("fill a database with {title}"),
            Lane::Cpu,
            5,
            &needs,
            prepare,
        );
        let uninstall = Action::Uninstall { component };
        let remove = builder.step(format!("remove {title}"), Lane::Files, 1, &[installed], uninstall);
        builder.steps[remove].after.push(prepare);
        removed = Some(remove);
        prepared.push((prepare, test));
    }
    (prepared, removed)
}

/// Fetches the sources of upstream's tests after `ready`, and runs the tests.
fn run_upstream(builder: &mut Builder<'_>, test: UpstreamTest, ready: &[Id], mut needs: Vec<Id>) {
    for (position, source) in test.sources.iter().enumerate() {
        let name = format!("fetch {} for its own tests ({})", source.title, position + 1);
        let fetch = Action::Fetch {
            source: source.clone(),
            // This name belongs to no component, so the download is never left out.
            component: format!("{}-upstream", test.slug),
        };
        needs.push(builder.step(name, Lane::Net, 3, ready, fetch));
    }
    let name = format!("run upstream's tests of {}", test.subject);
    builder.step(name, Lane::Cpu, 30, &needs, Action::TestUpstream(Box::new(test)));
}

/// The image with the older versions that are built, and with the packages of upstream's tests.
fn with_tested(resolved: &Resolved, tests: &Tests) -> Resolved {
    let mut all = resolved.clone();
    if tests.installed {
        return all;
    }
    for extension in resolved
        .extensions
        .iter()
        .filter(|extension| tests.has(extension))
    {
        all.extensions.extend(extension.upgrades.iter().cloned());
        if let Some(upstream) = extension.upstream.as_ref().filter(|_| tests.upstream) {
            all.packages.build.extend(upstream.packages.iter().cloned());
        }
    }
    if tests.upstream {
        // The tests call `make` and what it runs, even if nothing has to be built.
        all.keep_build_packages = true;
    }
    all
}

fn ids<'n>(installed: &[(&str, Id)], names: impl Iterator<Item = &'n str>) -> Vec<Id> {
    let find = |name| installed.iter().find(|(known, _)| *known == name);
    names.filter_map(find).map(|(_, id)| *id).collect()
}

fn upgrade_test(
    server: &Server,
    extension: &Extension,
    older: &Extension,
    requires: &[&Extension],
) -> UpgradeTest {
    UpgradeTest {
        server: server.clone(),
        settings: settings(extension, requires, true),
        from: older.clone(),
        to: extension.clone(),
    }
}

/// The upstream tests of the server and of the tested extensions.
fn upstream_tests(resolved: &Resolved, tests: &Tests, server: &Server) -> Vec<UpstreamTest> {
    let mut found = Vec::new();
    let postgresql = &resolved.postgresql;
    if let Some(source) = postgresql.source.as_ref().filter(|_| tests.server) {
        let upstream = postgresql.upstream.clone().unwrap_or_default();
        found.push(UpstreamTest {
            sources: vec![source.clone()],
            commands: recipe::upstream_of_server(postgresql, &upstream),
            ..upstream_test(&postgresql.component, server, upstream, postgresql.major)
        });
    }
    for extension in resolved
        .extensions
        .iter()
        .filter(|one| tests.upstream && tests.has(one))
    {
        let is_pgxs = extension.build.pgxs.is_some();
        let Some(upstream) = extension
            .upstream
            .clone()
            .or_else(|| is_pgxs.then(Upstream::default))
        else {
            continue;
        };
        let requires: Vec<&Extension> = resolved
            .extensions
            .iter()
            .filter(|other| {
                let name = &other.component.name;
                upstream.requires.contains(name) || extension.requires.contains(name)
            })
            .collect();
        let mut settings = settings(extension, &requires, true);
        settings.extend(upstream.settings.clone());
        found.push(UpstreamTest {
            settings,
            sources: extension.sources.clone(),
            commands: recipe::upstream(extension, postgresql, &upstream),
            ..upstream_test(&extension.component, server, upstream, postgresql.major)
        });
    }
    found
}

/// The upstream tests of a component with the settings of its manifest. The caller adds sources and commands.
fn upstream_test(component: &Component, server: &Server, mut upstream: Upstream, major: u16) -> UpstreamTest {
    upstream
        .known_failures
        .retain(|known| known.postgresql.is_empty() || known.postgresql.contains(&major));
    UpstreamTest {
        subject: component.title(),
        slug: component.slug(),
        server: server.clone(),
        settings: upstream.settings,
        directory: layout::upstream(&component.slug()),
        sources: Vec::new(),
        commands: Vec::new(),
        time_limit: upstream.time_limit.unwrap_or(MAX_UPSTREAM_SECONDS),
        known_failures: upstream.known_failures,
    }
}

/// What the files of an extension may need in an image with this extension and its requirements alone.
fn gate(resolved: &Resolved, extension: &Extension, requires: &[&Extension]) -> Gate {
    let extensions = requires.iter().copied().chain([extension]);
    let of_extensions = extensions.map(|one| (one.component.id(), &one.packages));
    let server = &resolved.postgresql;
    let all: Vec<(String, &Packages)> = [
        ("image".to_owned(), &resolved.packages),
        (server.component.id(), &server.packages),
    ]
    .into_iter()
    .chain(of_extensions)
    .collect();
    let wanted = all.iter().flat_map(|(who, packages)| {
        packages.runtime.iter().map(|name| WantedPackage {
            name: name.clone(),
            phase: Phase::Runtime,
            wanted_by: vec![who.clone()],
        })
    });
    let beside = requires.iter().map(|one| one.component.clone());
    Gate {
        removes: true,
        keep: wanted.collect(),
        beside: beside.chain([server.component.clone()]).collect(),
        prune: resolved.prune.clone(),
        declared: Declared::by(all),
    }
}

fn extension_test(server: &Server, extension: &Extension, requires: &[&Extension]) -> ExtensionTest {
    let refusal = extension
        .preload
        .as_ref()
        .and_then(|preload| preload.required.clone());
    ExtensionTest {
        server: server.clone(),
        settings: settings(extension, requires, true),
        extension: extension.clone(),
        requires: requires.iter().map(|one| (*one).clone()).collect(),
        gate: Gate::default(),
        unloaded: refusal.map(|required| Unloaded {
            settings: settings(extension, requires, false),
            required,
        }),
    }
}

//! Command lines of each build system: pure functions of a recipe.
//!
//! To add a build system, add a key to `manifest::build::Build` and a function here. Commands run in the source tree
//! and install into a stage. No command sets a number of jobs; the jobserver does.

use std::collections::BTreeMap;

use super::rust;
use crate::command::Command;
use crate::layout;
use crate::manifest::build::{Autoconf, Build, Cmake, Meson, NamedStep, Pgxs};
use crate::manifest::extension::Upstream;
use crate::manifest::image::User;
use crate::resolve::{Extension, Postgresql};

/// The commands that compile PostgreSQL, in two parts.
pub struct ServerCommands {
    /// The parts that extensions compile against: headers, `pg_config`, PGXS, libpq and the static libraries.
    pub development: Vec<Command>,
    /// Everything. make finds the first part done.
    pub rest: Vec<Command>,
}

/// All commands that compile PostgreSQL and install it into its stage.
pub fn postgresql(postgresql: &Postgresql) -> Vec<Command> {
    let ServerCommands { development, rest } = postgresql_parts(postgresql);
    development.into_iter().chain(rest).collect()
}

/// The commands that compile PostgreSQL and install it into its stage, in two parts.
///
/// `sh ./configure`, because a program with a relative name would be looked up in pgsetup's own directory. `world-bin`
/// is everything but the documentation (PostgreSQL manual, "Building and Installation with Autoconf and Make").
/// PostgreSQL's makefiles define a target `DO-DIRECTORY-recurse` for every subdirectory (src/Makefile.global.in). The
/// generated headers come first, because below the top no target waits for them.
pub fn postgresql_parts(postgresql: &Postgresql) -> ServerCommands {
    let slug = postgresql.component.slug();
    let source = layout::source(&slug);
    let environment = &postgresql.environment;
    let run = |command: Command| command.envs(environment).dir(&source);
    let make = |directory: &str, targets: &[&str]| {
        run(Command::new("make", ["--directory", directory]).args(targets.iter().copied()))
    };
    let install = |directory: &str, targets: &[&str]| make(directory, targets).arg(destdir(&slug));
    let mut development: Vec<Command> = postgresql.leave_out.iter().map(|d| run(leave_out(d))).collect();
    development.extend([
        run(configure(postgresql)),
        make("src/backend", &["generated-headers"]),
    ]);
    if !tells_places_in_headers(postgresql) {
        development.push(run(precompiled_headers()));
    }
    development.extend([
        make(
            "src",
            &["all-common-recurse", "all-port-recurse", "all-fe_utils-recurse"],
        ),
        make("src/interfaces", &["all-libpq-recurse"]),
        make("src/bin", &["all-pg_config-recurse"]),
        install(
            "src",
            &[
                "install-local",
                "install-include-recurse",
                "install-common-recurse",
                "install-port-recurse",
                "install-fe_utils-recurse",
                "install-makefiles-recurse",
            ],
        ),
        install("src/interfaces", &["install-libpq-recurse"]),
        install("src/bin", &["install-pg_config-recurse"]),
        install("src/pl/plpgsql/src", &["install-headers"]),
        install("config", &["install"]),
    ]);
    ServerCommands {
        development,
        rest: vec![
            run(Command::new("make", ["world-bin"])),
            run(Command::new("make", ["install-world-bin"]).arg(destdir(&slug))),
        ],
    }
}

/// Gives a directory a makefile in which every target does nothing.
fn leave_out(directory: &str) -> Command {
    let makefile = format!("{directory}/Makefile");
    Command::new("sh", ["-c", "echo '%: ;' >\"$0\"", &makefile])
}

/// The headers that the server's files begin with, and additional compiler options. There is one set each for the
/// server and for modules, and one each for client programs, their libraries, and client libraries.
const PRECOMPILED: [(&str, &[(&str, &str)]); 2] = [
    (
        "postgres.h",
        &[("server", ""), ("module", "$(CFLAGS_SL) $(CFLAGS_SL_MODULE)")],
    ),
    (
        "postgres_fe.h",
        &[
            ("program", ""),
            ("archive", "-DFRONTEND"),
            ("library", "-DFRONTEND $(CFLAGS_SL)"),
        ],
    ),
];

/// Whether the output contains positions in headers, as debug symbols and assertions do. Both name a precompiled
/// header by another path.
fn tells_places_in_headers(postgresql: &Postgresql) -> bool {
    let has = |option: &str| postgresql.configure.iter().any(|one| one == option);
    let flags = postgresql.environment.get("CFLAGS");
    let debugs = |flag: &str| flag.starts_with("-g") && flag != "-g0" || flag.starts_with("-flto");
    has("--enable-debug")
        || has("--enable-cassert")
        || flags.is_some_and(|flags| flags.split_whitespace().any(debugs))
}

/// The command that precompiles those headers, so that each is read once and not a thousand times.
///
/// The compiler uses a precompiled header if its options and macros do not contradict the file's, and otherwise reads
/// the text ("Using Precompiled Headers" in GCC's manual). A missing one is therefore not an error. With gcc 12 every
/// object file of PostgreSQL 18.6 is the same with and without, byte for byte. Upstream's Meson build precompiles the
/// same two headers (src/include/pch).
fn precompiled_headers() -> Command {
    let compiled = PRECOMPILED.iter().flat_map(|(header, variants)| {
        variants.iter().map(move |(variant, options)| {
            let target = format!("{header}.gch/{variant}");
            let compile = format!("$(COMPILE.c) {options} -x c-header -o $@ {header}");
            let rule = format!("--eval={target}: ; -mkdir -p $(@D) && {compile}");
            (target, rule)
        })
    });
    let (targets, rules): (Vec<String>, Vec<String>) = compiled.unzip();
    Command::new("make", ["--directory", "src/include"])
        .args(rules)
        .args(targets)
}

/// The commands that create the system user. useradd leaves its password locked.
pub fn user(user: &User) -> Vec<Command> {
    let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
    vec![
        Command::new("groupadd", ["--system", "--gid", &gid, &user.name]),
        Command::new(
            "useradd",
            ["--system", "--uid", &uid, "--gid", &gid, "--no-create-home"],
        )
        .args(["--home-dir", &user.home, "--shell", &user.shell, &user.name]),
    ]
}

/// The commands that compile an extension against `postgresql` and install it into its stage.
pub fn extension(extension: &Extension, postgresql: &Postgresql) -> Vec<Command> {
    let slug = extension.component.slug();
    let recipe = Recipe {
        source: layout::source(&slug),
        slug,
        pg_config: postgresql.program("pg_config"),
    };
    match &extension.build {
        Build { pgxs: Some(pgxs), .. } => recipe.pgxs(pgxs),
        Build {
            autoconf: Some(autoconf),
            ..
        } => recipe.autoconf(autoconf),
        Build {
            cmake: Some(cmake), ..
        } => recipe.cmake(cmake),
        Build {
            meson: Some(meson), ..
        } => recipe.meson(meson),
        Build {
            steps: Some(steps), ..
        } => steps.iter().map(|step| recipe.told(step)).collect(),
        Build { pgrx: Some(pgrx), .. } => rust::pgrx(extension, pgrx, postgresql),
        Build {
            cargo: Some(cargo), ..
        } => {
            let steps = cargo.steps.iter().map(|step| recipe.told(step));
            rust::cargo(extension, steps, postgresql)
        }
        // The manifest's schema requires one of these. A module is built with PostgreSQL.
        Build { .. } => Vec::new(),
    }
}

/// The command that configures the server's source tree.
fn configure(postgresql: &Postgresql) -> Command {
    let directories = [
        format!("--prefix={}", postgresql.prefix()),
        format!("--datadir={}", postgresql.share()),
        "--sysconfdir=/etc/postgresql-common".to_owned(),
    ];
    Command::new("sh", ["./configure"])
        .args(directories)
        .args(&postgresql.configure)
}

/// The commands that run upstream's tests of an extension in a newly unpacked source tree.
pub fn upstream(extension: &Extension, postgresql: &Postgresql, upstream: &Upstream) -> Vec<Command> {
    let source = layout::upstream(&extension.component.slug());
    let recipe = Recipe {
        source: source.clone(),
        slug: extension.component.slug(),
        pg_config: postgresql.program("pg_config"),
    };
    let mut commands = Vec::new();
    let mut directory = source.clone();
    let mut make = vec![format!("PG_CONFIG={}", recipe.pg_config), "USE_PGXS=1".to_owned()];
    match &extension.build {
        Build { pgxs: Some(pgxs), .. } => {
            make.extend(pgxs.make.iter().cloned());
            directory.extend(pgxs.directory.iter().map(|below| format!("/{below}")));
        }
        Build {
            autoconf: Some(autoconf),
            ..
        } => {
            let configure = Command::new("sh", ["./configure"]).args(&autoconf.configure);
            commands.push(recipe.run(configure, &autoconf.environment));
        }
        _ => {}
    }
    if let Some(below) = &upstream.directory {
        directory = format!("{source}/{below}");
    }
    if upstream.steps.is_empty() {
        make.extend(upstream.make.iter().cloned());
        let make = Command::new("make", make).args(targets(upstream));
        commands.push(recipe.run(make, &BTreeMap::new()).dir(directory));
    } else {
        commands.extend(upstream.steps.iter().map(|step| recipe.step(step)));
    }
    let path = path(postgresql);
    let finish = |command: Command| command.env("PATH", &path).envs(&upstream.environment);
    commands.into_iter().map(finish).collect()
}

/// The commands that run the server's own regression tests in a newly unpacked source tree. It is configured like the
/// installed server.
pub fn upstream_of_server(postgresql: &Postgresql, upstream: &Upstream) -> Vec<Command> {
    let source = layout::upstream(&postgresql.component.slug());
    let configure = configure(postgresql).envs(&postgresql.environment).dir(&source);
    let below = upstream.directory.iter().map(|below| format!("/{below}"));
    let make = Command::new("make", &upstream.make)
        .args(targets(upstream))
        .envs(&postgresql.environment)
        .dir(format!("{source}{}", below.collect::<String>()));
    // The test driver links with the tree's own client library, but does not build it.
    let library = Command::new("make", ["all"])
        .envs(&postgresql.environment)
        .dir(format!("{source}/src/interfaces/libpq"));
    let path = path(postgresql);
    let finish = |command: Command| command.env("PATH", &path).envs(&upstream.environment);
    [configure, library, make].into_iter().map(finish).collect()
}

fn targets(upstream: &Upstream) -> Vec<String> {
    match upstream.targets.as_slice() {
        [] => vec!["installcheck".to_owned()],
        targets => targets.to_vec(),
    }
}

/// The PATH of tests, with PostgreSQL's own programs first.
fn path(postgresql: &Postgresql) -> String {
    format!(
        "{}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        postgresql.prefix()
    )
}

fn destdir(slug: &str) -> String {
    format!("DESTDIR={}", layout::stage(slug))
}

/// Where meson compiles. Archives have a directory `build` of their own.
const MESON_TREE: &str = "builddir";

struct Recipe {
    slug: String,
    source: String,
    pg_config: String,
}

impl Recipe {
    fn run(&self, command: Command, environment: &BTreeMap<String, String>) -> Command {
        // The manifest's variables come later and override these.
        command
            .env("PG_CONFIG", &self.pg_config)
            .envs(environment)
            .dir(&self.source)
    }

    /// Makefiles that also work inside PostgreSQL's own tree need `USE_PGXS=1`; others ignore it.
    fn pgxs(&self, pgxs: &Pgxs) -> Vec<Command> {
        let directory = match &pgxs.directory {
            Some(below) => format!("{}/{below}", self.source),
            None => self.source.clone(),
        };
        let settings = [format!("PG_CONFIG={}", self.pg_config), "USE_PGXS=1".to_owned()];
        let make = || {
            let command = Command::new("make", settings.clone()).args(&pgxs.make);
            self.run(command, &pgxs.environment).dir(&directory)
        };
        vec![make(), make().arg("install").arg(destdir(&self.slug))]
    }

    fn autoconf(&self, autoconf: &Autoconf) -> Vec<Command> {
        let run = |command| self.run(command, &autoconf.environment);
        let install = match autoconf.install.as_slice() {
            [] => vec!["install".to_owned()],
            targets => targets.to_vec(),
        };
        vec![
            run(Command::new("sh", ["./configure"]).args(&autoconf.configure)),
            run(Command::new("make", &autoconf.make)),
            run(Command::new("make", install).arg(destdir(&self.slug))),
        ]
    }

    fn cmake(&self, cmake: &Cmake) -> Vec<Command> {
        let run = |command| self.run(command, &cmake.environment);
        let fixed = ["-S", ".", "-B", "build", "-DCMAKE_BUILD_TYPE=Release"];
        let pg_config = format!("-DPG_CONFIG={}", self.pg_config);
        vec![
            // Makefiles, because the ninja of bookworm does not support the jobserver.
            run(Command::new("cmake", fixed)
                .args(["-G", "Unix Makefiles"])
                .arg(pg_config)
                .args(&cmake.configure)),
            run(Command::new("make", ["-C", "build"])),
            run(Command::new("make", ["-C", "build", "install"]).arg(destdir(&self.slug))),
        ]
    }

    fn meson(&self, meson: &Meson) -> Vec<Command> {
        let run = |command| self.run(command, &meson.environment);
        vec![
            run(Command::new("meson", ["setup", MESON_TREE, "--buildtype=release"]).args(&meson.configure)),
            // The ninja of bookworm does not support the jobserver.
            run(Command::new("ninja", ["-C", MESON_TREE])).told_jobs(),
            run(Command::new("meson", ["install", "-C", MESON_TREE, "--destdir"])
                .arg(layout::stage(&self.slug))),
        ]
    }

    /// A build step that passes the number of jobs if its program needs that.
    fn told(&self, step: &NamedStep) -> Command {
        Command {
            told_jobs: step.is_told_jobs(),
            ..self.step(step)
        }
    }

    fn step(&self, step: &NamedStep) -> Command {
        let (program, args) = step
            .run
            .split_first()
            .expect("the manifest's schema demands a program");
        let command = Command::new(program, args);
        let command = self.run(command, &step.environment);
        match &step.directory {
            Some(below) => command.dir(format!("{}/{below}", self.source)),
            None => command,
        }
    }
}

//! The commands of builds with Cargo: pure functions.
//!
//! Cargo has a home of its own for each build, whose configuration replaces crates.io by a directory with the crates of the
//! lock. It is told to use the lock as it is and no network (`--frozen`), which the sandbox refuses anyway. Cargo and rustc
//! are clients of the jobserver.

use super::CrateFetch;
use crate::command::Command;
use crate::layout;
use crate::manifest::build::Pgrx;
use crate::resolve::{Component, Extension, Postgresql, Resolved, Rust, Source, Tool};

/// What has to be there before the commands run.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Files: path and text.
    pub files: Vec<(String, String)>,
    /// Directories that the commands write to.
    pub writable: Vec<String>,
    /// The commands of a tool.
    pub commands: Vec<Command>,
}

/// The crates of an extension.
pub fn of_extension(component: &Component, rust: &Rust) -> CrateFetch {
    CrateFetch {
        component: component.slug(),
        title: component.title(),
        directory: rust.directory.clone().unwrap_or_default(),
        lock: rust.lock,
        pgrx: rust.tool.as_ref().map(|tool| tool.version.clone()),
    }
}

/// The crates of a tool.
pub fn of_tool(tool: &Tool) -> CrateFetch {
    CrateFetch {
        component: tool.slug(),
        title: tool.title(),
        directory: String::new(),
        lock: tool.lock,
        pgrx: None,
    }
}

/// Every lock of an image, with the archives of its component.
pub fn locks(resolved: &Resolved) -> Vec<(CrateFetch, Vec<Source>)> {
    let tools = resolved.tools();
    let tools = tools.values().map(|tool| (of_tool(tool), vec![tool.source()]));
    let extensions = resolved.servers().flat_map(|(_, extensions)| extensions);
    let with_crates = extensions.filter_map(|one| {
        let fetch = of_extension(&one.component, one.rust.as_ref()?);
        Some((fetch, one.sources.clone()))
    });
    tools.chain(with_crates).collect()
}

/// Cargo's configuration. The project's own comes before it.
fn configuration(slug: &str) -> (String, String) {
    let text = format!(
        "[source.crates-io]\nreplace-with = \"verified\"\n\n[source.verified]\ndirectory = \"{}\"\n\n[net]\noffline = true\n",
        layout::vendored(slug)
    );
    (format!("{}/config.toml", layout::cargo_home(slug)), text)
}

/// The home of Cargo, and that of pgrx, which has to know a `pg_config` of each version that it builds for.
pub fn prepared(slug: &str, rust: &Rust, postgresql: &Postgresql) -> Prepared {
    let mut files = vec![configuration(slug)];
    if rust.tool.is_some() {
        let major = postgresql.major;
        let text = format!("[configs]\npg{major} = \"{}\"\n", postgresql.program("pg_config"));
        files.push((format!("{}/pgrx/config.toml", layout::cargo_home(slug)), text));
    }
    Prepared {
        files,
        writable: vec![layout::cargo_home(slug)],
        commands: Vec::new(),
    }
}

/// A command of a build with Cargo. Its output shows the command lines of the compilers.
fn with_cargo(command: Command, slug: &str, programs: &[String]) -> Command {
    let mut path = vec![format!("{}/bin", layout::cargo_home(slug))];
    path.extend(programs.iter().cloned());
    path.extend(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(str::to_owned));
    path.dedup();
    command
        .env("CARGO_HOME", layout::cargo_home(slug))
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_TERM_VERBOSE", "true")
        .env("PATH", path.join(":"))
}

/// Compiles `cargo-pgrx`, unoptimised: it takes a third of the time, and builds run it for some seconds.
pub fn tool(tool: &Tool) -> Prepared {
    let slug = tool.slug();
    let install = Command::new(
        "cargo",
        ["install", "--path", ".", "--root", &layout::stage(&slug)],
    )
    .args(["--frozen", "--no-track", "--debug", "--no-default-features"])
    .env("CARGO_PROFILE_DEV_DEBUG", "false")
    .dir(layout::source(&slug));
    Prepared {
        files: vec![configuration(&slug)],
        writable: vec![layout::cargo_home(&slug)],
        commands: vec![with_cargo(install, &slug, &[tool.programs.to_owned()])],
    }
}

/// `cargo pgrx package`, which copies what it has built to the places that `pg_config` names, below the stage.
pub fn pgrx(extension: &Extension, pgrx: &Pgrx, postgresql: &Postgresql) -> Vec<Command> {
    let slug = extension.component.slug();
    let features = std::iter::once(format!("pg{}", postgresql.major)).chain(pgrx.features.iter().cloned());
    let package = Command::new("cargo", ["pgrx", "package", "--out-dir", &layout::stage(&slug)])
        .args(["--pg-config", &postgresql.program("pg_config")])
        .args(["--no-default-features", "--features"])
        .arg(features.collect::<Vec<_>>().join(" "));
    let directory = match &pgrx.directory {
        Some(below) => format!("{}/{below}", layout::source(&slug)),
        None => layout::source(&slug),
    };
    let package = with_pgrx(package, extension, postgresql);
    vec![package.envs(&pgrx.environment).dir(directory)]
}

/// The commands of a manifest that call Cargo.
pub fn cargo(
    extension: &Extension,
    steps: impl Iterator<Item = Command>,
    postgresql: &Postgresql,
) -> Vec<Command> {
    let with_environment = |step: Command| {
        // What the manifest says comes last.
        let own = step.environment.clone();
        with_pgrx(step, extension, postgresql).envs(&own)
    };
    steps.map(with_environment).collect()
}

/// The environment in which crates of pgrx find the server.
fn with_pgrx(command: Command, extension: &Extension, postgresql: &Postgresql) -> Command {
    let slug = extension.component.slug();
    let rust = extension.rust.as_ref();
    let tool = rust.and_then(|rust| rust.tool.as_ref());
    let mut programs: Vec<String> = tool
        .map(|tool| format!("{}/bin", layout::stage(&tool.slug())))
        .into_iter()
        .collect();
    programs.extend(rust.map(|rust| rust.programs.to_owned()));
    let command = command
        .env("PGRX_BUILD_FLAGS", "--frozen")
        .env("PGRX_HOME", format!("{}/pgrx", layout::cargo_home(&slug)))
        .env("PGRX_PG_CONFIG_PATH", postgresql.program("pg_config"));
    with_cargo(command, &slug, &programs)
}

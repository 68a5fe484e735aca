//! How a manifest says that a source tree is compiled. One key names the build system; what is in it are only
//! the arguments that this project needs. Every recipe installs into a staging directory (`DESTDIR`).

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::target::Architecture;

/// The build system, exactly one.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct Build {
    /// `make` with PostgreSQL's own extension makefiles (PGXS).
    pub pgxs: Option<Pgxs>,
    /// `./configure`, `make`, `make install`.
    pub autoconf: Option<Autoconf>,
    /// `cmake`, then a build and an install with it.
    pub cmake: Option<Cmake>,
    /// `meson setup`, compile, install.
    pub meson: Option<Meson>,
    /// `cargo pgrx package`, for extensions that are written in Rust with pgrx.
    pub pgrx: Option<Pgrx>,
    /// Commands of one's own that call Cargo, for projects in Rust with a build of their own.
    pub cargo: Option<CargoSteps>,
    /// Commands of one's own, run in order.
    #[schemars(length(min = 1))]
    pub steps: Option<Vec<NamedStep>>,
}

impl Build {
    /// The key that names the build system; `none` of a module, which is compiled with its server.
    pub fn system(&self) -> &'static str {
        let Self {
            pgxs,
            autoconf,
            cmake,
            meson,
            pgrx,
            cargo,
            steps,
        } = self;
        let keys = [
            ("pgxs", pgxs.is_some()),
            ("autoconf", autoconf.is_some()),
            ("cmake", cmake.is_some()),
            ("meson", meson.is_some()),
            ("pgrx", pgrx.is_some()),
            ("cargo", cargo.is_some()),
            ("steps", steps.is_some()),
        ];
        let mut used = keys.into_iter().filter(|(_, is_used)| *is_used);
        used.next().map_or("none", |(key, _)| key)
    }

    /// Whether crates are compiled.
    pub fn is_rust(&self) -> bool {
        self.pgrx.is_some() || self.cargo.is_some()
    }
}

/// Compiler flags for instructions that not every processor of an architecture has. They are allowed where the sources
/// choose such code at run time, by what the processor says.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuFlags {
    /// The Debian architecture.
    pub architecture: String,
    /// The flags as the compiler is given them, for example `-msse4.2`.
    #[schemars(length(min = 1))]
    pub flags: Vec<String>,
    /// Why the result works on every processor of the architecture.
    #[schemars(length(min = 1))]
    pub reason: String,
}

impl CpuFlags {
    /// The flags that are declared for an architecture, sorted.
    pub fn of(declared: &[Self], architecture: Architecture) -> Vec<String> {
        let is_its = |one: &&Self| one.architecture == architecture.name();
        let flags: BTreeSet<&String> = declared
            .iter()
            .filter(is_its)
            .flat_map(|one| &one.flags)
            .collect();
        flags.into_iter().cloned().collect()
    }
}

/// Arguments of a PGXS build.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pgxs {
    /// Directory of the makefile below the source tree.
    pub directory: Option<String>,
    /// Variables and targets for `make`, for example `OPTFLAGS=`.
    #[serde(default)]
    pub make: Vec<String>,
    /// Environment variables of the build.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// Arguments of an autoconf build.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Autoconf {
    /// Arguments of `./configure`.
    #[serde(default)]
    pub configure: Vec<String>,
    /// Variables and targets for `make`.
    #[serde(default)]
    pub make: Vec<String>,
    /// Variables and targets for the installing `make`; `install` where none is given.
    #[serde(default)]
    pub install: Vec<String>,
    /// Environment variables of the build.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// Arguments of a cmake build.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cmake {
    /// Arguments of the configuring `cmake`, for example `-DREGRESS_CHECKS=OFF`.
    #[serde(default)]
    pub configure: Vec<String>,
    /// Environment variables of the build.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// Arguments of a meson build.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Meson {
    /// Arguments of `meson setup`.
    #[serde(default)]
    pub configure: Vec<String>,
    /// Environment variables of the build.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// Arguments of a build with `cargo pgrx`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pgrx {
    /// Directory of the extension's `Cargo.toml` below the source tree.
    pub directory: Option<String>,
    /// Features besides `pg${pg_major}`. Default features are off.
    #[serde(default)]
    pub features: Vec<String>,
    /// Environment variables of the build.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// Commands that call Cargo. They find the crates of the lock, and no others, and no network.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CargoSteps {
    /// The commands, in order.
    #[schemars(length(min = 1))]
    pub steps: Vec<NamedStep>,
}

/// One command of a build that is spelt out. `${stage}` is the directory to install into (`DESTDIR`) and
/// `${pg_config}` the `pg_config` of the PostgreSQL that is built for.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedStep {
    /// What the command does, for the log.
    pub name: String,
    /// The program and its arguments; no shell is between.
    #[schemars(length(min = 1))]
    pub run: Vec<String>,
    /// Directory below the source tree.
    pub directory: Option<String>,
    /// Environment variables of the command.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// Names of ninja and of what stands in for it; bookworm's knows no jobserver.
pub const NINJA: [&str; 3] = ["ninja", "ninja-build", "samu"];

impl NamedStep {
    /// Whether its program runs as many jobs as it is told, and knows no jobserver.
    pub fn is_told_jobs(&self) -> bool {
        let Some((program, args)) = self.run.split_first() else {
            return false;
        };
        let name = program.rsplit('/').next().unwrap_or(program);
        match name {
            // Its tools (`-t`) run no jobs.
            name if NINJA.contains(&name) => !args.iter().any(|arg| arg == "-t"),
            "meson" => args.first().is_some_and(|arg| arg == "compile"),
            _ => false,
        }
    }
}

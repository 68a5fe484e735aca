//! What extensions in Rust are built with: the toolchain of the distribution, and `cargo-pgrx`.

use std::collections::BTreeMap;

use super::{Place, Source};
use crate::digest::Sha256;
use crate::manifest::build::Build;
use crate::manifest::extension::{CargoPgrx, Crates};

/// What Cargo needs for one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rust {
    /// Digest of its `Cargo.lock`.
    pub lock: Sha256,
    /// The directory of the lock below the source tree, if it is not at the top.
    pub directory: Option<String>,
    /// The directory of the toolchain's programs.
    pub programs: &'static str,
    /// The Debian packages of the toolchain, and of what `pgrx` needs besides.
    pub packages: Vec<String>,
    /// The tool that builds it.
    pub tool: Option<Tool>,
}

/// `cargo-pgrx` in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its version.
    pub version: String,
    /// Digest of its crate.
    pub sha256: Sha256,
    /// Digest of the lock in its crate.
    pub lock: Sha256,
    /// The directory of the toolchain's programs.
    pub programs: &'static str,
    /// The Debian packages that compile it.
    pub packages: Vec<String>,
}

/// The crate of the tool.
pub const CARGO_PGRX: &str = "cargo-pgrx";

/// The packages of a distribution's toolchain, and the directory of its programs. Bookworm's `rustc` is of 2022; the security
/// archive has the one that browsers are built with.
fn toolchain(distribution: &str) -> ([&'static str; 2], &'static str) {
    if distribution == "debian:bookworm" {
        (["cargo-web", "rustc-web"], "/usr/lib/rust-web/bin")
    } else {
        (["cargo", "rustc"], "/usr/bin")
    }
}

/// `None` if a digest is wrong, which the checks of every manifest have reported.
pub fn rust(crates: &Crates, build: &Build, distribution: &str) -> Option<Rust> {
    let (toolchain, programs) = toolchain(distribution);
    let toolchain = toolchain.map(str::to_owned);
    let tool = |written: &CargoPgrx| {
        Some(Tool {
            version: written.version.clone(),
            sha256: written.sha256.parse().ok()?,
            lock: written.lock.parse().ok()?,
            programs,
            packages: toolchain.to_vec(),
        })
    };
    let tool = match &crates.cargo_pgrx {
        Some(written) => Some(tool(written)?),
        None => None,
    };
    let mut packages = toolchain.to_vec();
    // bindgen reads PostgreSQL's headers with it.
    packages.push("libclang-dev".to_owned());
    Some(Rust {
        lock: crates.lock.parse().ok()?,
        directory: build.pgrx.as_ref().and_then(|pgrx| pgrx.directory.clone()),
        programs,
        packages,
        tool,
    })
}

impl Tool {
    /// Name and version: `cargo-pgrx 0.16.1`.
    pub fn title(&self) -> String {
        format!("{CARGO_PGRX} {}", self.version)
    }

    /// For file names: `cargo-pgrx-0.16.1`.
    pub fn slug(&self) -> String {
        format!("{CARGO_PGRX}-{}", self.version)
    }

    /// Its crate.
    pub fn source(&self) -> Source {
        Source {
            title: self.title(),
            places: vec![Place::Crate(CARGO_PGRX.to_owned(), self.version.clone())],
            accepted: vec![self.sha256],
            sha512: BTreeMap::new(),
            tar_sha256: None,
            insecure: None,
            max_bytes: None,
            strip: 1,
            into: String::new(),
        }
    }
}

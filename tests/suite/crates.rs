//! Extensions in Rust: crates come from the index that Cargo is configured with, and each is verified by the lock.

use std::fs;
use std::path::{Path, PathBuf};

use crate::loopback::{Act, Server};
use crate::machine::{Machine, Recipe, archive_of, digest};
use crate::support::Ran;

/// The crate that the example is compiled with.
const CRATE: &str = "tiny 1.0.0";

/// A machine with an extension whose lock has one crate, and an index that has it.
struct Example {
    machine: Machine,
    index: Server,
    cargo_home: tempfile::TempDir,
    crate_file: Vec<u8>,
}

/// A lock with the crate, and with more.
fn lock(sha256: &str, more: &str) -> String {
    format!(
        "version = 4\n\n[[package]]\nname = \"own\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"tiny\"\nversion = \"1.0.0\"\n\
         source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{sha256}\"\n{more}"
    )
}

impl Example {
    fn new() -> Self {
        Self::with("", &[])
    }

    /// `more` is added to the lock; the others are files of the archive.
    fn with(more: &str, files: &[(&str, &str)]) -> Self {
        let of_crate = [
            (
                "Cargo.toml",
                "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nlicense = \"MIT/Apache-2.0\"\n",
            ),
            ("LICENSE-MIT", "the text of MIT\n"),
            ("src/lib.rs", "pub fn tiny() {}\n"),
        ];
        let of_crate = of_crate.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let (crate_file, sha256) = archive_of("tiny-1.0.0", &of_crate);
        let index = Server::start();
        let example = Self {
            machine: Machine::new(),
            cargo_home: tempfile::tempdir().unwrap(),
            index,
            crate_file,
        };
        example.serve(&[]);
        let lock = lock(&sha256, more);
        let mut archive = vec![("Cargo.lock", lock.as_str())];
        archive.extend_from_slice(files);
        // What Cargo would find is what a makefile finds here: the crates where its configuration says.
        let make = [
            "@grep --quiet 'replace-with = \"verified\"' $(ROOT)$(CARGO_HOME)/config.toml",
            "@grep --quiet tiny $(ROOT)$(dir $(CARGO_HOME))vendor/tiny-1.0.0/src/lib.rs",
            "@cat $(ROOT)$(dir $(CARGO_HOME))vendor/tiny-1.0.0/.cargo-checksum.json >$(TRACE)/checksum",
            "@echo $(PATH) >$(TRACE)/path",
        ];
        example
            .machine
            .extension("alpha", Recipe::new().make(&make).files(&archive));
        example.machine.image(&["alpha"], "");
        example.crates(&digest(lock.as_bytes()));
        example
    }

    /// Says in the manifest that Cargo builds it, with a lock of this digest.
    fn crates(&self, lock: &str) {
        let path = self.machine.path("manifests/alpha.yaml");
        let text = fs::read_to_string(&path).unwrap();
        let make = "make, \"PG_CONFIG=${pg_config}\"";
        let steps = format!(
            "{{name: compile, run: [{make}]}}, {{name: install, run: [{make}, install, \"DESTDIR=${{stage}}\"]}}"
        );
        let build = format!("cargo: {{steps: [{steps}]}}");
        let text = text.replace("pgxs: {}", &build);
        let text = text.replace(
            "    provides:",
            &format!("    crates: {{lock: {lock}}}\n    provides:"),
        );
        fs::write(path, text).unwrap();
    }

    /// Publishes the crate and the index; `acts` are those of the crate.
    fn serve(&self, acts: &[Act]) {
        let address = self.index.put("/tiny-1.0.0.crate", &self.crate_file, acts);
        let base = address.strip_suffix("/tiny-1.0.0.crate").unwrap();
        let config = format!("{{\"dl\": \"{base}/{{crate}}-{{version}}.crate\"}}");
        self.index.put("/index/config.json", config.as_bytes(), &[]);
        let text = format!(
            "[source.crates-io]\nreplace-with = \"near\"\n[source.near]\nregistry = \"sparse+{base}/index/\"\n"
        );
        fs::write(self.cargo_home.path().join("config.toml"), text).unwrap();
    }

    fn install(&self, more: &[&str]) -> Ran {
        let mut command = self.machine.command(more);
        command.env("CARGO_HOME", self.cargo_home.path());
        let ran = command.output().unwrap().into();
        self.machine.is_quiet();
        ran
    }

    fn fetch(&self, to: &Path, more: &[&str]) -> Ran {
        let manifests = self.machine.path("manifests");
        let words = ["fetch", manifests.to_str().unwrap(), "--to", to.to_str().unwrap()];
        let mut command = crate::support::command(words);
        command.args(more).env("CARGO_HOME", self.cargo_home.path());
        command.env("no_proxy", "127.0.0.1");
        command.output().unwrap().into()
    }

    fn vendor(&self) -> PathBuf {
        self.machine.path("vendor")
    }
}

#[test]
fn an_extension_is_compiled_with_the_crates_of_its_lock() {
    let example = Example::new();
    let ran = example.install(&[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let sha256 = digest(&example.crate_file);
    assert_eq!(
        example.machine.trace("checksum"),
        format!("{{\"files\":{{}},\"package\":\"{sha256}\"}}")
    );
    let path = example.machine.trace("path");
    assert!(
        path.starts_with("/var/tmp/pgsetup/crates/alpha-1.0/home/bin:/usr/lib/rust-web/bin:"),
        "{path}"
    );
    // The image says what is in it, and nothing of Cargo is left.
    let read = |path: &str| fs::read_to_string(example.machine.root(path)).unwrap();
    assert_eq!(
        read("/usr/share/doc/alpha/crates.txt"),
        "tiny-1.0.0/LICENSE-MIT:\n\nthe text of MIT\n\n"
    );
    for (document, purl) in [
        ("sbom.spdx.json", "\"referenceLocator\": \"pkg:cargo/tiny@1.0.0\""),
        ("sbom.cdx.json", "\"purl\": \"pkg:cargo/tiny@1.0.0\""),
    ] {
        let text = read(&format!("/usr/share/pgsetup/{document}"));
        for expected in [purl, "MIT OR Apache-2.0", &sha256] {
            assert!(text.contains(expected), "{document} has no {expected}");
        }
    }
    assert!(!example.machine.root("/var/tmp/pgsetup/crates/alpha-1.0").exists());
    // What is at hand needs neither the index nor the crate.
    fs::remove_file(example.cargo_home.path().join("config.toml")).unwrap();
    example.machine.fresh();
    let ran = example.install(&[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let text = read("/usr/share/pgsetup/receipt.json");
    assert!(
        text.contains("\"kind\": \"crate\""),
        "the artifact says nothing of its crates"
    );
}

#[test]
fn crates_are_fetched_and_installed_offline() {
    let example = Example::new();
    let vendor = example.vendor();
    let ran = example.fetch(&vendor, &[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(vendor.join("tiny-1.0.0.crate").is_file(), "{}", ran.out);
    // An index that is not there, so that only the directory has the crate.
    let nowhere = "[source.crates-io]\nreplace-with = \"near\"\n[source.near]\nregistry = \"sparse+http://127.0.0.1:9/\"\n";
    fs::write(example.cargo_home.path().join("config.toml"), nowhere).unwrap();
    let ran = example.install(&["--offline", "--vendor", vendor.to_str().unwrap()]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    example.machine.fresh();
    fs::remove_dir_all(example.machine.path("cache")).unwrap();
    fs::remove_file(vendor.join("tiny-1.0.0.crate")).unwrap();
    let ran = example.install(&["--offline", "--vendor", vendor.to_str().unwrap()]);
    assert_eq!(ran.status, 4, "{}", ran.err);
    assert!(ran.err.contains(CRATE), "{}", ran.err);
}

#[test]
fn a_flipped_bit_in_a_crate_is_named() {
    let example = Example::new();
    example.serve(&[Act::FlippedBit]);
    let ran = example.install(&[]);
    assert_eq!(ran.status, 5, "{}", ran.err);
    assert!(ran.err.contains(CRATE), "{}", ran.err);
    let vendor = example.vendor();
    let ran = example.fetch(&vendor, &[]);
    assert_eq!(ran.status, 5, "{}", ran.err);
    assert!(ran.err.contains(CRATE), "{}", ran.err);
    assert!(!vendor.join("tiny-1.0.0.crate").exists());
}

#[test]
fn a_lock_that_is_not_the_pinned_one_is_refused() {
    let example = Example::new();
    let manifest = example.machine.path("manifests/alpha.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    let at = text.find("lock: ").unwrap() + "lock: ".len();
    let other = format!("{}{}{}", &text[..at], "0".repeat(64), &text[at + 64..]);
    fs::write(manifest, other).unwrap();
    let ran = example.install(&[]);
    assert_eq!(ran.status, 5, "{}", ran.err);
    assert!(
        ran.err
            .contains("alpha 1.0: the Cargo.lock of its source tree is not the one of its manifest"),
        "{}",
        ran.err
    );
}

#[test]
fn git_sources_are_refused_and_listed() {
    let package = |name: &str| {
        format!(
            "\n[[package]]\nname = \"{name}\"\nversion = \"0.1.0\"\nsource = \"git+https://example.org/{name}?rev=abc#abc\"\n"
        )
    };
    let example = Example::with(&format!("{}{}", package("tantivy"), package("ownedbytes")), &[]);
    for ran in [example.install(&[]), example.fetch(&example.vendor(), &[])] {
        assert_eq!(ran.status, 3, "{}", ran.err);
        for name in ["tantivy", "ownedbytes"] {
            let line = format!("{name} 0.1.0 from git+https://example.org/{name}?rev=abc#abc");
            assert!(ran.err.contains(&line), "{}", ran.err);
        }
    }
}

#[test]
fn a_configuration_that_asks_for_more_than_the_baseline_is_refused_unless_declared() {
    let configuration = "[build]\nrustflags = [\"-C\", \"target-cpu=native\"]\n";
    let example = Example::with("", &[(".cargo/config.toml", configuration)]);
    let ran = example.install(&[]);
    assert_eq!(ran.status, 3, "{}", ran.err);
    assert!(
        ran.err.contains("target-cpu=native in .cargo/config.toml"),
        "{}",
        ran.err
    );
    let manifest = example.machine.path("manifests/alpha.yaml");
    let declared = ["amd64", "arm64"].map(|architecture| {
        format!("{{architecture: {architecture}, flags: [target-cpu=native], reason: an example}}")
    });
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, format!("{text}cpu_flags: [{}]\n", declared.join(", "))).unwrap();
    let ran = example.install(&[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
}

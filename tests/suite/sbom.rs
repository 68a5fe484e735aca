//! The bills of materials, read and checked by independent libraries.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::contract::container::docker;
use crate::contract::needs::needs_image;
use crate::harness::skip;
use crate::support::{Ran, project};

/// A Python with these libraries.
pub fn python() -> PathBuf {
    let own = project().join("target/consumers/bin/python");
    let python = if own.exists() { own } else { "python3".into() };
    let imports = "import cyclonedx.validation.json, jsonschema, spdx_tools";
    let probe = Command::new(&python).args(["-c", imports]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        skip("python3 lacks spdx-tools or cyclonedx-python-lib[json-validation]: tools/consumers.sh");
    }
    python
}

/// Has the libraries read two documents and their receipt; gives whether they accept them, and their output.
fn consume(files: &[&Path]) -> (bool, String) {
    let output = Command::new(python())
        .arg("tests/consumers/sbom.py")
        .args(files)
        .current_dir(project())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// A unit test holds that the documents in `tests/golden` are made of `tests/fixtures/receipt.json`.
#[test]
fn the_agreed_documents_follow_the_published_schemas() {
    let files = [
        "tests/golden/sbom.spdx.json",
        "tests/golden/sbom.cdx.json",
        "tests/fixtures/receipt.json",
    ];
    let (is_valid, text) = consume(&files.map(Path::new));
    assert!(is_valid, "{text}");
    assert_eq!(text, "25 packages, 15 components\n");
}

#[test]
fn both_documents_list_every_component_of_the_image() {
    let name = needs_image();
    let directory = tempfile::tempdir().unwrap();
    let files = ["sbom.spdx.json", "sbom.cdx.json", "receipt.json"].map(|file| {
        let inside = format!("/usr/share/pgsetup/{file}");
        let ran = docker(["run", "--rm", "--network=none", "--entrypoint=cat", name, &inside]);
        let path = directory.path().join(file);
        std::fs::write(&path, ran.ok()).unwrap();
        path
    });
    let (is_valid, text) = consume(&files.each_ref().map(std::path::PathBuf::as_path));
    assert!(is_valid, "{text}");
}

/// Runs `tools/consumers.sh` with a python3 whose environments have this script as pip; without one, it makes no
/// environments.
fn consumers(pip: Option<&str>) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let write = |name: &str, text: &str| {
        let file = path.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    if let Some(pip) = pip {
        write("made/bin/pip", pip);
        write("made/bin/python", "[ -e \"${0%/*}/libraries\" ]");
    }
    let environment = path.join("made");
    // The call is `python3 -m venv --clear DIRECTORY`.
    let make = format!("mkdir -p \"$4\" && cp -r '{}/.' \"$4\"", environment.display());
    write("stubs/python3", &make);
    let script = path.join("tools/consumers.sh");
    write("tools/consumers.sh", "");
    std::fs::copy(project().join("tools/consumers.sh"), &script).unwrap();
    let stubs = path.join("stubs");
    let paths = format!("{}:{}", stubs.display(), std::env::var("PATH").unwrap());
    let ran = Command::new(script).env("PATH", paths).output();
    Ran::from(ran.unwrap())
}

#[test]
fn a_failed_installation_of_libraries_is_an_error() {
    let installs = "[ \"$1\" != install ] || touch \"${0%/*}/libraries\"";
    for (pip, status, said) in [
        (None, 0, "python3 cannot make an environment"),
        (Some("exit 1"), 0, "pip reaches no package index"),
        (
            Some("[ \"$1\" = download ]"),
            1,
            "the package index answers, and pip does not install",
        ),
        // pip succeeds, but the libraries cannot be imported.
        (
            Some("exit 0"),
            1,
            "the package index answers, and pip does not install",
        ),
        (Some(installs), 0, ""),
    ] {
        let ran = consumers(pip);
        assert_eq!(ran.status, status, "{pip:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{pip:?}: {}", ran.err);
    }
}

//! The bills of materials, handed to libraries of others that read and check such documents.

use std::process::Command;

use crate::support::{project, skip};

/// The documents in `tests/golden` are what `src/sbom.rs` makes of `tests/fixtures/receipt.json`; a unit test there
/// sees to that.
#[test]
fn the_agreed_documents_follow_the_published_schemas() {
    let imports = "import cyclonedx.validation.json, jsonschema, spdx_tools";
    let probe = Command::new("python3").args(["-c", imports]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        skip("python3 lacks spdx-tools or cyclonedx-python-lib[json-validation]");
        return;
    }
    let output = Command::new("python3")
        .arg("tests/consumers/sbom.py")
        .args(["tests/golden/sbom.spdx.json", "tests/golden/sbom.cdx.json"])
        .current_dir(project())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(text, "18 packages, 11 components\n");
}

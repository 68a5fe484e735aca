//! Documents of pgsetup, checked against their schemas by an independent validator.

use std::path::Path;
use std::process::Command;

use crate::loopback::Act;
use crate::machine::{Machine, Recipe};
use crate::sbom::python;
use crate::support::{pgsetup, project};

/// The validator's complaints about a document; empty if it follows the schema.
fn complaints(kind: &str, document: &Path) -> String {
    let python = python();
    let directory = tempfile::tempdir().unwrap();
    let schema = directory.path().join("schema.json");
    std::fs::write(&schema, pgsetup(["schema", kind]).out).unwrap();
    let output = Command::new(python)
        .arg("tests/consumers/schema.py")
        .args([schema.as_path(), document])
        .current_dir(project())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(output.status.success(), text.is_empty(), "{text}");
    text
}

#[test]
fn what_an_installation_writes_follows_its_schema() {
    let machine = Machine::new();
    machine.image(&["alpha"], "packages: {runtime: [xz-utils]}\n");
    machine.extension("alpha", Recipe::new());
    let ran = machine.install(&[]);
    assert_eq!(ran.status, 0, "{}", machine.neutral(&ran.err));
    let receipt = machine.root("/usr/share/pgsetup/receipt.json");
    assert_eq!(complaints("receipt", &receipt), "");
    let fixture = project().join("tests/fixtures/receipt.json");
    assert_eq!(complaints("receipt", &fixture), "");

    std::fs::remove_file(machine.root("/etc/postgresql/image.conf")).unwrap();
    let root = machine.path("root");
    let verified = pgsetup(["verify", "--root", root.to_str().unwrap(), "--format", "json"]);
    let verification = machine.path("verification.json");
    std::fs::write(&verification, verified.out).unwrap();
    assert_eq!(complaints("verification", &verification), "");
    let plan = project().join("tests/golden/plan-18.json");
    assert_eq!(complaints("plan", &plan), "");

    // The validator does find mistakes.
    let mut wrong: serde_json::Value = serde_json::from_slice(&std::fs::read(&receipt).unwrap()).unwrap();
    wrong.as_object_mut().unwrap().remove("image");
    wrong["user"]["shoe_size"] = 42.into();
    std::fs::write(&receipt, wrong.to_string()).unwrap();
    let said = complaints("receipt", &receipt);
    assert!(said.contains("'image' is a required property"), "{said}");
    assert!(said.contains("user: ") && said.contains("shoe_size"), "{said}");
}

#[test]
fn every_list_follows_its_schema() {
    let machine = Machine::new();
    machine.image(&["alpha", "beta"], "");
    machine.extension("alpha", Recipe::new());
    machine.extension("beta", Recipe::new().acts(&[Act::Status(404, "")]));
    let path = |name: &str| machine.path(name).to_str().unwrap().to_owned();
    let (manifests, cache, to) = (path("manifests"), path("cache"), path("to"));
    let receipt = "tests/fixtures/receipt.json";
    let smaller = path("smaller.json");
    let text = std::fs::read_to_string(project().join(receipt)).unwrap();
    std::fs::write(&smaller, text.replace("14.0.1", "14.0.0")).unwrap();
    let lists: [(&str, i32, &[&str]); 8] = [
        (
            "downloads",
            4,
            &["fetch", &manifests, "--to", &to, "--cache", &cache],
        ),
        ("cache", 0, &["cache", "list", "--cache", &cache]),
        ("updates", 4, &["update", "--check", &manifests, "--offline"]),
        ("available", 0, &["list", "manifests"]),
        ("info", 0, &["info", "citus", "--manifests", "manifests"]),
        ("why", 0, &["why", "libicu72", "--receipt", receipt]),
        ("diff", 0, &["diff", receipt, &smaller]),
        ("doctor", -1, &["doctor", "--offline"]),
    ];
    for (kind, status, args) in lists {
        let ran = pgsetup(args.iter().copied().chain(["--format", "json"]));
        // What a machine lacks is its own affair.
        assert!(status == -1 || ran.status == status, "{kind}: {}", ran.err);
        let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let list = [
            "files",
            "versions",
            "extensions",
            "chain",
            "components",
            "findings",
        ]
        .iter()
        .find_map(|name| document[name].as_array());
        assert!(list.is_none_or(|list| !list.is_empty()), "{kind}: {}", ran.out);
        let file = machine.path(&format!("{kind}.json"));
        std::fs::write(&file, ran.out).unwrap();
        assert_eq!(complaints(kind, &file), "", "{kind}");
    }
    let outcomes = project().join("tests/golden/tests.json");
    assert_eq!(complaints("tests", &outcomes), "");
}

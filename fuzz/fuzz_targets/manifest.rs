//! The manifest parser: any text becomes manifests or problems, and every problem can be shown in its place.

#![no_main]

#[path = "../../src/digest.rs"]
mod digest;
#[path = "../../src/manifest/mod.rs"]
mod manifest;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let files = [("fuzz.yaml".to_owned(), text.to_owned())];
    let (manifests, problems) = manifest::parse(&files);
    let read = manifests.images.len()
        + manifests.postgresql.len()
        + manifests.pythons.len()
        + manifests.patronis.len()
        + manifests.extensions.len();
    // One file is one manifest, or there is a reason why not.
    assert!(read == 1 || !problems.is_empty());
    if !problems.is_empty() {
        assert!(manifest::problem::render(&problems, false).contains("fuzz.yaml"));
    }
});

//! What both software bills of materials have, SPDX 2.3 and CycloneDX 1.6: they are made of the receipt, as JSON.
//!
//! No IO, no clock, nothing random: identifiers are made of the receipt's digest, so the same image has the same
//! documents. Scanners find Debian and Python packages without help; what was compiled they only find here.

use chrono::{DateTime, SecondsFormat};

use super::receipt::{Component, ComponentKind, Receipt};
use crate::digest::Sha256;

/// The server that an extension is compiled against.
pub fn server_of<'r>(receipt: &'r Receipt, extension: &Component) -> Option<&'r Component> {
    let mut servers = receipt.components.iter();
    servers.find(|one| one.kind == ComponentKind::Postgresql && one.older_major == extension.older_major)
}

/// The distribution as scanners call it: `debian` and `12`, or `debian` and its name where it has no number yet.
pub fn operating_system(receipt: &Receipt) -> (&str, &str) {
    let base = &receipt.base;
    let (name, release) = base.distribution.split_once(':').unwrap_or(("debian", ""));
    let version = Some(base.version.as_str()).filter(|version| !version.is_empty());
    (name, version.unwrap_or(release))
}

/// The version of the image: that of its server.
pub fn version_of_image(receipt: &Receipt) -> String {
    let mut servers = receipt.components.iter();
    let server = servers.find(|one| one.kind == ComponentKind::Postgresql && one.older_major.is_none());
    server.map_or_else(
        || receipt.postgresql.major.to_string(),
        |server| server.version.clone(),
    )
}

/// What identifiers are made of: the digest of what the image holds.
pub fn digest(receipt: &Receipt) -> String {
    // What was removed depends on what had to be built, and is not in the image.
    let mut receipt = receipt.clone();
    receipt.packages_removed.clear();
    // A receipt is plain data, which always can be written.
    Sha256::of(receipt.to_json().unwrap_or_default().as_bytes()).to_string()
}

/// Seconds since 1970 as RFC 3339 has them, in UTC.
pub fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::record::cyclonedx::{cyclonedx, source_properties, uuid};
    use crate::record::purl::{debian_purl, percent};
    use crate::record::spdx::{spdx, spdx_id};
    use crate::step::receipt::assemble::tests::example;

    #[test]
    fn times_are_written_as_rfc_3339() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(time(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(time(1_767_225_599), "2025-12-31T23:59:59Z");
    }

    #[test]
    fn every_component_is_in_both_documents_and_every_identifier_is_unique() {
        let receipt = example();
        let (spdx, cyclonedx) = (spdx(&receipt, &BTreeMap::new()), cyclonedx(&receipt));
        let values = |document: &Value, list: &str, key: &str| -> Vec<String> {
            let entries = document[list].as_array().unwrap().iter();
            entries
                .map(|entry| entry[key].as_str().unwrap().to_owned())
                .collect()
        };
        for (document, list, id) in [
            (&spdx, "packages", "SPDXID"),
            (&cyclonedx, "components", "bom-ref"),
        ] {
            let names = values(document, list, "name");
            for component in &receipt.components {
                assert!(
                    names.contains(&component.name),
                    "{} is not in {list}",
                    component.name
                );
            }
            for package in receipt.packages() {
                assert!(names.contains(&package.name), "{} is not in {list}", package.name);
            }
            let ids = values(document, list, id);
            let unique: std::collections::BTreeSet<&String> = ids.iter().collect();
            assert_eq!(unique.len(), ids.len());
        }
        let citus = spdx["packages"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["name"] == "citus")
            .unwrap();
        assert_eq!(citus["licenseDeclared"], "AGPL-3.0-only");
        assert_eq!(citus["checksums"][0]["checksumValue"].as_str().unwrap().len(), 64);
        assert!(
            citus["downloadLocation"]
                .as_str()
                .unwrap()
                .starts_with("https://github.com/citusdata/")
        );
    }

    /// Compares a document with the agreed one in `tests/golden`, or overwrites that with `SNAPSHOTS=overwrite`.
    fn check_agreed(name: &str, document: &Value) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(name);
        let text = serde_json::to_string_pretty(document).unwrap() + "\n";
        if std::env::var("SNAPSHOTS").as_deref() == Ok("overwrite") {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    /// `tests/suite` hands the agreed documents to libraries that read such documents.
    #[test]
    fn the_documents_of_a_small_image_are_as_agreed() {
        let receipt = Receipt::from_json(include_str!("../../tests/fixtures/receipt.json")).unwrap();
        let text = "A source code licence of Timescale.".to_owned();
        let texts = BTreeMap::from([("timescaledb_full".to_owned(), text)]);
        check_agreed("sbom.spdx.json", &spdx(&receipt, &texts));
        check_agreed("sbom.cdx.json", &cyclonedx(&receipt));
    }

    #[test]
    fn the_documents_are_the_same_each_time_and_have_the_time_they_are_told() {
        let receipt = example();
        let texts = BTreeMap::new();
        let document = spdx(&receipt, &texts);
        assert_eq!(document, spdx(&receipt.clone(), &texts));
        assert_eq!(document["creationInfo"]["created"], "2026-01-01T00:00:00Z");
        assert_eq!(
            cyclonedx(&receipt)["metadata"]["timestamp"],
            "2026-01-01T00:00:00Z"
        );
    }

    #[test]
    fn a_licence_that_is_not_on_the_list_comes_with_its_text_or_says_where_it_is() {
        let mut receipt = example();
        let extracted = |receipt: &Receipt, texts: &BTreeMap<String, String>| {
            spdx(receipt, texts)["hasExtractedLicensingInfos"].clone()
        };
        assert_eq!(extracted(&receipt, &BTreeMap::new()), Value::Null);
        let citus = receipt.components.iter_mut().filter(|one| one.name == "citus");
        citus.for_each(|one| one.license = "(MIT AND LicenseRef-Our-Own) OR LicenseRef-Other".to_owned());
        let texts = BTreeMap::from([("citus".to_owned(), "what it says".to_owned())]);
        let homepage = "https://github.com/citusdata/citus";
        let licence = |id: &str, name: &str, text: &str| json!({"licenseId": id, "name": name, "extractedText": text, "seeAlsos": [homepage]});
        assert_eq!(
            extracted(&receipt, &texts),
            json!([
                licence("LicenseRef-Other", "Other", "what it says"),
                licence("LicenseRef-Our-Own", "Our Own", "what it says"),
            ])
        );
        let none = extracted(&receipt, &BTreeMap::new());
        let text = none[0]["extractedText"].as_str().unwrap();
        assert!(
            text.ends_with(&format!("have no text of this licence; see {homepage}")),
            "{text}"
        );
    }

    #[test]
    fn a_debian_package_names_its_source_with_version_and_its_distribution() {
        let mut receipt = example();
        let mut package = receipt.packages().next().unwrap().clone();
        package.name = "bsdutils".to_owned();
        package.version = "1:2.38.1-5+deb12u3".to_owned();
        package.source = "util-linux".to_owned();
        package.source_version = None;
        assert!(debian_purl(&receipt, &package).ends_with("&distro=debian-12&upstream=util-linux"));
        package.source_version = Some("2.38.1-5".to_owned());
        let purl = debian_purl(&receipt, &package);
        assert!(purl.ends_with("&upstream=util-linux%402.38.1-5"), "{purl}");
        let value = |name: &str| {
            let properties = source_properties(&package);
            let found = properties.iter().find(|property| property["name"] == name);
            found.map(|property| property["value"].as_str().unwrap().to_owned())
        };
        assert_eq!(value("aquasecurity:trivy:SrcVersion").as_deref(), Some("2.38.1"));
        assert_eq!(value("aquasecurity:trivy:SrcRelease").as_deref(), Some("5"));
        assert_eq!(value("aquasecurity:trivy:SrcEpoch"), None);
        receipt.base.packages.push(package);
        let spdx = spdx(&receipt, &BTreeMap::new()).to_string();
        assert!(spdx.contains("built package from: util-linux 2.38.1-5"), "{spdx}");
        receipt.base.version.clear();
        assert_eq!(operating_system(&receipt), ("debian", "bookworm"));
    }

    #[test]
    fn versions_of_debian_are_encoded_in_package_urls() {
        assert_eq!(percent("1:2.36-9+deb12u1~x"), "1:2.36-9%2Bdeb12u1~x");
        assert_eq!(
            uuid(&"0123456789abcdef".repeat(4)),
            "urn:uuid:01234567-89ab-8def-a123-456789abcdef"
        );
        assert_eq!(
            spdx_id("Debian", "libstdc++6"),
            "SPDXRef-Debian-libstdc-plus-plus6"
        );
    }
}

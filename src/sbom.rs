//! Software bills of materials, made of the receipt: SPDX 2.3 and CycloneDX 1.6, both as JSON.
//!
//! No IO, no clock, nothing random: identifiers are made of the receipt's digest, so the same image has the same
//! documents. Scanners find Debian and Python packages without help; what was compiled they only find here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::digest::Sha256;
use crate::receipt::{Component, ComponentKind, PackageVersion, Receipt, Source};

/// How licences begin that SPDX's list does not have.
const OWN_LICENCE: &str = "LicenseRef-";

/// The SPDX 2.3 document. `texts` are the licence texts of components by their ids: a licence that is not on SPDX's list
/// is written out.
pub fn spdx(receipt: &Receipt, texts: &BTreeMap<String, String>) -> Value {
    let image = "SPDXRef-Image";
    let mut packages = vec![json!({
        "SPDXID": image,
        "name": receipt.image,
        "versionInfo": version_of_image(receipt),
        "primaryPackagePurpose": "CONTAINER",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    })];
    // Scanners know the distribution by this beginning of the identifier.
    let system = "SPDXRef-OperatingSystem";
    let (distribution, version) = operating_system(receipt);
    packages.push(json!({
        "SPDXID": system,
        "name": distribution,
        "versionInfo": version,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    }));
    let mut relationships = vec![
        relationship("SPDXRef-DOCUMENT", "DESCRIBES", image),
        relationship(image, "CONTAINS", system),
    ];
    for component in &receipt.components {
        let id = spdx_id("Component", &component.id());
        packages.push(spdx_component(&id, component));
        relationships.push(relationship(image, "CONTAINS", &id));
        if let Some(whole) = &component.part_of {
            relationships.push(relationship(&spdx_id("Component", whole), "DEPENDS_ON", &id));
        }
        if component.kind == ComponentKind::Extension {
            let server = server_of(receipt, component);
            let of = |server: &Component| spdx_id("Component", &server.id());
            relationships.extend(server.map(|server| relationship(&id, "DEPENDS_ON", &of(server))));
        }
        for (number, source) in component.sources.iter().enumerate() {
            let source_id = format!("{id}-Source-{}", number + 1);
            packages.push(spdx_source(&source_id, component, source));
            relationships.push(relationship(&id, "GENERATED_FROM", &source_id));
        }
    }
    for package in receipt.packages() {
        let id = spdx_id("Debian", &package.name);
        packages.push(json!({
            "SPDXID": id,
            "name": package.name,
            "versionInfo": package.version,
            "supplier": "Organization: Debian",
            // In the words of trivy, which reads them.
            "sourceInfo": format!("built package from: {} {}", package.source, package.source_version()),
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "licenseConcluded": "NOASSERTION",
            // Debian has no machine-readable licence for every package; the text is in /usr/share/doc.
            "licenseDeclared": "NOASSERTION",
            "copyrightText": "NOASSERTION",
            "externalRefs": [purl_reference(&debian_purl(receipt, package))],
        }));
        relationships.push(relationship(image, "CONTAINS", &id));
    }
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": receipt.image,
        "documentNamespace": format!("https://spdx.org/spdxdocs/{}-{}", receipt.image, digest(receipt)),
        "creationInfo": {
            "created": time(receipt.created),
            "creators": [format!("Tool: {}", receipt.tool.replace(' ', "-"))],
        },
        "documentDescribes": [image],
        "packages": packages,
        "relationships": relationships,
    });
    let licences = own_licences(receipt, texts);
    if !licences.is_empty() {
        document["hasExtractedLicensingInfos"] = json!(licences);
    }
    document
}

/// The licences that are not on SPDX's list, each with what it says: a document may not name one without that.
fn own_licences(receipt: &Receipt, texts: &BTreeMap<String, String>) -> Vec<Value> {
    let mut licences: BTreeMap<&str, Value> = BTreeMap::new();
    for component in &receipt.components {
        let words = component
            .license
            .split(|c: char| c.is_whitespace() || "()".contains(c));
        for id in words.filter(|word| word.starts_with(OWN_LICENCE)) {
            let homepage = &component.homepage;
            let text = texts.get(&component.id()).filter(|text| !text.is_empty());
            let mut licence = json!({
                "licenseId": id,
                "name": id[OWN_LICENCE.len()..].replace('-', " "),
                "extractedText": text.cloned().unwrap_or_else(|| {
                    let (name, version) = (&component.name, &component.version);
                    format!("The archives of {name} {version} have no text of this licence; see {homepage}")
                }),
            });
            if !homepage.is_empty() {
                licence["seeAlsos"] = json!([homepage]);
            }
            licences.entry(id).or_insert(licence);
        }
    }
    licences.into_values().collect()
}

/// The CycloneDX 1.6 document.
pub fn cyclonedx(receipt: &Receipt) -> Value {
    let root = format!("image:{}", receipt.image);
    let (distribution, version) = operating_system(receipt);
    let system = format!("os:{distribution}");
    let mut components = vec![json!({
        "type": "operating-system",
        "bom-ref": system,
        "name": distribution,
        "version": version,
    })];
    let mut references = vec![system];
    let mut dependencies = Vec::new();
    for component in &receipt.components {
        let reference = reference(component);
        let mut needs: Vec<String> = receipt
            .components
            .iter()
            .filter(|part| part.part_of.as_ref() == Some(&component.name))
            .map(self::reference)
            .collect();
        if component.kind == ComponentKind::Extension {
            needs.extend(server_of(receipt, component).map(self::reference));
        }
        components.push(cyclonedx_component(&reference, component));
        if component.part_of.is_none() {
            references.push(reference.clone());
        }
        dependencies.push(json!({"ref": reference, "dependsOn": needs}));
    }
    for package in receipt.packages() {
        let purl = debian_purl(receipt, package);
        components.push(json!({
            "type": "library",
            "bom-ref": purl,
            "name": package.name,
            "version": package.version,
            "purl": purl,
            "supplier": {"name": "Debian"},
            "properties": source_properties(package),
        }));
        references.push(purl);
    }
    dependencies.insert(0, json!({"ref": root, "dependsOn": references}));
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid(&digest(receipt)),
        "version": 1,
        "metadata": {
            "timestamp": time(receipt.created),
            "tools": {"components": [tool(receipt)]},
            "component": {
                "type": "container",
                "bom-ref": root,
                "name": receipt.image,
                "version": version_of_image(receipt),
            },
        },
        "components": components,
        "dependencies": dependencies,
    })
}

fn spdx_component(id: &str, component: &Component) -> Value {
    let mut references = vec![purl_reference(&component_purl(component))];
    references.extend(cpe(component).map(
        |cpe| json!({"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": cpe}),
    ));
    let mut package = json!({
        "SPDXID": id,
        "name": component.name,
        "versionInfo": component.version,
        "downloadLocation": location(component.sources.first()),
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": component.license,
        "copyrightText": "NOASSERTION",
        "externalRefs": references,
    });
    if !component.homepage.is_empty() {
        package["homepage"] = json!(component.homepage);
    }
    // The archive's digest, for it is all that stands for a component which is many files here.
    if let Some(source) = component.sources.first() {
        package["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": source.sha256}]);
    }
    package
}

fn spdx_source(id: &str, component: &Component, source: &Source) -> Value {
    json!({
        "SPDXID": id,
        "name": format!("{} source", component.name),
        "versionInfo": component.version,
        "packageFileName": file_name(source),
        "primaryPackagePurpose": "SOURCE",
        "downloadLocation": location(Some(source)),
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": component.license,
        "copyrightText": "NOASSERTION",
        "checksums": [{"algorithm": "SHA256", "checksumValue": source.sha256}],
    })
}

fn cyclonedx_component(reference: &str, component: &Component) -> Value {
    let kind = match component.kind {
        ComponentKind::Postgresql | ComponentKind::Patroni => "application",
        ComponentKind::Extension | ComponentKind::PythonDistribution => "library",
    };
    let mut locations: Vec<Value> = component
        .sources
        .iter()
        .map(|source| {
            let kind = match source.file.rsplit_once('.') {
                Some((_, "whl")) => "distribution",
                _ => "source-distribution",
            };
            let url = if source.url.is_empty() {
                component_purl(component)
            } else {
                source.url.clone()
            };
            let mut reference = json!({"type": kind, "url": url});
            // A package URL names more than the one file.
            if !source.url.is_empty() {
                reference["hashes"] = json!([{"alg": "SHA-256", "content": source.sha256}]);
            }
            reference
        })
        .collect();
    if !component.homepage.is_empty() {
        locations.push(json!({"type": "website", "url": component.homepage}));
    }
    let provides = component.provides.iter().map(|sql| {
        json!({"name": "pgsetup:sql-extension", "value": format!("{} {}", sql.name, sql.default_version)})
    });
    let mut value = json!({
        "type": kind,
        "bom-ref": reference,
        "name": component.name,
        "version": component.version,
        "purl": component_purl(component),
        "licenses": [{"expression": component.license}],
        "externalReferences": locations,
        "properties": provides.collect::<Vec<_>>(),
    });
    // Several archives have one digest each, at their references; the component's own is that of its first.
    if let Some(source) = component.sources.first() {
        value["hashes"] = json!([{"alg": "SHA-256", "content": source.sha256}]);
    }
    if let Some(cpe) = cpe(component) {
        value["cpe"] = json!(cpe);
    }
    value
}

fn tool(receipt: &Receipt) -> Value {
    let (name, version) = receipt.tool.split_once(' ').unwrap_or((&receipt.tool, ""));
    json!({"type": "application", "name": name, "version": version})
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

fn purl_reference(purl: &str) -> Value {
    json!({"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl})
}

/// An SPDX identifier: letters, digits, `.` and `-`.
fn spdx_id(kind: &str, name: &str) -> String {
    let name = name
        .replace('+', "-plus")
        .replace('_', "-u-")
        .replace(':', "-of-");
    format!("SPDXRef-{kind}-{name}")
}

fn file_name(source: &Source) -> &str {
    if source.file.is_empty() {
        source.url.rsplit('/').next().unwrap_or_default()
    } else {
        &source.file
    }
}

/// Where an archive is to be had. A file of the package index has no address of its own: pip finds it by name, version
/// and digest in whichever index it is told of, and the package URL says the first two.
fn location(source: Option<&Source>) -> &str {
    source
        .map(|source| source.url.as_str())
        .filter(|url| !url.is_empty())
        .unwrap_or("NOASSERTION")
}

/// A Python distribution's name in lower case with `-` (purl-spec, type pypi).
fn name_in_index(component: &Component) -> String {
    component.name.to_lowercase().replace('_', "-")
}

/// The server that an extension is compiled against.
fn server_of<'r>(receipt: &'r Receipt, extension: &Component) -> Option<&'r Component> {
    let mut servers = receipt.components.iter();
    servers.find(|one| one.kind == ComponentKind::Postgresql && one.older_major == extension.older_major)
}

/// What CycloneDX refers to a component by: its package URL. One that is compiled for two majors has the same for both.
fn reference(component: &Component) -> String {
    let purl = component_purl(component);
    match component.older_major {
        None => purl,
        Some(major) => format!("pg{major}:{purl}"),
    }
}

/// The package URL of a component. What was compiled has no registry, so it says where it comes from and what it is.
fn component_purl(component: &Component) -> String {
    let version = percent(&component.version);
    let is_python = matches!(
        component.kind,
        ComponentKind::Patroni | ComponentKind::PythonDistribution
    );
    if is_python {
        return format!("pkg:pypi/{}@{version}", percent(&name_in_index(component)));
    }
    let name = percent(&component.name);
    match component.sources.first() {
        Some(source) => format!(
            "pkg:generic/{name}@{version}?checksum=sha256:{}&download_url={}",
            source.sha256,
            percent(&source.url)
        ),
        None => format!("pkg:generic/{name}@{version}"),
    }
}

/// The distribution as scanners call it: `debian` and `12`, or `debian` and its name where it has no number yet.
fn operating_system(receipt: &Receipt) -> (&str, &str) {
    let base = &receipt.base;
    let (name, release) = base.distribution.split_once(':').unwrap_or(("debian", ""));
    let version = Some(base.version.as_str()).filter(|version| !version.is_empty());
    (name, version.unwrap_or(release))
}

fn debian_purl(receipt: &Receipt, package: &PackageVersion) -> String {
    let (vendor, version) = operating_system(receipt);
    let name = package.name.split(':').next().unwrap_or_default();
    let distribution = format!("{vendor}-{version}");
    // As syft writes it: with a version where that is another one.
    let upstream = match &package.source_version {
        Some(version) => format!("{}@{version}", package.source),
        None => package.source.clone(),
    };
    format!(
        "pkg:deb/{vendor}/{}@{}?arch={}&distro={}&upstream={}",
        percent(name),
        percent(&package.version),
        package.architecture,
        percent(&distribution),
        percent(&upstream),
    )
}

/// The source package of a Debian package, in properties of CycloneDX. Debian's advisories are about source packages, and
/// trivy knows them by properties of its own only, in the parts of a version (deb-version(7)).
fn source_properties(package: &PackageVersion) -> Vec<Value> {
    let version = package.source_version();
    let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    let properties = [
        ("pgsetup:debian:source", package.source.as_str()),
        ("pgsetup:debian:source-version", version),
        ("aquasecurity:trivy:SrcName", &package.source),
        ("aquasecurity:trivy:SrcEpoch", epoch),
        ("aquasecurity:trivy:SrcVersion", upstream),
        ("aquasecurity:trivy:SrcRelease", revision),
    ];
    properties
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}

/// The name under which vulnerabilities of the server are filed.
fn cpe(component: &Component) -> Option<String> {
    let version = &component.version;
    (component.kind == ComponentKind::Postgresql)
        .then(|| format!("cpe:2.3:a:postgresql:postgresql:{version}:*:*:*:*:*:*:*"))
}

/// Percent-encoding as package URLs want it (purl-spec): everything but letters, digits, `.`, `-`, `_`, `~` and
/// the colon.
fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn version_of_image(receipt: &Receipt) -> String {
    let mut servers = receipt.components.iter();
    let server = servers.find(|one| one.kind == ComponentKind::Postgresql && one.older_major.is_none());
    server.map_or_else(
        || receipt.postgresql.major.to_string(),
        |server| server.version.clone(),
    )
}

fn digest(receipt: &Receipt) -> String {
    // What was removed depends on what had to be built, and is not in the image.
    let mut receipt = receipt.clone();
    receipt.packages_removed.clear();
    // A receipt is plain data, which always can be written.
    Sha256::of(receipt.to_json().unwrap_or_default().as_bytes()).to_string()
}

/// A UUID of custom content (RFC 9562, version 8) from hexadecimal digits.
fn uuid(digits: &str) -> String {
    format!(
        "urn:uuid:{}-{}-8{}-a{}-{}",
        &digits[0..8],
        &digits[8..12],
        &digits[13..16],
        &digits[17..20],
        &digits[20..32]
    )
}

/// Seconds since 1970 as RFC 3339 has them, in UTC (the days by Howard Hinnant's `civil_from_days`).
fn time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_of_year = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_of_year + 2) / 5 + 1;
    let month = if month_of_year < 10 {
        month_of_year + 3
    } else {
        month_of_year - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(time(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(time(1_767_225_599), "2025-12-31T23:59:59Z");
    }

    #[test]
    fn every_component_is_in_both_documents_and_every_identifier_is_unique() {
        let receipt = crate::receipt::tests::example();
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

    /// Compares a document with the agreed one in `tests/golden`, or writes that anew where `SNAPSHOTS=overwrite`.
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
        let receipt = Receipt::from_json(include_str!("../tests/fixtures/receipt.json")).unwrap();
        let text = "A source code licence of Timescale.".to_owned();
        let texts = BTreeMap::from([("timescaledb_full".to_owned(), text)]);
        check_agreed("sbom.spdx.json", &spdx(&receipt, &texts));
        check_agreed("sbom.cdx.json", &cyclonedx(&receipt));
    }

    #[test]
    fn the_documents_are_the_same_each_time_and_have_the_time_they_are_told() {
        let receipt = crate::receipt::tests::example();
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
        let mut receipt = crate::receipt::tests::example();
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
        let mut receipt = crate::receipt::tests::example();
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

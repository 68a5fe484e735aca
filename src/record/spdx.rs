//! The SPDX 2.3 document.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::purl::{component_purl, cpe, debian_purl};
use super::receipt::{Component, PackageVersion, Receipt, Source};
use super::sbom::{digest, operating_system, server_of, time, version_of_image};

/// How licences begin that SPDX's list does not have.
const OWN_LICENCE: &str = "LicenseRef-";

/// The SPDX 2.3 document. `texts` are the licence texts of components by their ids: a licence that is not on SPDX's list
/// is written out.
pub fn spdx(receipt: &Receipt, texts: &BTreeMap<String, String>) -> Value {
    let image = "SPDXRef-Image";
    let container = json!({"primaryPackagePurpose": "CONTAINER"});
    let mut packages = vec![package(
        image,
        &receipt.image,
        &version_of_image(receipt),
        container,
    )];
    // Scanners know the distribution by this beginning of the identifier.
    let system = "SPDXRef-OperatingSystem";
    let (distribution, version) = operating_system(receipt);
    let purpose = json!({"primaryPackagePurpose": "OPERATING-SYSTEM"});
    packages.push(package(system, distribution, version, purpose));
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
        if component.is_compiled_against_a_server() {
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
    for debian in receipt.packages() {
        let id = spdx_id("Debian", &debian.name);
        packages.push(spdx_package(&id, debian, receipt));
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
    if let Some(catalogue) = &receipt.catalogue {
        let comment = format!(
            "Manifests are from the catalogue of {}, sha256 {}",
            catalogue.name, catalogue.sha256
        );
        document["creationInfo"]["comment"] = json!(comment);
    }
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

/// A package with what `more` says of it.
fn package(id: &str, name: &str, version: &str, more: Value) -> Value {
    let mut package = json!({
        "SPDXID": id,
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    });
    if let (Value::Object(package), Value::Object(more)) = (&mut package, more) {
        package.extend(more);
    }
    package
}

/// A Debian package. Its licence is in /usr/share/doc; Debian has no machine-readable one for every package.
fn spdx_package(id: &str, debian: &PackageVersion, receipt: &Receipt) -> Value {
    let more = json!({
        "supplier": "Organization: Debian",
        // In the words of trivy, which reads them.
        "sourceInfo": format!("built package from: {} {}", debian.source, debian.source_version()),
        "externalRefs": [purl_reference(&debian_purl(receipt, debian))],
    });
    package(id, &debian.name, &debian.version, more)
}

fn spdx_component(id: &str, component: &Component) -> Value {
    let mut references = vec![purl_reference(&component_purl(component))];
    references.extend(cpe(component).map(
        |cpe| json!({"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": cpe}),
    ));
    let mut more = json!({
        "downloadLocation": location(component.sources.first()),
        "licenseDeclared": declared(component),
        "externalRefs": references,
    });
    if !component.homepage.is_empty() {
        more["homepage"] = json!(component.homepage);
    }
    // The archive's digest, for it is all that stands for a component which is many files here.
    if let Some(source) = component.sources.first() {
        more["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": source.sha256}]);
    }
    package(id, &component.name, &component.version, more)
}

fn spdx_source(id: &str, component: &Component, source: &Source) -> Value {
    let more = json!({
        "packageFileName": file_name(source),
        "primaryPackagePurpose": "SOURCE",
        "downloadLocation": location(Some(source)),
        "licenseDeclared": declared(component),
        "checksums": [{"algorithm": "SHA256", "checksumValue": source.sha256}],
    });
    package(
        id,
        &format!("{} source", component.name),
        &component.version,
        more,
    )
}

/// The licence as it is declared. A crate may have a text only.
fn declared(component: &Component) -> &str {
    match component.license.as_str() {
        "" => "NOASSERTION",
        license => license,
    }
}

pub fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

fn purl_reference(purl: &str) -> Value {
    json!({"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl})
}

/// An SPDX identifier: letters, digits, `.` and `-`.
pub fn spdx_id(kind: &str, name: &str) -> String {
    let name = name
        .replace('+', "-plus")
        .replace('_', "-u-")
        .replace(':', "-of-");
    format!("SPDXRef-{kind}-{name}")
}

pub fn file_name(source: &Source) -> &str {
    if source.file.is_empty() {
        source.url.rsplit('/').next().unwrap_or_default()
    } else {
        &source.file
    }
}

/// The download address of an archive. A file of the package index has none: pip finds it by name, version and digest in
/// the configured index, and the package URL contains name and version.
pub fn location(source: Option<&Source>) -> &str {
    source
        .map(|source| source.url.as_str())
        .filter(|url| !url.is_empty())
        .unwrap_or("NOASSERTION")
}

//! The CycloneDX 1.6 document.

use serde_json::{Value, json};

use super::purl::{component_purl, cpe, debian_purl};
use super::receipt::{Component, ComponentKind, PackageVersion, Receipt};
use super::sbom::{digest, operating_system, server_of, time, version_of_image};

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
        if component.is_compiled_against_a_server() {
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
    let mut document = json!({
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
    });
    if let Some(catalogue) = &receipt.catalogue {
        let value = format!("{}, sha256 {}", catalogue.name, catalogue.sha256);
        document["metadata"]["properties"] = json!([{"name": "pgsetup:catalogue", "value": value}]);
    }
    document
}

fn cyclonedx_component(reference: &str, component: &Component) -> Value {
    let kind = match component.kind {
        ComponentKind::Postgresql | ComponentKind::Program | ComponentKind::Patroni => "application",
        ComponentKind::Extension | ComponentKind::PythonDistribution | ComponentKind::Crate => "library",
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
        "externalReferences": locations,
        "properties": provides.collect::<Vec<_>>(),
    });
    if !component.license.is_empty() {
        value["licenses"] = json!([{"expression": component.license}]);
    }
    // Several archives have one digest each, at their references; the component's own is that of its first.
    if let Some(source) = component.sources.first() {
        value["hashes"] = json!([{"alg": "SHA-256", "content": source.sha256}]);
    }
    if let Some(cpe) = cpe(component) {
        value["cpe"] = json!(cpe);
    }
    value
}

pub fn tool(receipt: &Receipt) -> Value {
    let (name, version) = receipt.tool.split_once(' ').unwrap_or((&receipt.tool, ""));
    json!({"type": "application", "name": name, "version": version})
}

/// What CycloneDX refers to a component by: its package URL. One that is compiled for two majors has the same for both.
pub fn reference(component: &Component) -> String {
    let purl = component_purl(component);
    if let (ComponentKind::Crate, Some(whole)) = (component.kind, &component.part_of) {
        return format!("{whole}:{purl}");
    }
    match component.older_major {
        None => purl,
        Some(major) => format!("pg{major}:{purl}"),
    }
}

/// The source package of a Debian package, in properties of CycloneDX. Debian's advisories are about source packages, and
/// trivy knows them by properties of its own only, in the parts of a version (deb-version(7)).
pub fn source_properties(package: &PackageVersion) -> Vec<Value> {
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

/// A UUID of custom content (RFC 9562, version 8) from hexadecimal digits.
pub fn uuid(digits: &str) -> String {
    format!(
        "urn:uuid:{}-{}-8{}-a{}-{}",
        &digits[0..8],
        &digits[8..12],
        &digits[13..16],
        &digits[17..20],
        &digits[20..32]
    )
}

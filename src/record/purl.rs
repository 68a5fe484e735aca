//! Package URLs and CPE names: how scanners know a component.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::receipt::{Component, ComponentKind, PackageVersion, Receipt};
use super::sbom::operating_system;

/// A Python distribution's name in lower case with `-` (purl-spec, type pypi).
fn name_in_index(component: &Component) -> String {
    component.name.to_lowercase().replace('_', "-")
}

/// The package URL of a component. What was compiled has no registry, so it says where it comes from and what it is.
pub fn component_purl(component: &Component) -> String {
    let version = percent(&component.version);
    let is_python = matches!(
        component.kind,
        ComponentKind::Patroni | ComponentKind::PythonDistribution
    );
    if is_python {
        return format!("pkg:pypi/{}@{version}", percent(&name_in_index(component)));
    }
    if component.kind == ComponentKind::Crate {
        return format!("pkg:cargo/{}@{version}", percent(&component.name));
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

pub fn debian_purl(receipt: &Receipt, package: &PackageVersion) -> String {
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

/// The name under which vulnerabilities of the server are filed.
pub fn cpe(component: &Component) -> Option<String> {
    let version = &component.version;
    (component.kind == ComponentKind::Postgresql)
        .then(|| format!("cpe:2.3:a:postgresql:postgresql:{version}:*:*:*:*:*:*:*"))
}

/// What package URLs write as it is (purl-spec): letters, digits, `.`, `-`, `_`, `~` and the colon.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

/// Percent-encoding as package URLs want it.
pub fn percent(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

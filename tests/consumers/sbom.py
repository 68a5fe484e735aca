"""Validates an SPDX 2.3 and a CycloneDX 1.6 document with the libraries that read them.

Each has the distribution, or no scanner knows whose advisories are about the packages.

With a receipt as third argument every component of it must be in both, with purl, version, licence, digest and, where
it was compiled from an archive, the place of that.
"""
import json
import re
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import ComponentType
from spdx_tools.spdx.model.package import PackagePurpose
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

spdx, cyclonedx, *receipts = sys.argv[1:]
problems = []
document = parse_file(spdx)
for message in validate_full_spdx_document(document):
    problems.append(f"{spdx}: {message.validation_message} ({message.context.spdx_id})")
with open(cyclonedx) as file:
    text = file.read()
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
if error:
    problems.append(f"{cyclonedx}: {error}")
bom = Bom.from_json(json.loads(text))


def suffix(component):
    """What tells a component for an older major of PostgreSQL from its namesake."""
    return f"-pg{component['older_major']}" if "older_major" in component else ""


def in_spdx(component):
    """What the SPDX document lacks of a component."""
    # The image itself may be called as a component is.
    found = [
        package
        for package in document.packages
        if package.name == component["name"]
        and package.primary_package_purpose != PackagePurpose.CONTAINER
        and re.search(r"(-pg\d+)?$", package.spdx_id).group() == suffix(component)
    ]
    if len(found) != 1:
        return f"{len(found)} packages"
    package = found[0]
    digest = component["sources"][0]["sha256"]
    facts = {
        "version": package.version == component["version"],
        "licence": str(package.license_declared) == component["license"],
        "digest": digest in [checksum.value for checksum in package.checksums],
        "purl": any(reference.reference_type == "purl" for reference in package.external_references),
        "place": not component["sources"][0].get("url") or package.download_location == component["sources"][0]["url"],
    }
    return ", ".join(name for name, is_right in facts.items() if not is_right)


def in_cyclonedx(component):
    """What the CycloneDX document lacks of a component."""
    prefix = f"{suffix(component).strip('-')}:" if suffix(component) else "pkg:"
    found = [one for one in bom.components if one.name == component["name"] and str(one.bom_ref).startswith(prefix)]
    if len(found) != 1:
        return f"{len(found)} components"
    one = found[0]
    url = component["sources"][0].get("url")
    hashes = [digest for reference in one.external_references for digest in reference.hashes] + list(one.hashes)
    licences = [getattr(licence, "value", None) or licence.id or licence.name for licence in one.licenses]
    facts = {
        "version": one.version == component["version"],
        "licence": component["license"] in licences,
        "digest": component["sources"][0]["sha256"] in [digest.content for digest in hashes],
        "purl": one.purl is not None,
        "place": not url or url in [str(reference.url) for reference in one.external_references],
    }
    return ", ".join(name for name, is_right in facts.items() if not is_right)


systems = {
    spdx: [package for package in document.packages if package.primary_package_purpose == PackagePurpose.OPERATING_SYSTEM],
    cyclonedx: [component for component in bom.components if component.type == ComponentType.OPERATING_SYSTEM],
}
for path, found in systems.items():
    if [system.name for system in found] != ["debian"] or not found[0].version:
        problems.append(f"{path}: no operating system with a version: {found}")
components = [component for path in receipts for component in json.load(open(path))["components"]]
for component in components:
    for path, lacks in [(spdx, in_spdx(component)), (cyclonedx, in_cyclonedx(component))]:
        if lacks:
            problems.append(f"{path}: {component['name']}: {lacks}")
for problem in problems:
    print(problem)
print(len(document.packages), "packages,", len(bom.components), "components")
sys.exit(1 if problems else 0)

#!/usr/bin/env python3
"""Prints a CycloneDX 1.6 bill of materials of the binary: every crate that is linked into it, from Cargo.lock.

usage: sbom.py TARGET BINARY SECONDS

TARGET is Rust's name of the machine, BINARY what was compiled for it, and SECONDS the time of the document. Crates that
run while compiling (build scripts and procedural macros, with what only they need) have the scope `excluded`.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import tomllib
import uuid
from datetime import datetime, timezone

PROJECT = pathlib.Path(__file__).resolve().parents[2]


def metadata(target):
    """What cargo says of the packages and how they depend on each other on the target."""
    command = ["cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={target}"]
    return json.loads(subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE).stdout)


def reachable(nodes, start, is_followed):
    """The packages that are reached from one by the dependencies that are followed."""
    found, waiting = set(), [start]
    while waiting:
        package = waiting.pop()
        if package not in found:
            found.add(package)
            waiting += [dependency["pkg"] for dependency in nodes[package]["deps"] if is_followed(dependency)]
    return found


def has_kind(dependency, kinds):
    return any(kind["kind"] in kinds for kind in dependency["dep_kinds"])


def is_macro(package):
    return any("proc-macro" in target["kind"] for target in package["targets"])


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, digest, scope):
    found = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "scope": scope,
        "purl": purl(package),
    }
    if package.get("license"):
        # Older crates write the alternatives of a licence with a slash.
        found["licenses"] = [{"expression": " ".join(package["license"].replace("/", " OR ").split())}]
    if digest:
        found["hashes"] = [{"alg": "SHA-256", "content": digest}]
    if package.get("repository"):
        found["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return found


def main():
    target, binary, seconds = sys.argv[1:]
    facts = metadata(target)
    packages = {package["id"]: package for package in facts["packages"]}
    nodes = {node["id"]: node for node in facts["resolve"]["nodes"]}
    (root,) = (id for id, package in packages.items() if package["name"] == "pgsetup")
    lock = tomllib.loads((PROJECT / "Cargo.lock").read_text())
    digests = {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}

    linked = reachable(nodes, root, lambda one: has_kind(one, [None]) and not is_macro(packages[one["pkg"]]))
    everything = reachable(nodes, root, lambda one: has_kind(one, [None, "build"]))
    components = []
    for id in sorted(everything - {root}, key=lambda id: purl(packages[id])):
        package = packages[id]
        digest = digests[package["name"], package["version"]]
        components.append(component(package, digest, "required" if id in linked else "excluded"))
    dependencies = []
    for id in sorted(everything, key=lambda id: purl(packages[id])):
        needed = {one["pkg"] for one in nodes[id]["deps"] if has_kind(one, [None, "build"])}
        dependencies.append({"ref": purl(packages[id]), "dependsOn": sorted(purl(packages[one]) for one in needed)})
    own = packages[root]
    digest = hashlib.sha256(pathlib.Path(binary).read_bytes()).hexdigest()
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'pgsetup:{digest}')}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": purl(own),
                "name": own["name"],
                "version": own["version"],
                "purl": purl(own),
                "licenses": [{"expression": own["license"]}],
                "hashes": [{"alg": "SHA-256", "content": digest}],
                "properties": [{"name": "pgsetup:target", "value": target}],
            },
        },
        "components": components,
        "dependencies": dependencies,
    }
    json.dump(bom, sys.stdout, indent=2, sort_keys=True)
    print()


main()

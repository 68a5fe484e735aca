"""Validates a CycloneDX 1.6 document, and compares it with Cargo.lock: every package of it has the digest that stands there."""

import json
import sys
import tomllib

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

document, lock = sys.argv[1:]
with open(document) as file:
    text = file.read()
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
if error:
    sys.exit(f"{document}: {error}")
with open(lock, "rb") as file:
    digests = {(package["name"], package["version"]): package.get("checksum") for package in tomllib.load(file)["package"]}
components = {(one["name"], one["version"]): one for one in json.loads(text)["components"]}
for name, component in components.items():
    if component["hashes"] != [{"alg": "SHA-256", "content": digests[name]}]:
        sys.exit(f"{name}: {component['hashes']}")
print(*sorted(f"{name} {component['scope']}" for (name, _), component in components.items()), sep="\n")

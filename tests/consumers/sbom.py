"""Validates an SPDX 2.3 and a CycloneDX 1.6 document with the libraries that read them."""
import json
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from cyclonedx.model.bom import Bom
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

spdx, cyclonedx = sys.argv[1:]
document = parse_file(spdx)
messages = validate_full_spdx_document(document)
for message in messages:
    print(f"{spdx}: {message.validation_message} ({message.context.spdx_id})")
with open(cyclonedx) as file:
    text = file.read()
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
if error:
    print(f"{cyclonedx}: {error}")
bom = Bom.from_json(json.loads(text))
print(len(document.packages), "packages,", len(bom.components), "components")
sys.exit(1 if messages or error else 0)

"""Validates a document against a JSON schema, in which every object has the properties that it names and no others."""
import json
import sys

from jsonschema import Draft202012Validator


def closed(schema):
    """The schema with every object in it closed."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    return schema


with open(sys.argv[1]) as file:
    schema = closed(json.load(file))
Draft202012Validator.check_schema(schema)
with open(sys.argv[2]) as file:
    document = json.load(file)
errors = list(Draft202012Validator(schema).iter_errors(document))
for error in errors:
    print(f"{error.json_path.removeprefix('$').removeprefix('.')}: {error.message[:200]}")
sys.exit(1 if errors else 0)

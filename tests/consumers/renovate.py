"""Prints what the custom managers of renovate.json find in the manifests: `file dependency version tag`, one a line.

Renovate's expressions are RE2's, whose named groups Python writes as (?P<name>...). A template is filled in with the groups.
"""

import json
import pathlib
import re
import sys

project = pathlib.Path(sys.argv[1])


def expression(text):
    return re.compile(re.sub(r"\(\?<(?=[A-Za-z])", "(?P<", text))


def filled(template, groups):
    return re.sub(r"\{\{\{(\w+)\}\}\}", lambda name: groups[name.group(1)], template)


for manager in json.loads((project / "renovate.json").read_text())["customManagers"]:
    (pattern,) = manager["managerFilePatterns"]
    for path in sorted((project / "manifests").rglob("*.yaml")):
        name = str(path.relative_to(project))
        if not re.search(pattern.strip("/"), name):
            continue
        for match in expression(manager["matchStrings"][0]).finditer(path.read_text()):
            groups = match.groupdict()
            dependency = groups.get("depName") or filled(manager["depNameTemplate"], groups)
            # A tag of upstream's, from which the version is extracted again.
            tag = groups.get("prefix", "") + groups["currentValue"]
            extract = expression(filled(manager.get("extractVersionTemplate", "^(?<version>.*)$"), groups))
            assert extract.match(tag).group("version") == groups["currentValue"], (name, tag)
            print(name, dependency, groups["currentValue"], tag)

#!/usr/bin/env bash
# Installs the libraries that the tests hand bills of materials to, below target/: they are no part of the project, and
# where the package index of pip cannot be reached those tests are skipped by name.
set -Eeuo pipefail

directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
readonly environment="$directory/target/consumers"
readonly -a libraries=("spdx-tools==0.8.5" "cyclonedx-python-lib[json-validation]==11.12.0")

main() {
  if "$environment/bin/python" -c 'import cyclonedx.validation.json, jsonschema, spdx_tools' 2>/dev/null; then
    return
  fi
  if ! python3 -m venv --clear "$environment" >/dev/null 2>&1; then
    printf 'consumers: python3 cannot make an environment: apt-get install python3-venv\n' >&2
    return
  fi
  if ! "$environment/bin/pip" install --quiet --disable-pip-version-check --retries 1 "${libraries[@]}" >&2; then
    printf 'consumers: pip cannot install %s\n' "${libraries[*]}" >&2
    rm -rf "$environment"
  fi
}

main "$@"

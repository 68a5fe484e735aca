#!/usr/bin/env bash
# Installs below target/ the libraries with which tests read bills of materials; they do not belong to the project.
# Without a package index for pip, or a python3 that makes environments, the tests that need them are ignored by name. Any
# other failure is an error.
set -Eeuo pipefail

directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
readonly environment="$directory/target/consumers"
readonly -a libraries=("spdx-tools==0.8.5" "cyclonedx-python-lib[json-validation]==11.12.0")

# usage: is_there     whether the libraries can be imported
is_there() {
  "$environment/bin/python" -c 'import cyclonedx.validation.json, jsonschema, spdx_tools' 2>/dev/null
}

# usage: index_answers     whether pip has an index that gives it anything
index_answers() {
  "$environment/bin/pip" download --quiet --no-cache-dir --retries 1 --no-deps --dest "$environment/probe" pip >/dev/null 2>&1
}

main() {
  if is_there; then
    return
  fi
  if ! python3 -m venv --clear "$environment" >/dev/null 2>&1; then
    printf 'consumers: python3 cannot make an environment: apt-get install python3-venv\n' >&2
    return
  fi
  if "$environment/bin/pip" install --quiet --disable-pip-version-check --retries 1 "${libraries[@]}" >&2 && is_there; then
    return
  fi
  local status=0
  if index_answers; then
    printf 'consumers: the package index answers, and pip does not install %s\n' "${libraries[*]}" >&2
    status=1
  else
    printf 'consumers: pip reaches no package index\n' >&2
  fi
  rm -rf "$environment"
  return "$status"
}

main "$@"

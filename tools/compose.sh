#!/usr/bin/env bash
# Checks the example cluster's compose files against the published schema of the Compose specification, which the Python
# package check-jsonschema contains. So they are checked for Compose v2 even where only docker-compose 1 is installed. Exit
# status 75 means that the package is not available.
set -Eeuo pipefail

readonly validator=check-jsonschema==0.39.0
directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
readonly environment="$directory/target/check-jsonschema"

# usage: obtain     installs the validator into an environment of its own
obtain() {
  if [[ -x "$environment/bin/check-jsonschema" ]]; then
    return
  fi
  rm --recursive --force "$environment"
  if ! python3 -m venv "$environment" >&2 || ! "$environment/bin/pip" install --quiet --disable-pip-version-check "$validator" >&2; then
    rm --recursive --force "$environment"
    printf 'the schema of Compose is not available: python3 -m venv or pip install %s failed\n' "$validator" >&2
    return 75
  fi
}

obtain
if (($# == 0)); then
  set -- "$directory/cluster/compose.yaml" "$directory/cluster/chaos/compose.yaml"
fi
"$environment/bin/check-jsonschema" --builtin-schema vendor.compose-spec "$@"

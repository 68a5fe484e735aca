#!/usr/bin/env bash
# Checks the Kubernetes example against the schemas that Kubernetes publishes for each of its versions, which the Python
# package kubernetes-validate contains. Exit status 75 means that the package is not available.
set -Eeuo pipefail

readonly validator=kubernetes-validate==1.37.0
directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
readonly environment="$directory/target/kubernetes-validate"

# usage: obtain     installs the validator into an environment of its own
obtain() {
  if [[ -x "$environment/bin/kubernetes-validate" ]]; then
    return
  fi
  rm --recursive --force "$environment"
  if ! python3 -m venv "$environment" >&2 || ! "$environment/bin/pip" install --quiet --disable-pip-version-check "$validator" >&2; then
    rm --recursive --force "$environment"
    printf 'the schemas of Kubernetes are not available: python3 -m venv or pip install %s failed\n' "$validator" >&2
    return 75
  fi
}

main() {
  local version
  obtain
  # Endpoints-based leader election and everything else in the example is older than the first of these.
  for version in 1.28 1.31 1.34 1.37; do
    "$environment/bin/kubernetes-validate" --strict --quiet --kubernetes-version "$version" "$directory"/cluster/kubernetes/*.yaml
    printf 'cluster/kubernetes fits the schemas of Kubernetes %s\n' "$version"
  done
}

main "$@"

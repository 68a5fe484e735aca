#!/usr/bin/env bash
# Checks the Kubernetes example against the schemas that Kubernetes publishes for each of its versions, which the Python
# package kubernetes-validate contains. Exit status 75 means that the package is not available.
set -Eeuo pipefail

readonly validator=kubernetes-validate==1.37.0
directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
# shellcheck source=tools/validator.sh
source "$directory/tools/validator.sh"

main() {
  local version
  obtain "$validator"
  # Endpoints-based leader election and everything else in the example is older than the first of these.
  for version in 1.28 1.31 1.34 1.37; do
    "$REPLY" --strict --quiet --kubernetes-version "$version" "$directory"/cluster/kubernetes/*.yaml
    printf 'cluster/kubernetes fits the schemas of Kubernetes %s\n' "$version"
  done
}

main "$@"

#!/usr/bin/env bash
# Checks files against the published schemas that the Python package check-jsonschema contains: the compose files of the
# example cluster, GitHub's workflows and issue forms, and Renovate's configuration. So the compose files are checked for
# Compose v2 even where only docker-compose 1 is installed. Exit status 75 means that the package is not available.
#
# usage: schemas.sh                    checks the files of this repository
#        schemas.sh SCHEMA FILE...     checks these, for example against vendor.compose-spec
set -Eeuo pipefail

readonly validator=check-jsonschema==0.39.0
directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
# shellcheck source=tools/validator.sh
source "$directory/tools/validator.sh"

# usage: check SCHEMA FILE...
check() {
  "$program" --builtin-schema "$@"
}

main() {
  local status=0 form program
  obtain "$validator"
  program="$REPLY"
  if (($#)); then
    check "$@"
    return
  fi
  cd "$directory"
  check vendor.compose-spec cluster/compose.yaml cluster/chaos/compose.yaml || status=1
  check vendor.github-workflows .github/workflows/*.yml || status=1
  check vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml || status=1
  local -a forms=()
  for form in .github/ISSUE_TEMPLATE/*.yml; do
    [[ "$form" == */config.yml ]] || forms+=("$form")
  done
  check vendor.github-issue-forms "${forms[@]}" || status=1
  check vendor.renovate renovate.json || status=1
  return "$status"
}

main "$@"

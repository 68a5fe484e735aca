#!/usr/bin/env bash
# Runs every test, builds the image that the container tests look at, and lists the tests that were ignored and why.
set -Eeuo pipefail

directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
cd "$directory"

# usage: image     builds the image for the container tests, where an engine can; tools/setup.sh says why it cannot
image() {
  if [[ "${PGSETUP_IMAGE_IS_BUILT:-}" != 1 ]] && tools/docker.sh >/dev/null 2>&1; then
    make image
  fi
}

main() {
  local log status=0
  log="$(mktemp)"
  image
  tools/consumers.sh || status=$?
  cargo test --locked --workspace 2>&1 | tee "$log" || status=$?
  if grep --quiet ' \.\.\. ignored' "$log"; then
    printf '\nignored here:\n'
    sed --quiet 's/^test \(.*[^ ]\) *\.\.\. ignored/  \1: ignored/p' "$log"
  fi
  rm --force "$log"
  return "$status"
}

main "$@"

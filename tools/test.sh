#!/usr/bin/env bash
# Runs every test, builds the image that the container tests look at, and says what could not run here and why.
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
  local skipped="target/tmp/skipped" status=0
  rm -f "$skipped"
  image
  tools/consumers.sh || status=$?
  cargo test --locked || status=$?
  if [[ -s "$skipped" ]]; then
    printf '\nskipped here:\n'
    sort --unique "$skipped" | sed 's/^/  /'
  fi
  return "$status"
}

main "$@"

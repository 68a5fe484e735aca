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

# usage: prepare     compiles the tests, and installs what some of them call
prepare() {
  tools/consumers.sh && cargo test --locked --workspace --no-run
}

main() {
  local status=0 preparing
  work="$(mktemp --directory)"
  readonly work
  trap 'rm --recursive --force "$work"' EXIT
  # Linking the binary and configuring PostgreSQL keep one processor busy; the tests are compiled beside.
  prepare >"$work/preparing" 2>&1 &
  preparing="$!"
  image || status=$?
  wait "$preparing" || status=$?
  cat "$work/preparing"
  ((status == 0)) || return "$status"
  cargo test --locked --workspace 2>&1 | tee "$work/log" || status=$?
  if grep --quiet ' \.\.\. ignored' "$work/log"; then
    printf '\nignored here:\n'
    sed --quiet 's/^test \(.*[^ ]\) *\.\.\. ignored/  \1: ignored/p' "$work/log"
  fi
  return "$status"
}

main "$@"

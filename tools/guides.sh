#!/usr/bin/env bash
# Follows the guides of docs/ as a reader would: runs their commands, in containers where they need one, and compares what is
# printed with what the guides show. `make test` runs those that need no image, and those that need one if it is there.
set -Eeuo pipefail

directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
cd "$directory"

main() {
  local image="${IMAGE:-pgsetup/postgresql:18}"
  docker image inspect "$image" >/dev/null 2>&1 || make image
  [[ -x dist/pgsetup ]] || make pgsetup
  PGSETUP_GUIDES=all PGSETUP_REQUIRE_ALL=1 PGSETUP_TEST_IMAGE="$image" \
    cargo test --locked --test suite guides -- --test-threads=1
}

main "$@"

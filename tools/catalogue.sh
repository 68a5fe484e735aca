#!/usr/bin/env bash
# Builds and tests extensions in containers, records what passed in docs/results/extensions.tsv, and writes the table of what is
# supported, docs/results/extensions.md. What the Makefile hands in: PG, EXTENSIONS, VENDOR, BASE, and RESUME=1, which leaves out
# what is recorded already as it would be built today. What cannot be had is left out, and stays as it is in the table.
set -Eeuo pipefail

directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
cd "$directory"

main() {
  local base="${BASE:-debian:bookworm}" status=0
  tools/base.sh "$base"
  PGSETUP_TEST_EXTENSIONS="${EXTENSIONS:-all}" PGSETUP_TEST_PG="${PG:-15 16 17 18}" BASE="$base" \
    cargo test --locked --test catalogue -- --test-threads=1 builds_and_passes || status=$?
  SNAPSHOTS=overwrite cargo test --quiet --locked --test catalogue -- the_table_says_what_was_tested >/dev/null
  grep '^PostgreSQL ' docs/results/extensions.md
  return "$status"
}

main "$@"

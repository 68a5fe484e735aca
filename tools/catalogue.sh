#!/usr/bin/env bash
# Builds and tests extensions in containers, records those that passed in docs/results/extensions.tsv, and writes the table of
# supported extensions beside it. The Makefile passes PG, EXTENSIONS, VENDOR, BASE, and RESUME=1, which leaves out
# extensions that are recorded as they would be built today. An extension whose archive is not available keeps its row.
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

#!/usr/bin/env bash
# Runs the tests of the contract and prints its lines with the outcome of each: tests/contract/README.md is the list, and a test belongs to the
# lines that are in its name. Ends with 1 if a line failed, was skipped, or has no test.
set -Eeuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# usage: lines     prints "name<TAB>what" for each line of the list
lines() { awk -F ' *[|] *' '$2 ~ /^[a-z]+_[0-9]+$/ { print $2 "\t" $3 }' tests/contract/README.md; }

# usage: outcome NAME     prints what became of the line's tests
outcome() {
  local passed failed
  passed="$(grep --count --extended-regexp "^test contract::.*[:_]$1_.* \.\.\. ok$" "$results" || true)"
  failed="$(grep --count --extended-regexp "^test contract::.*[:_]$1_.* \.\.\. FAILED$" "$results" || true)"
  if ((failed)); then
    printf 'FAILED'
  elif grep --quiet --extended-regexp "[:_]$1_" "$skipped" 2>/dev/null; then
    printf 'skipped'
  elif ((passed)); then
    printf 'ok (%d)' "$passed"
  else
    printf 'no test'
  fi
}

main() {
  local name what status result number=0
  skipped=target/tmp/skipped
  results="$(mktemp)"
  rm --force "$skipped"
  cargo test --locked --test suite -- contract:: 2>&1 | tee "$results" || true
  printf '\n'
  status=0
  while IFS=$'\t' read -r name what; do
    number=$((number + 1))
    result="$(outcome "$name")"
    [[ "$result" == ok* ]] || status=1
    printf '%3d  %-10s %-8s %s\n' "$number" "$name" "$result" "$what"
  done < <(lines)
  rm --force "$results"
  return "$status"
}

main "$@"

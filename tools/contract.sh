#!/usr/bin/env bash
# Runs the tests of the contract and prints each of its lines with the outcome. tests/contract/README.md lists the lines; the runner prints
# before a test's name which of them it proves. Ends with 1 if a test of a line failed, was ignored, or does not exist.
# The image is the one that `make image` builds from the same variables: START=root makes it the tag 18-root, IMAGE=NAME any other.
set -Eeuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# usage: lines     prints "line<TAB>what" for each line of the contract
lines() { awk -F ' *[|] *' '$2 ~ /^[a-z]+_[0-9]+$/ { print $2 "\t" $3 }' tests/contract/README.md; }

# usage: outcome LINE     prints the outcome of the line's tests
outcome() {
  awk -v line="$1" '
    /^test \[[a-z0-9_, ]+\] .* \.\.\. / {
      named = substr($0, 7, index($0, "]") - 7)
      if (index(", " named ",", ", " line ",")) {
        sub(/.* \.\.\. /, "")
        count[$1]++
        if ($1 == "ignored" && !reason) { reason = $0 }
      }
    }
    END {
      if (count["FAILED"]) { print "FAILED" }
      else if (reason) { print reason }
      else if (count["ok"]) { print "ok (" count["ok"] ")" }
      else { print "no test" }
    }' "$results"
}

main() {
  local line what status result number=0 tag="${PG:-18}"
  results="$(mktemp)"
  [[ "${START:-}" != root ]] || tag+=-root
  export PGSETUP_TEST_IMAGE="${PGSETUP_TEST_IMAGE:-${IMAGE:-pgsetup/postgresql:$tag}}"
  printf 'IMAGE=%s\n' "$PGSETUP_TEST_IMAGE"
  cargo test --locked --test suite -- contract:: 2>&1 | tee "$results" || true
  printf '\n'
  status=0
  while IFS=$'\t' read -r line what; do
    number=$((number + 1))
    result="$(outcome "$line")"
    [[ "$result" == ok* ]] || status=1
    printf '%3d  %-10s %-8s %s\n' "$number" "$line" "$result" "$what"
  done < <(lines)
  rm --force "$results"
  return "$status"
}

main "$@"

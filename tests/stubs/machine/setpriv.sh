#!/usr/bin/env bash
# Stands in for setpriv(1): notes as whom a program would run, and runs it as the caller.
set -Eeuo pipefail

# usage: setpriv OPTION... -- PROGRAM ARG...
main() {
  local -a options=()
  while [[ "$1" != -- ]]; do
    options+=("$1")
    shift
  done
  shift
  printf '%s: %s\n' "${1##*/}" "${options[*]}" >>"$TRACE/setpriv"
  local program="$1"
  shift
  exec "$ROOT$program" "$@"
}

main "$@"

#!/usr/bin/env bash
# Stands in for chroot(8), which is root's: runs the program outside of the root and tells it with ROOT where the
# root is. Paths in arguments stay as they are; a stub or a makefile puts ROOT before them.
set -Eeuo pipefail

# usage: chroot -- ROOT [env --chdir=DIR --] PROGRAM ARG...
main() {
  [[ "$1" == -- ]] || { printf 'chroot: expected --, not %s\n' "$1" >&2 && exit 125; }
  export ROOT="$2" TRACE="${2%/root}/trace"
  shift 2
  if [[ "$1" == env ]]; then
    cd "$ROOT${2#--chdir=}"
    shift 3
  fi
  local program="$1"
  shift
  if [[ "$program" == /* ]]; then
    program="$ROOT$program"
  fi
  exec "$program" "$@"
}

main "$@"

#!/usr/bin/env bash
# Stands in for dpkg(1): what it does after an accident. What was unpacked is configured, what is half installed is not:
# that is left to apt-get.
set -Eeuo pipefail

# usage: rewrite SED-SCRIPT     changes dpkg's status file
rewrite() {
  sed "$1" "$ROOT/var/lib/dpkg/status" >"$TRACE/status"
  cat "$TRACE/status" >"$ROOT/var/lib/dpkg/status"
}

# usage: dpkg [--force-…] --configure --pending | --purge NAME... | --set-selections <NAMES
main() {
  local name want
  printf '%s\n' "$*" >>"$TRACE/dpkg-commands"
  while [[ "$1" == --force-* ]]; do shift; done
  case "$1" in
    --configure)
      rm -f "$ROOT"/var/lib/dpkg/updates/*
      rewrite 's/^Status: install ok \(unpacked\|half-configured\)$/Status: install ok installed/'
      ;;
    --purge)
      shift
      for name; do
        awk -v RS= -v ORS='\n\n' -v name="${name%:*}" '$2 != name' "$ROOT/var/lib/dpkg/status" >"$TRACE/status"
        cat "$TRACE/status" >"$ROOT/var/lib/dpkg/status"
      done
      ;;
    --set-selections)
      while read -r name want; do
        rewrite "/^Package: ${name%:*}\$/,/^\$/s/^Status: [a-z]*/Status: $want/"
      done
      ;;
    *) printf 'dpkg: unknown option %s\n' "$1" >&2 && exit 2 ;;
  esac
}

main "$@"

#!/usr/bin/env bash
# The container's first process: decides what was asked for and hands over. It holds no knowledge of PostgreSQL or Patroni itself;
# that is in scripts/, one small file a purpose. Sourcing this file defines functions and does nothing else, so that a derived
# image can reuse them.

# shellcheck source-path=SCRIPTDIR

# usage: container_scripts
# Prints where scripts/ is. /entrypoint.sh may be a link to this file or a copy of it.
container_scripts() {
  local here="${BASH_SOURCE[0]}"
  [[ ! -L "$here" ]] || here="$(readlink -f "$here")"
  [[ "$here" == */* ]] || here="./$here"
  here="${here%/*}"
  [[ -r "$here/scripts/lib/all.sh" ]] || here=/opt/container/entrypoint.d
  printf '%s\n' "$here/scripts"
}

# shellcheck source=scripts/lib/all.sh
source "$(container_scripts)/lib/all.sh"

# usage: main [--explain] [COMMAND [ARG...]]
main() {
  set -Eeuo pipefail
  local explain=''
  if [[ "${1:-}" == --explain ]]; then
    explain=yes
    shift
  fi
  if (($# == 0)) || [[ "$1" == -* ]]; then
    set -- postgres "$@"
  fi

  case "$(command_kind "$@")$explain" in
    standalone) run_standalone "$@" ;;
    patroni) run_patroni "$@" ;;
    upgrade) run_upgrade "$@" ;;
    standaloneyes) explain_standalone "$@" ;;
    patroniyes) explain_patroni "$@" ;;
    upgradeyes) explain_upgrade "$@" ;;
    otheryes) explain_other "$@" ;;
    *) exec "$@" ;;
  esac
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  main "$@"
fi

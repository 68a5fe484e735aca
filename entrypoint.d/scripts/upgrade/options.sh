# shellcheck shell=bash
# The words after `upgrade`. Looks at words only.

# usage: read_upgrade_options [OPTION...]
# Sets upgrade_action (upgrade, check, abandon or discard), upgrade_mode and upgrade_jobs; reports through `problem`.
# shellcheck disable=SC2034  # they are for the caller
read_upgrade_options() {
  upgrade_action=upgrade upgrade_mode=copy upgrade_jobs="$(nproc)"
  while (($#)); do
    case "$1" in
      --check) upgrade_action=check ;;
      --abandon) upgrade_action=abandon ;;
      --discard-old) upgrade_action=discard ;;
      --copy | --clone | --link) upgrade_mode="${1#--}" ;;
      --jobs=*[!0-9]* | --jobs=) problem "upgrade: $1: a number was expected" ;;
      --jobs=*) upgrade_jobs="${1#--jobs=}" ;;
      *) problem "upgrade: $1 is none of --check, --copy, --clone, --link, --jobs=NUMBER, --abandon, --discard-old" ;;
    esac
    shift
  done
}

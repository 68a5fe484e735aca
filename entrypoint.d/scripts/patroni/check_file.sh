# shellcheck shell=bash
# What can be wrong with a patroni.yml of the user's. Changes nothing; reports through `problem`. `patroni --validate-config` is not asked: it
# wants the store to answer, which may come later than this member, and takes a second.

# usage: check_patroni_file FILE
# FILE is as patroni_user_file sets it.
check_patroni_file() {
  local line status=0 text
  local -a stores=()
  if [[ "$1" != environment ]]; then
    check_patroni_file_access "$1" || return 0
    patroni_stores
    stores=("${REPLY_STORES[@]}")
  fi
  # shellcheck disable=SC2154  # set by lib/all.sh
  text="$(/opt/patroni/bin/python3 -I "$container_scripts/patroni/check_file.py" "$1" "${stores[@]}" 2>&1)" || status=$?
  ((status == 0)) || while IFS= read -r line; do
    problem "$line"
  done <<<"$text"
}

# usage: check_patroni_file_access FILE
# Fails if there is nothing to read. An engine makes a directory where the file to mount is not there; Patroni takes one that has files in it.
check_patroni_file_access() {
  if [[ ! -e "$1" ]]; then
    problem "Patroni's configuration file $1 does not exist in the container: mount it there (--volume FILE:$1:ro)"
  elif [[ ! -r "$1" ]]; then
    problem "Patroni's configuration file $1 cannot be read by uid $(id -u): it belongs to uid $(stat --dereference --format='%u, mode %a' "$1")"
  elif [[ -d "$1" ]] && ! compgen -G "$1/*.y*ml" >/dev/null; then
    problem "Patroni's configuration file $1 is a directory without any *.yml: the file that was to be mounted there does not exist where the engine runs"
  else
    return 0
  fi
  return 1
}

# usage: check_patroni_arguments patroni [ARG...]
# Patroni is started with its file alone, so nothing else may be lost in silence.
check_patroni_arguments() {
  local arg
  local -a files=()
  for arg in "${@:2}"; do
    case "$arg" in
      -*) problem "patroni's option '$arg' does not start it: expected at most the name of its configuration file" ;;
      *) files+=("$arg") ;;
    esac
  done
  ((${#files[@]} < 2)) || problem "patroni takes one configuration file, and was given ${#files[@]}: ${files[*]}"
}

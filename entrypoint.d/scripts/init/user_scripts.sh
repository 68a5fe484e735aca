# shellcheck shell=bash
# The user's own initialisation: /docker-entrypoint-initdb.d, run by name, once, against the temporary server.

# usage: user_scripts
# Sets user_script_files to the entries, in the order they are run.
user_scripts() {
  local LC_ALL=C
  user_script_files=(/docker-entrypoint-initdb.d/*)
  [[ -e "${user_script_files[0]}" || -L "${user_script_files[0]}" ]] || user_script_files=()
}

# usage: check_user_scripts
# Finds what would fail half-way while there is still nothing to be left half-made.
check_user_scripts() {
  local file program
  [[ -e /docker-entrypoint-initdb.d ]] || return 0
  if [[ ! -r /docker-entrypoint-initdb.d || ! -x /docker-entrypoint-initdb.d ]]; then
    problem "/docker-entrypoint-initdb.d cannot be read by uid $(id -u)"
    return 0
  fi
  user_scripts
  for file in "${user_script_files[@]}"; do
    case "$file" in
      *.sh | *.sql) program=true ;;
      *.sql.gz) program=gunzip ;;
      *.sql.xz) program=xzcat ;;
      *.sql.zst) program=zstd ;;
      *) continue ;;
    esac
    [[ -r "$file" ]] || problem "$file cannot be read by uid $(id -u)"
    command -v "$program" >/dev/null || problem "$file needs $program, which this image does not have"
  done
}

# usage: run_user_scripts
run_user_scripts() {
  local file
  # shellcheck disable=SC2034  # for sourced scripts, which know it from the official image
  psql=(docker_process_sql)
  user_scripts
  for file in "${user_script_files[@]}"; do
    # shellcheck disable=SC2034  # initialise.sh says with it where an initialisation failed
    initialisation_stage="$file"
    run_user_script "$file"
    printf '\n'
  done
}

# usage: run_user_script FILE
# What is sourced runs in this shell, as its author expects, but unset variables are not an error to it.
run_user_script() {
  local name=/entrypoint.sh
  case "$1" in
    *.sh)
      if [[ -x "$1" ]]; then
        printf '%s: running %s\n' "$name" "$1"
        "$1"
      else
        printf '%s: sourcing %s\n' "$name" "$1"
        set +u
        # shellcheck disable=SC1090  # the user's file
        source "$1"
        set -u
      fi
      ;;
    *.sql) printf '%s: running %s\n' "$name" "$1" && docker_process_sql --file "$1" ;;
    *.sql.gz) printf '%s: running %s\n' "$name" "$1" && gunzip --stdout "$1" | docker_process_sql ;;
    *.sql.xz) printf '%s: running %s\n' "$name" "$1" && xzcat "$1" | docker_process_sql ;;
    *.sql.zst) printf '%s: running %s\n' "$name" "$1" && zstd --decompress --stdout "$1" | docker_process_sql ;;
    *) printf '%s: ignoring %s\n' "$name" "$1" ;;
  esac
}

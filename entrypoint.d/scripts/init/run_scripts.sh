# shellcheck shell=bash
# Runs the user's initialisation scripts, by name, once, against the temporary server.

# usage: run_user_scripts
run_user_scripts() {
  local file
  # shellcheck disable=SC2034  # for sourced scripts, which know it from the official image
  psql=(docker_process_sql)
  user_scripts
  # shellcheck disable=SC2154  # set by user_scripts
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

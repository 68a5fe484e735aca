# shellcheck shell=bash
# The part of `--explain` that is about the data directory.

# usage: explain_data
explain_data() {
  local file
  data_directory_state
  explain_line data "$PGDATA: $REPLY"
  [[ "$REPLY" == absent ]] || return 0
  explain_line new "superuser $POSTGRES_USER ($(password_origin)), database $POSTGRES_DB${POSTGRES_INITDB_ARGS:+, initdb $(mask_secrets <<<"$POSTGRES_INITDB_ARGS")}"
  user_scripts
  # shellcheck disable=SC2154  # set by user_scripts
  for file in "${user_script_files[@]}"; do
    explain_line script "$file"
  done
}

# usage: password_origin
password_origin() {
  if [[ -n "$POSTGRES_PASSWORD" ]]; then
    printf 'password given'
  else
    printf 'no password'
  fi
}

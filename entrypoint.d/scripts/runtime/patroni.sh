# shellcheck shell=bash
# One member of a Patroni cluster: from the environment to a running Patroni, which starts PostgreSQL.

# usage: run_patroni patroni|postgres [ARG...]
run_patroni() {
  local file
  exit_on_signals
  read_environment
  read_patroni_environment "$@"
  check_patroni "$@"
  stop_on_problems
  prepare_directories
  step_down "$@"
  claim_data_directory
  drop_foreign_lock_files
  ensure_passwd_entry
  patroni_configuration "$@"
  file="$REPLY"
  start_over "$file"
  # shellcheck disable=SC2154  # set by lib/all.sh
  remember_health_target "$(/opt/patroni/bin/python3 -I "$container_scripts/patroni/rest_target.py" "$file")"
  unset POSTGRES_PASSWORD
  keep_byte_code
  if [[ "$file" == environment ]]; then
    supervise_patroni patroni
  fi
  link_patronictl "$file"
  supervise_patroni patroni "$file"
}

# usage: start_over FILE
# Where an initialisation did not complete, and the start has not been refused for it. The directory goes last: as long as it is there, it is all
# done again.
start_over() {
  data_directory_state
  [[ "$REPLY" == incomplete ]] || return 0
  # shellcheck disable=SC2154  # set by lib/all.sh
  run_stoppable "starting over" /opt/patroni/bin/python3 "$container_scripts/patroni/release_bootstrap.py" "${1#environment}" ||
    warn "the store may still have the key of the start that did not complete. If Patroni says that it is waiting for leader to bootstrap, run patronictl remove ${PATRONI_SCOPE:-SCOPE}"
  discard_incomplete
}

# usage: keep_byte_code
# Patroni starts another Python, with all of itself, for each start of PostgreSQL, and the image has no byte code: reading it again costs a
# second of processor time when a failover can least spare it. It goes where the generated configuration is, which is nobody else's.
keep_byte_code() {
  generated_directory || return 0
  export PYTHONPYCACHEPREFIX="${PYTHONPYCACHEPREFIX:-$REPLY/.python}"
}

# usage: patroni_configuration patroni|postgres [ARG...]
# Sets REPLY to the file Patroni is to read, or to "environment".
patroni_configuration() {
  patroni_user_file "$@"
  if [[ -z "$REPLY" ]]; then
    warn_of_trust
    write_patroni_file
  else
    say "Patroni's configuration is yours (${REPLY/#environment/PATRONI_CONFIGURATION}); the image's settings are not added to it"
  fi
}

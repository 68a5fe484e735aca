# shellcheck shell=bash
# One server, without a cluster manager: from the environment to a running PostgreSQL.

# usage: run_standalone postgres [POSTGRES_ARG...]
run_standalone() {
  exit_on_signals
  read_environment
  # Everything wrong is known before anything has been changed, the owners of the data directory included.
  check_standalone "${@:2}"
  stop_on_problems
  prepare_directories
  step_down "$@"
  forget_health_target
  claim_data_directory
  shift
  initialise_once "$@"
  drop_foreign_lock_files
  write_layers "$@"
  server_command "$@"
  start_citus_node
  # The server has no use for them, and its environment can be read with SQL by a superuser.
  unset POSTGRES_PASSWORD PGPASSWORD
  supervise_server "${REPLY_COMMAND[@]}"
}

# usage: initialise_once [POSTGRES_ARG...]
initialise_once() {
  local status=0
  data_directory_state
  if [[ "$REPLY" == incomplete ]]; then
    discard_incomplete
    data_directory_state
  fi
  if [[ "$REPLY" == complete ]]; then
    printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
    return 0
  fi
  [[ "$REPLY" == absent ]] || die "$PGDATA was changed by something else while this start checked it; it is left as it is now"
  warn_of_trust
  # shellcheck disable=SC2154  # set by lib/all.sh
  run_stoppable "the initialisation" "$container_scripts/init/initialise.sh" "$@" || status=$?
  data_directory_state
  # An init script that calls `exit 0` ends the initialisation too, and the state says so where the status does not.
  if [[ "$status" != 0 || "$REPLY" != complete ]]; then
    die "the database was not completely initialised and is not served; the message above tells where it stopped"
  fi
}

# shellcheck shell=bash disable=SC2154  # upgrade_* are set by read_upgrade_options and read_upgrade_state
# The command `upgrade`: brings the data directory from another major version to this image's, by the user's explicit word and never on
# a start.

# usage: run_upgrade upgrade [OPTION...]
run_upgrade() {
  exit_on_signals
  read_environment
  read_upgrade_options "${@:2}"
  check_upgrade
  stop_on_problems
  prepare_directories
  step_down "$@"
  claim_data_directory
  ensure_passwd_entry
  case "$upgrade_action" in
    abandon)
      [[ ! -e "$PGDATA/global/pg_control.old" ]] || mv "$PGDATA/global/pg_control.old" "$PGDATA/global/pg_control"
      rm --recursive --force "$PGDATA/.upgrade"
      say "the upgrade of $PGDATA is abandoned; it is the cluster of PostgreSQL $(<"$PGDATA/PG_VERSION") that it was"
      ;;
    discard)
      discard_old_cluster
      say "the cluster of PostgreSQL $upgrade_from is removed from $PGDATA"
      ;;
    *)
      drop_foreign_lock_files
      # shellcheck disable=SC2154  # set by lib/all.sh
      run_stoppable "the upgrade" "$container_scripts/upgrade/upgrade.sh" "${@:2}"
      ;;
  esac
}

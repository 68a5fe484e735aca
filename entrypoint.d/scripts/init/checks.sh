# shellcheck shell=bash
# Everything that can be wrong with a standalone start. Changes nothing; each function reports through `problem`.

# usage: check_standalone [POSTGRES_ARG...]
check_standalone() {
  local settings
  # Read once: every layer is a process or two.
  settings="$(given_settings "$@")"
  check_config_file "$@"
  check_data_argument "$settings"
  check_access
  check_major_version
  check_preload
  check_memory
  check_tls
  check_without_patroni
  check_citus_node "$settings"
  data_directory_state
  case "$REPLY" in
    absent)
      check_place
      check_initialisation "$@"
      ;;
    foreign) problem "$PGDATA is not empty and holds no PostgreSQL cluster (PG_VERSION is missing or empty); it is left as it is" ;;
    incomplete) check_incomplete "$@" ;;
    complete) check_locales_of_cluster "$settings" ;;
  esac
}

# usage: check_config_file [POSTGRES_ARG...]
check_config_file() {
  take_config_file "$@"
  [[ "$REPLY" == "$PGDATA/postgresql.conf" || -r "$REPLY" ]] || problem "config_file '$REPLY' does not exist or cannot be read by uid $(id -u)"
}

# usage: check_named_files [POSTGRES_ARG...]
# Files that the server reads only when it has started, so that asking it about its settings does not find them missing.
check_named_files() {
  local name file
  while IFS=$'\t' read -r name file _; do
    [[ "$name" != @(hba_file|ident_file) || -r "$file" ]] ||
      problem "$name '$file' on the command line does not exist or cannot be read by uid $(id -u)"
  done < <(argument_settings "$@")
}

# usage: check_data_argument SETTINGS
# What is checked, initialised and locked is PGDATA; a server on another directory would have none of it.
check_data_argument() {
  local directory origin
  IFS=$'\t' read -r directory origin < <(effective_setting data_directory "$1") || return 0
  is_same_path "$directory" "$PGDATA" ||
    problem "data_directory is $directory ($origin), and PGDATA is $PGDATA: set PGDATA=$directory instead"
}

# usage: check_initialisation [POSTGRES_ARG...]
check_initialisation() {
  check_superuser
  check_password
  check_initdb_arguments
  check_locales_of_initdb
  check_user_scripts
  check_named_files "$@"
  check_settings "$@"
}

# usage: check_incomplete [POSTGRES_ARG...]
check_incomplete() {
  if [[ "$POSTGRES_ON_FAILED_INIT" == start-over ]]; then
    check_initialisation "$@"
    return
  fi
  if is_claimed; then
    problem "another container is initialising $PGDATA: wait until it has ended, and do not remove anything"
    return 0
  fi
  problem "the initialisation of $PGDATA did not complete: an init script failed, or the container was stopped meanwhile.
A half-made database is not served. Look at the log of that start, then either remove the directory's contents,
or set POSTGRES_ON_FAILED_INIT=start-over to have them removed and the initialisation repeated."
}

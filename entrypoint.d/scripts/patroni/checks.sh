# shellcheck shell=bash
# Everything that can be wrong with a start under Patroni. Changes nothing; each function reports through `problem`. Patroni checks the rest
# of its configuration by itself.

# usage: check_patroni patroni|postgres [ARG...]
check_patroni() {
  command -v patroni >/dev/null || problem "this image was built without Patroni"
  if [[ "$1" == patroni ]]; then
    check_patroni_arguments "$@"
  elif (($# > 1)); then
    problem "PATRONI_SCOPE is set, so Patroni starts PostgreSQL, and cannot be given the arguments '${*:2}': put settings into Patroni's configuration"
  fi
  check_access
  check_major_version
  check_preload
  check_memory
  check_tls
  [[ -z "$CITUS_ROLE" ]] || problem "CITUS_ROLE is for a server without Patroni; under Patroni the role follows from PATRONI_CITUS_GROUP"
  check_citus_strays
  check_citus
  check_patroni_certificates
  [[ "${PATRONI_POSTGRESQL_DATA_DIR:-$PGDATA}" == "$PGDATA" ]] ||
    problem "PATRONI_POSTGRESQL_DATA_DIR is '$PATRONI_POSTGRESQL_DATA_DIR', and PGDATA is '$PGDATA', which is checked and locked: set PGDATA alone"
  patroni_user_file "$@"
  if [[ -n "$REPLY" ]]; then
    check_patroni_file "$REPLY"
  else
    check_generated_patroni
  fi
  data_directory_state
  [[ "$REPLY" != incomplete ]] || check_incomplete_patroni
}

# usage: check_generated_patroni
# What a generated configuration needs from the environment.
check_generated_patroni() {
  local -a arguments
  [[ -n "${PATRONI_SCOPE:-}" ]] || problem "PATRONI_SCOPE is not set: it is the cluster's name"
  check_patroni_stores
  check_method
  method_is_trust || check_patroni_passwords
  if ! split_words arguments "$POSTGRES_INITDB_ARGS"; then
    problem "POSTGRES_INITDB_ARGS has an unmatched quote: $POSTGRES_INITDB_ARGS"
  fi
  [[ " ${arguments[*]}" != *' -'[!-]* && "${arguments[*]}" != [!-]* ]] ||
    problem "POSTGRES_INITDB_ARGS may hold only long options under Patroni, as --name=value or --name: $POSTGRES_INITDB_ARGS"
  [[ "$POSTGRES_DB" == "${PATRONI_CITUS_DATABASE:-$POSTGRES_DB}" ]] ||
    problem "POSTGRES_DB is '$POSTGRES_DB', and PATRONI_CITUS_DATABASE is '$PATRONI_CITUS_DATABASE': the scripts would fill one database and Citus distribute the other. Leave POSTGRES_DB out"
  check_patroni_times
  check_user_scripts
  check_hooks
}

# usage: check_patroni_passwords
# The same rule as for a server alone.
check_patroni_passwords() {
  [[ -n "$PATRONI_SUPERUSER_PASSWORD" ]] ||
    problem "the superuser has no password: set PATRONI_SUPERUSER_PASSWORD or POSTGRES_PASSWORD, or name a file in either with _FILE"
  [[ -n "$PATRONI_REPLICATION_PASSWORD" ]] ||
    problem "replication has no password: set PATRONI_REPLICATION_PASSWORD or PATRONI_REPLICATION_PASSWORD_FILE"
}

# usage: check_patroni_times
check_patroni_times() {
  local variable
  for variable in PATRONI_TTL PATRONI_LOOP_WAIT PATRONI_RETRY_TIMEOUT; do
    if ! [[ "${!variable}" =~ ^[1-9][0-9]{0,5}$ ]]; then
      problem "$variable is '${!variable}', but must be a number of seconds"
      return 0
    fi
  done
  ((PATRONI_TTL >= 20 && PATRONI_RETRY_TIMEOUT >= 3 && PATRONI_LOOP_WAIT + 2 * PATRONI_RETRY_TIMEOUT <= PATRONI_TTL)) ||
    problem "PATRONI_TTL=$PATRONI_TTL, PATRONI_LOOP_WAIT=$PATRONI_LOOP_WAIT and PATRONI_RETRY_TIMEOUT=$PATRONI_RETRY_TIMEOUT do not fit: TTL must be 20 or more, RETRY_TIMEOUT 3 or more, and LOOP_WAIT + 2 * RETRY_TIMEOUT at most TTL"
}

# usage: check_citus
check_citus() {
  case "${PATRONI_CITUS_GROUP:+group}${PATRONI_CITUS_DATABASE:+database}" in
    '') return 0 ;;
    groupdatabase) ;;
    *) problem "PATRONI_CITUS_GROUP and PATRONI_CITUS_DATABASE belong together, and one of them is not set" ;;
  esac
  [[ "${PATRONI_CITUS_GROUP:-0}" =~ ^[0-9]+$ ]] || problem "PATRONI_CITUS_GROUP is '$PATRONI_CITUS_GROUP', but must be a number: 0 is the coordinator"
  preload_library_exists citus || problem "PATRONI_CITUS_GROUP is set, but this image was built without Citus"
}

# usage: check_incomplete_patroni
check_incomplete_patroni() {
  [[ "$POSTGRES_ON_FAILED_INIT" == start-over ]] || check_incomplete
}

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
  [[ -z "${PATRONI_POSTGRESQL_DATA_DIR:-}" ]] || is_same_path "$PATRONI_POSTGRESQL_DATA_DIR" "$PGDATA" ||
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

# usage: check_incomplete_patroni
# The store is told by a start that starts over; one with an emptied directory knows nothing of it.
check_incomplete_patroni() {
  [[ "$POSTGRES_ON_FAILED_INIT" != start-over ]] || return 0
  check_incomplete
  [[ "${problems[-1]}" != *start-over* ]] || problems[-1]+="
After removing the contents by hand, Patroni may be waiting for the leader that was killed: \`patronictl remove ${PATRONI_SCOPE:-SCOPE}\` in a running member makes it begin."
}

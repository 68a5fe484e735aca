# shellcheck shell=bash
# The environment of a Citus node that stands alone, without Patroni: CITUS_ROLE and what belongs to it.

# usage: check_citus_node
# Changes nothing; reports through `problem`.
check_citus_node() {
  local variable
  [[ -n "$CITUS_ROLE" ]] || return 0
  preload_library_exists citus || problem "CITUS_ROLE is set, but this image was built without Citus"
  [[ "$CITUS_ROLE" != worker || -n "${CITUS_COORDINATOR_HOST:-}" ]] ||
    problem "CITUS_ROLE is worker, and CITUS_COORDINATOR_HOST is not set: it is where the worker registers"
  for variable in CITUS_COORDINATOR_PORT CITUS_NODE_PORT; do
    [[ "${!variable:-1}" =~ ^[0-9]+$ ]] || problem "$variable is '${!variable}', but must be a number"
  done
  # A problem of its own only where a new cluster has not asked for the password already.
  data_directory_state
  [[ "$REPLY" != complete || -n "$POSTGRES_PASSWORD" || "$POSTGRES_HOST_AUTH_METHOD" == trust ]] ||
    problem "CITUS_ROLE is set, and the nodes log in to each other: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, the same on all of them"
}

# usage: citus_settings
# Moving shards without stopping writes needs logical decoding; Patroni sets the same for Citus.
citus_settings() {
  [[ -n "$CITUS_ROLE" ]] || return 0
  printf 'wal_level = logical\n'
}

# usage: write_citus_password
# Puts the password where libpq looks for it, in the server as well, which logs in to the other nodes; and where no SQL can read it.
write_citus_password() {
  [[ -n "$POSTGRES_PASSWORD" ]] || return 0
  socket_directory
  export PGPASSFILE="$REPLY/.pgpass-citus"
  rm --force "$PGPASSFILE"
  (umask 077 && printf '*:*:*:%s:%s\n' "$(quote_pgpass "$POSTGRES_USER")" "$(quote_pgpass "$POSTGRES_PASSWORD")" >"$PGPASSFILE")
}

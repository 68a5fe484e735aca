# shellcheck shell=bash disable=SC2154  # postmaster_* are set by read_postmaster_file
# Where the nodes of a Citus cluster are, and SQL for them.

# usage: own_node_address
# Sets REPLY_HOST and REPLY_PORT to where the other nodes reach this one.
# shellcheck disable=SC2034  # they are for the caller
own_node_address() {
  REPLY_HOST="${CITUS_NODE_NAME:-}"
  [[ -n "$REPLY_HOST" ]] || read -r REPLY_HOST _ < <(hostname --ip-address)
  REPLY_PORT="${CITUS_NODE_PORT:-$postmaster_port}"
}

# usage: own_sql [PSQL_ARG...]
own_sql() {
  psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --no-password --username "$POSTGRES_USER" --dbname "$(conninfo_of_database "$POSTGRES_DB")" \
    --host "$postmaster_socket_directory" --port "$postmaster_port" "$@"
}

# usage: coordinator_sql [PSQL_ARG...]
# SQL at the coordinator, with this node's address in host and port.
coordinator_sql() {
  local -a there=()
  [[ "$CITUS_ROLE" == coordinator ]] || there=(--host "$CITUS_COORDINATOR_HOST" --port "${CITUS_COORDINATOR_PORT:-5432}")
  own_sql "${there[@]}" --set host="$REPLY_HOST" --set port="$REPLY_PORT" "$@"
}

# usage: create_citus
# For a database that was made before it was part of a Citus cluster.
create_citus() { own_sql --command "SET client_min_messages = error" --command "CREATE EXTENSION IF NOT EXISTS citus"; }

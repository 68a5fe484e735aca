# shellcheck shell=bash
# Makes this server a node of its Citus cluster, beside the running server: at each start, until it is one. What it does is asked of the
# catalogs first, so that repeating it changes nothing, and a node may come before its coordinator and come back under another address.
# shellcheck disable=SC2154  # postmaster_* are set by read_postmaster_file

# usage: start_citus_node
# Returns at once.
start_citus_node() {
  [[ -n "$CITUS_ROLE" ]] || return 0
  write_citus_password
  become_citus_node &
}

# usage: become_citus_node
# Tries until it succeeds. A message is said once, not at each attempt.
become_citus_node() {
  local said='' text
  export PGCONNECT_TIMEOUT=5
  wait_for_own_server
  if [[ "$postmaster_status" == standby ]]; then
    say "Citus: this server is a standby, and is not registered"
    return 0
  fi
  until text="$("register_$CITUS_ROLE" 2>&1)"; do
    [[ "$text" == "$said" ]] || warn "Citus: this $CITUS_ROLE is not registered yet: $text"
    said="$text"
    sleep 2
  done
  say "Citus: $text"
}

# usage: wait_for_own_server
# Until it accepts connections: the coordinator asks back.
wait_for_own_server() {
  until read_postmaster_file && [[ "$postmaster_status" == @(ready|standby) ]]; do
    sleep 0.1
  done
}

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
  psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --no-password --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
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

# shellcheck shell=bash disable=SC2154  # postmaster_* are set by read_postmaster_file
# A Citus node without Patroni: CITUS_ROLE and what belongs to it. It registers itself with its coordinator, beside the running server, at each
# start. What it does is asked of the catalogs first, so that repeating it changes nothing, and a node may come before its coordinator and come
# back under another address.

# usage: check_citus_node SETTINGS
check_citus_node() {
  check_citus_strays
  [[ -n "$CITUS_ROLE" ]] || return 0
  preload_library_exists citus || problem "CITUS_ROLE is set, but this image was built without Citus"
  [[ "$CITUS_ROLE" != worker || -n "${CITUS_COORDINATOR_HOST:-}" ]] ||
    problem "CITUS_ROLE is worker, and CITUS_COORDINATOR_HOST is not set: it is where the worker registers"
  check_citus_wal "$1"
  # A problem of its own only where a new cluster has not asked for the password already.
  data_directory_state
  [[ "$REPLY" != complete || -n "$POSTGRES_PASSWORD" ]] || method_is_trust ||
    problem "CITUS_ROLE is set, and the nodes log in to each other: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, the same on all of them"
}

# usage: check_citus_strays
# Variables of a Citus node that nothing reads, and ports that cannot be.
check_citus_strays() {
  local variable
  for variable in CITUS_COORDINATOR_HOST CITUS_COORDINATOR_PORT CITUS_NODE_NAME CITUS_NODE_PORT; do
    [[ -n "${!variable:-}" ]] || continue
    [[ "$variable" != *_PORT ]] || is_port "${!variable}" || problem "$variable is '${!variable}', but must be a number from 1 to 65535"
    case "$variable ${CITUS_ROLE:-unset}" in
      # The nodes of a cluster may share their environment; the coordinator knows where it is.
      CITUS_*' worker' | CITUS_*' coordinator') ;;
      CITUS_COORDINATOR_*) problem "$variable is set, and CITUS_ROLE is not: it is for CITUS_ROLE=worker, and has no effect without" ;;
      *) problem "$variable is set, and CITUS_ROLE is not: it is for CITUS_ROLE=coordinator and CITUS_ROLE=worker, and has no effect without" ;;
    esac
  done
}

# usage: is_port TEXT
is_port() { [[ "$1" =~ ^[0-9]{1,5}$ ]] && ((10#$1 >= 1 && 10#$1 <= 65535)); }

# usage: check_citus_wal SETTINGS
# The image sets what Citus needs, but later layers win.
check_citus_wal() {
  local level origin
  IFS=$'\t' read -r level origin < <(effective_setting wal_level "$1") || true
  [[ "$level" == logical ]] ||
    problem "wal_level is $level ($origin), but Citus moves shards by logical replication: remove the setting, and it is logical"
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
  if [[ "$(own_sql --command 'SELECT pg_is_in_recovery()')" == t ]]; then
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
  until read_postmaster_file && pg_isready --quiet --host="$postmaster_socket_directory" --port="$postmaster_port"; do
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

# usage: register_coordinator
# Registers the coordinator with itself, under the address by which the workers reach it. Prints what was done, or fails with what is wrong. Citus updates the address if it knows another one.
register_coordinator() {
  own_node_address
  create_citus || return
  free_address 0 || return
  coordinator_sql <<'EOF' || return
SELECT citus_set_coordinator_host(:'host', :port)
WHERE NOT EXISTS (SELECT FROM pg_dist_node WHERE groupid = 0 AND nodename = :'host' AND nodeport = :port) \g /dev/null
EOF
  printf 'this coordinator is registered as %s:%s' "$REPLY_HOST" "$REPLY_PORT"
}

# usage: register_worker
# The worker's group is recorded in its data directory: its address may change at each start, and pg_dist_local_group is overwritten
# when the coordinator synchronises with an address that now belongs to another node. Prints what was done, or fails with what is wrong.
register_worker() {
  local cluster group known_cluster='' known_group=0
  own_node_address
  create_citus || return
  cluster="$(coordinator_sql --command "SELECT metadata ->> 'server_id' FROM pg_dist_node_metadata")" || return
  [[ ! -r "$PGDATA/citus_node" ]] || read -r known_cluster known_group <"$PGDATA/citus_node"
  if [[ -n "$known_cluster" && "$known_cluster" != "$cluster" ]]; then
    printf 'this worker belongs to another Citus cluster than the coordinator at %s does' "$CITUS_COORDINATOR_HOST"
    return 1
  fi
  [[ -n "$known_cluster" ]] || known_group="$(own_sql --command 'SELECT groupid FROM pg_dist_local_group')" || return
  free_address "$known_group" || return
  if ((known_group)); then
    move_worker "$known_group" || return
  else
    coordinator_sql <<<"SELECT citus_add_node(:'host', :port) \\g /dev/null" || return
  fi
  group="$(coordinator_sql <<<"SELECT groupid FROM pg_dist_node WHERE nodename = :'host' AND nodeport = :port")" || return
  printf '%s %s\n' "$cluster" "$group" >"$PGDATA/citus_node"
  printf 'this worker is group %s at %s:%s' "$group" "$REPLY_HOST" "$REPLY_PORT"
}

# usage: move_worker GROUP
# Tells the coordinator the address, if it knows another one.
move_worker() {
  local known node address
  known="$(coordinator_sql --set group="$1" \
    <<<"SELECT nodeid, nodename || ':' || nodeport FROM pg_dist_node WHERE groupid = :group AND noderole = 'primary'")" || return
  IFS='|' read -r node address <<<"$known"
  if [[ -z "$node" ]]; then
    printf 'the coordinator has no group %s, which this worker is; start it with an empty data directory to add it again' "$1"
    return 1
  fi
  [[ "$address" == "$REPLY_HOST:$REPLY_PORT" ]] || update_node "$node" "$REPLY_HOST"
}

# usage: free_address GROUP
# Ensures that no other worker is registered under this worker's address: an engine assigns new addresses at each start. GROUP is this
# worker's, 0 if it has none yet.
free_address() {
  local known node group placed
  known="$(
    coordinator_sql --set own="$1" <<'EOF'
SELECT nodeid, groupid, (SELECT count(*) FROM pg_dist_placement AS placed WHERE placed.groupid = node.groupid)
FROM pg_dist_node AS node WHERE nodename = :'host' AND nodeport = :port AND groupid <> :own
EOF
  )" || return
  [[ -n "$known" ]] || return 0
  IFS='|' read -r node group placed <<<"$known"
  if [[ -z "${CITUS_NODE_NAME:-}" ]] || (($1)); then
    # Not a name that anyone has (RFC 2606); the worker that had the address gives its new one when it comes back.
    update_node "$node" "group-$group.invalid" "$REPLY_HOST"
  elif ((placed)); then
    printf 'the coordinator has %s shards on %s, and this data directory has none; restore it, or give the worker another CITUS_NODE_NAME' \
      "$placed" "$REPLY_HOST"
    return 1
  else
    coordinator_sql <<<"SELECT citus_remove_node(:'host', :port) \\g /dev/null"
  fi
}

# usage: update_node NODE HOST [ONLY_IF_AT]
# Sessions that hold locks on the node's shards are ended after a second: they talk to an address where the node no longer is. Nodes that
# come back at the same time each free the address they have got, of a node that may meanwhile have told its new one: so they take turns,
# and the condition is asked in the turn (each statement sees what was committed before it).
update_node() {
  coordinator_sql --set node="$1" --set new="$2" --set only="${3:-}" <<'EOF'
SELECT pg_advisory_lock(hashtext('pgsetup.citus_node')) \g /dev/null
SELECT citus_update_node(nodeid, :'new', :port, force => true, lock_cooldown => 1000) FROM pg_dist_node
WHERE nodeid = :node AND (:'only' = '' OR nodename = :'only') \g /dev/null
EOF
}

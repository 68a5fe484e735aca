# shellcheck shell=bash
# Registers a worker with its coordinator. Which group of the cluster a worker is stands in its data directory: its address may be another
# one at each start, and pg_dist_local_group is overwritten when the coordinator synchronises with an address that is another node's now.

# usage: register_worker
# Prints what was done, or fails with what is wrong.
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
    printf 'the coordinator has no group %s, which this worker is; start it with an empty data directory to add it anew' "$1"
    return 1
  fi
  [[ "$address" == "$REPLY_HOST:$REPLY_PORT" ]] || update_node "$node" "$REPLY_HOST"
}

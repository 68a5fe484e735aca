# shellcheck shell=bash
# Sees to it that no other worker is registered under this worker's address: an engine hands addresses out anew at each start.

# usage: free_address GROUP
# GROUP is this worker's, 0 if it has none yet.
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

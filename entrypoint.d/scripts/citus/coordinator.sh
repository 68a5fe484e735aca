# shellcheck shell=bash
# Registers a coordinator with itself, under the address by which the workers reach it.

# usage: register_coordinator
# Prints what was done, or fails with what is wrong. Citus updates the address if it knows another one.
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

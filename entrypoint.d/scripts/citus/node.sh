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

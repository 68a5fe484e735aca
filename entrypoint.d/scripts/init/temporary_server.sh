# shellcheck shell=bash
# The server that initialisation scripts talk to. It listens on no TCP address, and its socket is in a private directory: a client that
# waits on the usual socket would otherwise connect, and be cut off by the restart that follows.

# usage: start_temporary_server [POSTGRES_ARG...]
# Returns when the server accepts connections; exports what libpq needs to reach it.
start_temporary_server() {
  local deadline=$((SECONDS + ${PGCTLTIMEOUT:-60}))
  socket_directory
  temporary_socket="$(mktemp --directory "$REPLY/.initialising.XXXXXX")"
  # PGPASSWORD is for POSTGRES_INITDB_ARGS such as --auth-local=scram-sha-256.
  export PGHOST="$temporary_socket" PGPORT="${PGPORT:-5432}" PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}"
  unset PGHOSTADDR PGSERVICE
  server_command "$@"
  env --unset=NOTIFY_SOCKET "${REPLY_COMMAND[@]}" -c listen_addresses='' -c unix_socket_directories="$temporary_socket" \
    -p "$PGPORT" &
  temporary_server=$!
  # shellcheck disable=SC2154  # set by read_postmaster_file
  until read_postmaster_file && [[ "$postmaster_pid" == "$temporary_server" && "$postmaster_status" == @(ready|standby) ]]; do
    kill -0 "$temporary_server" 2>/dev/null || die "the temporary server did not start"
    ((SECONDS < deadline)) || die "the temporary server was not ready after ${PGCTLTIMEOUT:-60} s (PGCTLTIMEOUT)"
    sleep 0.05
  done
}

# usage: stop_temporary_server
# A fast stop. A server that does not end cleanly fails the initialisation. A script may have restarted the server, which is then no
# child of this shell any more, or have stopped it.
stop_temporary_server() {
  if read_postmaster_file && [[ "$postmaster_pid" != "$temporary_server" ]]; then
    pg_ctl --pgdata="$PGDATA" --mode=fast --silent stop
  elif [[ -e "$PGDATA/postmaster.pid" ]]; then
    kill -s INT "$temporary_server"
  fi
  wait "$temporary_server"
  check_clean_stop
  rmdir "$temporary_socket"
  unset PGHOST PGPASSWORD
}

# usage: check_clean_stop
check_clean_stop() {
  local state
  state="$(LC_ALL=C pg_controldata "$PGDATA" | sed --quiet 's/^Database cluster state: *//p')"
  [[ "$state" == 'shut down' ]] || die "the temporary server was not shut down cleanly; its state is: $state"
}

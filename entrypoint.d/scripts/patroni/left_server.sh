# shellcheck shell=bash
# PostgreSQL without Patroni: it is left running by a Patroni that was killed, and by one that is told to stop while the cluster is paused.

# usage: stop_left_server
# Stops it fast, for at most PGCTLTIMEOUT seconds. What still runs when process 1 ends is killed by the kernel, and has to recover at the
# next start; where process 1 is another's (`docker run --init`, a pod's shared processes) it might even go on, with nobody to tell it
# that it is leader no more.
stop_left_server() {
  local deadline=$((SECONDS + ${PGCTLTIMEOUT:-60}))
  # shellcheck disable=SC2154  # set by read_postmaster_file
  read_postmaster_file && left_server_runs "$postmaster_pid" || return 0
  say "stopping PostgreSQL, which Patroni has left running"
  kill -s INT "$postmaster_pid" || return 0
  while left_server_runs "$postmaster_pid"; do
    if ((SECONDS >= deadline)); then
      warn "PostgreSQL has not stopped in ${PGCTLTIMEOUT:-60} s (PGCTLTIMEOUT)"
      return 0
    fi
    sleep 0.1
  done
}

# usage: left_server_runs PID
# The pid file outlives a server that was killed, and its pid may be another's by then.
left_server_runs() {
  local name=''
  { read -r name <"/proc/$1/comm"; } 2>/dev/null || true
  [[ "$name" == postgres ]]
}

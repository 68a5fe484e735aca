# shellcheck shell=bash
# Stops before the server runs: what is being done then is ended at once.

# usage: run_stoppable WHAT COMMAND [ARG...]
# Runs COMMAND, which is known to the user as WHAT, in a process group of its own and returns its status. A stop ends the whole group at once, whatever it is doing, and
# exits: what COMMAND leaves behind must tell by itself that it is unfinished.
run_stoppable() {
  local status=0
  supervised='' stoppable="$1"
  shift
  # shellcheck disable=SC2317  # called by the traps
  stop_group() {
    warn "stopped by SIG$1 before $stoppable was complete"
    [[ -z "$supervised" ]] || kill -s KILL -- "-$supervised" 2>/dev/null || true
    exit "$2"
  }
  trap 'stop_group TERM 143' TERM
  trap 'stop_group INT 130' INT
  trap 'stop_group QUIT 131' QUIT
  setsid env --default-signal=INT,QUIT "$@" &
  supervised=$!
  wait "$supervised" || status=$?
  kill -s KILL -- "-$supervised" 2>/dev/null || true
  exit_on_signals
  return "$status"
}

# usage: exit_on_signals
# As process 1 the shell would ignore signals it does not trap; this makes every stage before the server's start end at once.
exit_on_signals() {
  trap 'exit 143' TERM
  trap 'exit 130' INT
  trap 'exit 131' QUIT
}

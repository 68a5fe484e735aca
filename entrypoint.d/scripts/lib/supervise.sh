# shellcheck shell=bash
# Runs a child as the container's init process: forwards signals, reaps what the kernel hands over, and ends with the child's status.
#
# Why PostgreSQL is not exec'ed as process 1: orphans of any `docker exec` become children of process 1. The postmaster takes an
# unknown child that ends with anything but 0 or 1 for a crashed backend and restarts the whole cluster (CleanupBackend in postmaster.c
# up to 17, "untracked child process" from 18 on). Bash reaps such a process and forgets it. It also lets SIGTERM mean a fast
# shutdown, where the postmaster would wait for every session to end.
#
# Why Patroni is not: as process 1 it forks itself, waits, and ends with 0 whatever became of the fork (patroni/__main__.py), and then no
# engine or Kubernetes knows that it failed.

# usage: supervise_server COMMAND [ARG...]
# Does not return: exits with the server's status.
supervise_server() {
  supervise INT "$@"
  exit "$REPLY_STATUS"
}

# usage: supervise_patroni COMMAND [ARG...]
# Does not return: exits with Patroni's status. Patroni has a session of its own, because a terminal's Ctrl-C would reach it a second time
# without this process, and interrupt its shutdown.
supervise_patroni() {
  supervise TERM setsid "$@"
  ((REPLY_STATUS == 0)) || warn "Patroni has ended with status $REPLY_STATUS"
  stop_left_server
  withdraw_failed_bootstrap "$REPLY_STATUS"
  exit "$REPLY_STATUS"
}

# usage: supervise STOP_SIGNAL COMMAND [ARG...]
# Runs COMMAND, to which SIGTERM and SIGINT are STOP_SIGNAL, and sets REPLY_STATUS to the status it ends with.
supervise() {
  local signalled=1
  supervised='' waiting_signal='' stop_signal="$1"
  shift
  # shellcheck disable=SC2317  # called by the traps
  forward() {
    signalled=1
    waiting_signal="$1"
    [[ -z "$supervised" ]] || kill -s "$1" "$supervised" 2>/dev/null || true
  }
  trap 'forward "$stop_signal"' TERM INT
  trap 'forward QUIT' QUIT
  trap 'forward HUP' HUP
  # A shell without job control starts its background children with SIGINT and SIGQUIT ignored.
  env --default-signal=INT,QUIT "$@" &
  supervised=$!
  [[ -z "$waiting_signal" ]] || forward "$waiting_signal"
  # A signal interrupts `wait`; then its status is the signal's, not the child's.
  while ((signalled)); do
    signalled=0
    REPLY_STATUS=0
    wait "$supervised" || REPLY_STATUS=$?
  done
  # Its pid may be another's from now on.
  supervised=''
}

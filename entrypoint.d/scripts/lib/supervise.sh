# shellcheck shell=bash
# Runs a child as the container's init process: forwards signals, reaps what the kernel hands over, and ends with the child's status.
#
# Why PostgreSQL is not exec'ed as process 1: orphans of any `docker exec` become children of process 1. The postmaster takes an
# unknown child that ends with anything but 0 or 1 for a crashed backend and restarts the whole cluster (CleanupBackend in postmaster.c
# up to 17, "untracked child process" from 18 on). Bash reaps such a process and forgets it. It also lets SIGTERM mean a fast
# shutdown, where the postmaster would wait for every session to end.

# usage: supervise_server COMMAND [ARG...]
# Does not return: exits with the server's status.
supervise_server() {
  local signalled=1 status=0
  supervised='' waiting_signal=''
  # shellcheck disable=SC2317  # called by the traps
  forward() {
    signalled=1
    waiting_signal="$1"
    [[ -z "$supervised" ]] || kill -s "$1" "$supervised" 2>/dev/null || true
  }
  trap 'forward INT' TERM INT
  trap 'forward QUIT' QUIT
  trap 'forward HUP' HUP
  # A shell without job control starts its background children with SIGINT and SIGQUIT ignored.
  env --default-signal=INT,QUIT "$@" &
  supervised=$!
  [[ -z "$waiting_signal" ]] || forward "$waiting_signal"
  # A signal interrupts `wait`; then its status is the signal's, not the child's.
  while ((signalled)); do
    signalled=0
    status=0
    wait "$supervised" || status=$?
  done
  exit "$status"
}

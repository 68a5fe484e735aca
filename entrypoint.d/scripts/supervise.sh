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
  restapi_tls_environment
  supervise TERM env "${REPLY_ENVIRONMENT[@]}" setsid "$@"
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
  trap 'refresh_tls; forward HUP' HUP
  # A shell without job control starts its background children with SIGINT and SIGQUIT ignored.
  run_command env --default-signal=INT,QUIT "$@" &
  supervised=$!
  watch_tls "$supervised"
  watch_archiving "$supervised"
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

# usage: watch_archiving PID
# Says once a minute when archiving is behind, beside the server, or Patroni, with this process id.
watch_archiving() {
  [[ -z "${backups_are_configured:-}" ]] || /opt/container/bin/pgstart backups watch "$1" &
}

# usage: run_stoppable WHAT COMMAND [ARG...]
# Runs COMMAND, a function or a program that is known to the user as WHAT, in a process group of its own, and sets REPLY_STATUS to its status. A stop
# ends the whole group at once, whatever it is doing, and exits: what COMMAND leaves behind must tell by itself that it is unfinished. Not to be
# called in a condition, in which bash would pass over COMMAND's failures.
run_stoppable() {
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
  # Job control gives a background child its process group, and leaves INT and QUIT as they were.
  set -m
  "$@" </dev/null &
  supervised=$!
  set +m
  REPLY_STATUS=0
  wait "$supervised" || REPLY_STATUS=$?
  kill -s KILL -- "-$supervised" 2>/dev/null || true
  exit_on_signals
}

# usage: exit_on_signals
# As process 1 the shell would ignore signals it does not trap; this makes every stage before the server's start end at once.
exit_on_signals() {
  trap 'exit 143' TERM
  trap 'exit 130' INT
  trap 'exit 131' QUIT
}

# usage: stop_left_server
# PostgreSQL is left running by a Patroni that was killed, and by one that is told to stop while the cluster is paused. Stops it fast, for at most PGCTLTIMEOUT seconds. What still runs when process 1 ends is killed by the kernel, and has to recover at the
# next start; where process 1 is another's (`docker run --init`, a pod's shared processes) it might even go on, with nothing to tell it
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

# usage: has_capability NUMBER
# Whether this process has it, by its number in linux/capability.h.
has_capability() {
  local name value
  while read -r name value; do
    [[ "$name" != CapEff: ]] || { (((16#$value >> $1) & 1)) && return 0; }
  done </proc/self/status
  return 1
}

# usage: step_down COMMAND [ARG...]
# As root: runs the entrypoint again as postgres, without capabilities and without a way to get any. The environment has been read by now, so a
# secret that only root can read still arrives.
step_down() {
  ((EUID == 0)) || return 0
  local -a drop=(--inh-caps=-all --no-new-privs)
  # SETPCAP. Without it the bounding set stays, and nothing can be taken from it: no_new_privs is for good.
  ! has_capability 8 || drop+=(--bounding-set=-all)
  HOME="$(getent passwd postgres | cut --delimiter=: --fields=6)"
  export HOME
  # shellcheck disable=SC2154  # set by load_functions
  exec setpriv --reuid=postgres --regid=postgres --init-groups "${drop[@]}" -- "$container_entrypoint" "$@"
}

# usage: step_down_if_blind COMMAND [ARG...]
# Root without the capability DAC_OVERRIDE sees nothing of a directory of postgres's, so that postgres has to look.
step_down_if_blind() {
  ((EUID == 0)) || return 0
  check_root
  stop_on_problems
  is_hidden "$PGDATA" || return 0
  docker_create_db_directories
  step_down "$@"
}

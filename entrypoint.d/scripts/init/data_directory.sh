# shellcheck shell=bash
# What state the data directory is in, and who may use it. Only looks; the one thing it changes is a lock that dies with the process.

# usage: data_directory_state
# Sets REPLY: absent (nothing there), incomplete (an initialisation did not end), upgrading (an upgrade did not end), foreign (files that are no cluster), or complete.
data_directory_state() {
  local -a entries=()
  local marker
  initialising_marker
  marker="$REPLY"
  mapfile -t entries < <(find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found -printf '%f\n' 2>/dev/null)
  if [[ -e "$marker" ]]; then
    REPLY=incomplete
  elif upgrade_is_unfinished; then
    REPLY=upgrading
  elif [[ -s "$PGDATA/PG_VERSION" ]]; then
    REPLY=complete
  elif ((${#entries[@]})); then
    REPLY=foreign
  else
    REPLY=absent
  fi
}

# usage: settle_data_directory
# Says it where PGDATA is not what it was given as.
settle_data_directory() {
  local given
  resolve_data_directory
  given="${PGDATA:-}"
  place_data_directory
  [[ "${PGDATA:-}" == "$given" ]] ||
    say "$given belongs to uid $(stat --format=%u "$given"), and PostgreSQL insists on owning its data directory: it is $PGDATA"
}

# usage: is_claimed
# Whether another container holds the lock that claim_data_directory takes.
is_claimed() {
  local status=0
  flock --nonblock --exclusive "$PGDATA" true 2>/dev/null || status=$?
  ((status == 1))
}

# usage: claim_data_directory
# Takes a lock on the directory itself, held until the last process of this start has ended. Two containers on one volume have
# pids of their own, so PostgreSQL's pid file cannot keep them apart; a lock of the kernel can.
claim_data_directory() {
  local lock status=0
  exec {lock}<"$PGDATA"
  flock --nonblock --exclusive "$lock" 2>/dev/null || status=$?
  case "$status" in
    0) ;;
    1) die "another container is using $PGDATA: two servers on one data directory would destroy it" ;;
    *) warn "$PGDATA cannot be locked on this file system; make sure that no other container uses it" ;;
  esac
}

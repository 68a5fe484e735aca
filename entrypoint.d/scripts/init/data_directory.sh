# shellcheck shell=bash
# What state the data directory is in, and who may use it. Only looks; the one thing it changes is a lock that dies with the process.

# usage: data_directory_state
# Sets REPLY: absent (nothing there), incomplete (an initialisation did not end), foreign (files that are no cluster), or complete.
data_directory_state() {
  local -a entries=()
  local marker
  initialising_marker
  marker="$REPLY"
  mapfile -t entries < <(find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found -printf '%f\n' 2>/dev/null)
  if [[ -e "$marker" ]]; then
    REPLY=incomplete
  elif [[ -s "$PGDATA/PG_VERSION" ]]; then
    REPLY=complete
  elif ((${#entries[@]})); then
    REPLY=foreign
  else
    REPLY=absent
  fi
}

# usage: check_access
# A directory of someone else's is the commonest trouble with volumes, and PostgreSQL's own message comes late.
check_access() {
  [[ -d "$PGDATA" ]] || return 0
  [[ -r "$PGDATA" && -w "$PGDATA" && -x "$PGDATA" ]] || problem "$PGDATA belongs to uid $(stat --format=%u "$PGDATA") (mode $(stat --format=%a "$PGDATA")) and cannot be used by uid $(id -u).
Give the volume to uid $(id -u), or start with --user root once, and its owner is corrected."
}

# usage: check_major_version
# Refuses data of another major version before anything has been touched.
check_major_version() {
  local found
  [[ -s "$PGDATA/PG_VERSION" ]] || return 0
  found="$(<"$PGDATA/PG_VERSION")"
  [[ "$found" != "$PG_MAJOR" ]] || return 0
  problem "$PGDATA holds data of PostgreSQL $found, and this image is PostgreSQL $PG_MAJOR. Nothing was changed.
Either start it with an image of PostgreSQL $found, or upgrade: dump with pg_dumpall under $found and load into an empty
directory under $PG_MAJOR, or run pg_upgrade in an image that has both (https://www.postgresql.org/docs/current/pgupgrade.html)."
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

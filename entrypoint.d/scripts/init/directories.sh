# shellcheck shell=bash
# Makes the directories a server needs, and gives up root. Touches only owners and modes.

# usage: prepare_directories
# A mode or an owner that cannot be set is not fatal: on some volumes it cannot be, and PostgreSQL says by itself what it minds.
prepare_directories() {
  local directory wal
  mkdir --parents "$PGDATA" || die "cannot create $PGDATA as uid $(id -u)"
  # 0750 is initdb's --allow-group-access, which is the owner's choice to keep.
  [[ "$(stat --format=%a "$PGDATA")" == @(700|750) ]] || chmod 0700 "$PGDATA" 2>/dev/null || true
  wal_directory
  wal="$REPLY"
  if [[ -n "$wal" ]]; then
    mkdir --parents "$wal" || die "cannot create the directory of the write-ahead log, $wal, as uid $(id -u)"
    [[ "$(stat --format=%a "$wal")" == @(700|750) ]] || chmod 0700 "$wal" 2>/dev/null || true
  fi
  if ((EUID == 0)); then
    mkdir --parents /var/run/postgresql
    for directory in "$PGDATA" "$wal" /var/run/postgresql; do
      give_to_postgres "$directory"
    done
    # The directory and not what is in it: log files may be of another user, who reads them.
    [[ "$POSTGRES_LOG" != file ]] || chown postgres:postgres /var/log/postgresql
  fi
}

# usage: give_to_postgres DIRECTORY
# Only what is not postgres's yet, and never configuration, which may be mounted from the host: a recursive chown of a large database would take minutes at each start.
give_to_postgres() {
  [[ -d "$1" ]] || return 0
  find "$1" ! -user postgres -exec chown --no-dereference postgres:postgres {} + || warn "cannot give $1 to postgres"
}

# usage: step_down COMMAND [ARG...]
# As root: runs the entrypoint again as postgres, without capabilities. The environment has been read by now, so a secret that only
# root can read still arrives.
step_down() {
  ((EUID == 0)) || return 0
  HOME="$(getent passwd postgres | cut --delimiter=: --fields=6)"
  export HOME
  exec setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all -- "$0" "$@"
}

# shellcheck shell=bash
# Reads postmaster.pid, the server's own account of itself. Bash alone, no processes: the health check uses it.

# usage: read_postmaster_file
# Sets postmaster_pid, postmaster_port, postmaster_socket_directory, postmaster_address and postmaster_status (starting, stopping,
# ready or standby); fails when there is no such file. The lines are those of src/include/utils/pidfile.h.
# shellcheck disable=SC2034  # they are for the caller
read_postmaster_file() {
  local -a lines=()
  [[ -r "$PGDATA/postmaster.pid" ]] || return 1
  mapfile -t lines <"$PGDATA/postmaster.pid" || return 1
  postmaster_pid="${lines[0]:-}"
  postmaster_port="${lines[3]:-}"
  postmaster_socket_directory="${lines[4]:-}"
  postmaster_address="${lines[5]:-}"
  postmaster_status="${lines[7]:-}"
  postmaster_status="${postmaster_status%% *}"
  [[ -n "$postmaster_pid" ]]
}

# usage: drop_foreign_lock_files
# Removes lock files whose pid is not PostgreSQL's. After a container was killed, the next one hands out the same pids again, and PostgreSQL
# refuses to start when it finds its former pid alive, whoever that is by then: a pid that is free now may be taken when PostgreSQL
# starts. The files of sockets are in the container's own layer, which outlives a restart. Only call while holding the data directory's
# lock.
drop_foreign_lock_files() {
  local file pid
  for file in "$PGDATA/postmaster.pid" /var/run/postgresql/.s.PGSQL.*.lock /tmp/.s.PGSQL.*.lock; do
    [[ -r "$file" ]] || continue
    read -r pid <"$file" || true
    [[ "$pid" =~ ^[0-9]+$ ]] || continue
    [[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != postgres ]] || continue
    say "removing $file: process $pid is not PostgreSQL, so it is left over from a container that was killed"
    rm --force "$file"
  done
}

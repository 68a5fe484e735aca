# shellcheck shell=bash
# What the health check asks: PostgreSQL, unless a file of this start names Patroni's REST interface. Bash alone, no processes: the
# health check reads this.

# usage: health_target_file
# Sets REPLY to the file's name.
health_target_file() {
  socket_directory || return
  REPLY="$REPLY/.patroni-rest"
}

# usage: forget_health_target
# The directory outlives a restart of the container, and the former start may have been Patroni's.
forget_health_target() {
  health_target_file || die "neither /var/run/postgresql nor /tmp can be written to: mount a tmpfs there"
  rm --force "$REPLY"
}

# usage: remember_health_target "SCHEME HOST PORT"
remember_health_target() {
  health_target_file || die "neither /var/run/postgresql nor /tmp can be written to: mount a tmpfs there"
  printf '%s\n' "$1" >"$REPLY"
}

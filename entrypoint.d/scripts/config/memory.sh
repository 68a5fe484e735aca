# shellcheck shell=bash
# Memory settings from the container's limit. Without a limit there are none: on a laptop a database must not take what is not its own.
# POSTGRES_AUTO_MEMORY=off turns this off; any setting of one's own wins, as it is in a later layer.

# usage: check_memory
check_memory() {
  local limit
  limit="$(memory_limit)"
  [[ -z "$limit" ]] || ((limit >= 128 * 1024 * 1024)) || warn "the container may use $((limit / 1024 / 1024)) MB of memory; PostgreSQL wants 128 MB or more"
}

# usage: memory_limit
# Prints the limit in bytes, of cgroup v2 or v1, or nothing.
memory_limit() { limit_in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; }

# usage: limit_in FILE...
# Prints what the first of the files that there is gives as limit. Version 2 says "no limit" with a word, version 1 with a number near 2^63.
limit_in() {
  local file value
  for file; do
    [[ -r "$file" ]] || continue
    value="$(<"$file")"
    if [[ "$value" =~ ^[0-9]+$ ]] && ((${#value} < 16)); then
      printf '%s\n' "$value"
    fi
    return 0
  done
}

# usage: at_least_at_most VALUE MINIMUM MAXIMUM
at_least_at_most() {
  local value="$1"
  ((value >= $2)) || value="$2"
  ((value <= $3)) || value="$3"
  printf '%s' "$value"
}

# usage: memory_settings
# The shares are the manual's advice ("a reasonable starting value for shared_buffers is 25%"); work_mem is for the default of 100
# connections, a quarter of which sort at one time.
memory_settings() {
  local limit megabytes
  [[ "$POSTGRES_AUTO_MEMORY" == on ]] || return 0
  limit="$(memory_limit)"
  [[ -n "$limit" ]] || return 0
  megabytes=$((limit / 1024 / 1024))
  printf 'shared_buffers = %sMB\n' "$(at_least_at_most $((megabytes / 4)) 16 16384)"
  printf 'effective_cache_size = %sMB\n' "$(at_least_at_most $((megabytes * 3 / 4)) 64 1048576)"
  printf 'maintenance_work_mem = %sMB\n' "$(at_least_at_most $((megabytes / 16)) 16 2047)"
  printf 'work_mem = %sMB\n' "$(at_least_at_most $((megabytes / 100)) 2 256)"
}

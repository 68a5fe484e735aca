# shellcheck shell=bash
# What can be wrong with the place of a new data directory. Changes nothing; each function reports through `problem`.

# usage: check_place
# A new cluster must not be made beside the one that somebody has mounted, or where it is lost with the container: the official
# image of PostgreSQL 18 has its data in MAJOR/docker below a volume at the directory above.
check_place() {
  local above found
  above="$(dirname "$PGDATA")"
  for found in "$above"/*/docker/PG_VERSION; do
    [[ -s "$found" ]] || continue
    problem "$PGDATA is empty, and ${found%/PG_VERSION} holds a cluster, as the official image has it. Nothing was changed.
Set PGDATA=${found%/PG_VERSION} to use that one, or another PGDATA than $PGDATA for a new one."
    return 0
  done
  ! is_unnamed_volume_below "$above" || problem "a volume is mounted at $above, and $PGDATA is another one without a name, which is removed with the container.
Mount yours at $PGDATA, or set PGDATA to another directory below $above."
}

# usage: is_unnamed_volume_below DIRECTORY
# Whether something is mounted at the directory, and at PGDATA a volume that the engine has named by 64 digits itself (proc(5), mountinfo).
is_unnamed_volume_below() {
  awk -v above="$1" -v data="$PGDATA" '
    $5 == above { mounted = 1 }
    $5 == data { unnamed = match($4, "/[0-9a-f]+/_data$") && RLENGTH == 71 }
    END { exit !(mounted && unnamed) }' /proc/self/mountinfo
}

# usage: check_place_for_directory
# Whether the data directory, which is not there, can be made.
check_place_for_directory() {
  local above
  above="$(dirname "$PGDATA")"
  while [[ ! -e "$above" ]]; do above="$(dirname "$above")"; done
  [[ -d "$above" && -w "$above" && -x "$above" ]] || problem "$PGDATA cannot be made by uid $(id -u): $above belongs to uid $(stat --format=%u "$above") (mode $(stat --format=%a "$above")).
Give $above to uid $(id -u), or start with --user root once, and the directory is made and given to postgres."
}

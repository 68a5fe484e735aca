# shellcheck shell=bash
# What can be wrong with the data directory, for every kind of start. Changes nothing; each function reports through `problem`.

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
  if upgrade_is_unfinished; then
    check_no_upgrade
    return 0
  fi
  [[ -s "$PGDATA/PG_VERSION" ]] || return 0
  found="$(<"$PGDATA/PG_VERSION")"
  [[ "$found" != "$PG_MAJOR" ]] || return 0
  if [[ -x "$(server_programs "$found")/postgres" ]]; then
    problem "$PGDATA holds data of PostgreSQL $found, and this image is PostgreSQL $PG_MAJOR. Nothing was changed.
Upgrade it with the command \`upgrade\` (docker run … IMAGE upgrade), which keeps the old cluster; \`upgrade --check\` only looks."
    return 0
  fi
  problem "$PGDATA holds data of PostgreSQL $found, and this image is PostgreSQL $PG_MAJOR. Nothing was changed.
Either start it with an image of PostgreSQL $found, or upgrade: dump with pg_dumpall under $found and load into an empty
directory under $PG_MAJOR, or run pg_upgrade in an image that has both, which this image's command \`upgrade\` does (\`previous\` of its manifest, or \`make image PREVIOUS=…\`)."
}

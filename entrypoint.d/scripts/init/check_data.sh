# shellcheck shell=bash
# What can be wrong with the data directory, for every kind of start. Changes nothing; each function reports through `problem`.

# usage: check_access
# A directory of someone else's is the commonest trouble with volumes, and PostgreSQL's own message comes late.
check_access() {
  if [[ ! -d "$PGDATA" ]]; then
    check_place_for_directory
    return 0
  fi
  if [[ -r "$PGDATA" && -w "$PGDATA" && -x "$PGDATA" ]]; then
    ((EUID == 0)) || [[ -O "$PGDATA" ]] || problem "$PGDATA belongs to uid $(stat --format=%u "$PGDATA"), and PostgreSQL insists that uid $(id -u), as which it is to run, owns its data directory.
Give the directory to uid $(id -u), start with --user root once, and its owner is corrected, or set PGDATA to a directory below it, which is then made."
    return 0
  fi
  if is_read_only "$PGDATA"; then
    problem "$PGDATA is on a file system that is mounted read-only: mount the volume without \`:ro\`"
  else
    problem "$PGDATA belongs to uid $(stat --format=%u "$PGDATA") (mode $(stat --format=%a "$PGDATA")) and cannot be used by uid $(id -u).
Give the volume to uid $(id -u) (a tmpfs is given by \`:uid=$(id -u)\`), or start with --user root once, and its owner is corrected."
  fi
}

# usage: is_read_only DIRECTORY
is_read_only() {
  [[ ",$(findmnt --noheadings --output OPTIONS --target "$1")," == *,ro,* ]]
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
  if [[ ! "$found" =~ ^[0-9]+(\.[0-9]+)?$ ]]; then
    problem "$PGDATA/PG_VERSION contains '${found:0:40}', which is no version of PostgreSQL: the data directory is damaged. Nothing was changed.
Take it from a backup, or write the major version into the file if you know it."
    return 0
  fi
  if [[ -x "$(server_programs "$found")/postgres" ]]; then
    problem "$PGDATA holds data of PostgreSQL $found, and this image is PostgreSQL $PG_MAJOR. Nothing was changed.
Upgrade it with the command \`upgrade\` (docker run … IMAGE upgrade), which keeps the old cluster; \`upgrade --check\` only looks."
    return 0
  fi
  problem "$PGDATA holds data of PostgreSQL $found, and this image is PostgreSQL $PG_MAJOR. Nothing was changed.
Either start it with an image of PostgreSQL $found, or upgrade: dump with pg_dumpall under $found and load into an empty
directory under $PG_MAJOR, or run pg_upgrade in an image that has both, which this image's command \`upgrade\` does (\`previous\` of its manifest, or \`make image PREVIOUS=…\`)."
}

# usage: is_same_path PATH PATH
# Whether both lead to the same place, which need not be there: by links, as PGDATA has been followed, and whatever slashes are in them.
is_same_path() { [[ "$(realpath --canonicalize-missing -- "$1")" == "$(realpath --canonicalize-missing -- "$2")" ]]; }

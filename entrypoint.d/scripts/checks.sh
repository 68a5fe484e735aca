# shellcheck shell=bash
# Everything that can be wrong with a standalone start. Changes nothing; each function reports through `problem`.

# usage: check_standalone [POSTGRES_ARG...]
check_standalone() {
  local settings
  # Read once: every layer is a process or two.
  settings="$(given_settings "$@")"
  check_config_file "$@"
  check_data_argument "$settings"
  check_every_start
  check_without_patroni
  check_citus_node "$settings"
  check_log_directory "$settings"
  check_archiving "$settings"
  data_directory_state
  check_backups "$REPLY"
  case "$REPLY" in
    absent)
      check_place
      # What is restored has a superuser, and scripts have run in it.
      [[ -n "$RESTORE_FROM" ]] || check_initialisation "$@"
      ;;
    foreign) check_foreign ;;
    incomplete) check_incomplete "$@" ;;
    complete)
      check_locales_of_cluster "$settings"
      add_preload_of_data "$settings"
      ;;
  esac
}

# usage: check_backups STATE
# Everything about backups: the variables as a whole, and whether the repository is this cluster's. STATE is that of the data directory.
check_backups() {
  local text
  while IFS= read -r -d '' text; do
    problem "$text"
  done < <(pgstart backups check "$1")
  REPLY="$1"
}

# usage: check_archiving SETTINGS
# What would keep the server from archiving, where it is to.
check_archiving() {
  local name value origin
  [[ -n "$backups_are_configured" ]] || return 0
  IFS=$'\t' read -r value origin < <(effective_setting archive_mode "$1") || true
  [[ "${value:-on}" == always ]] || is_on "${value:-on}" ||
    problem "archive_mode is '$value' ($origin), and PGBACKREST_* variables are set: remove either"
  IFS=$'\t' read -r value origin < <(effective_setting wal_level "$1") || true
  [[ "${value,,}" != minimal ]] || problem "wal_level is minimal ($origin), with which WAL cannot be archived: remove it"
  for name in archive_command archive_library; do
    IFS=$'\t' read -r value origin < <(effective_setting "$name" "$1") || true
    [[ -z "$value" || "$value" == /opt/container/bin/pgstart\ pgbackrest\ * ]] ||
      problem "$name is '$value' ($origin), and PGBACKREST_* variables are set, which archive by another command: remove either"
  done
}

# usage: check_every_start     what a start under Patroni is checked for as well
check_every_start() {
  check_access
  check_lock_file
  check_major_version
  check_preload
  check_memory
  check_tls
}

# usage: check_config_file [POSTGRES_ARG...]
check_config_file() {
  take_config_file "$@"
  [[ "$REPLY" == "$PGDATA/postgresql.conf" || -r "$REPLY" ]] || problem "config_file '$REPLY' does not exist or cannot be read by uid $(id -u)"
}

# usage: check_named_files [POSTGRES_ARG...]
# Files that the server reads only when it has started, so that asking it about its settings does not find them missing.
check_named_files() {
  local name file
  while IFS=$'\t' read -r name file _; do
    [[ "$name" != @(hba_file|ident_file) || -r "$file" ]] ||
      problem "$name '$file' on the command line does not exist or cannot be read by uid $(id -u)"
  done < <(argument_settings "$@")
}

# usage: check_data_argument SETTINGS
# What is checked, initialised and locked is PGDATA; a server on another directory would have none of it.
check_data_argument() {
  local directory origin
  IFS=$'\t' read -r directory origin < <(effective_setting data_directory "$1") || return 0
  is_same_path "$directory" "$PGDATA" ||
    problem "data_directory is $directory ($origin), and PGDATA is $PGDATA: set PGDATA=$directory instead"
}

# usage: check_initialisation [POSTGRES_ARG...]
check_initialisation() {
  check_superuser
  docker_verify_minimum_env
  check_initdb_arguments
  check_locales_of_initdb
  check_user_scripts
  check_named_files "$@"
  check_settings "$@"
}

# usage: check_incomplete [POSTGRES_ARG...]
check_incomplete() {
  if [[ "$POSTGRES_ON_FAILED_INIT" == start-over ]]; then
    [[ -n "$RESTORE_FROM" ]] || check_initialisation "$@"
    return
  fi
  if is_claimed; then
    problem "another container is initialising $PGDATA: wait until it has ended, and do not remove anything"
    return 0
  fi
  problem "the initialisation of $PGDATA did not complete: an init script failed, or the container was stopped meanwhile.
A half-made database is not served. Look at the log of that start, then either remove the directory's contents,
or set POSTGRES_ON_FAILED_INIT=start-over to have them removed and the initialisation repeated."
}

# usage: check_superuser
check_superuser() {
  [[ "$POSTGRES_USER" != pg_* ]] || problem "POSTGRES_USER is '$POSTGRES_USER', but names that begin with pg_ are PostgreSQL's own"
}

# usage: docker_verify_minimum_env
# Whether a new cluster gets a superuser who can log in.
docker_verify_minimum_env() {
  check_method
  if [[ -z "$POSTGRES_PASSWORD" ]] && ! method_is_trust; then
    # shellcheck disable=SC2154  # of environment.sh
    problem "Database is uninitialized and superuser password is not specified.
You must specify POSTGRES_PASSWORD to a non-empty value for the superuser,
for example \"-e POSTGRES_PASSWORD=password\" on \"docker run\", or name a file in POSTGRES_PASSWORD_FILE${empty_files[POSTGRES_PASSWORD]+ (${empty_files[POSTGRES_PASSWORD]} is empty)}.
POSTGRES_HOST_AUTH_METHOD=trust allows all connections without a password. This is *not* recommended."
  elif [[ "$POSTGRES_PASSWORD" == *$'\n'* ]]; then
    problem "POSTGRES_PASSWORD has more than one line"
  fi
  stop_unless_collecting
}

# usage: docker_error_old_databases
# Whether a new cluster would be made beside one that is there.
docker_error_old_databases() {
  check_place
  stop_unless_collecting
}

# usage: check_access
# A directory of another user is the commonest trouble with volumes, and PostgreSQL's own message comes late.
check_access() {
  if is_hidden "$PGDATA"; then
    problem "$PGDATA cannot be looked into by uid $(id -u), and may hold a cluster: $REPLY_HIDDEN belongs to uid $(stat --format=%u "$REPLY_HIDDEN") (mode $(stat --format=%a "$REPLY_HIDDEN")). Nothing was changed.
Start with \`--user $(stat --format=%u:%g "$REPLY_HIDDEN")\` if that user has made the data. $(root_advice)"
    return 0
  fi
  if [[ ! -d "$PGDATA" ]]; then
    check_place_for_directory
    return 0
  fi
  if [[ -s "$PGDATA/PG_VERSION" && ! -r "$PGDATA/PG_VERSION" ]]; then
    problem "$PGDATA holds a cluster whose files uid $(id -u) cannot read: PG_VERSION belongs to uid $(stat --format=%u "$PGDATA/PG_VERSION") (mode $(stat --format=%a "$PGDATA/PG_VERSION")). Nothing was changed.
$(root_advice)"
    return 0
  fi
  if [[ -r "$PGDATA" && -w "$PGDATA" && -x "$PGDATA" ]]; then
    ((EUID == 0)) || [[ -O "$PGDATA" ]] || problem "$PGDATA belongs to uid $(stat --format=%u "$PGDATA"), and PostgreSQL insists that uid $(id -u), as which it is to run, owns its data directory.
Give the directory to uid $(id -u), or set PGDATA to a directory below it, which is then made. $(root_advice)"
    return 0
  fi
  if is_read_only "$PGDATA"; then
    problem "$PGDATA is on a file system that is mounted read-only: mount the volume without \`:ro\`"
  else
    problem "$PGDATA belongs to uid $(stat --format=%u "$PGDATA") (mode $(stat --format=%a "$PGDATA")) and cannot be used by uid $(id -u).
Give the volume to uid $(id -u) (a tmpfs is given by \`:uid=$(id -u)\`). $(root_advice)"
  fi
}

# usage: root_advice
# What serves a directory or a secret that is not the own user's.
root_advice() {
  printf 'The tag \x60%s-root\x60 of this image, which starts as root like the official image, serves it as it is; so does one start with --user root.' "$PG_MAJOR"
}

# usage: check_root
# Whether root can become postgres. What it may not do besides does not matter where nothing has to be done.
check_root() {
  ((EUID == 0)) || return 0
  { has_capability 6 && has_capability 7; } ||
    problem "started as root without the capabilities SETGID and SETUID, with which it would become postgres.
Add them (--cap-add SETGID --cap-add SETUID), or start as postgres: --user postgres."
}

# usage: check_foreign
# A directory with something else in it. A cluster may be one or two levels below, where other images have it.
check_foreign() {
  local found
  clusters_below
  if ((${#REPLY_CLUSTERS[@]} == 0)); then
    problem "$PGDATA is not empty and holds no PostgreSQL cluster (PG_VERSION is missing or empty); it is left as it is"
    return 0
  fi
  found="${REPLY_CLUSTERS[0]}"
  if is_hidden "$found"; then
    problem "$PGDATA holds no PostgreSQL cluster itself, and $found below it, which may be one, cannot be looked into by uid $(id -u): it belongs to uid $(stat --format=%u "$found"). Nothing was changed.
$(root_advice)"
    return 0
  fi
  problem "$PGDATA holds no PostgreSQL cluster itself, and there is one below it, of PostgreSQL $(<"$found/PG_VERSION"), in $found. Nothing was changed.
Set PGDATA=$found to use that one$( ((${#REPLY_CLUSTERS[@]} == 1)) || printf ' (others are in: %s)' "${REPLY_CLUSTERS[*]:1}")."
}

# usage: clusters_below
# Sets REPLY_CLUSTERS to what are clusters, or cannot be looked into, one or two levels below PGDATA: \`data\`, \`pgdata\`, \`17/main\`, \`18/docker\`.
clusters_below() {
  local directory
  REPLY_CLUSTERS=()
  for directory in "$PGDATA"/*/ "$PGDATA"/*/*/; do
    directory="${directory%/}"
    [[ -s "$directory/PG_VERSION" && -e "$directory/global" ]] || is_hidden "$directory" || continue
    REPLY_CLUSTERS+=("$directory")
  done
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
  [[ -s "$PGDATA/PG_VERSION" && -r "$PGDATA/PG_VERSION" ]] || return 0
  found="$(<"$PGDATA/PG_VERSION")"
  [[ "$found" != "$PG_MAJOR" ]] || return 0
  if [[ ! "$found" =~ ^[0-9]+(\.[0-9]+)?$ ]]; then
    problem "$PGDATA/PG_VERSION contains '${found:0:40}', which is not a version of PostgreSQL: the data directory is damaged. Nothing was changed.
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

# usage: check_place
# A new cluster must not be made beside the one that is mounted, or where it is lost with the container: the official
# image of PostgreSQL 18 has its data in MAJOR/docker below a volume at the directory above.
check_place() {
  local above
  passed_by_clusters
  if ((${#REPLY_CLUSTERS[@]})); then
    problem "$PGDATA is empty, and ${REPLY_CLUSTERS[0]} holds a cluster of PostgreSQL $(cat "${REPLY_CLUSTERS[0]}/PG_VERSION"). Nothing was changed.
Set PGDATA=${REPLY_CLUSTERS[0]} to use that one, or another PGDATA than $PGDATA for a new one."
    return 0
  fi
  above="$(dirname "$PGDATA")"
  ! is_unnamed_volume_below "$above" || problem "a volume is mounted at $above, and $PGDATA is another one without a name, which is removed with the container.
Mount yours at $PGDATA, or set PGDATA to another directory below $above."
}

# usage: passed_by_clusters
# Sets REPLY_CLUSTERS to the clusters that an initialisation of an empty PGDATA would pass by: PGDATA is in the directory of one, or one is beside
# it where the official image has it, up to 17 or from 18 on.
passed_by_clusters() {
  local found above="${PGDATA%/*}"
  REPLY_CLUSTERS=()
  data_directory_state
  [[ "$REPLY" == absent ]] || return 0
  local -a places=("$above" "$above"/*/docker)
  [[ "$PGDATA" != */+([0-9])/docker ]] || places=("${above%/*}" "${above%/*}/data" "${above%/*}"/*/docker)
  for found in "${places[@]}"; do
    [[ ! -s "$found/PG_VERSION" || ! -e "$found/global" ]] || REPLY_CLUSTERS+=("$found")
  done
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
  if [[ -e "$PGDATA" || -L "$PGDATA" ]]; then
    problem "$PGDATA is not a directory: expected the data directory, or nothing, in whose place one is made"
    return 0
  fi
  while [[ ! -e "$above" ]]; do above="$(dirname "$above")"; done
  [[ -d "$above" && -w "$above" && -x "$above" ]] || problem "$PGDATA cannot be made by uid $(id -u): $above belongs to uid $(stat --format=%u "$above") (mode $(stat --format=%a "$above")).
Give $above to uid $(id -u), and the directory is made. $(root_advice)"
}

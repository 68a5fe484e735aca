# shellcheck shell=bash disable=SC2154  # upgrade_* are set by read_upgrade_options and read_upgrade_state
# The command `upgrade`: its words, how far it has come, and everything that can be wrong before it begins. Changes nothing but the state; the checks
# report through `problem`.
#
# An upgrade happens inside the data directory, in .upgrade, because that is one file system and all that outlives the container:
#
#   preparing      .upgrade/new is being made and pg_upgrade runs; the old cluster is where it was, and a repetition begins afresh
#   finishing      the new cluster is complete, and its extensions are being updated
#   moving-out     the old cluster's files go to .upgrade/old
#   moving-in      the new cluster's files go to their place
#   done           the new cluster is served; the old one is kept in .upgrade/old until `upgrade --discard-old`

# usage: read_upgrade_options [OPTION...]
# Sets upgrade_action (upgrade, check, abandon or discard), upgrade_mode and upgrade_jobs; reports through `problem`.
# shellcheck disable=SC2034  # they are for the caller
read_upgrade_options() {
  upgrade_action=upgrade upgrade_mode=copy upgrade_jobs="$(nproc)"
  while (($#)); do
    case "$1" in
      --check) upgrade_action=check ;;
      --abandon) upgrade_action=abandon ;;
      --discard-old) upgrade_action=discard ;;
      --copy | --clone | --link) upgrade_mode="${1#--}" ;;
      --jobs=*[!0-9]* | --jobs=) problem "upgrade: $1: a number was expected" ;;
      --jobs=*) upgrade_jobs="${1#--jobs=}" ;;
      *) problem "upgrade: $1 is none of --check, --copy, --clone, --link, --jobs=NUMBER, --abandon, --discard-old" ;;
    esac
    shift
  done
}

# usage: read_upgrade_state
# Sets upgrade_state (none, or one of the above), upgrade_from (the old major) and upgrade_mode_used.
# shellcheck disable=SC2034  # they are for the caller
read_upgrade_state() {
  upgrade_state=none upgrade_from='' upgrade_mode_used=''
  [[ -r "$PGDATA/.upgrade/state" ]] || return 0
  read -r upgrade_state upgrade_from upgrade_mode_used <"$PGDATA/.upgrade/state"
}

# usage: enter_upgrade_state STATE
# What was done before is on the disk before the new state is, and the new state is there at once or not at all.
enter_upgrade_state() {
  sync --file-system "$PGDATA"
  printf '%s %s %s\n' "$1" "$upgrade_from" "$upgrade_mode" >"$PGDATA/.upgrade/state.new"
  sync "$PGDATA/.upgrade/state.new"
  mv "$PGDATA/.upgrade/state.new" "$PGDATA/.upgrade/state"
  sync "$PGDATA/.upgrade"
}

# usage: upgrade_is_unfinished
upgrade_is_unfinished() {
  read_upgrade_state
  [[ "$upgrade_state" != @(none|done) ]]
}

# usage: old_is_usable
# Whether the cluster that was upgraded can still be gone back to: not once a server has written to files that both have (--link).
old_is_usable() { [[ "$upgrade_state" == preparing || ("$upgrade_state" == finishing && "$upgrade_mode_used" != link) ]]; }

# usage: check_upgrade
check_upgrade() {
  check_access
  check_lock_file
  read_upgrade_state
  case "$upgrade_action" in
    upgrade | check) check_upgrade_source ;;
    abandon)
      [[ "$upgrade_state" != none ]] || problem "there is no upgrade of $PGDATA to abandon"
      [[ "$upgrade_state" == none ]] || old_is_usable ||
        problem "the upgrade of $PGDATA has come too far to be abandoned (${upgrade_state}); \`upgrade\` completes it"
      ;;
    discard)
      [[ "$upgrade_state" == 'done' ]] || problem "there is no old cluster to discard in $PGDATA/.upgrade"
      ;;
  esac
}

# usage: check_upgrade_source
check_upgrade_source() {
  local found=''
  [[ ! -r "$PGDATA/PG_VERSION" ]] || found="$(<"$PGDATA/PG_VERSION")"
  initialising_marker
  if [[ "$upgrade_state" == @(finishing|moving-out|moving-in) ]]; then
    [[ "$upgrade_action" == upgrade ]] || problem "the upgrade of $PGDATA has begun (${upgrade_state}); \`upgrade\` completes it"
  elif [[ -e "$REPLY" ]]; then
    problem "the initialisation of $PGDATA did not complete: there is nothing to upgrade"
  elif [[ -z "$found" ]]; then
    problem "$PGDATA holds no PostgreSQL cluster (there is no PG_VERSION): there is nothing to upgrade"
  elif [[ "$found" == "$PG_MAJOR" ]]; then
    problem "$PGDATA is of PostgreSQL $PG_MAJOR already"
  elif [[ "$upgrade_state" == 'done' ]]; then
    problem "$PGDATA/.upgrade still holds the cluster of PostgreSQL $upgrade_from; \`upgrade --discard-old\` removes it"
  elif [[ ! -x "$(server_programs "$found")/postgres" ]]; then
    problem "$PGDATA is of PostgreSQL $found, and this image has no programs of it; it has: $(server_majors)"
  elif [[ -e "$PGDATA/standby.signal" ]]; then
    problem "$PGDATA is a standby: upgrade the primary, and copy it again"
  elif [[ "$upgrade_mode" == link && -n "$(find "$PGDATA/pg_replslot" -mindepth 1 -maxdepth 1 -print -quit)" ]]; then
    problem "$PGDATA has replication slots, with which --link cannot be undone half-way: drop them, or upgrade with --clone or --copy"
  fi
}

# usage: check_no_upgrade
# For a start: a database between two majors is not served.
check_no_upgrade() {
  upgrade_is_unfinished || return 0
  local way="run the command \`upgrade\` again, which completes it"
  ! old_is_usable || way+=",
or \`upgrade --abandon\`, which leaves the cluster of PostgreSQL $upgrade_from as it was"
  problem "an upgrade of $PGDATA from PostgreSQL $upgrade_from did not complete (it was ${upgrade_state}), and is not served half-done:
$way (docker run … IMAGE upgrade)"
}

# usage: server_programs MAJOR
server_programs() { printf '/usr/lib/postgresql/%s/bin\n' "$1"; }

# usage: server_majors
# Prints the majors that this image has.
server_majors() {
  local program
  local -a majors=()
  for program in /usr/lib/postgresql/*/bin/postgres; do
    program="${program%/bin/postgres}"
    majors+=("${program##*/}")
  done
  printf '%s\n' "${majors[*]}"
}

# shellcheck shell=bash disable=SC2154  # upgrade_* are set by read_upgrade_options and read_upgrade_state
# Everything that can be wrong with an upgrade before it begins. Changes nothing; each function reports through `problem`.

# usage: check_upgrade
check_upgrade() {
  check_access
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
    problem "$PGDATA is a standby: upgrade the primary, and copy it anew"
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

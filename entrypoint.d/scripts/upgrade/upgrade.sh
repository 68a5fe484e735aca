#!/usr/bin/env bash
# Upgrades the cluster in the data directory to this image's major version, from wherever a former attempt has come to. A process of its
# own, so that the container's init process stays free to act on a stop. Arguments are those of `upgrade`; they have been checked.
# shellcheck source-path=SCRIPTDIR disable=SC2154

set -Eeuo pipefail

# shellcheck source=../lib/all.sh
source "$(dirname "$(dirname "$(readlink -f "$0")")")/lib/all.sh"

# usage: prepare
# Up to a complete new cluster; what pg_upgrade finds wrong it finds before it changes anything. The old one is only read, except that it is started and stopped once by its own programs.
prepare() {
  upgrade_from="$(<"$PGDATA/PG_VERSION")"
  mkdir --parents "$PGDATA/.upgrade"
  enter_upgrade_state preparing
  find "$PGDATA/.upgrade" -mindepth 1 -maxdepth 1 ! -name state -exec rm --recursive --force {} +
  say "upgrading $PGDATA from PostgreSQL $upgrade_from to $PG_MAJOR (${upgrade_mode})"
  prepare_old_cluster
  create_new_cluster
  if [[ "$upgrade_action" == check ]]; then
    run_pg_upgrade --check
    rm --recursive --force "$PGDATA/.upgrade"
    say "PostgreSQL $upgrade_from in $PGDATA can be upgraded to $PG_MAJOR; nothing was changed"
    exit 0
  fi
  run_pg_upgrade
  carry_configuration
  enter_upgrade_state finishing
}

# usage: finish
finish() {
  finish_new_cluster
  mkdir --parents "$PGDATA/.upgrade/old"
  enter_upgrade_state moving-out
}

read_upgrade_options "$@"
read_upgrade_state
case "$upgrade_state" in
  none | preparing) ;;
  *) upgrade_mode="$upgrade_mode_used" ;;
esac

# Each state does its work and falls through to the next.
case "$upgrade_state" in
  none | preparing) prepare ;;&
  none | preparing | finishing) finish ;;&
  none | preparing | finishing | moving-out)
    move_entries "$PGDATA" "$PGDATA/.upgrade/old"
    enter_upgrade_state moving-in
    ;;&
  none | preparing | finishing | moving-out | moving-in)
    move_entries "$PGDATA/.upgrade/new" "$PGDATA"
    rmdir "$PGDATA/.upgrade/new"
    enter_upgrade_state 'done'
    ;;
esac
say "$PGDATA is of PostgreSQL $PG_MAJOR now; the cluster of $upgrade_from is kept in $PGDATA/.upgrade/old until \`upgrade --discard-old\`"

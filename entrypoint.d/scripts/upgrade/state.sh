# shellcheck shell=bash disable=SC2154  # upgrade_* are set by read_upgrade_options and read_upgrade_state
# How far an upgrade has come. All of it happens inside the data directory, in .upgrade, because that is one file system and all that
# outlives the container:
#
#   preparing      .upgrade/new is being made and pg_upgrade runs; the old cluster is where it was, and a repetition begins afresh
#   finishing      the new cluster is complete, and its extensions are being updated
#   moving-out     the old cluster's files go to .upgrade/old
#   moving-in      the new cluster's files go to their place
#   done           the new cluster is served; the old one is kept in .upgrade/old until `upgrade --discard-old`

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

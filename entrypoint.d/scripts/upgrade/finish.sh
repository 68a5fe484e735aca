# shellcheck shell=bash disable=SC2154  # upgrade_* are set by read_upgrade_options and read_upgrade_state
# What a new cluster needs before it is served, and the exchange of the two. Each step may be repeated after a kill.

# usage: finish_new_cluster
# Brings extensions to the versions this image has: pg_upgrade leaves a script when some are behind.
finish_new_cluster() {
  local script="$PGDATA/.upgrade/update_extensions.sql"
  start_private_server "$PG_MAJOR" "$PGDATA/.upgrade/new"
  # First, since Citus allows nothing before it has its catalogs. It drops the tables that citus_prepare_pg_upgrade has made.
  in_each_database_with citus --command "SELECT citus_finish_pg_upgrade() WHERE to_regclass('public.pg_dist_local_group') IS NOT NULL"
  if [[ -r "$script" ]]; then
    # plpgsql is in every database that an extension could be in.
    # shellcheck disable=SC2154  # set by lib/all.sh
    in_each_database_with plpgsql --file "$container_scripts/upgrade/renew_extensions.sql" || true
    psql --no-psqlrc --quiet --no-password --set ON_ERROR_STOP=1 --dbname template1 --file "$script" ||
      warn "not all extensions could be updated, for the reason above: ALTER EXTENSION … UPDATE is left to you"
  fi
  stop_private_server
}

# usage: move_entries FROM TO
# Moves what is in FROM, but .upgrade and what the file system owns: inside one file system, so each entry is moved at once or not at all.
move_entries() {
  find "$1" -mindepth 1 -maxdepth 1 ! -name .upgrade ! -name lost+found -exec mv --no-clobber --target-directory="$2" {} +
  [[ -z "$(find "$1" -mindepth 1 -maxdepth 1 ! -name .upgrade ! -name lost+found -print -quit)" ]] || die "$1 could not be emptied into $2"
}

# usage: discard_old_cluster
# What it has outside of the data directory too: its part of each tablespace, and its WAL, beside which the new one's may be.
discard_old_cluster() {
  local old="$PGDATA/.upgrade/old" link wal=''
  [[ ! -L "$old/pg_wal" ]] || wal="$(readlink "$old/pg_wal")"
  for link in "$old"/pg_tblspc/*; do
    [[ ! -L "$link" ]] || find "$(readlink "$link")" -mindepth 1 -maxdepth 1 -name "PG_${upgrade_from}_*" -exec rm --recursive --force {} +
  done
  [[ -z "$wal" ]] || find "$wal" -mindepth 1 -maxdepth 1 ! -name "$PG_MAJOR" ! -name lost+found -exec rm --recursive --force {} +
  rm --recursive --force "$PGDATA/.upgrade"
}

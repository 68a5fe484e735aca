# shellcheck shell=bash disable=SC2154  # upgrade_* are set by read_upgrade_options and read_upgrade_state
# Upgrades the cluster in the data directory to this image's major version, from wherever a former attempt has come to. Each step may be repeated
# after a kill.

# usage: upgrade_data
# Runs in a process of its own, so that process 1 stays free to act on a stop. Each state does its work and falls through to the next.
upgrade_data() {
  read_upgrade_state
  case "$upgrade_state" in
    none | preparing) ;;
    *) upgrade_mode="$upgrade_mode_used" ;;
  esac
  case "$upgrade_state" in
    none | preparing) prepare_upgrade ;;&
    none | preparing | finishing) finish_upgrade ;;&
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
}

# usage: prepare_upgrade
# Up to a complete new cluster; what pg_upgrade finds wrong it finds before it changes anything. The old one is only read, except that it is
# started and stopped once by its own programs: so that it is cleanly stopped, whatever ended it before, and Citus has put away its catalogs.
prepare_upgrade() {
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

# usage: finish_upgrade
finish_upgrade() {
  finish_new_cluster
  mkdir --parents "$PGDATA/.upgrade/old"
  enter_upgrade_state moving-out
}

# usage: upgrade_options MAJOR
# Prints the options of a server of either major while it is upgraded. Some libraries can only be loaded at the start, and pg_upgrade loads
# all that functions are in; but no job of pg_cron may run.
upgrade_options() {
  local library list=''
  local -a libraries
  IFS=, read -r -a libraries < <(preload_libraries)
  for library in "${libraries[@]}"; do
    [[ ! -e "$(dirname "$(server_programs "$1")")/lib/$library.so" ]] || list+="${list:+,}$library"
  done
  printf -- '-c shared_preload_libraries=%s -c cron.launch_active_jobs=off' "$list"
}

# usage: prepare_old_cluster
prepare_old_cluster() {
  [[ ! -e "$PGDATA/global/pg_control.old" ]] || mv "$PGDATA/global/pg_control.old" "$PGDATA/global/pg_control"
  start_private_server "$upgrade_from" "$PGDATA"
  in_each_database_with citus --command 'SELECT citus_prepare_pg_upgrade()'
  stop_private_server
}

# usage: start_private_server MAJOR DIRECTORY
# A server that only this program reaches. Returns when it accepts connections.
start_private_server() {
  local programs
  programs="$(server_programs "$1")"
  socket_directory
  private_socket="$(mktemp --directory "$REPLY/.upgrade.XXXXXX")"
  export PGHOST="$private_socket" PGPORT=5432 PGUSER="$POSTGRES_USER" PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}"
  private_server=("$programs/pg_ctl" --pgdata="$2" --wait --silent)
  # pg_ctl hands the options to a shell, and none of them has anything of the user's in it.
  "${private_server[@]}" --timeout=86400 --options="$(upgrade_options "$1") -c listen_addresses='' -c unix_socket_directories=$private_socket -p 5432" start
}

# usage: stop_private_server
stop_private_server() {
  "${private_server[@]}" --mode=fast --timeout=86400 stop
  rmdir "$private_socket"
  unset PGHOST PGPORT PGUSER
}

# usage: in_each_database_with EXTENSION PSQL_ARG...
in_each_database_with() {
  local name database
  local -a psql=(psql --no-psqlrc --quiet --no-align --tuples-only --no-password --set ON_ERROR_STOP=1)
  while IFS= read -r name; do
    database="$(conninfo_of_database "$name")"
    [[ "$("${psql[@]}" --dbname "$database" --command "SELECT count(*) FROM pg_extension WHERE extname = '$1'")" == 1 ]] || continue
    "${psql[@]}" --dbname "$database" "${@:2}" >/dev/null
  done < <("${psql[@]}" --dbname template1 --command 'SELECT datname FROM pg_database WHERE datallowconn')
}

# usage: create_new_cluster
# Like the old one in what pg_upgrade demands to be alike. Locale and encoding it copies itself.
create_new_cluster() {
  local -a arguments=(--username="$POSTGRES_USER" --no-instructions --no-sync)
  local wal
  if [[ "$(control_value 'Data page checksum version')" == 0 ]]; then
    ((PG_MAJOR < 18)) || arguments+=(--no-data-checksums)
  else
    arguments+=(--data-checksums)
  fi
  arguments+=(--wal-segsize="$(($(control_value 'Bytes per WAL segment') / 1024 / 1024))")
  [[ "$(stat --format=%a "$PGDATA")" != 750 ]] || arguments+=(--allow-group-access)
  if [[ -L "$PGDATA/pg_wal" ]]; then
    wal="$(readlink "$PGDATA/pg_wal")/$PG_MAJOR"
    rm --recursive --force "$wal"
    arguments+=(--waldir="$wal")
  fi
  initdb --pgdata="$PGDATA/.upgrade/new" "${arguments[@]}"
}

# usage: control_value NAME
control_value() {
  "$(server_programs "$upgrade_from")/pg_controldata" --pgdata="$PGDATA" | awk -F ':[ ]*' -v name="$1" '$1 == name { print $2 }'
}

# usage: run_pg_upgrade [--check]
# pg_upgrade names the files that hold its complaints; they are shown, because the files are gone with a container that has ended.
run_pg_upgrade() {
  local status=0
  socket_directory
  (
    cd "$PGDATA/.upgrade"
    PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}" pg_upgrade --username="$POSTGRES_USER" --jobs="$upgrade_jobs" "--$upgrade_mode" --socketdir="$REPLY" \
      --old-bindir="$(server_programs "$upgrade_from")" --new-bindir="$(server_programs "$PG_MAJOR")" \
      --old-datadir="$PGDATA" --new-datadir="$PGDATA/.upgrade/new" \
      --old-options="$(upgrade_options "$upgrade_from")" --new-options="$(upgrade_options "$PG_MAJOR")" "$@"
  ) || status=$?
  ((status)) || return 0
  find "$PGDATA/.upgrade/new/pg_upgrade_output.d" -type f \( -name '*.txt' -o -name 'pg_upgrade_server.log' \) -size +0 -exec tail --lines=40 --verbose {} + >&2 || true
  die "pg_upgrade found the above (status $status); the cluster of PostgreSQL $upgrade_from is as it was"
}

# usage: carry_configuration
# The old cluster's files, as far as the new server takes them. What it does not know any more must not stop it.
carry_configuration() {
  local file new="$PGDATA/.upgrade/new"
  cp --preserve "$PGDATA/pg_hba.conf" "$PGDATA/pg_ident.conf" "$new/"
  carry_files
  for file in postgresql.conf postgresql.auto.conf; do
    cp --preserve "$new/$file" "$new/$file.initdb"
    cp --preserve "$PGDATA/$file" "$new/$file"
    if postgres -D "$new" -C server_version >/dev/null; then
      rm "$new/$file.initdb"
    else
      mv "$new/$file" "$new/$file.$upgrade_from"
      mv "$new/$file.initdb" "$new/$file"
      warn "PostgreSQL $PG_MAJOR does not take the old $file, for the reason above; it is kept as $file.$upgrade_from, and a new one is used"
    fi
  done
}

# usage: carry_files
# What lies in the data directory and is not PostgreSQL's: certificates, such as Citus makes, and files that the configuration includes.
carry_files() {
  local file
  for file in "$PGDATA"/*; do
    case "${file##*/}" in
      postmaster.* | *.signal | *.pid | backup_label* | tablespace_map* | current_logfiles | recovery.* | *.log) continue ;;
    esac
    [[ -e "$PGDATA/.upgrade/new/${file##*/}" ]] || [[ ! -f "$file" && "${file##*/}" != conf.d ]] ||
      cp --archive "$file" "$PGDATA/.upgrade/new/"
  done
}

# usage: finish_new_cluster
# Brings extensions to the versions this image has: pg_upgrade leaves a script when some are behind.
finish_new_cluster() {
  local script="$PGDATA/.upgrade/update_extensions.sql"
  start_private_server "$PG_MAJOR" "$PGDATA/.upgrade/new"
  # First, since Citus allows nothing before it has its catalogs. It drops the tables that citus_prepare_pg_upgrade has made.
  in_each_database_with citus --command "SELECT citus_finish_pg_upgrade() WHERE to_regclass('public.pg_dist_local_group') IS NOT NULL"
  if [[ -r "$script" ]]; then
    # plpgsql is in every database that an extension could be in.
    in_each_database_with plpgsql --command "$(renew_extensions_sql)" || true
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

# usage: abandon_upgrade
abandon_upgrade() {
  [[ ! -e "$PGDATA/global/pg_control.old" ]] || mv "$PGDATA/global/pg_control.old" "$PGDATA/global/pg_control"
  rm --recursive --force "$PGDATA/.upgrade"
  say "the upgrade of $PGDATA is abandoned; it is the cluster of PostgreSQL $(<"$PGDATA/PG_VERSION") that it was"
}

# usage: renew_extensions_sql
# Prints SQL that recreates extensions that have no way from their version to this server's, as pgaudit has one version for each major: those that
# hold nothing, since they own no table, view or sequence, and that nothing depends on, or dropping them fails.
renew_extensions_sql() {
  cat <<'SQL'
DO $$
DECLARE
  extension record;
BEGIN
  FOR extension IN
    SELECT installed.extname AS name, installed.extnamespace::regnamespace AS schema
    FROM pg_extension AS installed
    JOIN pg_available_extensions AS available ON available.name = installed.extname
    WHERE installed.extversion <> available.default_version
      AND NOT EXISTS (
        SELECT FROM pg_extension_update_paths(installed.extname) AS way
        WHERE way.source = installed.extversion AND way.target = available.default_version AND way.path IS NOT NULL)
      AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE refclassid = 'pg_extension'::regclass AND refobjid = installed.oid AND classid = 'pg_class'::regclass AND deptype = 'e')
  LOOP
    EXECUTE format('DROP EXTENSION %I', extension.name);
    EXECUTE format('CREATE EXTENSION %I SCHEMA %s', extension.name, extension.schema);
  END LOOP;
END
$$;
SQL
}

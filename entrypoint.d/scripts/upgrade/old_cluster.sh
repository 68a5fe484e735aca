# shellcheck shell=bash disable=SC2154  # upgrade_* are set by read_upgrade_options and read_upgrade_state
# The cluster that is upgraded, run by its own programs: so that it is cleanly stopped, whatever ended it before, and Citus has put away
# its catalogs.

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

# shellcheck shell=bash disable=SC2154  # upgrade_* are set by read_upgrade_options and read_upgrade_state
# Makes the new cluster, beside the old one, with pg_upgrade.

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
# pg_upgrade names the files that hold its complaints; they are shown, because nobody looks into a container that has ended.
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

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

# usage: carry_configuration
# The old cluster's files, as far as the new server takes them. What it does not know any more must not stop it.
carry_configuration() {
  local file new="$PGDATA/.upgrade/new"
  cp --preserve "$PGDATA/pg_hba.conf" "$PGDATA/pg_ident.conf" "$new/"
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

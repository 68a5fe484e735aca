# shellcheck shell=bash
# The marker of an initialisation that has not ended, so that a kill at any moment can be told from success.

# usage: begin_initialisation
# Puts up the marker. It is a directory inside the data directory, because that is all that outlives the container.
begin_initialisation() {
  initialising_marker
  mkdir "$REPLY"
  sync "$PGDATA"
}

# usage: end_initialisation
end_initialisation() {
  initialising_marker
  sync "$PGDATA"
  rmdir "$REPLY"
  sync "$PGDATA"
}

# usage: withdraw_initialisation
# Undoes an initialisation that has failed by itself, before anything of the user's was run: a corrected start may begin afresh. What
# --no-clean in POSTGRES_INITDB_ARGS is to keep stays, and with it the marker. A kill never comes here.
# shellcheck disable=SC2154  # temporary_* are set by start_temporary_server
withdraw_initialisation() {
  if [[ -n "${temporary_server:-}" ]]; then
    kill -s QUIT "$temporary_server" 2>/dev/null || true
    wait "$temporary_server" || true
    rm --recursive --force "$temporary_socket"
  fi
  initialising_marker
  if [[ $'\n'"$(initdb_options)" == *$'\n'no-clean* && -e "$REPLY/data" ]]; then return 0; fi
  say "no initialisation script had begun: what this start had made in $PGDATA is removed, and a corrected start begins afresh"
  remove_initialisation
}

# usage: discard_incomplete
discard_incomplete() {
  say "removing the incomplete cluster in $PGDATA, as POSTGRES_ON_FAILED_INIT=start-over asks for"
  remove_initialisation
}

# usage: remove_initialisation
# Empties the data directory of an initialisation that did not end, and the WAL directory that its initdb was given, whatever the
# environment names now. Both were empty when it began; since then somebody may have put another cluster's log there.
remove_initialisation() {
  initialising_marker
  local marker="$REPLY" data file
  # First what a link leads to, and then the link.
  for data in "$PGDATA" "$marker/data"; do
    [[ -L "$data/pg_wal" && -d "$data/pg_wal" ]] || continue
    if is_wal_of "$data" "$data/pg_wal"; then
      find "$data/pg_wal/" -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm --recursive --force {} +
    else
      warn "$(readlink "$data/pg_wal") is left as it is: its write-ahead log is another cluster's"
    fi
  done
  for file in "$PGDATA"/pg_tblspc/*; do
    [[ ! -L "$file" ]] || warn "the tablespace in $(readlink "$file") is left as it is: empty it, or an initialisation script cannot make it again"
  done
  find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found ! -path "$marker" -exec rm --recursive --force {} +
  # The marker goes last: until then the directory stays recognisable as incomplete.
  rm --recursive --force "$marker"
}

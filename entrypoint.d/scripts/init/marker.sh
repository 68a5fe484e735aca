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
# Takes the marker down again if there is nothing below it.
withdraw_initialisation() {
  initialising_marker
  rmdir "$REPLY" 2>/dev/null || true
}

# usage: discard_incomplete
# Empties the data directory of an initialisation that did not end, and the WAL directory that its initdb was given, whatever the
# environment names now. Both were empty when it began.
discard_incomplete() {
  initialising_marker
  local marker="$REPLY" wal
  say "removing the incomplete cluster in $PGDATA, as POSTGRES_ON_FAILED_INIT=start-over asks for"
  # First what a link leads to, and then the link.
  for wal in "$PGDATA/pg_wal" "$marker/data/pg_wal"; do
    [[ ! -L "$wal" || ! -d "$wal" ]] || find "$wal/" -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm --recursive --force {} +
  done
  find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found ! -path "$marker" -exec rm --recursive --force {} +
  # The marker goes last: until then the directory stays recognisable as incomplete.
  rm --recursive --force "$marker"
}

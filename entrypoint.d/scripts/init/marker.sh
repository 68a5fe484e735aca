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
# Empties the data directory, and the WAL directory, of an initialisation that did not end. Both were empty when it began.
discard_incomplete() {
  initialising_marker
  local marker="$REPLY"
  say "removing the incomplete cluster in $PGDATA, as POSTGRES_ON_FAILED_INIT=start-over asks for"
  find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found ! -path "$marker" -exec rm --recursive --force {} +
  if [[ -n "$POSTGRES_INITDB_WALDIR" ]]; then
    find "$POSTGRES_INITDB_WALDIR" -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm --recursive --force {} +
  fi
  # The marker goes last: until then the directory stays recognisable as incomplete.
  rm --recursive --force "$marker"
}

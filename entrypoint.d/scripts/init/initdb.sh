# shellcheck shell=bash
# Makes a new cluster's files in the data directory.

# usage: create_cluster
create_cluster() {
  local -a arguments
  split_words arguments "$POSTGRES_INITDB_ARGS"
  if [[ -n "$POSTGRES_INITDB_WALDIR" ]]; then
    arguments=(--waldir "$POSTGRES_INITDB_WALDIR" "${arguments[@]}")
  fi
  # The line feed is needed: initdb refuses an empty password file, and with trust there may be no password.
  initdb_below_marker --username="$(initdb_user)" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") --no-instructions "${arguments[@]}"
}

# usage: initdb_below_marker [INITDB_ARG...]
# Runs initdb below the marker, since it insists on an empty directory and the marker has to be there first, then moves the files
# to their place. The server keeps no absolute path into its data directory.
initdb_below_marker() {
  initialising_marker
  local fresh="$REPLY/data"
  say "creating the cluster in $PGDATA"
  (
    ensure_passwd_entry
    initdb --pgdata="$fresh" "$@"
  )
  release_automatic_settings "$fresh/postgresql.conf"
  mv --target-directory="$PGDATA" "$fresh"/*
  chmod --reference="$fresh" "$PGDATA" 2>/dev/null || true
  rmdir "$fresh"
}

# usage: initdb_user
# Prints the name to make the superuser under. initdb builds statements around the name without doubling double quotes, and fails; a
# name that has some is given afterwards, by name_quoted_user.
initdb_user() {
  if [[ "$POSTGRES_USER" == *'"'* ]]; then
    printf 'postgres\n'
  else
    printf '%s\n' "$POSTGRES_USER"
  fi
}

# usage: release_automatic_settings FILE
# initdb writes PostgreSQL's default of shared_buffers out as if someone had chosen it, and it would hide the one derived from the
# container's memory. A value asked for in POSTGRES_INITDB_ARGS differs from it and stays.
release_automatic_settings() {
  sed --in-place 's/^shared_buffers = 128MB/#&/' "$1"
}

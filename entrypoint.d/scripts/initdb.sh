# shellcheck shell=bash
# Makes a new cluster's files in the data directory, and undoes an initialisation that did not end.

# usage: docker_init_database_dir [INITDB_ARG...]
# Makes an empty data directory a cluster. A marker that is there already stays; a derived image that calls nothing but this has none.
docker_init_database_dir() {
  local -a arguments
  local marked=''
  initialising_marker
  if [[ -d "$REPLY" ]]; then marked=yes; else begin_initialisation; fi
  split_words arguments "$POSTGRES_INITDB_ARGS"
  if [[ -n "$POSTGRES_INITDB_WALDIR" ]]; then
    arguments=(--waldir "$POSTGRES_INITDB_WALDIR" "${arguments[@]}")
  fi
  # The line feed is needed: initdb refuses an empty password file, and with trust there may be no password.
  initdb_below_marker --username="$(initdb_user)" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") --no-instructions "${arguments[@]}" "$@"
  [[ -n "$marked" ]] || end_initialisation
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
  settle_configuration "$fresh/postgresql.conf"
  mv --target-directory="$PGDATA" "$fresh"/*
  chmod --reference="$fresh" "$PGDATA" 2>/dev/null || true
  rmdir "$fresh"
}

# usage: configure_backups
# Writes pgBackRest's configuration, which the server and the commands `backup` and `restore` read.
configure_backups() {
  [[ -n "$backups_are_configured" ]] || return 0
  pgstart backups configure || exit
}

# usage: restore_data_directory
# Makes an empty data directory what RESTORE_FROM says, below the marker, as a new cluster is made: a restore that was interrupted is never served.
# A tablespace goes to where it was, and has to be empty there.
restore_data_directory() {
  begin_initialisation
  local fresh="$REPLY/data"
  mkdir --mode=0700 "$fresh"
  ensure_passwd_entry
  if ! pgstart backups restore "$fresh"; then
    find "$fresh" -delete
    rmdir "${fresh%/*}"
    die "$PGDATA could not be restored, and is as empty as it was: the lines above say why"
  fi
  printf '%s\n' "$RESTORE_FROM" >"$fresh/.restored-from"
  find "$fresh" -mindepth 1 -maxdepth 1 -exec mv --target-directory="$PGDATA" {} +
  rmdir "$fresh"
  end_initialisation
  say "$PGDATA is restored; the server recovers to the moment that RESTORE_FROM names, and serves then"
}

# usage: prepare_repository
# The cluster's place in the repository. A repository that does not answer does not stop the start of a database.
prepare_repository() {
  [[ -z "$backups_are_configured" ]] || pgstart backups stanza
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

# usage: settle_configuration FILE
# Puts what any container needs before what initdb has written, for a start without this entrypoint: `postgres` alone, as a
# standby made by pg_basebackup is, `pg_ctl start` in a script, another image. What is in the file already, by POSTGRES_INITDB_ARGS, wins. The
# image's settings are included rather than copied: another image does not have the libraries that they preload.
#
# initdb writes PostgreSQL's default of shared_buffers out as if someone had chosen it, and it would hide the one derived from the container's memory.
# A value asked for in POSTGRES_INITDB_ARGS differs from it and stays.
settle_configuration() {
  local file="$1"
  image_settings_file
  {
    printf '# What a container needs, written when the cluster was made. Lines below win.\n'
    printf "listen_addresses = '*'\n"
    include_if_present "$REPLY"
    printf '\n'
    sed 's/^shared_buffers = 128MB/#&/' "$file"
  } >"$file.new"
  chmod --reference="$file" "$file.new"
  mv "$file.new" "$file"
}

# usage: pg_setup_hba_conf [postgres] [POSTGRES_ARG...]
# Adds the line for all hosts. Without a method it is the one the server encrypts passwords with, as the arguments have it.
pg_setup_hba_conf() {
  [[ "${1:-}" != postgres ]] || shift
  local method="$POSTGRES_HOST_AUTH_METHOD"
  if [[ -z "$method" ]]; then
    method="$(server_setting password_encryption "$@")"
  fi
  {
    printf '\n'
    if [[ "$method" == trust ]]; then
      printf '# warning trust is enabled for all connections\n'
      printf '# see https://www.postgresql.org/docs/%s/auth-trust.html\n' "$PG_MAJOR"
    fi
    printf 'host all all all %s\n' "$method"
  } >>"$PGDATA/pg_hba.conf"
}

# usage: warn_of_trust
warn_of_trust() {
  method_is_trust || return 0
  cat >&2 <<'EOF'
********************************************************************************
WARNING: POSTGRES_HOST_AUTH_METHOD has been set to "trust". This will allow
         anyone with access to the Postgres port to access your database without
         a password, even if POSTGRES_PASSWORD is set. See PostgreSQL
         documentation about "trust":
         https://www.postgresql.org/docs/current/auth-trust.html

         It is not recommended to use POSTGRES_HOST_AUTH_METHOD=trust. Replace
         it with "-e POSTGRES_PASSWORD=password" instead to set a password in
         "docker run".
********************************************************************************
EOF
}

# usage: begin_initialisation
# Sets the marker of an initialisation that has not ended, so that a kill at any moment can be told from success. It is a
# directory inside the data directory, because only that outlives the container.
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
# environment names now. Both were empty when it began; another cluster's log may be there since.
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

# usage: is_wal_of DATA DIRECTORY
# Whether no segment in DIRECTORY is of another cluster than the one in DATA. A segment begins with the cluster's system identifier
# (XLogLongPageHeaderData in access/xlog_internal.h), or with zeros if it has not been used yet.
is_wal_of() {
  local segment own found
  own="$(LC_ALL=C pg_controldata "$1" 2>/dev/null | sed --quiet 's/^Database system identifier: *//p')"
  for segment in "$2"/????????????????????????; do
    [[ -f "$segment" ]] || continue
    found="$(od --address-radix=n --format=u8 --skip-bytes=24 --read-bytes=8 "$segment")"
    found="${found// /}"
    [[ "${found:-0}" == 0 || "$found" == "$own" ]] || return 1
  done
}

# usage: is_free_for_wal DIRECTORY
# Whether initdb can be given DIRECTORY: it is empty, or holds the log of the incomplete cluster that is removed first.
is_free_for_wal() {
  local entry data marker
  initialising_marker
  marker="$REPLY"
  for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    [[ -e "$entry" || -L "$entry" ]] || continue
    [[ -d "$marker" ]] || return 1
    for data in "$PGDATA" "$marker/data"; do
      if [[ "$data/pg_wal" -ef "$1" ]] && is_wal_of "$data" "$1"; then return 0; fi
    done
    return 1
  done
}

# usage: wal_directory
# Sets REPLY to the directory outside of the data directory for the write-ahead log: that of the cluster there is, or the one that a new
# cluster is to have; empty where there is none.
wal_directory() {
  data_directory_state
  if [[ "$REPLY" == @(absent|incomplete) ]]; then
    REPLY="$POSTGRES_INITDB_WALDIR"
  elif [[ -L "$PGDATA/pg_wal" && -d "$PGDATA/pg_wal" ]]; then
    REPLY="$(realpath -- "$PGDATA/pg_wal")"
  else
    REPLY=''
  fi
}

# usage: ensure_passwd_entry
# Returns with the own uid having a name, on which initdb insists: it has one, or libnss_wrapper is in the environment from now on.
# `docker run --user 12345` and OpenShift give none.
ensure_passwd_entry() {
  local uid gid wrapper directory
  uid="$(id -u)"
  gid="$(id -g)"
  ! getent passwd "$uid" >/dev/null || return 0
  wrapper="$(nss_wrapper_library)" || die "uid $uid has no entry in /etc/passwd and the image has no libnss_wrapper.so to give it one"
  socket_directory || die "neither /var/run/postgresql nor /tmp can be written to"
  directory="$REPLY"
  export NSS_WRAPPER_PASSWD="$directory/.passwd" NSS_WRAPPER_GROUP="$directory/.group"
  printf 'postgres:x:%s:%s:PostgreSQL:%s:/bin/false\n' "$uid" "$gid" "$PGDATA" >"$NSS_WRAPPER_PASSWD"
  printf 'postgres:x:%s:\n' "$gid" >"$NSS_WRAPPER_GROUP"
  export LD_PRELOAD="$wrapper"
}

# usage: nss_wrapper_library
nss_wrapper_library() {
  local file
  for file in /usr/lib/*/libnss_wrapper.so /usr/lib/libnss_wrapper.so; do
    if [[ -s "$file" ]]; then
      printf '%s\n' "$file"
      return 0
    fi
  done
  return 1
}

# shellcheck shell=bash
# Whose write-ahead log a directory holds. Only looks.

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

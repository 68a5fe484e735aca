# shellcheck shell=bash
# A directory that the server takes for a new cluster's until it would need a table, so that it can be asked about settings before initdb.

# usage: imitated_cluster FUNCTION [ARG...]
# Runs FUNCTION in a subshell with imitation set to the directory. Names of files are given back as the user knows them.
imitated_cluster() {
  local imitation status=0 generated
  # Where nothing can be written to, the start says so by itself.
  socket_directory || return 0
  imitation="$(mktemp --directory "$REPLY/.settings.XXXXXX")"
  REPLY="$(
    imitate_cluster || exit 0
    "$@" 2>&1 >/dev/null
  )" || status=$?
  rm --recursive --force "$imitation"
  generated="$(generated_directory && printf '%s' "$REPLY")"
  REPLY="${REPLY//"$(tls_key_copy "$imitation")"/${POSTGRES_TLS_KEY_FILE:-}}"
  REPLY="${REPLY//"$imitation/container.conf"/$generated/container.conf}"
  REPLY="$(plain_messages <<<"${REPLY//"$imitation"/$PGDATA}")"
  return "$status"
}

# usage: imitate_cluster
# What the server looks for before it goes on to its settings: a control file, which pg_resetwal makes of an empty one, and directories.
imitate_cluster() {
  mkdir "$imitation"/{base,global,pg_wal} "$imitation"/pg_wal/{archive_status,summaries}
  printf '%s\n' "$PG_MAJOR" >"$imitation/PG_VERSION"
  initdb_settings >"$imitation/postgresql.conf"
  : >"$imitation/postgresql.auto.conf"
  : >"$imitation/global/pg_control"
  as_server pg_resetwal --force --wal-segsize=1 "$imitation" >/dev/null 2>&1
}

# usage: as_server COMMAND [ARG...]
# Runs COMMAND as the user that the server will have.
as_server() {
  if ((EUID == 0)); then
    chown --recursive postgres:postgres "$imitation"
    setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
  else
    "$@"
  fi
}

# usage: plain_messages
# Messages of the server without time and severity, without the one that only says that there were others, and without secrets.
plain_messages() {
  sed --regexp-extended --expression='s/^.*(LOG|FATAL|ERROR|DETAIL|HINT):  //' \
    --expression='/^.* WARNING:  /d' --expression='/^configuration file ".*" contains errors$/d' | mask_secrets
}

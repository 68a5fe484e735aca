# shellcheck shell=bash
# Asks the server about settings with `postgres -C`, which reads arguments and files, prints a value and ends. It does so in a directory
# that looks like a new cluster's, and everything generated goes there: nothing else is changed. Takes a fiftieth of a second.

# usage: ask_about_new_cluster SETTING [POSTGRES_ARG...]
# Whether the server takes all layers and the arguments; else REPLY is what it says.
ask_about_new_cluster() {
  imitated_cluster ask_in_imitation "$@"
}

# usage: ask_about_cluster SETTING [POSTGRES_ARG...]
# The same of the cluster in PGDATA.
ask_about_cluster() {
  imitated_cluster ask_in_place "$@"
}

# usage: ask_about_setting NAME=VALUE
# The same of one setting alone.
ask_about_setting() {
  imitated_cluster ask_alone "$1"
}

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

# usage: ask_in_imitation SETTING [POSTGRES_ARG...]
ask_in_imitation() {
  local question="$1" file="$PGDATA/postgresql.conf"
  shift
  # The configuration file that is not made yet is known by this name as well.
  set -- "${@/%config[_-]file="$file"/config_file=$imitation/postgresql.conf}"
  PGDATA="$imitation"
  ask_in_place "$question" "$@" -c "data_directory=$imitation"
}

# usage: ask_in_place SETTING [POSTGRES_ARG...]
ask_in_place() {
  local question="$1"
  shift
  # shellcheck disable=SC2317  # called by write_layers and server_command
  generated_directory() { REPLY="$imitation"; }
  write_layers "$@"
  server_command "$@"
  # What is wrong is to be said here and not to a log of the server's.
  as_server "${REPLY_COMMAND[@]}" -c log_destination=stderr -c log_min_messages=warning -C "$question"
}

# usage: ask_alone NAME=VALUE
ask_alone() {
  as_server postgres -D "$imitation" -c "config_file=$imitation/postgresql.auto.conf" -c "$1" -C data_directory
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

# shellcheck shell=bash
# Whether the server takes its settings, found out before there is a cluster: a mistake that only the start of a new cluster's server
# found would leave that cluster half-made. The server itself is asked with `postgres -C`, which reads arguments and files, prints a value and
# ends. It does so beside a directory that looks like a new cluster's, and everything generated goes there: nothing else is changed. Takes a
# twentieth of a second.

# usage: check_settings [POSTGRES_ARG...]
# For a cluster that is to be made. Where something else is wrong already only names and values are asked for, so that nothing is reported twice.
# shellcheck disable=SC2154  # of log.sh
check_settings() {
  local question=data_directory said
  # A file that cannot be read is a mistake that has been reported.
  take_config_file "$@"
  [[ "$REPLY" == "$PGDATA/postgresql.conf" || -r "$REPLY" ]] || return 0
  ((${#problems[@]})) || question="$(thorough_question)"
  ! ask_about_new_cluster "$question" "$@" || return 0
  said="$REPLY"
  if ask_about_new_cluster "$question" "$@" -c shared_preload_libraries=; then
    # A library may miss in the dummy cluster what it would find in a real one: only that it is not there counts.
    [[ "$said" == *'could not access file'* || "$said" == *'could not load library'* ]] || return 0
  fi
  report_settings ask_about_new_cluster "$said" "$@"
}

# usage: check_settings_of_cluster [POSTGRES_ARG...]
# For a cluster that is there, perhaps with a server that runs: names and values.
check_settings_of_cluster() {
  ask_about_cluster data_directory "$@" || report_settings ask_about_cluster "$REPLY" "$@"
}

# usage: thorough_question
# A setting that the server computes, so that it has to look at how settings go together, libraries and TLS files first. Up to PostgreSQL
# 14 there is none.
thorough_question() {
  if ((PG_MAJOR >= 15)); then
    printf 'shared_memory_size\n'
  else
    printf 'data_directory\n'
  fi
}

# usage: report_settings ASK TEXT [POSTGRES_ARG...]
# The server ends at the first mistake of its command line, before it reads files. So each of its settings is asked for alone, and then the
# files without them, by the function ASK; TEXT, what the server said of all, is for what is in neither.
report_settings() {
  local ask="$1" text="$2" name value found=''
  shift 2
  while IFS=$'\t' read -r name value _; do
    [[ "$name" != data_directory ]] || continue
    ! ask_about_setting "$name=$value" || continue
    found=yes
    problem "the command line has '$(mask_setting "$name" "$value")', which PostgreSQL $PG_MAJOR refuses: $REPLY
Nothing was changed. \`docker run --rm IMAGE postgres --describe-config\` lists each setting with its type, its default and its limits."
  done < <(take_config_file "$@" && argument_settings "${REPLY_ARGUMENTS[@]}")
  if [[ -n "$found" ]]; then
    take_config_file "$@"
    ! "$ask" data_directory -c "config_file=$REPLY" || return 0
    text="$REPLY"
  fi
  problem "PostgreSQL $PG_MAJOR refuses its configuration: $text
Nothing was changed. \`docker run … IMAGE --explain\` shows which file or variable each setting comes from."
}

# usage: ask_about_new_cluster SETTING [POSTGRES_ARG...]
# Whether the server takes all layers and the arguments; else REPLY is what it says.
ask_about_new_cluster() {
  with_dummy_cluster ask_in_dummy_cluster "$@"
}

# usage: ask_about_cluster SETTING [POSTGRES_ARG...]
# The same of the cluster in PGDATA.
ask_about_cluster() {
  with_dummy_cluster ask_in_place "$@"
}

# usage: ask_about_setting NAME=VALUE
# The same of one setting alone.
ask_about_setting() {
  with_dummy_cluster ask_alone "$1"
}

# usage: ask_in_dummy_cluster SETTING [POSTGRES_ARG...]
ask_in_dummy_cluster() {
  local question="$1" file="$PGDATA/postgresql.conf"
  shift
  # The configuration file that is not made yet is known by this name as well.
  set -- "${@/%config[_-]file="$file"/config_file=$dummy_cluster/postgresql.conf}"
  PGDATA="$dummy_cluster"
  ask_in_place "$question" "$@" -c "data_directory=$dummy_cluster"
}

# usage: ask_in_place SETTING [POSTGRES_ARG...]
ask_in_place() {
  local question="$1"
  shift
  # shellcheck disable=SC2317  # called by write_layers and server_command
  generated_directory() { REPLY="$dummy_cluster"; }
  write_layers "$@"
  server_command "$@"
  # What is wrong is to be said here and not to a log of the server's.
  as_server "${REPLY_COMMAND[@]}" -c log_destination=stderr -c log_min_messages=warning -C "$question"
}

# usage: ask_alone NAME=VALUE
ask_alone() {
  as_server postgres -D "$dummy_cluster" -c "config_file=$dummy_cluster/postgresql.auto.conf" -c "$1" -C data_directory
}

# usage: with_dummy_cluster FUNCTION [ARG...]
# Runs FUNCTION in a subshell with dummy_cluster set to the directory. Names of files are given back as the user knows them.
with_dummy_cluster() {
  local dummy_cluster status=0 generated
  # Where nothing can be written to, the start says so by itself.
  socket_directory || return 0
  dummy_cluster="$(mktemp --directory "$REPLY/.settings.XXXXXX")"
  REPLY="$(
    make_dummy_cluster || exit 0
    "$@" 2>&1 >/dev/null
  )" || status=$?
  rm --recursive --force "$dummy_cluster"
  generated="$(generated_directory && printf '%s' "$REPLY")"
  REPLY="${REPLY//"$dummy_cluster/tls/server/tls.crt"/${POSTGRES_TLS_CERT_FILE:-}}"
  REPLY="${REPLY//"$dummy_cluster/tls/server/tls.key"/${POSTGRES_TLS_KEY_FILE:-}}"
  REPLY="${REPLY//"$dummy_cluster/tls/server/ca.crt"/${POSTGRES_TLS_CA_FILE:-}}"
  REPLY="${REPLY//"$dummy_cluster/container.conf"/$generated/container.conf}"
  REPLY="$(plain_messages <<<"${REPLY//"$dummy_cluster"/$PGDATA}")"
  return "$status"
}

# usage: make_dummy_cluster
# What the server looks for before it reads its settings: a control file, which pg_resetwal makes of an empty one, and directories.
make_dummy_cluster() {
  mkdir "$dummy_cluster"/{base,global,pg_wal} "$dummy_cluster"/pg_wal/{archive_status,summaries}
  printf '%s\n' "$PG_MAJOR" >"$dummy_cluster/PG_VERSION"
  initdb_settings >"$dummy_cluster/postgresql.conf"
  : >"$dummy_cluster/postgresql.auto.conf"
  : >"$dummy_cluster/global/pg_control"
  as_server pg_resetwal --force --wal-segsize=1 "$dummy_cluster" >/dev/null 2>&1
}

# usage: as_server COMMAND [ARG...]
# Runs COMMAND as the user that the server will have.
as_server() {
  if ((EUID == 0)); then
    chown --recursive postgres:postgres "$dummy_cluster"
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

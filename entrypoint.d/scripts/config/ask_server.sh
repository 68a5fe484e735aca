# shellcheck shell=bash
# Asks the server about settings with `postgres -C`, which reads arguments and files, prints a value and ends. It does so beside a directory
# that looks like a new cluster's, and everything generated goes there: nothing else is changed. Takes a twentieth of a second.

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

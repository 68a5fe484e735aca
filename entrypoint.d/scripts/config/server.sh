# shellcheck shell=bash
# The command line that starts the server with all layers of its configuration.

# usage: server_command [POSTGRES_ARG...]
# Sets REPLY_COMMAND to the command that starts the server with all layers; the user's arguments come last and win.
server_command() {
  take_config_file "$@"
  generated_directory
  REPLY_COMMAND=(postgres -D "$PGDATA" -c "config_file=$REPLY/container.conf" "${REPLY_ARGUMENTS[@]}")
}

# usage: server_setting NAME [POSTGRES_ARG...]
# Prints the value the server would use.
server_setting() {
  local name="$1"
  shift
  server_command "$@"
  "${REPLY_COMMAND[@]}" -C "$name"
}

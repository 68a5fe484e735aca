# shellcheck shell=bash
# The server's configuration, in layers. A file generated at each start includes the others, so that nobody's file is ever edited:
# a data directory that another image made gets this image's settings, and can go back. Later layers win:
#
#   1. the container's own defaults                 this file
#   2. the image's settings                         /etc/postgresql/image.conf, written when the image was built
#   3. memory, from the container's limit           config/memory.sh
#   4. the user's configuration file                $PGDATA/postgresql.conf, or the one the command line names as config_file
#   5. the environment: preload, Citus, TLS, log    config/preload.sh, citus/environment.sh, config/tls.sh, config/logging.sh
#   6. mounted files                                /etc/postgresql/conf.d/*.conf
#   7. ALTER SYSTEM                                 postgresql.auto.conf
#   8. the command line                             `-c name=value`

# usage: write_layers [POSTGRES_ARG...]
# Writes the generated file and sets REPLY to its name.
write_layers() {
  local file
  generated_directory || die "no directory for generated configuration: make /etc/postgresql, /var/run/postgresql or /tmp writable"
  file="$REPLY/container.conf"
  mkdir --parents "$REPLY"
  install_tls_key "$REPLY"
  layers_text "$@" >"$file.new"
  mv "$file.new" "$file"
  REPLY="$file"
}

# usage: layers_text [POSTGRES_ARG...]
# Prints the generated file. Its comments name each layer; `--explain` takes them as the origin of what follows.
layers_text() {
  printf '# Written by the entrypoint at each start, and overwritten at the next. Settings of your own belong into the data directory,\n'
  printf '# into /etc/postgresql/conf.d, or on the command line.\n'
  layer 'default of the container' default_settings
  image_settings_file
  include_if_present "$REPLY"
  layer 'memory limit of the container' memory_settings
  take_config_file "$@"
  printf 'include = %s\n' "$(quote_setting "$REPLY")"
  layer 'environment: POSTGRES_PRELOAD_LIBRARIES, CITUS_ROLE' preload_settings
  layer 'environment: CITUS_ROLE' citus_settings
  layer 'environment: POSTGRES_TLS_*' tls_settings
  layer 'environment: POSTGRES_LOG' logging_settings
  [[ ! -d /etc/postgresql/conf.d ]] || printf "include_dir = '/etc/postgresql/conf.d'\n"
}

# usage: layer TITLE FUNCTION
# Prints what FUNCTION prints under a comment with TITLE, or nothing if that is nothing.
layer() {
  local text
  text="$("$2")"
  [[ -z "$text" ]] || printf '# %s\n%s\n' "$1" "$text"
}

# usage: include_if_present FILE
# A configuration directory mounted over the image's own hides this file.
include_if_present() { printf 'include_if_exists = %s\n' "$(quote_setting "$1")"; }

# usage: default_settings
# What a container needs where PostgreSQL's default is made for a machine. A build from unpatched source looks for the socket in /tmp,
# in the server and in libpq, so there it stays in both places. The server is only asked where the image does not say: it takes a tenth of
# a second.
default_settings() {
  printf "listen_addresses = '*'\n"
  image_settings_file
  [[ ! -r "$REPLY" || "$(<"$REPLY")" != *$'\n''unix_socket_directories '* ]] || return 0
  if [[ "$(postgres --describe-config | awk -F '\t' '$1 == "unix_socket_directories" { print $5 }')" == /tmp ]]; then
    printf "unix_socket_directories = '/var/run/postgresql, /tmp'\n"
  fi
}

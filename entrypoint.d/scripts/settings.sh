# shellcheck shell=bash
# The server's configuration, in layers. A file generated at each start includes the others, so that no file of the user's is ever edited:
# a data directory that another image made gets this image's settings, and can go back. Later layers win:
#
#   1. the container's own defaults                 this file
#   2. memory, from the container's limit           memory_settings
#   3. the image's settings                         /etc/postgresql/image.conf, written when the image was built
#   4. the user's configuration file                $PGDATA/postgresql.conf, or the one the command line names as config_file
#   5. the size of /dev/shm                         dynamic_memory_settings
#      the environment: preload, Citus, TLS, log    preload.sh, citus.sh, credentials.sh, logging_settings
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
  install_tls "$REPLY"
  layers_text "$@" >"$file.new"
  mv "$file.new" "$file"
  REPLY="$file"
}

# usage: layers_text [POSTGRES_ARG...]
# Prints the generated file. Its comments name each layer; `--explain` takes them as the origin of what follows.
layers_text() {
  local config_file
  printf '# Written by the entrypoint at each start, and overwritten at the next. Settings of your own belong into the data directory,\n'
  printf '# into /etc/postgresql/conf.d, or on the command line.\n'
  layer 'default of the container' default_settings
  layer 'memory limit of the container' memory_settings
  image_settings_file
  include_if_present "$REPLY"
  take_config_file "$@"
  config_file="$REPLY"
  printf 'include = %s\n' "$(quote_setting "$config_file")"
  layer 'size of /dev/shm' dynamic_memory_settings
  layer 'directories that this container can write to' place_settings "$config_file"
  layer 'environment: POSTGRES_PRELOAD_LIBRARIES, CITUS_ROLE' preload_settings
  layer 'environment: CITUS_ROLE' citus_settings
  layer 'environment: POSTGRES_TLS_*' tls_settings
  layer 'environment: POSTGRES_LOG' logging_settings
  layer 'environment: PGBACKREST_*' archive_settings
  [[ ! -d /etc/postgresql/conf.d ]] || printf "include_dir = '/etc/postgresql/conf.d'\n"
}

# usage: layer TITLE FUNCTION [ARG...]
# Prints what FUNCTION prints under a comment with TITLE, or nothing if that is nothing.
layer() {
  local text
  text="$("${@:2}")"
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
  image_setting unix_socket_directories
  [[ -z "$REPLY" ]] || return 0
  if [[ "$(postgres --describe-config | awk -F '\t' '$1 == "unix_socket_directories" { print $5 }')" == /tmp ]]; then
    printf "unix_socket_directories = '/var/run/postgresql, /tmp'\n"
  fi
}

# usage: server_command [POSTGRES_ARG...]
# Sets REPLY_COMMAND to the command that starts the server with all layers; the user's arguments come last and win.
server_command() {
  take_config_file "$@"
  generated_directory
  REPLY_COMMAND=(postgres -D "$PGDATA" -c "config_file=$REPLY/container.conf" "${REPLY_ARGUMENTS[@]}")
  [[ -z "$preload_with_data" ]] || REPLY_COMMAND+=(-c "shared_preload_libraries=$preload_with_data")
}

# usage: ensure_layers [POSTGRES_ARG...]
# Writes the generated file, unless this process has written it for the same arguments.
ensure_layers() {
  [[ "${layers_written_for-none}" != "$*" ]] || return 0
  write_layers "$@"
  layers_written_for="$*"
}

# usage: server_setting NAME [POSTGRES_ARG...]
# Prints the value the server would use.
server_setting() {
  local name="$1"
  shift
  ensure_layers "$@"
  server_command "$@"
  "${REPLY_COMMAND[@]}" -C "$name"
}

# usage: take_config_file [POSTGRES_ARG...]
# Sets REPLY to the configuration file that the arguments name, else to the data directory's, and REPLY_ARGUMENTS to the other arguments.
take_config_file() {
  REPLY="$PGDATA/postgresql.conf"
  REPLY_ARGUMENTS=()
  while (($#)); do
    case "$1 ${2:-}" in
      '-c config_file='* | '-c config-file='*)
        REPLY="${2#*=}"
        shift
        ;;
      -cconfig[_-]file=*' '* | --config[_-]file=*' '*) REPLY="${1#*=}" ;;
      *) REPLY_ARGUMENTS+=("$1") ;;
    esac
    shift
  done
}

# usage: argument_settings [POSTGRES_ARG...]
# Prints "name<TAB>value<TAB>origin" for each setting, also of the short options (postgres's manual page, "Options").
argument_settings() {
  local value
  while (($#)); do
    case "$1" in
      --*=*) argument_setting "${1#--}" ;;
      -[BDNSchkp]*)
        value="${1:2}"
        if [[ -z "$value" ]]; then
          (($# > 1)) || break
          value="$2"
        fi
        argument_setting "$(short_option "${1:1:1}")$value"
        [[ -n "${1:2}" ]] || shift
        ;;
      -F) argument_setting fsync=off ;;
      -i) argument_setting 'listen_addresses=*' ;;
      -l) argument_setting ssl=on ;;
    esac
    shift
  done
}

# usage: argument_setting NAME=VALUE
argument_setting() {
  local name="${1%%=*}"
  [[ "$1" != *=* ]] || printf '%s\t%s\tcommand line\n' "${name//-/_}" "${1#*=}"
}

# usage: short_option LETTER
# Prints what the value of an option of one letter is to be prefixed with; -c brings its own name.
short_option() {
  case "$1" in
    B) printf 'shared_buffers=' ;;
    D) printf 'data_directory=' ;;
    N) printf 'max_connections=' ;;
    S) printf 'work_mem=' ;;
    h) printf 'listen_addresses=' ;;
    k) printf 'unix_socket_directories=' ;;
    p) printf 'port=' ;;
  esac
}

# usage: list_settings FILE
# Prints "name<TAB>value<TAB>line" for each setting. Values are unquoted. The syntax is the manual's, "Setting Parameters": an equals
# sign is optional, a hash sign begins a comment outside quotes, quotes are doubled inside quotes.
list_settings() {
  awk -v quote="'" '
    {
      line = $0
      sub(/^[ \t]+/, "", line)
      if (line == "" || line ~ /^#/) next
      if (!match(line, /^[A-Za-z_][A-Za-z0-9_.]*/)) next
      name = tolower(substr(line, 1, RLENGTH))
      rest = substr(line, RLENGTH + 1)
      sub(/^[ \t]*=?[ \t]*/, "", rest)
      if (substr(rest, 1, 1) == quote) {
        value = ""
        for (at = 2; at <= length(rest); at++) {
          letter = substr(rest, at, 1)
          following = substr(rest, at + 1, 1)
          if (letter == quote && following == quote) { value = value quote; at++ }
          else if (letter == "\\" && following != "") { value = value following; at++ }
          else if (letter == quote) break
          else value = value letter
        }
      } else {
        value = rest
        sub(/[ \t]*(#.*)?$/, "", value)
      }
      printf "%s\t%s\t%d\n", name, value, NR
    }' "$1"
}

# usage: setting_in FILE NAME
# Prints the value FILE gives NAME; the last one counts, as it does for PostgreSQL. Prints nothing if it gives none.
setting_in() {
  [[ -r "$1" ]] || return 0
  list_settings "$1" | awk -F '\t' -v name="$2" '$1 == name { value = $2 } END { if (value != "") print value }'
}

# usage: place_settings FILE
# The image names directories for sockets. One that this container cannot write to, as where a tmpfs is mounted at /run of a read-only root, would
# stop the server. A list of the user's own, in FILE, stays as it is.
place_settings() {
  local directory image own list=''
  local -a directories
  image_setting unix_socket_directories
  image="$REPLY"
  IFS=', ' read -r -a directories <<<"$image"
  for directory in "${directories[@]}"; do
    [[ ! -d "$directory" || ! -w "$directory" ]] || list+="${list:+, }$directory"
  done
  [[ "$list" != "$image" ]] || return 0
  own="$(effective_setting unix_socket_directories "$(file_settings "$1")")"
  [[ "${own:-$image}" != "$image"* ]] || printf 'unix_socket_directories = %s\n' "$(quote_setting "$list")"
}

# usage: image_setting NAME
# Sets REPLY to the image's value, or to nothing. The file is pgsetup's, and has one setting a line.
image_setting() {
  local line file
  image_settings_file
  file="$REPLY"
  REPLY=''
  [[ -r "$file" ]] || return 0
  while IFS= read -r line; do
    [[ "$line" != "$1 = '"* ]] || { REPLY="${line#*\'}" && REPLY="${REPLY%\'}"; }
  done <"$file"
}

# usage: is_on VALUE
# As the server reads a switch (parse_bool in utils/adt/bool.c).
is_on() { [[ "${1,,}" == @(on|1|t|tr|tru|true|y|ye|yes) ]]; }

# usage: check_log_directory SETTINGS
# Log files in a directory that the server cannot write to would stop it when it has been initialised already.
check_log_directory() {
  local value origin
  IFS=$'\t' read -r value origin < <(effective_setting logging_collector "$1") || true
  is_on "$value" || return 0
  IFS=$'\t' read -r value origin < <(effective_setting log_directory "$1") || return 0
  [[ "$value" == /* && "$value/" != "$PGDATA/"* ]] || return 0
  # The server makes the last directory of the path.
  [[ -d "$value" && -w "$value" && -x "$value" || ! -e "$value" && -w "${value%/*}" ]] ||
    problem "log_directory is '$value' ($origin), and uid $(id -u) cannot write there: logging_collector is on, and the server would not start.
Mount a volume there that uid $(id -u) may write to, or leave log_directory out: the files are then in $PGDATA/log."
}

# usage: logging_settings
# A week of files, each day's overwritten in the next, so that no disk fills up unseen. Where the root is read-only they are in the data directory.
logging_settings() {
  [[ "$POSTGRES_LOG" == file ]] || return 0
  printf "logging_collector = on\n"
  if first_writable /var/log/postgresql; then
    printf "log_directory = '/var/log/postgresql'\n"
  else
    printf "log_directory = 'log'\n"
  fi
  printf "log_filename = 'postgresql-%%a.log'\n"
  printf "log_truncate_on_rotation = on\n"
  printf "log_rotation_age = 1d\n"
  printf "log_rotation_size = 0\n"
}

# usage: archive_settings
# The command is this image's own, so that what it is given by may change at each start. It also serves a server that is a standby, or is restored.
archive_settings() {
  [[ -n "${backups_are_configured:-}" ]] || return 0
  printf 'archive_mode = on\n'
  printf "archive_command = '/opt/container/bin/pgstart pgbackrest archive-push \"%%p\"'\n"
  printf "restore_command = '/opt/container/bin/pgstart pgbackrest archive-get %%f \"%%p\"'\n"
}

# usage: check_memory
# Says what is worth knowing of the container's limits, once.
check_memory() { ((EUID == 0)) || pgstart memory advice; }

# usage: memory_settings
# From the container's limit, where there is one.
memory_settings() { pgstart memory settings; }

# usage: dynamic_memory_settings
# Where /dev/shm is too small for these settings. It has to win over the user's file, because initdb writes PostgreSQL's default into it.
dynamic_memory_settings() { pgstart memory dynamic "${config_file:-}"; }

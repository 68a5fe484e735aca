# shellcheck shell=bash
# Reads settings on the server's command line. Looks at words only.

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

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
      --config_file=* | --config-file=*) REPLY="${1#*=}" ;;
      *) REPLY_ARGUMENTS+=("$1") ;;
    esac
    shift
  done
}

# usage: argument_settings [POSTGRES_ARG...]
argument_settings() {
  local setting
  while (($#)); do
    setting=''
    case "$1" in
      -c) setting="${2:-}" && shift ;;
      -c*) setting="${1#-c}" ;;
      --*=*) setting="${1#--}" ;;
      -p) setting="port=${2:-}" && shift ;;
      -p*) setting="port=${1#-p}" ;;
    esac
    shift || break
    [[ "$setting" != *=* ]] || printf '%s\t%s\tcommand line\n' "$(tr '-' '_' <<<"${setting%%=*}")" "${setting#*=}"
  done
}

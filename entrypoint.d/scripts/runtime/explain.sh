# shellcheck shell=bash
# `--explain`: prints what would be started, with which settings and where each comes from, and ends. Changes nothing and shows no password.
# Ends with 1, after all mistakes, where a start would be refused.

# usage: explain_standalone postgres [POSTGRES_ARG...]
explain_standalone() {
  read_environment
  check_standalone "${@:2}"
  server_command "${@:2}"
  explain_line start "PostgreSQL $PG_MAJOR alone, as uid $(id -u)"
  explain_line command "$(printf '%q ' "${REPLY_COMMAND[@]}")"
  explain_data
  printf 'settings, each with its origin:\n'
  effective_settings "${@:2}"
  stop_on_problems
}

# usage: explain_patroni patroni|postgres [ARG...]
explain_patroni() {
  read_environment
  read_patroni_environment "$@"
  check_patroni "$@"
  explain_line start "Patroni, which starts PostgreSQL $PG_MAJOR, as uid $(id -u)"
  explain_data
  patroni_user_file "$@"
  if [[ -n "$REPLY" ]]; then
    explain_line settings "from $REPLY, and from PATRONI_* variables, which override it"
  else
    explain_line settings 'from this file, and from PATRONI_* variables, which override it:'
    patroni_text | sed 's/^/  /'
  fi
  stop_on_problems
}

# usage: explain_other COMMAND [ARG...]
explain_other() {
  explain_line command "$(printf '%q ' "$@")"
  explain_line start 'the command as it stands; nothing is initialised'
}

# usage: explain_line NAME TEXT
explain_line() { printf '%-9s %s\n' "$1:" "$2"; }

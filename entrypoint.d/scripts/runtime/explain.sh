# shellcheck shell=bash disable=SC2154  # upgrade_* are set by read_upgrade_options and read_upgrade_state
# `--explain`: prints what would be started, with which settings and where each comes from, and ends. Changes nothing and shows no password.
# Ends with 1, after all mistakes, where a start would be refused.

# usage: explain_standalone postgres [POSTGRES_ARG...]
explain_standalone() {
  read_environment
  check_standalone "${@:2}"
  check_explained_settings "${@:2}"
  server_command "${@:2}"
  explain_line start "PostgreSQL $PG_MAJOR alone, as uid $(id -u)"
  explain_line command "$(mask_words "${REPLY_COMMAND[@]}")"
  explain_data
  printf 'settings, each with its origin:\n'
  effective_settings "${@:2}"
  stop_on_problems
}

# usage: check_explained_settings [POSTGRES_ARG...]
# What a start leaves to the server, because nothing is half-made by it, is checked here as well.
check_explained_settings() {
  data_directory_state
  [[ "$REPLY" != complete ]] || ((${#problems[@]})) || check_settings_of_cluster "$@"
}

# usage: explain_patroni patroni|postgres [ARG...]
explain_patroni() {
  read_environment
  read_patroni_environment "$@"
  check_patroni "$@"
  explain_line start "Patroni, which starts PostgreSQL $PG_MAJOR, as uid $(id -u)"
  explain_data
  patroni_user_file "$@"
  if [[ "$REPLY" == environment ]]; then
    explain_line settings 'from PATRONI_CONFIGURATION alone: other variables of Patroni do not override it'
  elif [[ -n "$REPLY" ]]; then
    explain_line settings "from $REPLY, and from PATRONI_* variables, which override it"
  else
    explain_line settings 'from this file, and from PATRONI_* variables, which override it:'
    patroni_text | mask_secrets | sed 's/^/  /'
  fi
  stop_on_problems
}

# usage: explain_upgrade upgrade [OPTION...]
explain_upgrade() {
  read_environment
  read_upgrade_options "${@:2}"
  check_upgrade
  explain_line start "pg_upgrade to PostgreSQL $PG_MAJOR ($upgrade_action, $upgrade_mode), as uid $(id -u); this image has $(server_majors)"
  data_directory_state
  explain_line data "$PGDATA: $REPLY$([[ "$upgrade_state" == none ]] || printf ', upgrade from %s: %s' "$upgrade_from" "$upgrade_state")"
  stop_on_problems
}

# usage: explain_other COMMAND [ARG...]
explain_other() {
  explain_line command "$(mask_words "$@")"
  explain_line start 'the command as it stands; nothing is initialised'
}

# usage: explain_line NAME TEXT
explain_line() { printf '%-9s %s\n' "$1:" "$2"; }

# shellcheck shell=bash disable=SC2154  # upgrade_* are set by read_upgrade_options and read_upgrade_state, problems by log.sh
# `--explain`: prints what would be started, with which settings and where each comes from, and ends. Changes nothing and shows no password.
# Ends with 1, after all mistakes, where a start would be refused. The checks use its lower half, which follows the layers of settings.

# usage: explain_standalone postgres [POSTGRES_ARG...]
explain_standalone() {
  collect_problems
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
  collect_problems
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
  collect_problems
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

# usage: explain_data
explain_data() {
  local file
  data_directory_state
  explain_line data "$PGDATA: $REPLY"
  [[ "$REPLY" == absent ]] || return 0
  explain_line new "superuser $POSTGRES_USER ($(password_origin)), database $POSTGRES_DB${POSTGRES_INITDB_ARGS:+, initdb $(mask_secrets <<<"$POSTGRES_INITDB_ARGS")}"
  user_scripts
  # shellcheck disable=SC2154  # set by user_scripts
  for file in "${user_script_files[@]}"; do
    explain_line script "$file"
  done
}

# usage: password_origin
password_origin() {
  if [[ -n "$POSTGRES_PASSWORD" ]]; then
    printf 'password given'
  else
    printf 'no password'
  fi
}

# usage: effective_setting NAME SETTINGS
# Prints "value<TAB>origin" of the setting as the last layer gives it, of what given_settings has printed; nothing if none does.
effective_setting() {
  awk -F '\t' -v name="$1" '$1 == name { last = $2 FS $3 } END { if (last != "") print last }' <<<"$2"
}

# usage: given_settings [POSTGRES_ARG...]
# Prints "name<TAB>value<TAB>origin" for each setting in each layer, later ones after those that they override.
given_settings() {
  layer_settings "$@"
  file_settings "$PGDATA/postgresql.auto.conf"
  take_config_file "$@"
  argument_settings "${REPLY_ARGUMENTS[@]}"
}

# usage: effective_settings [POSTGRES_ARG...]
# Prints "name = value  origin" for each setting that any layer gives, by name, without secrets.
# shellcheck disable=SC2154  # of log.sh
effective_settings() {
  {
    given_settings "$@"
    [[ -z "$preload_with_data" ]] || printf 'shared_preload_libraries\t%s\t%s\n' "$preload_with_data" 'the layers, and what the data need'
  } | mask_secrets | awk -F '\t' -v secret="$secret_setting" '
    { shown[$1] = sprintf("  %-34s %-30s %s", $1, "= " ($1 ~ secret ? "***" : $2), $3) }
    END { for (name in shown) print shown[name] }' | sort
}

# usage: layer_settings [POSTGRES_ARG...]
# Prints "name<TAB>value<TAB>origin" of the generated file, without writing it. Its comments are the origins.
layer_settings() {
  local line origin='' name value
  while IFS= read -r line; do
    if [[ "$line" == '# '* ]]; then
      origin="${line#\# }"
    else
      while IFS=$'\t' read -r name value _; do
        one_setting "$name" "$value" "$origin" /
      done < <(list_settings <(printf '%s\n' "$line"))
    fi
  done < <(layers_text "$@")
}

# usage: file_settings FILE
file_settings() {
  local name value line
  [[ -r "$1" ]] || return 0
  while IFS=$'\t' read -r name value line; do
    one_setting "$name" "$value" "$1:$line" "$(dirname "$1")"
  done < <(list_settings "$1")
}

# usage: one_setting NAME VALUE ORIGIN DIRECTORY
# Prints a setting, or what it includes; a relative name is relative to the including file's DIRECTORY.
one_setting() {
  local file path="$2"
  [[ "$path" == /* ]] || path="$4/$path"
  case "$1" in
    include | include_if_exists) file_settings "$path" ;;
    include_dir)
      for file in "$path"/*.conf; do
        file_settings "$file"
      done
      ;;
    *) printf '%s\t%s\t%s\n' "$1" "$2" "$3" ;;
  esac
}

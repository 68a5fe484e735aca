#!/usr/bin/env bash
# The container's first process: from `docker run` to a running PostgreSQL, alone or under Patroni. Read `_main` first, then
# `run_standalone`, which has the stages of the official image's script, in its order. Each stage is a file in scripts/.
#
# Sourcing this file defines functions and does nothing else. A derived image may call the official image's functions (docker_setup_env,
# docker_init_database_dir, docker_temp_server_start, …), or define its own in their place and call `_main`.

# shellcheck source-path=SCRIPTDIR disable=SC2154  # container_scripts is set by load_functions, REPLY_* by what is called

# usage: load_functions
# Reads scripts/*.sh, which hold nothing but definitions. This file may be a link or a copy: /entrypoint.sh, docker-entrypoint.sh. The scripts
# are named one by one, because modes do not survive on every system that builds images.
load_functions() {
  local name
  container_entrypoint="${BASH_SOURCE[0]}"
  [[ ! -L "$container_entrypoint" ]] || container_entrypoint="$(readlink -f "$container_entrypoint")"
  [[ "$container_entrypoint" == /* ]] || container_entrypoint="$PWD/$container_entrypoint"
  container_scripts="${container_entrypoint%/*}/scripts"
  [[ -r "$container_scripts/log.sh" ]] || container_scripts=/opt/container/entrypoint.d/scripts
  for name in log environment data_directory checks settings settings_checks credentials preload initdb initdb_checks init_scripts explain citus \
    patroni_configuration patroni_checks patroni_hooks rotate_passwords upgrade_check upgrade_run supervise; do
    # shellcheck source=/dev/null
    source "$container_scripts/$name.sh"
  done
}
load_functions

# usage: _main [--explain] [COMMAND [ARG...]]
_main() {
  set -Eeo pipefail
  local explain=''
  if [[ "${1:-}" == --explain ]]; then
    explain=yes
    shift
  fi
  # A first argument that looks like an option is one of the server's.
  if (($# == 0)) || [[ "$1" == -* ]]; then
    set -- postgres "$@"
  fi

  case "$(command_kind "$@")$explain" in
    standalone) run_standalone "$@" ;;
    patroni) run_patroni "$@" ;;
    upgrade) run_upgrade "$@" ;;
    rotation) run_rotation "$@" ;;
    backup) run_backup_command "$@" ;;
    standaloneyes) explain_standalone "$@" ;;
    patroniyes) explain_patroni "$@" ;;
    upgradeyes) explain_upgrade "$@" ;;
    backupyes) run_backup_command "$@" --explain ;;
    rotationyes | otheryes) explain_other "$@" ;;
    *)
      make_volume_private
      run_command "$@"
      ;;
  esac
}

# usage: command_kind COMMAND [ARG...]
# Prints standalone, patroni, upgrade, rotation, backup or other, judging by words alone. "other" is exec'ed as it stands, and nothing is initialised for it.
command_kind() {
  local command="$1"
  shift
  case "$command" in
    postgres) ! _pg_want_help "$@" || command=other ;;
    patroni) ! patroni_only_reports "$@" || command=other ;;
    upgrade | rotate-passwords | backup | restore | restore-point) ;;
    *) command=other ;;
  esac
  case "$command${PATRONI_SCOPE:+ with scope}" in
    postgres) printf 'standalone\n' ;;
    patroni* | 'postgres with scope') printf 'patroni\n' ;;
    upgrade*) printf 'upgrade\n' ;;
    rotate-passwords*) printf 'rotation\n' ;;
    backup* | restore*) printf 'backup\n' ;;
    *) printf 'other\n' ;;
  esac
}

# usage: _pg_want_help [ARG...]
# Whether postgres prints something and ends, or works without serving.
_pg_want_help() {
  case "${1:-}" in
    --single | --boot | --check | --fork*) return 0 ;;
  esac
  local arg
  for arg; do
    case "$arg" in
      '-?' | -V | -C | --help | --version | --describe-config) return 0 ;;
    esac
  done
  return 1
}

# usage: patroni_only_reports [ARG...]
patroni_only_reports() {
  local arg
  for arg; do
    case "$arg" in
      -h | --help | --version | --validate-config | --generate-config | --generate-sample-config) return 0 ;;
    esac
  done
  return 1
}

# usage: run_standalone postgres [POSTGRES_ARG...]
# One server, without a cluster manager.
run_standalone() {
  exit_on_signals
  remember_start server
  # Until stop_on_problems, mistakes are collected: everything wrong is known before anything has been changed, owners included.
  collect_problems
  docker_setup_env
  step_down_if_blind "$@"
  check_standalone "${@:2}"
  stop_on_problems
  docker_create_db_directories
  step_down "$@"
  claim_data_directory
  shift
  configure_backups
  data_directory_state
  if [[ "$REPLY" == incomplete ]]; then
    discard_incomplete
    data_directory_state
  fi
  if [[ "$REPLY" == absent && -n "$RESTORE_FROM" ]]; then
    run_stoppable 'the restore' restore_data_directory
    ((REPLY_STATUS == 0)) || exit "$REPLY_STATUS"
    add_preload_of_data "$(given_settings "$@")"
    stop_on_problems
    data_directory_state
  fi
  if [[ "$REPLY" == complete ]]; then
    start_password_check POSTGRES_PASSWORD
    printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
  else
    [[ "$REPLY" == absent ]] || die "$PGDATA changed while this start was checking it. It is left as it is now."
    run_stoppable 'the initialisation' initialise "$@"
    require_initialised "$REPLY_STATUS"
    # An initialisation script may have changed the list, and what the data need.
    add_preload_of_data "$(given_settings "$@")"
    stop_on_problems
  fi
  prepare_repository
  write_layers "$@"
  server_command "$@"
  start_citus_node
  # The server has no use for them, and a superuser can read its environment with SQL.
  unset POSTGRES_PASSWORD PGPASSWORD
  forget_backup_secrets
  supervise_server /opt/container/bin/pgstart run "${REPLY_COMMAND[@]}"
}

# usage: initialise [POSTGRES_ARG...]
# Makes a cluster in an empty data directory. Runs in a process of its own, so that process 1 stays free to act on a stop.
# shellcheck disable=SC2034  # initialisation_stage and scripts_have_begun are for report_failed_initialisation
initialise() {
  initialisation_stage=initdb
  scripts_have_begun=''
  begin_initialisation
  # Not before: what another start has begun is not to be withdrawn.
  trap report_failed_initialisation EXIT
  warn_of_trust
  docker_init_database_dir
  initialisation_stage='configuration of the new cluster'
  pg_setup_hba_conf "$@"
  initialisation_stage='start of the temporary server'
  docker_temp_server_start "$@"
  initialisation_stage="database $POSTGRES_DB"
  docker_setup_db
  scripts_have_begun=yes
  user_scripts
  docker_process_init_files "${user_script_files[@]}"
  initialisation_stage='stop of the temporary server'
  docker_temp_server_stop
  end_initialisation
  initialisation_stage=''
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

# usage: run_patroni patroni|postgres [ARG...]
# One member of a Patroni cluster. Patroni starts PostgreSQL.
run_patroni() {
  local file
  local -a target
  exit_on_signals
  remember_start patroni
  collect_problems
  read_environment
  read_patroni_environment "$@"
  step_down_if_blind "$@"
  check_patroni "$@"
  stop_on_problems
  docker_create_db_directories
  step_down "$@"
  claim_data_directory
  ensure_passwd_entry
  patroni_configuration "$@"
  file="$REPLY"
  start_patroni_over "$file"
  mapfile -t target < <(patroni_python rest-target "$file")
  remember_start "patroni ${target[0]:-}"
  read_tls_in_place "${target[@]:1}"
  pgstart locks remove
  data_directory_state
  [[ "$REPLY" != complete ]] || start_password_check PATRONI_SUPERUSER_PASSWORD
  unset POSTGRES_PASSWORD
  keep_byte_code
  if [[ "$file" == environment ]]; then
    supervise_patroni patroni
  fi
  link_patronictl "$file"
  if [[ -n "$patroni_directory" ]]; then
    # They are in a file there, which can be replaced while Patroni runs.
    unset PATRONI_SUPERUSER_PASSWORD PATRONI_REPLICATION_PASSWORD PATRONI_REWIND_PASSWORD
  fi
  supervise_patroni patroni "${patroni_directory:-$file}"
}

# usage: run_upgrade upgrade [OPTION...]
# Brings the data directory from another major version to this image's, by the user's explicit command and never on a start.
run_upgrade() {
  exit_on_signals
  remember_start upgrade
  collect_problems
  read_environment
  read_upgrade_options "${@:2}"
  step_down_if_blind "$@"
  check_upgrade
  stop_on_problems
  docker_create_db_directories
  step_down "$@"
  claim_data_directory
  ensure_passwd_entry
  case "$upgrade_action" in
    abandon) abandon_upgrade ;;
    discard)
      discard_old_cluster
      say "the cluster of PostgreSQL $upgrade_from is removed from $PGDATA"
      ;;
    *)
      pgstart locks remove
      run_stoppable 'the upgrade' upgrade_data
      return "$REPLY_STATUS"
      ;;
  esac
}

# usage: run_rotation rotate-passwords STEP [ARG...]
# One step of a change of passwords, in a container whose member runs. cluster/rotate-passwords.sh calls them.
run_rotation() {
  collect_problems
  check_password_files
  read_environment
  read_patroni_environment patroni
  stop_on_problems
  step_down "$@"
  ensure_passwd_entry
  rotation_step "${@:2}"
}

# usage: run_backup_command backup|restore|restore-point [ARG...]
# One of the commands about backups, in a container of its own; `docker exec` calls them without this entrypoint. They are links to pgstart.
run_backup_command() {
  collect_problems
  read_environment
  stop_on_problems
  docker_create_db_directories
  step_down "$@"
  ensure_passwd_entry
  # A restore must not take a directory from a server that runs elsewhere.
  [[ "$1" != restore ]] || claim_data_directory
  run_command "$@"
}

# usage: run_command COMMAND [ARG...]
# Becomes COMMAND: the server too, in a child of process 1. A Dockerfile that initialises a database while its image is built takes the line
# with `exec` out, by grep or sed, as it does in the official script; the function stays whole then.
run_command() {
  (($#)) || return 0
  exec "$@"
}

# usage: _is_sourced
# Whether this file is read by `source` rather than run.
_is_sourced() { ((${#FUNCNAME[@]} >= 2)) && [[ "${FUNCNAME[0]}" == _is_sourced && "${FUNCNAME[1]}" == source ]]; }

if ! _is_sourced; then
  set -u
  _main "$@"
fi

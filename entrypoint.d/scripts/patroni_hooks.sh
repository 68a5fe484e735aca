#!/usr/bin/env bash
# What Patroni runs: this file, for a new cluster, and the user's programs in /etc/patroni/hooks.
#
# The generated patroni.yml names this file twice. As initdb (`postgresql.bin_name`), with initdb's arguments, it makes the cluster below the marker
# of an initialisation that has not ended, as a standalone start does. As `post_init` it makes the database and the roles, runs the
# initialisation scripts and takes the marker down. Patroni itself cannot tell a half-made cluster from a whole one: it makes whatever it finds at its
# start leader, where there is no other member.

# shellcheck source-path=SCRIPTDIR disable=SC2154  # postmaster_* are set by read_postmaster_file

# usage: run_patroni_initdb INITDB_ARG... DIRECTORY
run_patroni_initdb() {
  # Patroni removes the directory itself, where that is not a volume, after a copy that failed.
  [[ -d "$PGDATA" ]] || mkdir --mode=0700 "$PGDATA"
  begin_initialisation
  # Not before: what another start has begun is not to be withdrawn.
  trap '(($? == 0)) || withdraw_initialisation' EXIT
  initdb_below_marker --no-instructions "${@:1:$#-1}"
}

# usage: run_patroni_post_init CONNECTION_STRING
# Patroni runs it once, on the first leader of a new cluster. If it fails Patroni gives the bootstrap up and ends. It would move the data away, which
# cannot be done to a volume; so that the next start does not serve it, the marker stays. The server is reached over its socket, where local
# connections are trusted.
run_patroni_post_init() {
  initialisation_stage="database $POSTGRES_DB"
  trap report_failed_post_init EXIT
  read_postmaster_file || die "PostgreSQL is not running"
  export PGHOST="$postmaster_socket_directory" PGPORT="$postmaster_port"
  # Patroni stops the scripts' writes from waiting for a standby that cannot exist yet, but a session may ask for it.
  export PGOPTIONS='-c synchronous_commit=local'
  # What the hook has brought is a database that has been initialised before.
  if ! hook bootstrap; then
    docker_setup_db
    user_scripts_begin
    user_scripts
    docker_process_init_files "${user_script_files[@]}"
    initialisation_stage='roles of Patroni'
    create_patroni_roles
    end_bootstrap
  fi
  initialisation_stage=''
}

# usage: report_failed_post_init
# A trap. A sourced script that calls `exit 0` comes here too, and Patroni must not take that for success.
# shellcheck disable=SC2317  # called by the trap
report_failed_post_init() {
  [[ -z "$initialisation_stage" ]] || die "the initialisation ended in: $initialisation_stage
What it has made is not served. A script that is not executable is to end with \`return\`, not with \`exit\`."
}

# usage: user_scripts_begin
# Notes in the marker that there is something of the user's now. Without a marker, in a cluster that a patroni.yml of the user's makes, there is nothing to note.
user_scripts_begin() {
  initialising_marker
  [[ ! -d "$REPLY" ]] || touch "$REPLY/scripts"
}

# usage: end_bootstrap
end_bootstrap() {
  initialising_marker
  [[ -d "$REPLY" ]] || return 0
  rm --force "$REPLY/scripts"
  end_initialisation
}

# usage: start_patroni_over FILE
# Where an initialisation did not complete, and the start has not been refused for it. The directory goes last: as long as it is there, it is all
# done again.
start_patroni_over() {
  data_directory_state
  [[ "$REPLY" == incomplete ]] || return 0
  run_stoppable "starting over" patroni_python release "${1#environment}"
  ((REPLY_STATUS == 0)) ||
    warn "the store may still have the key of the start that did not complete. If Patroni says that it is waiting for leader to bootstrap, run patronictl remove ${PATRONI_SCOPE:-SCOPE}"
  discard_incomplete
}

# usage: withdraw_failed_bootstrap PATRONI_STATUS
# To be called when Patroni has ended. A marker that is there now is this start's: another one's would have been refused or discarded.
withdraw_failed_bootstrap() {
  initialising_marker
  if [[ "$1" == 0 || ! -d "$REPLY" || -e "$REPLY/scripts" || -e "$PGDATA/postmaster.pid" ]]; then return 0; fi
  withdraw_initialisation
}

# usage: create_patroni_roles
# Patroni makes them when its post_init has ended. Made at that one's end already, a password that a library such as passwordcheck refuses, or a kill in
# between, is a failure of the initialisation, and not a cluster that no replica can join.
create_patroni_roles() {
  local user password
  patroni_variable PATRONI_REPLICATION_USERNAME
  user="$REPLY"
  [[ -n "$user" ]] || return 0
  patroni_variable PATRONI_REPLICATION_PASSWORD
  create_patroni_role "$user" REPLICATION "$REPLY"
  patroni_variable PATRONI_REWIND_PASSWORD
  password="$REPLY"
  [[ -n "$password" ]] || return 0
  patroni_variable PATRONI_REWIND_USERNAME
  create_patroni_role "$REPLY" NOREPLICATION "$password"
}

# usage: create_patroni_role NAME ATTRIBUTE PASSWORD
# The server's log does not get to see the password, nor the list of processes. Patroni gives the rights that rewinding takes.
create_patroni_role() {
  role_password="$3" docker_process_sql --dbname postgres --set name="$1" --set attribute="$2" --quiet < <(
    unlogged_sql
    cat <<'SQL'
\getenv password role_password
SELECT format('%s ROLE %I LOGIN %s PASSWORD %L', CASE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') THEN 'ALTER' ELSE 'CREATE' END,
  :'name', :'attribute', nullif(:'password', '')) \gexec
SQL
  )
}

# usage: patroni_variable NAME
# Sets REPLY to a variable that Patroni, whose child this shell is, was started with: it takes them out of what its children get. A password that is not
# among them is in the file of passwords, if that is what Patroni reads.
patroni_variable() {
  local entry kind found=''
  local -a command
  while IFS= read -r -d '' entry; do
    [[ "$entry" != "$1="* ]] || found="${entry#*=}"
  done <"/proc/$PPID/environ"
  mapfile -d '' -t command <"/proc/$PPID/cmdline"
  generated_patroni_directory
  if [[ -z "$found" && "$1" == *_PASSWORD && "${command[-1]}" == "$REPLY" ]]; then
    kind="${1#PATRONI_}" kind="${kind%_PASSWORD}"
    found="$(patroni_python value "$REPLY/2-passwords.yml" "postgresql.authentication.${kind,,}.password")"
  fi
  REPLY="$found"
}

# The user's hooks are the files in /etc/patroni/hooks that are named for the occasion. What each is called with is in Patroni's manual.
#
#   on_start, on_stop, on_restart, on_reload, on_role_change     callbacks: action, role and scope
#   pre_promote, before_stop                                     may refuse a promotion; runs before a stop
#   bootstrap                                                    makes the first member's data instead of initdb: from a backup
#   create_replica                                               makes a replica's data; if it fails, pg_basebackup does

# usage: hook NAME
# Sets REPLY to the file and succeeds, if there is one.
hook() {
  REPLY="/etc/patroni/hooks/$1"
  [[ -e "$REPLY" ]]
}

# usage: check_hooks
check_hooks() {
  local file
  for file in /etc/patroni/hooks/*; do
    case "${file##*/}" in
      '*') ;;
      on_start | on_stop | on_restart | on_reload | on_role_change | pre_promote | before_stop | bootstrap | create_replica)
        [[ -x "$file" ]] || problem "$file cannot be executed by uid $(id -u)"
        ;;
      *) problem "$file is named for nothing that Patroni does: see entrypoint.d/README.md" ;;
    esac
  done
}

# usage: bootstrap_hook_text
# Below `bootstrap`.
bootstrap_hook_text() {
  hook bootstrap || return 0
  printf '  method: hook\n  hook:\n    command: %s\n' "$(quote_yaml "$REPLY")"
}

# usage: member_hooks_text
# Below `postgresql`.
member_hooks_text() {
  local name title='  callbacks:\n'
  for name in on_start on_stop on_restart on_reload on_role_change; do
    hook "$name" || continue
    printf "$title"'    %s: %s\n' "$name" "$(quote_yaml "$REPLY")"
    title=''
  done
  for name in pre_promote before_stop; do
    ! hook "$name" || printf '  %s: %s\n' "$name" "$(quote_yaml "$REPLY")"
  done
  ! hook create_replica ||
    printf '  create_replica_methods:\n  - hook\n  - basebackup\n  hook:\n    command: %s\n' "$(quote_yaml "$REPLY")"
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  set -Eeuo pipefail
  # shellcheck source=../entrypoint.sh
  source "$(dirname "$(readlink -f "$0")")/../entrypoint.sh"
  if [[ "$1" == post_init ]]; then
    run_patroni_post_init "${@:2}"
  else
    run_patroni_initdb "$@"
  fi
fi

#!/usr/bin/env bash
# Makes a cluster: initdb, the database, the user's scripts. A process of its own, so that the container's init process stays free to
# act on a stop. Must not be run on a directory that holds anything. Arguments are the server's.
# shellcheck source-path=SCRIPTDIR

set -Eeuo pipefail

# shellcheck source=../lib/all.sh
source "$(dirname "$(dirname "$(readlink -f "$0")")")/lib/all.sh"

initialisation_stage=initdb
scripts_have_begun=''

# usage: report_failure
# shellcheck disable=SC2317  # called by the trap
report_failure() {
  local status=$?
  [[ -n "$initialisation_stage" ]] || return 0
  if ((status)); then
    warn "the initialisation failed (status $status) in: $initialisation_stage"
  else
    warn "the initialisation was ended with status 0 by: $initialisation_stage
A script that is not executable runs inside the initialisation and ends it with \`exit\`: end such a script with \`return\`, or make it executable."
  fi
  [[ -n "$scripts_have_begun" ]] || withdraw_initialisation
}

begin_initialisation
# Not before: what somebody else has begun is not to be withdrawn.
trap report_failure EXIT
create_cluster
initialisation_stage='configuration of the new cluster'
write_layers "$@"
write_hba "$@"
initialisation_stage='start of the temporary server'
start_temporary_server "$@"
initialisation_stage="database $POSTGRES_DB"
name_quoted_user
create_database
[[ -z "$CITUS_ROLE" ]] || docker_process_sql --quiet --command 'CREATE EXTENSION citus'
scripts_have_begun=yes
run_user_scripts
initialisation_stage='stop of the temporary server'
stop_temporary_server
end_initialisation
initialisation_stage=''
printf '\nPostgreSQL init process complete; ready for start up.\n\n'

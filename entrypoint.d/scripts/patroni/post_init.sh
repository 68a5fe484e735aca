#!/usr/bin/env bash
# What Patroni runs once on the first leader of a new cluster: the database and the user's scripts, as in a standalone start. If it fails
# Patroni gives the bootstrap up and ends. It would move the data away, which cannot be done to a volume; so that the next start does not serve
# it, the marker that initdb.sh has put up stays. The argument is Patroni's connection string; the server is reached over its socket, where
# local connections are trusted.
# shellcheck source-path=SCRIPTDIR

set -Eeuo pipefail

# shellcheck source=../lib/all.sh
source "$(dirname "$(dirname "$(readlink -f "$0")")")/lib/all.sh"

initialisation_stage="database $POSTGRES_DB"

# usage: report_failure
# A sourced script that calls `exit 0` comes here too, and Patroni must not take that for success.
# shellcheck disable=SC2317  # called by the trap
report_failure() {
  [[ -z "$initialisation_stage" ]] || die "the initialisation ended in: $initialisation_stage
What it has made is not served. A script that is not executable is to end with \`return\`, not with \`exit\`."
}
trap report_failure EXIT

read_postmaster_file || die "PostgreSQL is not running"
# shellcheck disable=SC2154  # set by read_postmaster_file
export PGHOST="$postmaster_socket_directory" PGPORT="$postmaster_port"
# Patroni stops the scripts' writes from waiting for a standby that cannot exist yet, but a session may ask for it.
export PGOPTIONS='-c synchronous_commit=local'
# What the hook has brought is a database that has been initialised before.
if ! hook bootstrap; then
  create_database
  user_scripts_begin
  run_user_scripts
  initialisation_stage='roles of Patroni'
  create_patroni_roles
  end_bootstrap
fi
initialisation_stage=''

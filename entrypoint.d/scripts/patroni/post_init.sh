#!/usr/bin/env bash
# What Patroni runs once on the first leader of a new cluster: the database and the user's scripts, as in a standalone start. If it fails
# Patroni gives the bootstrap up and removes the data, so nothing half-made is served. The argument is Patroni's connection string;
# the server is reached over its socket, where local connections are trusted.
# shellcheck source-path=SCRIPTDIR

set -Eeuo pipefail

# shellcheck source=../lib/all.sh
source "$(dirname "$(dirname "$(readlink -f "$0")")")/lib/all.sh"

read_postmaster_file || die "PostgreSQL is not running"
# shellcheck disable=SC2154  # set by read_postmaster_file
export PGHOST="$postmaster_socket_directory" PGPORT="$postmaster_port"
# Patroni stops the scripts' writes from waiting for a standby that cannot exist yet, but a session may ask for it.
export PGOPTIONS='-c synchronous_commit=local'
# What the hook has brought is a database that has been initialised before.
if hook bootstrap; then exit 0; fi
create_database
run_user_scripts

#!/usr/bin/env bash
# psql in the cluster's database, through HAProxy to the coordinator's leader. SQL comes from standard input or the arguments of psql.
# shellcheck source-path=SCRIPTDIR
set -Eeuo pipefail

# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

declare -a terminal=()
[[ ! -t 0 ]] || terminal=(--tty)
# shellcheck disable=SC2016 # the member's shell reads its secret
docker exec --interactive "${terminal[@]}" "$(running_member)" bash -c \
  'PGPASSWORD="$(</run/secrets/superuser)" exec psql --host=haproxy --port=5000 --username=postgres --dbname=citus "$@"' psql "$@"

#!/usr/bin/env bash
# What Patroni runs as initdb (`postgresql.bin_name` of the generated patroni.yml): initdb below the marker of an initialisation that has not
# ended, as in a standalone start. post_init.sh takes it down. Patroni itself cannot tell a half-made cluster from a whole one: it makes
# whatever it finds at its start leader, where no other member is. Arguments are initdb's, the data directory the last one.
# shellcheck source-path=SCRIPTDIR

set -Eeuo pipefail

# shellcheck source=../lib/all.sh
source "$(dirname "$(dirname "$(readlink -f "$0")")")/lib/all.sh"

# usage: report_failure
# shellcheck disable=SC2317  # called by the trap
report_failure() {
  local status=$?
  ((status == 0)) || withdraw_initialisation
}

# Patroni removes the directory itself, where that is no volume, after a copy that failed.
[[ -d "$PGDATA" ]] || mkdir --mode=0700 "$PGDATA"
begin_initialisation
# Not before: what somebody else has begun is not to be withdrawn.
trap report_failure EXIT
initdb_below_marker --no-instructions "${@:1:$#-1}"

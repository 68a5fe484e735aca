#!/usr/bin/env bash
# patronictl in a member of the cluster: `cluster/patronictl.sh list`, `cluster/patronictl.sh switchover --group 1`.
# shellcheck source-path=SCRIPTDIR
set -Eeuo pipefail

# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

declare -a terminal=()
[[ ! -t 0 ]] || terminal=(--tty)
docker exec --interactive "${terminal[@]}" "$(running_member)" patronictl "$@"

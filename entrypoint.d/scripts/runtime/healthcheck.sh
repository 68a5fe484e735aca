#!/usr/bin/env bash
# Is this container doing its work? Ends with 0 or not 0 within 6 seconds, and starts no process beside the one it turns into: when
# the engine gives up on a check it kills only the process it started, and whatever that had started would be left to process 1.
#
#   standalone   a TCP connection gets past the postmaster: true on a primary and on a standby that serves reads; not true while
#                initialising, recovering or stopping. The socket would be true too early: see init_scripts.sh
#   Patroni      Patroni's own loop is alive (/liveness). A replica that is being copied, and a paused cluster, are healthy: to end such a
#                container would do harm. Whether to send queries there is the orchestrator's question, to /readiness or /primary
# shellcheck source-path=SCRIPTDIR

set -Eeuo pipefail

scripts="${BASH_SOURCE[0]%/*}/.."
# shellcheck source=../data_directory.sh
source "$scripts/data_directory.sh"

# usage: unhealthy TEXT
unhealthy() {
  printf '%s\n' "$1"
  exit 1
}

# usage: postmaster_host
# Sets REPLY to the address under which the server is reached from inside the container.
postmaster_host() {
  case "$postmaster_address" in
    '*' | 0.0.0.0 | localhost) REPLY=127.0.0.1 ;;
    '::') REPLY=::1 ;;
    '') REPLY="$postmaster_socket_directory" ;;
    *) REPLY="$postmaster_address" ;;
  esac
}

if health_target_file && [[ -r "$REPLY" ]]; then
  read -r scheme host port <"$REPLY"
  # Without byte code, which the image has none of, each check would compile what it imports.
  generated_directory
  exec /opt/patroni/bin/python3 -I -S -X "pycache_prefix=$REPLY/.python" "$scripts/runtime/liveness.py" "$scheme" "$host" "$port"
fi

resolve_data_directory
place_data_directory
initialising_marker
[[ ! -e "$REPLY" ]] || unhealthy 'the database is being initialised'
read_postmaster_file || unhealthy 'PostgreSQL is not running'
[[ "$postmaster_status" != stopping ]] || unhealthy 'PostgreSQL is stopping'
postmaster_host
exec pg_isready --host="$REPLY" --port="$postmaster_port" --username="${POSTGRES_USER:-postgres}" --dbname=postgres --timeout=5

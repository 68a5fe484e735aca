# shellcheck shell=bash
# What can be wrong with a Citus node that stands alone, without Patroni: CITUS_ROLE and what belongs to it. Changes nothing; each function reports
# through `problem`.

# usage: check_citus_node SETTINGS
check_citus_node() {
  check_citus_strays
  [[ -n "$CITUS_ROLE" ]] || return 0
  preload_library_exists citus || problem "CITUS_ROLE is set, but this image was built without Citus"
  [[ "$CITUS_ROLE" != worker || -n "${CITUS_COORDINATOR_HOST:-}" ]] ||
    problem "CITUS_ROLE is worker, and CITUS_COORDINATOR_HOST is not set: it is where the worker registers"
  check_citus_wal "$1"
  # A problem of its own only where a new cluster has not asked for the password already.
  data_directory_state
  [[ "$REPLY" != complete || -n "$POSTGRES_PASSWORD" ]] || method_is_trust ||
    problem "CITUS_ROLE is set, and the nodes log in to each other: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, the same on all of them"
}

# usage: check_citus_strays
# Variables of a Citus node where there is none that reads them, and ports that are none.
check_citus_strays() {
  local variable
  for variable in CITUS_COORDINATOR_HOST CITUS_COORDINATOR_PORT CITUS_NODE_NAME CITUS_NODE_PORT; do
    [[ -n "${!variable:-}" ]] || continue
    [[ "$variable" != *_PORT ]] || is_port "${!variable}" || problem "$variable is '${!variable}', but must be a number from 1 to 65535"
    case "$variable ${CITUS_ROLE:-unset}" in
      # The nodes of a cluster may share their environment; the coordinator knows where it is.
      CITUS_*' worker' | CITUS_*' coordinator') ;;
      CITUS_COORDINATOR_*) problem "$variable is set, and CITUS_ROLE is not: it is for CITUS_ROLE=worker, and has no effect without" ;;
      *) problem "$variable is set, and CITUS_ROLE is not: it is for CITUS_ROLE=coordinator and CITUS_ROLE=worker, and has no effect without" ;;
    esac
  done
}

# usage: is_port TEXT
is_port() { [[ "$1" =~ ^[0-9]{1,5}$ ]] && ((10#$1 >= 1 && 10#$1 <= 65535)); }

# usage: check_citus_wal SETTINGS
# The image sets what Citus needs, but later layers win.
check_citus_wal() {
  local level origin
  IFS=$'\t' read -r level origin < <(effective_setting wal_level "$1") || true
  [[ "$level" == logical ]] ||
    problem "wal_level is $level ($origin), but Citus moves shards by logical replication: remove the setting, and it is logical"
}

# shellcheck shell=bash
# The environment of a start under Patroni. Patroni reads PATRONI_* itself, and lets them override any file; so a default may be exported
# only where there is no file of the user's that it would override.

# usage: read_patroni_environment patroni|postgres [ARG...]
read_patroni_environment() {
  local variable
  for variable in SUPERUSER REPLICATION REWIND RESTAPI; do
    file_env "PATRONI_${variable}_PASSWORD"
    file_env "PATRONI_${variable}_USERNAME"
  done
  one_of PATRONI_SYNCHRONOUS_MODE '' '' off on quorum
  one_of PATRONI_SYNCHRONOUS_MODE_STRICT off off on
  one_of PATRONI_FAILSAFE_MODE off off on
  # Patroni's own defaults and rules (patroni/config.py): it would lower what does not fit, and say so only in its log.
  export PATRONI_TTL="${PATRONI_TTL:-30}" PATRONI_LOOP_WAIT="${PATRONI_LOOP_WAIT:-10}" PATRONI_RETRY_TIMEOUT="${PATRONI_RETRY_TIMEOUT:-10}"
  patroni_user_file "$@"
  [[ -n "$REPLY" ]] || default_patroni_users
  # For the initialisation scripts, which know the superuser by this name.
  export POSTGRES_USER="${PATRONI_SUPERUSER_USERNAME:-$POSTGRES_USER}"
}

# usage: default_patroni_users
# Rewinding takes a user of its own only if that has a password; else Patroni uses the superuser.
default_patroni_users() {
  export PATRONI_SUPERUSER_USERNAME="${PATRONI_SUPERUSER_USERNAME:-$POSTGRES_USER}"
  export PATRONI_SUPERUSER_PASSWORD="${PATRONI_SUPERUSER_PASSWORD:-$POSTGRES_PASSWORD}"
  export PATRONI_REPLICATION_USERNAME="${PATRONI_REPLICATION_USERNAME:-replicator}"
  [[ -z "$PATRONI_REWIND_PASSWORD" ]] || export PATRONI_REWIND_USERNAME="${PATRONI_REWIND_USERNAME:-rewinder}"
}

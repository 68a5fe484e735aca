# shellcheck shell=bash
# What can be wrong with the variables that a patroni.yml is generated from. Changes nothing; each function reports through `problem`.

# usage: check_generated_patroni
# What a generated configuration needs from the environment.
check_generated_patroni() {
  [[ -n "${PATRONI_SCOPE:-}" ]] || problem "PATRONI_SCOPE is not set: it is the cluster's name"
  check_patroni_stores
  check_method
  method_is_trust || check_patroni_passwords
  data_directory_state
  if [[ "$REPLY" == @(absent|incomplete) ]]; then
    check_initdb_arguments
    check_patroni_initdb
    check_locales_of_initdb
  fi
  [[ "$POSTGRES_DB" == "${PATRONI_CITUS_DATABASE:-$POSTGRES_DB}" ]] ||
    problem "POSTGRES_DB is '$POSTGRES_DB', and PATRONI_CITUS_DATABASE is '$PATRONI_CITUS_DATABASE': the scripts would fill one database and Citus distribute the other. Leave POSTGRES_DB out"
  check_patroni_times
  check_user_scripts
  check_hooks
}

# usage: check_patroni_initdb
# Patroni gives initdb its options by their long names, and some of them itself.
check_patroni_initdb() {
  local name line
  while IFS= read -r line; do
    problem "POSTGRES_INITDB_ARGS is '$POSTGRES_INITDB_ARGS', which initdb does not take: ${line#initdb: }"
  done < <(initdb_strays)
  while IFS=$'\t' read -r name _; do
    case "$name" in
      L | pwfile | pwprompt | show | sync-only | version | help)
        problem "POSTGRES_INITDB_ARGS is '$POSTGRES_INITDB_ARGS', whose option ${name/#L/-L} Patroni's initdb cannot have: leave it out"
        ;;
    esac
  done < <(initdb_options)
}

# usage: check_patroni_passwords
# The same rule as for a server alone.
check_patroni_passwords() {
  [[ -n "$PATRONI_SUPERUSER_PASSWORD" ]] ||
    problem "the superuser has no password: set PATRONI_SUPERUSER_PASSWORD or POSTGRES_PASSWORD, or name a file in either with _FILE"
  [[ -n "$PATRONI_REPLICATION_PASSWORD" ]] ||
    problem "replication has no password: set PATRONI_REPLICATION_PASSWORD or PATRONI_REPLICATION_PASSWORD_FILE"
}

# usage: check_patroni_times
check_patroni_times() {
  local variable
  for variable in PATRONI_TTL PATRONI_LOOP_WAIT PATRONI_RETRY_TIMEOUT; do
    if ! [[ "${!variable}" =~ ^[1-9][0-9]{0,5}$ ]]; then
      problem "$variable is '${!variable}', but must be a number of seconds"
      return 0
    fi
  done
  ((PATRONI_TTL >= 20 && PATRONI_RETRY_TIMEOUT >= 3 && PATRONI_LOOP_WAIT + 2 * PATRONI_RETRY_TIMEOUT <= PATRONI_TTL)) ||
    problem "PATRONI_TTL=$PATRONI_TTL, PATRONI_LOOP_WAIT=$PATRONI_LOOP_WAIT and PATRONI_RETRY_TIMEOUT=$PATRONI_RETRY_TIMEOUT do not fit: TTL must be 20 or more, RETRY_TIMEOUT 3 or more, and LOOP_WAIT + 2 * RETRY_TIMEOUT at most TTL"
}

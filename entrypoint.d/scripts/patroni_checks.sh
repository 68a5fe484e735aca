# shellcheck shell=bash
# Everything that can be wrong with a start under Patroni. Changes nothing; each function reports through `problem`. Patroni checks the rest
# of its configuration by itself.

# usage: check_patroni patroni|postgres [ARG...]
check_patroni() {
  command -v patroni >/dev/null || problem "this image was built without Patroni"
  if [[ "$1" == patroni ]]; then
    check_patroni_arguments "$@"
  elif (($# > 1)); then
    problem "PATRONI_SCOPE is set, so Patroni starts PostgreSQL, and cannot be given the arguments '${*:2}': put settings into Patroni's configuration"
  fi
  check_every_start
  [[ -z "$CITUS_ROLE" ]] || problem "CITUS_ROLE is for a server without Patroni; under Patroni the role follows from PATRONI_CITUS_GROUP"
  [[ "$POSTGRES_PASSWORD_SYNC" == off ]] || problem "POSTGRES_PASSWORD_SYNC is for a server without Patroni: all members of a cluster need the password in use"
  check_citus_strays
  check_citus
  check_patroni_certificates
  [[ -z "${PATRONI_POSTGRESQL_DATA_DIR:-}" ]] || is_same_path "$PATRONI_POSTGRESQL_DATA_DIR" "$PGDATA" ||
    problem "PATRONI_POSTGRESQL_DATA_DIR is '$PATRONI_POSTGRESQL_DATA_DIR', and PGDATA is '$PGDATA', which is checked and locked: set PGDATA alone"
  patroni_user_file "$@"
  if [[ -n "$REPLY" ]]; then
    check_patroni_file "$REPLY"
  else
    check_preload_of_member
    check_generated_patroni
  fi
  data_directory_state
  [[ "$REPLY" != incomplete ]] || check_incomplete_patroni
}

# usage: check_incomplete_patroni
# The store is told by a start that starts over; one with an emptied directory knows nothing of it.
check_incomplete_patroni() {
  [[ "$POSTGRES_ON_FAILED_INIT" != start-over ]] || return 0
  check_incomplete
  [[ "${problems[-1]}" != *start-over* ]] || problems[-1]+="
After removing the contents by hand, Patroni may be waiting for the leader that was killed: \`patronictl remove ${PATRONI_SCOPE:-SCOPE}\` in a running member makes it begin."
}

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

# usage: check_patroni_file FILE
# `patroni --validate-config` is not asked: it wants the store to answer, which may come later than this member, and takes a second.
# FILE is as patroni_user_file sets it.
check_patroni_file() {
  local line status=0 text
  local -a stores=()
  if [[ "$1" != environment ]]; then
    check_patroni_file_access "$1" || return 0
    patroni_stores
    stores=("${REPLY_STORES[@]}")
  fi
  text="$(patroni_python check "$1" "${stores[@]}" 2>&1)" || status=$?
  ((status == 0)) || while IFS= read -r line; do
    problem "$line"
  done <<<"$text"
}

# usage: check_patroni_file_access FILE
# Fails if there is nothing to read. An engine makes a directory where the file to mount is not there; Patroni takes one that has files in it.
check_patroni_file_access() {
  if [[ ! -e "$1" ]]; then
    problem "Patroni's configuration file $1 does not exist in the container: mount it there (--volume FILE:$1:ro)"
  elif [[ ! -r "$1" ]]; then
    problem "Patroni's configuration file $1 cannot be read by uid $(id -u): it belongs to uid $(stat --dereference --format='%u, mode %a' "$1")"
  elif [[ -d "$1" ]] && ! compgen -G "$1/*.y*ml" >/dev/null; then
    problem "Patroni's configuration file $1 is a directory without any *.yml: the file that was to be mounted there does not exist where the engine runs"
  else
    return 0
  fi
  return 1
}

# usage: check_patroni_arguments patroni [ARG...]
# Patroni is started with its file alone, so nothing else may be lost in silence.
check_patroni_arguments() {
  local arg
  local -a files=()
  for arg in "${@:2}"; do
    case "$arg" in
      -*) problem "patroni's option '$arg' does not start it: expected at most the name of its configuration file" ;;
      *) files+=("$arg") ;;
    esac
  done
  ((${#files[@]} < 2)) || problem "patroni takes one configuration file, and was given ${#files[@]}: ${files[*]}"
}

# usage: check_patroni_certificates
# Files of certificates and keys that Patroni's variables name, for the store, its REST interface and patronictl. Patroni says of one that is
# not there that it waits for the store.
check_patroni_certificates() {
  local variable
  given_variables PATRONI_
  for variable in "${REPLY_VARIABLES[@]}"; do
    case "$variable" in
      *_CACERT | *_CERT | *_KEY | *_CAFILE | *_CERTFILE | *_KEYFILE)
        [[ -f "${!variable}" && -r "${!variable}" ]] ||
          problem "$variable is '${!variable}', which is not a file that uid $(id -u) can read"
        ;;
    esac
  done
}

# usage: check_citus
check_citus() {
  case "${PATRONI_CITUS_GROUP:+group}${PATRONI_CITUS_DATABASE:+database}" in
    '') return 0 ;;
    groupdatabase) ;;
    *) problem "PATRONI_CITUS_GROUP and PATRONI_CITUS_DATABASE belong together, and one of them is not set" ;;
  esac
  [[ "${PATRONI_CITUS_GROUP:-0}" =~ ^[0-9]+$ ]] || problem "PATRONI_CITUS_GROUP is '$PATRONI_CITUS_GROUP', but must be a number: 0 is the coordinator"
  preload_library_exists citus || problem "PATRONI_CITUS_GROUP is set, but this image was built without Citus"
}

# shellcheck shell=bash
# Reads the environment: VAR or VAR_FILE, and defaults. Reports mistakes through `problem`, so that all of them appear at once.

# The files that were empty, by variable: an empty value is right for some variables and not for others.
declare -gA empty_files=()

# usage: file_env VARIABLE [DEFAULT]
# Exports VARIABLE from itself, from the file named by VARIABLE_FILE, or from DEFAULT, and unsets VARIABLE_FILE.
file_env() {
  local variable="$1" value="${2:-}" file_variable="$1_FILE"
  local file="${!file_variable:-}"
  if [[ -n "${!variable:-}" && -n "$file" ]]; then
    problem "both $variable and $file_variable are set (but are exclusive)"
  elif [[ -n "${!variable:-}" ]]; then
    value="${!variable}"
  elif [[ -n "$file" ]]; then
    value_from_file "$variable" "$file"
    value="$REPLY"
  fi
  export "$variable=$value"
  unset "$file_variable"
  stop_unless_collecting
}

# usage: value_from_file VARIABLE FILE
# Sets REPLY to what is in the file, without line feeds at its end.
value_from_file() {
  REPLY=''
  if [[ -d "$2" ]]; then
    problem "$1_FILE is '$2', which is a directory; an engine makes one where the file to mount does not exist"
  elif [[ ! -r "$2" ]]; then
    problem "$(unreadable_value_file "$1_FILE" "$2")"
  # Ends at a zero byte or, failing, at the end of the file.
  elif IFS= read -r -d '' REPLY <"$2"; then
    problem "$1_FILE is '$2', which contains a zero byte; a variable cannot, and it is mostly a file in UTF-16"
  fi
  while [[ "$REPLY" == *$'\n' ]]; do REPLY="${REPLY%$'\n'}"; done
  [[ -f "$2" && -r "$2" ]] || return 0
  # shellcheck disable=SC2034  # for the message about a missing value
  [[ -n "$REPLY" ]] || empty_files["$1"]="$2"
}

# usage: unreadable_value_file VARIABLE FILE
unreadable_value_file() {
  if [[ ! -e "$2" ]]; then
    printf "%s is '%s', which does not exist or is in a directory that uid %s cannot look into" "$1" "$2" "$(id -u)"
  else
    printf "%s is '%s', which cannot be read by uid %s: it belongs to uid %s (mode %s).\n%s" "$1" "$2" "$(id -u)" \
      "$(stat --dereference --format=%u "$2")" "$(stat --dereference --format=%a "$2")" "$(root_advice)"
  fi
}

# usage: one_of VARIABLE DEFAULT ALLOWED...
# Gives VARIABLE its default, and reports a value that is none of those allowed.
one_of() {
  local variable="$1" default="$2" allowed
  shift 2
  export "$variable=${!variable:-$default}"
  for allowed; do
    if [[ "${!variable}" == "$allowed" ]]; then return 0; fi
  done
  problem "$variable is '${!variable}', but may be: $*"
}

# usage: seconds VARIABLE
# Reports a value that is not a whole number of seconds; an empty one is valid too. Anything else would be an arithmetic error in bash,
# after which it continues at the top level.
seconds() {
  [[ -z "${!1:-}" || "${!1}" =~ ^[1-9][0-9]{0,6}$ ]] || problem "$1 is '${!1}', but must be a whole number of seconds, without a unit: $1=60"
}

# usage: docker_setup_env
# To be called before any other of the official image's functions. Sets DATABASE_ALREADY_EXISTS to true or nothing, and OLD_DATABASES to the
# clusters that this start would pass by.
# shellcheck disable=SC2034  # for the caller
docker_setup_env() {
  read_environment
  data_directory_state
  declare -g DATABASE_ALREADY_EXISTS=''
  [[ "$REPLY" == absent ]] || DATABASE_ALREADY_EXISTS=true
  passed_by_clusters
  declare -ga OLD_DATABASES=("${REPLY_CLUSTERS[@]}")
  stop_unless_collecting
}

# usage: read_environment
# The variables that both kinds of start understand.
read_environment() {
  forget_service_links PATRONI_ CITUS_ PGBACKREST_
  file_env POSTGRES_PASSWORD
  file_env POSTGRES_USER postgres
  file_env POSTGRES_DB "${PATRONI_CITUS_DATABASE:-$POSTGRES_USER}"
  file_env POSTGRES_INITDB_ARGS
  export POSTGRES_HOST_AUTH_METHOD="${POSTGRES_HOST_AUTH_METHOD:-}" POSTGRES_INITDB_WALDIR="${POSTGRES_INITDB_WALDIR:-}"
  trim POSTGRES_HOST_AUTH_METHOD
  one_of POSTGRES_ON_FAILED_INIT refuse refuse start-over
  one_of POSTGRES_ON_STALE_LOCK refuse refuse remove
  one_of POSTGRES_PASSWORD_SYNC off off on
  one_of POSTGRES_AUTO_MEMORY on on off
  one_of POSTGRES_LOG stderr stderr file
  seconds PGCTLTIMEOUT
  one_of CITUS_ROLE '' '' coordinator worker
  read_backup_environment
  settle_data_directory
}

# usage: read_backup_environment
# Secrets of repositories, of pgBackRest's own variables; others of these end with _FILE as well, and name files. Sets backups_are_configured.
# shellcheck disable=SC2034  # for checks.sh, initdb.sh, settings.sh and supervise.sh
read_backup_environment() {
  local variable
  export RESTORE_FROM="${RESTORE_FROM:-}" RESTORE_STANZA="${RESTORE_STANZA:-}"
  for variable in $(compgen -e PGBACKREST_REPO || true); do
    [[ "$variable" != *_@(AZURE_KEY|CIPHER_PASS|S3_KEY|S3_KEY_SECRET|S3_SSE_CUSTOMER_KEY|S3_TOKEN|SFTP_PRIVATE_KEY_PASSPHRASE)_FILE ]] ||
      file_env "${variable%_FILE}"
  done
  given_variables PGBACKREST_
  backups_are_configured=''
  ((${#REPLY_VARIABLES[@]} == 0)) || backups_are_configured=yes
}

# usage: forget_backup_secrets
# pgBackRest reads them from a file, and a superuser can read the server's environment with SQL.
forget_backup_secrets() {
  local variable
  for variable in $(compgen -e PGBACKREST_REPO || true); do
    [[ "$variable" != *_@(AZURE_KEY|CIPHER_PASS|S3_KEY|S3_KEY_SECRET|S3_SSE_CUSTOMER_KEY|S3_TOKEN|SFTP_PRIVATE_KEY_PASSPHRASE) ]] || unset "$variable"
  done
}

# Which variables the user has given. Kubernetes gives each container more, for every service of its namespace, as Docker's links did: the
# service `citus-coordinator` makes CITUS_COORDINATOR_PORT=tcp://10.0.0.1:5432 (Kubernetes' manual, "Service", "Environment variables").

# usage: is_service_link VARIABLE
is_service_link() {
  [[ "${!1}" == @(tcp|udp|sctp)://* || "$1" == *_SERVICE_@(HOST|PORT|PORT_*) || "$1" == *_PORT_+([0-9])_@(TCP|UDP|SCTP)?(_*) ]]
}

# usage: forget_service_links PREFIX...
# Unsets those among the variables that begin so.
forget_service_links() {
  local prefix variable
  for prefix; do
    for variable in $(compgen -e "$prefix" || true); do
      ! is_service_link "$variable" || unset "$variable"
    done
  done
}

# usage: given_variables PREFIX
# Sets REPLY_VARIABLES to the variables that begin with PREFIX and have a value.
given_variables() {
  local variable
  REPLY_VARIABLES=()
  for variable in $(compgen -e "$1" || true); do
    [[ -z "${!variable}" ]] || REPLY_VARIABLES+=("$variable")
  done
}

# Splitting and joining text safely. Knows quoting rules and nothing of what the text means.

# usage: split_words ARRAY TEXT
# Splits TEXT as a shell would, honouring quotes and backslashes but expanding nothing; fails when a quote is left open. xargs does
# it, so that no text from the environment is ever evaluated.
split_words() {
  local -n into="$1"
  into=()
  [[ -n "$2" ]] || return 0
  xargs --no-run-if-empty true <<<"$2" 2>/dev/null || return 1
  # shellcheck disable=SC2034  # a reference to the caller's array
  mapfile -d '' -t into < <(xargs --no-run-if-empty printf '%s\0' <<<"$2")
}

# usage: trim VARIABLE
# Takes blanks and line feeds from both ends of its value, which the file that it goes to does not see either.
trim() {
  local value="${!1}"
  value="${value#"${value%%[![:space:]]*}"}"
  printf -v "$1" '%s' "${value%"${value##*[![:space:]]}"}"
}

# usage: quote_setting TEXT
# Prints TEXT as a quoted value of postgresql.conf.
quote_setting() {
  local text="${1//\\/\\\\}"
  printf "'%s'" "${text//\'/\'\'}"
}

# usage: quote_yaml TEXT
# Prints TEXT as a single-quoted YAML scalar.
quote_yaml() { printf "'%s'" "${1//\'/\'\'}"; }

# usage: quote_pgpass TEXT
# Prints TEXT as a field of libpq's password file.
quote_pgpass() {
  local text="${1//\\/\\\\}"
  printf '%s' "${text//:/\\:}"
}

# usage: conninfo_of_database NAME
# Prints the value of `--dbname` that means the database NAME and nothing else. libpq takes a bare name with an equals sign, or one that begins
# with postgresql://, for a whole connection string (the manual, "Connection Strings"); text in quotes in such a string is not
# parsed again.
conninfo_of_database() {
  local name="${1//\\/\\\\}"
  printf "dbname='%s'" "${name//\'/\\\'}"
}

# shellcheck shell=bash
# Reads the environment: VAR or VAR_FILE, and defaults. Reports mistakes through `problem`, so that all of them appear at once.

# The files that were empty, by variable: an empty value is right for some variables and not for others.
declare -A empty_files=()

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
}

# usage: value_from_file VARIABLE FILE
# Sets REPLY to what is in the file, without line feeds at its end.
value_from_file() {
  REPLY=''
  if [[ -d "$2" ]]; then
    problem "$1_FILE is '$2', which is a directory; an engine makes one where the file to mount does not exist"
  elif [[ ! -r "$2" ]]; then
    problem "$1_FILE is '$2', which does not exist or cannot be read by uid $(id -u)"
  # Ends at a zero byte or, failing, at the end of the file.
  elif IFS= read -r -d '' REPLY <"$2"; then
    problem "$1_FILE is '$2', which contains a zero byte; a variable cannot, and it is mostly a file in UTF-16"
  fi
  while [[ "$REPLY" == *$'\n' ]]; do REPLY="${REPLY%$'\n'}"; done
  [[ -f "$2" && -r "$2" ]] || return 0
  # shellcheck disable=SC2034  # for whoever finds the value missing
  [[ -n "$REPLY" ]] || empty_files["$1"]="$2"
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
# Reports a value that is no whole number of seconds; none is right too. To bash anything else would be an error of arithmetic, after which it goes
# on at the top level.
seconds() {
  [[ -z "${!1:-}" || "${!1}" =~ ^[1-9][0-9]{0,6}$ ]] || problem "$1 is '${!1}', but must be a whole number of seconds, without a unit: $1=60"
}

# usage: read_environment
# The variables that both kinds of start understand.
read_environment() {
  forget_service_links PATRONI_ CITUS_
  file_env POSTGRES_PASSWORD
  file_env POSTGRES_USER postgres
  file_env POSTGRES_DB "${PATRONI_CITUS_DATABASE:-$POSTGRES_USER}"
  file_env POSTGRES_INITDB_ARGS
  export POSTGRES_HOST_AUTH_METHOD="${POSTGRES_HOST_AUTH_METHOD:-}" POSTGRES_INITDB_WALDIR="${POSTGRES_INITDB_WALDIR:-}"
  trim POSTGRES_HOST_AUTH_METHOD
  one_of POSTGRES_ON_FAILED_INIT refuse refuse start-over
  one_of POSTGRES_AUTO_MEMORY on on off
  one_of POSTGRES_LOG stderr stderr file
  seconds PGCTLTIMEOUT
  one_of CITUS_ROLE '' '' coordinator worker
  settle_data_directory
}

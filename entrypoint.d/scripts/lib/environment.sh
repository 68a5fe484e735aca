# shellcheck shell=bash
# Reads the environment: VAR or VAR_FILE, and defaults. Reports mistakes through `problem`, so that all of them appear at once.

# usage: file_env VARIABLE [DEFAULT]
# Exports VARIABLE from itself, from the file named by VARIABLE_FILE, or from DEFAULT, and unsets VARIABLE_FILE.
file_env() {
  local variable="$1" value="${2:-}" file_variable="$1_FILE"
  local file="${!file_variable:-}"
  if [[ -n "${!variable:-}" && -n "$file" ]]; then
    problem "both $variable and $file_variable are set (but are exclusive)"
  elif [[ -n "${!variable:-}" ]]; then
    value="${!variable}"
  elif [[ -n "$file" && ! -r "$file" ]]; then
    problem "$file_variable is '$file', which does not exist or cannot be read by uid $(id -u)"
  elif [[ -n "$file" ]]; then
    value="$(<"$file")"
  fi
  export "$variable=$value"
  unset "$file_variable"
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

# usage: read_environment
# The variables that both kinds of start understand.
read_environment() {
  file_env POSTGRES_PASSWORD
  file_env POSTGRES_USER postgres
  file_env POSTGRES_DB "$POSTGRES_USER"
  file_env POSTGRES_INITDB_ARGS
  export POSTGRES_HOST_AUTH_METHOD="${POSTGRES_HOST_AUTH_METHOD:-}" POSTGRES_INITDB_WALDIR="${POSTGRES_INITDB_WALDIR:-}"
  one_of POSTGRES_ON_FAILED_INIT refuse refuse start-over
  one_of POSTGRES_AUTO_MEMORY on on off
  one_of POSTGRES_LOG stderr stderr file
  one_of CITUS_ROLE '' '' coordinator worker
}

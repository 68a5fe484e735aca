# shellcheck shell=bash
# Which variables somebody has given. Kubernetes gives each container more, for every service of its namespace, as Docker's links did: the
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

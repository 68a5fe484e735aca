# shellcheck shell=bash
# What is Patroni's at a start without Patroni. Whoever gives it means a member of a cluster, and a server alone would pass for one.

# usage: check_without_patroni
check_without_patroni() {
  given_variables PATRONI_
  patroni_user_file postgres
  [[ "$REPLY" != /* ]] || REPLY_VARIABLES+=("$REPLY")
  ((${#REPLY_VARIABLES[@]})) || return 0
  problem "this start is a server without Patroni, on which these have no effect: ${REPLY_VARIABLES[*]}.
Set PATRONI_SCOPE, which is the cluster's name, or give the command patroni; or remove them."
}

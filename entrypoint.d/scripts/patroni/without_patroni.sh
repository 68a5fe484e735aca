# shellcheck shell=bash
# What is Patroni's at a start without Patroni. Whoever gives it means a member of a cluster, and a server alone would pass for one.

# usage: check_without_patroni
# Only what makes a member: others, such as PATRONI_LOG_LEVEL for all containers of a host, are said to have no effect.
check_without_patroni() {
  local variable
  local -a members=() others=()
  given_variables PATRONI_
  for variable in "${REPLY_VARIABLES[@]}"; do
    if makes_a_member "$variable"; then members+=("$variable"); else others+=("$variable"); fi
  done
  patroni_user_file postgres
  [[ "$REPLY" != /* ]] || members+=("$REPLY")
  ((${#others[@]} == 0 || ${#members[@]})) ||
    warn "this start is a server without Patroni, on which these have no effect: ${others[*]}"
  ((${#members[@]})) || return 0
  problem "this start is a server without Patroni, on which these have no effect: ${members[*]}.
Set PATRONI_SCOPE, which is the cluster's name, or give the command patroni; or remove them."
}

# usage: makes_a_member VARIABLE
makes_a_member() {
  [[ "$1" == PATRONI_@(SCOPE|NAME|CONFIGURATION|*_PASSWORD|*_PASSWORD_FILE|CITUS_*) ]] ||
    [[ "$1" == PATRONI_@(CONSUL|ETCD|ETCD3|EXHIBITOR|KUBERNETES|RAFT|ZOOKEEPER)_* && "$1" != PATRONI_KUBERNETES_POD_IP ]]
}

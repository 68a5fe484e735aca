# shellcheck shell=bash
# The stores that a Patroni cluster can agree in, as far as variables name them.

# usage: patroni_stores
# Sets REPLY_STORES to the stores that the environment names. PATRONI_KUBERNETES_POD_IP alone names none: with any store it tells a pod's address.
patroni_stores() {
  local store
  REPLY_STORES=()
  for store in ETCD ETCD3 CONSUL KUBERNETES ZOOKEEPER EXHIBITOR RAFT; do
    given_variables "PATRONI_${store}_"
    [[ "${REPLY_VARIABLES[*]}" == @(|PATRONI_KUBERNETES_POD_IP) ]] || REPLY_STORES+=("PATRONI_${store}_*")
  done
}

# usage: check_patroni_stores
# Patroni takes the first one by name and says nothing of another.
check_patroni_stores() {
  local stores
  patroni_stores
  case "${#REPLY_STORES[@]}" in
    0) problem "Patroni has no store to agree in: set PATRONI_ETCD3_HOSTS, PATRONI_KUBERNETES_*, PATRONI_CONSUL_HOST or PATRONI_ZOOKEEPER_HOSTS" ;;
    1) ;;
    *)
      printf -v stores '%s, ' "${REPLY_STORES[@]}"
      problem "${stores%, } name ${#REPLY_STORES[@]} stores, but a cluster agrees in one: keep the variables of that one"
      ;;
  esac
}

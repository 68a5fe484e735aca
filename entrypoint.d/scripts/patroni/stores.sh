# shellcheck shell=bash
# The stores that a Patroni cluster can agree in, as far as variables name them.

# usage: patroni_stores
# Sets REPLY_STORES to the stores that the environment names, in the order in which Patroni would take them: by name (patroni/dcs, get_dcs).
# PATRONI_KUBERNETES_NAMESPACE, _LABELS and _POD_IP also tell of a pod, and name no store beside one that comes before. To Patroni they do
# beside one that comes after, and it would take Kubernetes. PATRONI_KUBERNETES_POD_IP alone is not enough to use Kubernetes.
patroni_stores() {
  local store
  REPLY_STORES=()
  for store in CONSUL ETCD ETCD3 EXHIBITOR KUBERNETES RAFT ZOOKEEPER; do
    given_variables "PATRONI_${store}_"
    ((${#REPLY_VARIABLES[@]})) || continue
    [[ "$store" != KUBERNETES ]] || kubernetes_is_meant || continue
    REPLY_STORES+=("PATRONI_${store}_*")
  done
}

# usage: kubernetes_is_meant
# Of the variables in REPLY_VARIABLES, with the stores before it in REPLY_STORES.
kubernetes_is_meant() {
  local variable
  for variable in "${REPLY_VARIABLES[@]}"; do
    [[ "$variable" == PATRONI_KUBERNETES_@(NAMESPACE|LABELS|POD_IP) ]] || return 0
  done
  ((${#REPLY_STORES[@]} == 0)) || return 1
  [[ "${REPLY_VARIABLES[*]}" != PATRONI_KUBERNETES_POD_IP ]] || compgen -e PATRONI_RAFT_ >/dev/null || compgen -e PATRONI_ZOOKEEPER_ >/dev/null
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

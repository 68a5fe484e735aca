# shellcheck shell=bash
# The environment of a start under Patroni. Patroni reads PATRONI_* itself, and lets them override any file; so a default may be exported
# only where there is no file of the user's that it would override.

# usage: read_patroni_environment patroni|postgres [ARG...]
read_patroni_environment() {
  local variable
  for variable in SUPERUSER REPLICATION REWIND RESTAPI; do
    file_env "PATRONI_${variable}_PASSWORD"
    file_env "PATRONI_${variable}_USERNAME"
  done
  one_of PATRONI_SYNCHRONOUS_MODE '' '' off on quorum
  one_of PATRONI_SYNCHRONOUS_MODE_STRICT off off on
  one_of PATRONI_FAILSAFE_MODE off off on
  # Patroni's own defaults and rules (patroni/config.py): it would lower what does not fit, and say so only in its log.
  export PATRONI_TTL="${PATRONI_TTL:-30}" PATRONI_LOOP_WAIT="${PATRONI_LOOP_WAIT:-10}" PATRONI_RETRY_TIMEOUT="${PATRONI_RETRY_TIMEOUT:-10}"
  patroni_user_file "$@"
  [[ -n "$REPLY" ]] || default_patroni_users
  # For the initialisation scripts, which know the superuser by this name.
  export POSTGRES_USER="${PATRONI_SUPERUSER_USERNAME:-$POSTGRES_USER}"
}

# usage: default_patroni_users
# Rewinding takes a user of its own only if that has a password; else Patroni uses the superuser.
default_patroni_users() {
  export PATRONI_SUPERUSER_USERNAME="${PATRONI_SUPERUSER_USERNAME:-$POSTGRES_USER}"
  export PATRONI_SUPERUSER_PASSWORD="${PATRONI_SUPERUSER_PASSWORD:-$POSTGRES_PASSWORD}"
  export PATRONI_REPLICATION_USERNAME="${PATRONI_REPLICATION_USERNAME:-replicator}"
  [[ -z "$PATRONI_REWIND_PASSWORD" ]] || export PATRONI_REWIND_USERNAME="${PATRONI_REWIND_USERNAME:-rewinder}"
}

# usage: patroni_user_file COMMAND [ARG...]
# Sets REPLY to the user's file, the first of: the command line's, PATRONI_CONFIGURATION (Patroni reads it by itself; REPLY is then
# "environment"), /etc/patroni/patroni.yml, and /etc/postgresql/patroni.yml unless the entrypoint wrote that. Else to nothing. One that
# cannot be read is the user's as well: to pass over it would be to start with another configuration than was given.
patroni_user_file() {
  local file arg
  REPLY=''
  if [[ "$1" == patroni ]]; then
    for arg in "${@:2}"; do
      [[ "$arg" == -* ]] || REPLY="$arg"
    done
  fi
  [[ -z "$REPLY" ]] || return 0
  if [[ -n "${PATRONI_CONFIGURATION:-}" ]]; then
    REPLY=environment
    return 0
  fi
  for file in /etc/patroni/patroni.yml /etc/postgresql/patroni.yml; do
    if [[ -e "$file" || -L "$file" ]] && ! was_generated "$file"; then
      REPLY="$file"
      return 0
    fi
  done
}

# usage: generated_mark
generated_mark() { printf '# Written by the entrypoint at each start, and overwritten at the next.'; }

# usage: was_generated FILE
was_generated() {
  local line=''
  [[ -f "$1" && -r "$1" ]] || return 1
  read -r line <"$1" || true
  [[ "$line" == "$(generated_mark)"* ]]
}

# usage: write_patroni_file
# Writes the generated file and sets REPLY to its name. It holds no passwords: those stay in the environment.
write_patroni_file() {
  local file
  generated_directory || die "no directory for generated configuration: make /etc/postgresql, /var/run/postgresql or /tmp writable"
  file="$REPLY/patroni.yml"
  mkdir --parents "$REPLY"
  install_tls "$REPLY"
  patroni_text >"$file.new"
  mv "$file.new" "$file"
  REPLY="$file"
}

# usage: link_patronictl FILE
# So that `docker exec NAME patronictl list` needs no option. A home that cannot be written to does not stop the start.
link_patronictl() {
  mkdir --parents "$HOME/.config/patroni" 2>/dev/null || return 0
  ln --symbolic --force --no-dereference "$1" "$HOME/.config/patroni/patronictl.yaml" 2>/dev/null || true
}

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

# usage: check_without_patroni
# What is Patroni's at a start without Patroni: it is given for a member of a cluster, and a server alone would pass for one. Only what makes a member: others, such as PATRONI_LOG_LEVEL for all containers of a host, are said to have no effect.
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

# usage: keep_byte_code
# Patroni starts another Python, with all of itself, for each start of PostgreSQL, and the image has no byte code: reading it again costs a
# second of processor time when a failover can least spare it. It goes where the generated configuration is, which belongs to this container alone.
keep_byte_code() {
  generated_directory || return 0
  export PYTHONPYCACHEPREFIX="${PYTHONPYCACHEPREFIX:-$REPLY/.python}"
}

# usage: patroni_python COMMAND FILE [ARG...]
# Asks Patroni's own Python, which reads YAML and talks to every store. FILE is as patroni_user_file sets it.
# shellcheck disable=SC2154  # set by load_functions
patroni_python() { /opt/patroni/bin/python3 -I "$container_scripts/patroni.py" "$@"; }

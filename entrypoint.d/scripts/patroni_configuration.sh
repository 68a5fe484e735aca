# shellcheck shell=bash
# The environment of a start under Patroni, and the generated configuration.
#
# Patroni reads PATRONI_* itself, and lets them override any file. So a default may be exported only where there is no file of the user's that it would
# override, and the generated file holds only defaults and what the image knows.

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

# The directory of files that this start's Patroni reads, in the order of their names: the generated one, the passwords of its roles, and the bridge
# while these are changed (rotate_passwords.sh). Empty if the configuration is the user's.
patroni_directory=''

# usage: generated_patroni_directory
generated_patroni_directory() {
  generated_directory || die "no directory for generated configuration: make /etc/postgresql, /var/run/postgresql or /tmp writable"
  REPLY="$REPLY/.patroni"
}

# usage: write_patroni_file
# Writes the generated file, which holds no password and may be read by all, and sets REPLY to its name.
write_patroni_file() {
  local file
  generated_patroni_directory
  patroni_directory="$REPLY"
  file="${patroni_directory%/*}/patroni.yml"
  mkdir --parents "$patroni_directory"
  install_tls "${file%/*}"
  patroni_text >"$file.new"
  mv "$file.new" "$file"
  ln --symbolic --force --no-dereference "$file" "$patroni_directory/1-generated.yml"
  write_patroni_passwords
  remove_bridge
  REPLY="$file"
}

# usage: write_patroni_passwords
# Patroni reads its environment once, and a file at each reload.
write_patroni_passwords() { patroni_python passwords "$patroni_directory/2-passwords.yml"; }

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

# usage: patroni_configuration patroni|postgres [ARG...]
# Sets REPLY to the file Patroni is to read, or to "environment".
patroni_configuration() {
  patroni_user_file "$@"
  if [[ -z "$REPLY" ]]; then
    warn_of_trust
    write_patroni_file
  else
    say "Patroni's configuration is yours (${REPLY/#environment/PATRONI_CONFIGURATION}); the image's settings are not added to it"
  fi
}

# usage: patroni_text
patroni_text() {
  local address
  address="$(own_address)"
  printf '%s PATRONI_* variables override it.\n' "$(generated_mark)"
  printf 'scope: %s\n' "$(quote_yaml "${PATRONI_SCOPE:-}")"
  printf 'name: %s\n' "$(quote_yaml "${PATRONI_NAME:-$HOSTNAME}")"
  printf "restapi:\n  listen: '*:8008'\n  connect_address: %s\n" "$(quote_yaml "$address:8008")"
  printf 'bootstrap:\n'
  patroni_dynamic_text
  patroni_initdb_text
  bootstrap_hook_text
  # shellcheck disable=SC2154  # set by load_functions
  printf '  post_init: %s\n' "$(quote_yaml "$container_scripts/patroni_hooks.sh post_init")"
  printf "postgresql:\n  listen: '*:5432'\n  connect_address: %s\n" "$(quote_yaml "$address:5432")"
  patroni_server_text
  member_hooks_text
}

# usage: own_address
# Prints the address under which the other members reach this one.
own_address() {
  local address="${PATRONI_KUBERNETES_POD_IP:-}"
  [[ -n "$address" ]] || read -r address _ < <(hostname --ip-address 2>/dev/null) || true
  address="${address:-$HOSTNAME}"
  [[ "$address" != *:* ]] || address="[$address]"
  printf '%s\n' "$address"
}

# usage: yaml_settings INDENT FILE
# Prints the settings of a postgresql.conf as YAML lines. Of a setting that is there twice the last one counts, as for PostgreSQL; YAML
# knows no such rule.
yaml_settings() {
  local name value
  while IFS=$'\t' read -r name value _; do
    printf '%s%s: %s\n' "$1" "$name" "$(quote_yaml "$value")"
  done < <(list_settings "$2" | tac | awk -F '\t' '!seen[$1]++' | tac)
}

# usage: patroni_dynamic_text
# The cluster's first dynamic configuration; later it is the store's, and `patronictl edit-config` changes it. The image's settings are
# here, except preload, so that an edit wins over them.
patroni_dynamic_text() {
  printf '  dcs:\n    ttl: %s\n    loop_wait: %s\n    retry_timeout: %s\n' "$PATRONI_TTL" "$PATRONI_LOOP_WAIT" "$PATRONI_RETRY_TIMEOUT"
  printf '    maximum_lag_on_failover: 1048576\n    failsafe_mode: %s\n' "$PATRONI_FAILSAFE_MODE"
  [[ -z "$PATRONI_SYNCHRONOUS_MODE" ]] || printf '    synchronous_mode: %s\n' "$PATRONI_SYNCHRONOUS_MODE"
  printf '    synchronous_mode_strict: %s\n' "$PATRONI_SYNCHRONOUS_MODE_STRICT"
  [[ -z "${PATRONI_SYNCHRONOUS_NODE_COUNT:-}" ]] || printf '    synchronous_node_count: %s\n' "$PATRONI_SYNCHRONOUS_NODE_COUNT"
  printf '    postgresql:\n      use_pg_rewind: true\n      use_slots: true\n      parameters:\n'
  printf '        wal_level: replica\n        hot_standby: true\n'
  image_settings_file
  [[ ! -r "$REPLY" ]] || yaml_settings '        ' "$REPLY" | grep --invert-match '^ *shared_preload_libraries:' || true
}

# usage: patroni_initdb_text
# Options of the first initdb. Checksums are what pg_rewind needs, and what finds a disk that lies. Of an option that is there twice the last one
# counts for initdb, so those of the user come last.
patroni_initdb_text() {
  local name value
  printf '  initdb:\n  - encoding: UTF8\n  - data-checksums\n'
  [[ -z "$POSTGRES_INITDB_WALDIR" ]] || printf '  - waldir: %s\n' "$(quote_yaml "$POSTGRES_INITDB_WALDIR")"
  while IFS=$'\t' read -r name value; do
    # Patroni takes a pair of quotes off, and what a shell would with it, where there is something of a shell's.
    [[ "$value" != *[\'\"\\]* ]] || value="${value@Q}"
    if initdb_option_has_value "$name"; then
      printf '  - %s: %s\n' "$name" "$(quote_yaml "$value")"
    else
      printf '  - %s\n' "$name"
    fi
  done < <(initdb_options)
}

# usage: patroni_server_text
# This node's part. Preload is the image's property: a list from the store could name what an image does not have.
patroni_server_text() {
  socket_directory
  printf '  data_dir: %s\n' "$(quote_yaml "$PGDATA")"
  printf '  bin_dir: %s\n' "$(quote_yaml "$(dirname "$(command -v postgres)")")"
  printf '  bin_name:\n    initdb: %s\n' "$(quote_yaml "$container_scripts/patroni_hooks.sh")"
  # A link to pgstart, which turns into the server.
  printf '    postgres: %s\n' /opt/container/bin/postgres
  printf '  pgpass: %s\n' "$(quote_yaml "$REPLY/.pgpass")"
  printf '  authentication:\n    superuser:\n      username: %s\n' "$(quote_yaml "$PATRONI_SUPERUSER_USERNAME")"
  printf '    replication:\n      username: %s\n' "$(quote_yaml "$PATRONI_REPLICATION_USERNAME")"
  [[ -z "$PATRONI_REWIND_PASSWORD" ]] || printf '    rewind:\n      username: %s\n' "$(quote_yaml "$PATRONI_REWIND_USERNAME")"
  printf '  use_unix_socket: true\n  use_unix_socket_repl: true\n'
  # A spread checkpoint lets a new replica wait for minutes before its first byte (measured: 118 s on an idle leader).
  printf '  basebackup:\n  - checkpoint: fast\n'
  [[ -z "$POSTGRES_INITDB_WALDIR" ]] || printf '  - waldir: %s\n' "$(quote_yaml "$POSTGRES_INITDB_WALDIR")"
  patroni_hba_text
  printf '  parameters:\n'
  yaml_settings '    ' <(member_settings)
}

# usage: patroni_hba_text [LINE...]
# Below `postgresql`: who may log in. The lines that are given come first.
# shellcheck disable=SC2119,SC2120  # they are given by bridge_text
patroni_hba_text() {
  local line method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
  printf '  pg_hba:\n'
  for line in "$@" 'local all all trust' 'local replication all trust' \
    "host replication $(quote_hba "$PATRONI_REPLICATION_USERNAME") all $method" "host all all all $method"; do
    printf '  - %s\n' "$(quote_yaml "$line")"
  done
}

# usage: member_settings
# Prints them as a postgresql.conf, in the order of a standalone start's layers (settings.sh).
member_settings() {
  local file
  printf 'shared_preload_libraries = %s\n' "$(quote_setting "$(preload_libraries)")"
  default_settings | grep --invert-match '^listen_addresses' || true
  memory_settings
  dynamic_memory_settings
  tls_settings
  logging_settings
  for file in /etc/postgresql/conf.d/*.conf; do
    [[ ! -r "$file" ]] || cat "$file" <(printf '\n')
  done
}

# usage: quote_hba NAME
# A name with anything unusual is quoted, as pg_hba.conf asks for.
quote_hba() {
  if [[ "$1" =~ ^[a-z_][a-z0-9_]*$ ]]; then
    printf '%s' "$1"
  else
    printf '"%s"' "${1//\"/\"\"}"
  fi
}

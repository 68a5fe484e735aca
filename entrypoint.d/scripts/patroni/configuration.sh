# shellcheck shell=bash
# The generated patroni.yml: what Patroni's own variables do not say. Patroni lets each PATRONI_* variable override the file, so the
# file holds only defaults and what the image knows.

# usage: patroni_text
patroni_text() {
  local address
  address="$(own_address)"
  printf '%s PATRONI_* variables override it.\n' "$(generated_mark)"
  printf 'scope: %s\n' "$(quote_yaml "${PATRONI_SCOPE:-}")"
  printf 'name: %s\n' "$(quote_yaml "${PATRONI_NAME:-$HOSTNAME}")"
  printf 'restapi:\n  listen: 0.0.0.0:8008\n  connect_address: %s\n' "$(quote_yaml "$address:8008")"
  printf 'bootstrap:\n'
  patroni_dynamic_text
  patroni_initdb_text
  # shellcheck disable=SC2154  # set by lib/all.sh
  printf '  post_init: %s\n' "$(quote_yaml "$container_scripts/patroni/post_init.sh")"
  printf 'postgresql:\n  listen: 0.0.0.0:5432\n  connect_address: %s\n' "$(quote_yaml "$address:5432")"
  patroni_server_text
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

# usage: patroni_dynamic_text
# The cluster's first dynamic configuration; later it is the store's, and `patronictl edit-config` changes it. The image's settings are
# here, except preload, so that an edit wins over them.
patroni_dynamic_text() {
  printf '  dcs:\n    ttl: 30\n    loop_wait: 10\n    retry_timeout: 10\n    maximum_lag_on_failover: 1048576\n'
  [[ -z "$PATRONI_SYNCHRONOUS_MODE" ]] || printf '    synchronous_mode: %s\n' "$PATRONI_SYNCHRONOUS_MODE"
  printf '    synchronous_mode_strict: %s\n' "$PATRONI_SYNCHRONOUS_MODE_STRICT"
  [[ -z "${PATRONI_SYNCHRONOUS_NODE_COUNT:-}" ]] || printf '    synchronous_node_count: %s\n' "$PATRONI_SYNCHRONOUS_NODE_COUNT"
  printf '    postgresql:\n      use_pg_rewind: true\n      use_slots: true\n      parameters:\n'
  printf '        wal_level: replica\n        hot_standby: true\n'
  image_settings_file
  [[ ! -r "$REPLY" ]] || yaml_settings '        ' "$REPLY" | grep --invert-match '^ *shared_preload_libraries:' || true
}

# usage: patroni_initdb_text
# Options of the first initdb. Checksums are what pg_rewind needs, and what finds a disk that lies.
patroni_initdb_text() {
  local argument
  local -a arguments
  printf '  initdb:\n  - encoding: UTF8\n  - data-checksums\n'
  [[ -z "$POSTGRES_INITDB_WALDIR" ]] || printf '  - waldir: %s\n' "$(quote_yaml "$POSTGRES_INITDB_WALDIR")"
  split_words arguments "$POSTGRES_INITDB_ARGS"
  for argument in "${arguments[@]}"; do
    argument="${argument#--}"
    case "$argument" in
      data-checksums | encoding=*) ;;
      *=*) printf '  - %s: %s\n' "${argument%%=*}" "$(quote_yaml "${argument#*=}")" ;;
      *) printf '  - %s\n' "$argument" ;;
    esac
  done
}

# usage: patroni_server_text
# This node's part. Preload is the image's property: a list from the store could name what an image does not have.
patroni_server_text() {
  local method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
  socket_directory
  printf '  data_dir: %s\n' "$(quote_yaml "$PGDATA")"
  printf '  bin_dir: %s\n' "$(quote_yaml "$(dirname "$(command -v postgres)")")"
  printf '  pgpass: %s\n' "$(quote_yaml "$REPLY/.pgpass")"
  printf '  authentication:\n    superuser:\n      username: %s\n' "$(quote_yaml "$PATRONI_SUPERUSER_USERNAME")"
  printf '    replication:\n      username: %s\n' "$(quote_yaml "$PATRONI_REPLICATION_USERNAME")"
  [[ -z "$PATRONI_REWIND_PASSWORD" ]] || printf '    rewind:\n      username: %s\n' "$(quote_yaml "$PATRONI_REWIND_USERNAME")"
  printf '  use_unix_socket: true\n  use_unix_socket_repl: true\n'
  # A spread checkpoint lets a new replica wait for minutes before its first byte (measured: 118 s on an idle leader).
  printf '  basebackup:\n  - checkpoint: fast\n'
  [[ -z "$POSTGRES_INITDB_WALDIR" ]] || printf '  - waldir: %s\n' "$(quote_yaml "$POSTGRES_INITDB_WALDIR")"
  printf '  pg_hba:\n'
  printf '  - %s\n' 'local all all trust' 'local replication all trust' \
    "host replication $(quote_hba "$PATRONI_REPLICATION_USERNAME") all $method" "host all all all $method"
  printf '  parameters:\n'
  printf '    shared_preload_libraries: %s\n' "$(quote_yaml "$(preload_libraries)")"
  yaml_settings '    ' <(default_settings | grep --invert-match '^listen_addresses' || true)
  yaml_settings '    ' <(memory_settings && tls_settings && logging_settings)
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

# usage: yaml_settings INDENT FILE
# Prints the settings of a postgresql.conf as YAML lines.
yaml_settings() {
  local name value
  while IFS=$'\t' read -r name value _; do
    printf '%s%s: %s\n' "$1" "$name" "$(quote_yaml "$value")"
  done < <(list_settings "$2")
}

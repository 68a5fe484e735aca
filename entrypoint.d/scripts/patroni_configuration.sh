# shellcheck shell=bash
# The generated patroni.yml: what Patroni's own variables do not say. Patroni lets each PATRONI_* variable override the file, so the
# file holds only defaults and what the image knows.

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
  local method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
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
  printf '  pg_hba:\n'
  printf '  - %s\n' 'local all all trust' 'local replication all trust' \
    "host replication $(quote_hba "$PATRONI_REPLICATION_USERNAME") all $method" "host all all all $method"
  printf '  parameters:\n'
  yaml_settings '    ' <(member_settings)
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

# shellcheck shell=bash
# The part of the generated patroni.yml that is about this member's PostgreSQL.

# usage: patroni_server_text
# This node's part. Preload is the image's property: a list from the store could name what an image does not have.
patroni_server_text() {
  local method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
  socket_directory
  printf '  data_dir: %s\n' "$(quote_yaml "$PGDATA")"
  printf '  bin_dir: %s\n' "$(quote_yaml "$(dirname "$(command -v postgres)")")"
  # shellcheck disable=SC2154  # set by lib/all.sh
  printf '  bin_name:\n    initdb: %s\n' "$(quote_yaml "$container_scripts/patroni/initdb.sh")"
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
# Prints them as a postgresql.conf, in the order of a standalone start's layers (config/layers.sh).
member_settings() {
  local file
  printf 'shared_preload_libraries = %s\n' "$(quote_setting "$(preload_libraries)")"
  default_settings | grep --invert-match '^listen_addresses' || true
  memory_settings
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

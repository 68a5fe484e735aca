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
  bootstrap_hook_text
  # shellcheck disable=SC2154  # set by lib/all.sh
  printf '  post_init: %s\n' "$(quote_yaml "$container_scripts/patroni/post_init.sh")"
  printf 'postgresql:\n  listen: 0.0.0.0:5432\n  connect_address: %s\n' "$(quote_yaml "$address:5432")"
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

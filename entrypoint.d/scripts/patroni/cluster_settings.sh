# shellcheck shell=bash
# The part of the generated patroni.yml that counts once, when a cluster is new: its dynamic configuration and its initdb.

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

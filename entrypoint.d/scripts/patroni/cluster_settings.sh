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

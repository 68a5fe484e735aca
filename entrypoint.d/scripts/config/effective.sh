# shellcheck shell=bash
# Follows the layers as PostgreSQL will, and tells for each setting which one wins. Only reads; knows no setting's meaning or default.

# usage: effective_setting NAME SETTINGS
# Prints "value<TAB>origin" of the setting as the last layer gives it, of what given_settings has printed; nothing if none does.
effective_setting() {
  awk -F '\t' -v name="$1" '$1 == name { last = $2 FS $3 } END { if (last != "") print last }' <<<"$2"
}

# usage: given_settings [POSTGRES_ARG...]
# Prints "name<TAB>value<TAB>origin" for each setting in each layer, later ones after those that they override.
given_settings() {
  layer_settings "$@"
  file_settings "$PGDATA/postgresql.auto.conf"
  take_config_file "$@"
  argument_settings "${REPLY_ARGUMENTS[@]}"
}

# usage: effective_settings [POSTGRES_ARG...]
# Prints "name = value  origin" for each setting that any layer gives, by name, without secrets.
# shellcheck disable=SC2154  # of config/mask.sh
effective_settings() {
  given_settings "$@" | mask_secrets | awk -F '\t' -v secret="$secret_setting" '
    { shown[$1] = sprintf("  %-34s %-30s %s", $1, "= " ($1 ~ secret ? "***" : $2), $3) }
    END { for (name in shown) print shown[name] }' | sort
}

# usage: layer_settings [POSTGRES_ARG...]
# Prints "name<TAB>value<TAB>origin" of the generated file, without writing it. Its comments are the origins.
layer_settings() {
  local line origin='' name value
  while IFS= read -r line; do
    if [[ "$line" == '# '* ]]; then
      origin="${line#\# }"
    else
      while IFS=$'\t' read -r name value _; do
        one_setting "$name" "$value" "$origin" /
      done < <(list_settings <(printf '%s\n' "$line"))
    fi
  done < <(layers_text "$@")
}

# usage: file_settings FILE
file_settings() {
  local name value line
  [[ -r "$1" ]] || return 0
  while IFS=$'\t' read -r name value line; do
    one_setting "$name" "$value" "$1:$line" "$(dirname "$1")"
  done < <(list_settings "$1")
}

# usage: one_setting NAME VALUE ORIGIN DIRECTORY
# Prints a setting, or what it includes; a relative name is relative to the including file's DIRECTORY.
one_setting() {
  local file path="$2"
  [[ "$path" == /* ]] || path="$4/$path"
  case "$1" in
    include | include_if_exists) file_settings "$path" ;;
    include_dir)
      for file in "$path"/*.conf; do
        file_settings "$file"
      done
      ;;
    *) printf '%s\t%s\t%s\n' "$1" "$2" "$3" ;;
  esac
}

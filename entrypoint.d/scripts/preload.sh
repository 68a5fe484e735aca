# shellcheck shell=bash
# One list of libraries to preload: the image's, then what the environment adds, without doubles, Citus first because it insists.

# usage: preload_libraries
# Prints the merged list, comma-separated.
preload_libraries() {
  image_settings_file
  printf '%s,%s,%s\n' "${CITUS_ROLE:+citus}" "$(setting_in "$REPLY" shared_preload_libraries)" "${POSTGRES_PRELOAD_LIBRARIES:-}" | awk -v RS='[,\n]' '
    { gsub(/^[ \t"]+|[ \t"]+$/, "") }
    { name = $0; sub(/^[$]libdir\//, "", name) }
    name == "" || seen[name]++ { next }
    name == "citus" { first = $0; next }
    { list = list "," $0 }
    END { list = first list; sub(/^,/, "", list); print list }'
}

# usage: preload_settings
# The layer of the environment: nothing unless it adds something, so that the data directory's own setting counts.
preload_settings() {
  [[ -n "${POSTGRES_PRELOAD_LIBRARIES:-}${CITUS_ROLE:-}" ]] || return 0
  printf 'shared_preload_libraries = %s\n' "$(quote_setting "$(preload_libraries)")"
}

# usage: check_preload
# A library that is not there would stop the server with a message that names neither the variable nor the file it stands in.
check_preload() {
  local library
  local -a libraries
  IFS=, read -r -a libraries < <(preload_libraries)
  for library in "${libraries[@]}"; do
    preload_library_exists "$library" || problem "preload library '$library' is not in this image$(preload_origin "$library")"
  done
}

# usage: preload_library_exists LIBRARY
# A name with a slash is a path, $libdir at its beginning is the directory of libraries, and a file's name may already have its ending.
preload_library_exists() {
  local file="${1#"\$libdir/"}" program
  if [[ "$file" != */* ]]; then
    program="$(type -P postgres)"
    file="${program%/bin/postgres}/lib/$file"
  fi
  [[ -e "$file" || -e "$file.so" ]]
}

# usage: preload_origin LIBRARY
preload_origin() {
  image_settings_file
  if [[ ",$(setting_in "$REPLY" shared_preload_libraries | tr --delete ' ')," == *",$1,"* ]]; then
    printf ': it is named in %s' "$REPLY"
  else
    printf ': it is named in POSTGRES_PRELOAD_LIBRARIES'
  fi
}

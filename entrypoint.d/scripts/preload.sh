# shellcheck shell=bash
# One list of libraries to preload: the image's, then what the environment adds, without doubles, Citus first because it insists.

# usage: preload_libraries
# Prints the merged list, comma-separated.
preload_libraries() {
  image_settings_file
  merge_libraries "${CITUS_ROLE:+citus}" "$(setting_in "$REPLY" shared_preload_libraries)" "${POSTGRES_PRELOAD_LIBRARIES:-}"
}

# usage: merge_libraries LIST...
# Prints one list, comma-separated: without doubles, citus first.
merge_libraries() {
  printf '%s\n' "$@" | awk -v RS='[,\n]' '
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
# A library that is not there would stop the server with a message that names neither the variable nor the file that it comes from.
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

# The list that the server is started with if the one of all layers leaves out what the data need, else empty.
preload_with_data=''

# usage: add_preload_of_data SETTINGS
# A list on the command line, in a file or by ALTER SYSTEM replaces the image's. If that leaves out a library that the data need, it is added:
# without Citus, for one, a distributed table is empty and takes rows that are never seen again. SETTINGS are those of given_settings.
add_preload_of_data() {
  local line list origin
  preload_with_data=''
  # An empty list is one too: `read` would skip the tab behind it.
  line="$(effective_setting shared_preload_libraries "$1")"
  list="${line%%$'\t'*}" origin="${line#*$'\t'}"
  libraries_of_data "$list" || return 0
  check_libraries_of_data "$REPLY"
  preload_with_data="$(merge_libraries "$list" "$REPLY")"
  # root checks what postgres checks again.
  ((EUID == 0)) || warn "shared_preload_libraries is '$list' (${origin:-no setting}), which leaves out ${REPLY//,/, }: the data need it. The server starts with '$preload_with_data'."
}

# usage: libraries_of_data LIST
# Sets REPLY to the libraries, comma-separated, that functions in the data directory are in, that must be preloaded, and that LIST leaves
# out; fails if there are none. The image's build wrote down which libraries these can be.
libraries_of_data() {
  local library known list
  local -a missing=()
  [[ -d "$PGDATA/base" ]] || return 1
  image_settings_file
  [[ -r "$REPLY" ]] || return 1
  known="$(<"$REPLY")"
  [[ "$known" == *'# preload.required: '* ]] || return 1
  known="${known#*\# preload.required: }"
  list=",${1//[\" ]/},"
  for library in ${known%%$'\n'*}; do
    [[ "${list//\$libdir\//}" == *",$library,"* ]] || missing+=("$library")
  done
  ((${#missing[@]})) || return 1
  if ! REPLY="$(pgstart preload "${missing[@]}")"; then
    problem "cannot tell which libraries the data in $PGDATA need preloaded; the message above says why"
    return 1
  fi
  REPLY="${REPLY//$'\n'/,}"
  [[ -n "$REPLY" ]]
}

# usage: check_libraries_of_data LIST
check_libraries_of_data() {
  local library
  for library in ${1//,/ }; do
    preload_library_exists "$library" || problem "the data in $PGDATA need the library '$library' preloaded, and this image does not have it.
Start an image that has it: \`make image EXTENSIONS=…\`, or \`pgsetup install --with …\`."
  done
}

# usage: check_preload_of_member
# Under Patroni, whose server reads its settings from files alone. Patroni adds citus itself, but ALTER SYSTEM wins over Patroni.
check_preload_of_member() {
  local list origin=/etc/postgresql/conf.d
  list="$(setting_in "$PGDATA/postgresql.auto.conf" shared_preload_libraries)"
  if [[ -n "$list" ]]; then
    origin="$PGDATA/postgresql.auto.conf, written by ALTER SYSTEM"
  else
    list="$(setting_in <(member_settings) shared_preload_libraries)${PATRONI_CITUS_GROUP:+,citus}"
  fi
  libraries_of_data "$list" || return 0
  check_libraries_of_data "$REPLY"
  problem "shared_preload_libraries is '$list' ($origin), which leaves out ${REPLY//,/, }: the data need it. Add it there, or remove the setting."
}

# shellcheck shell=bash
# An entry in the user database for a uid that has none. initdb insists on one; `docker run --user 12345` and OpenShift give none.

# usage: ensure_passwd_entry
# Returns with the own uid having a name: it has one, or libnss_wrapper is in the environment from now on.
ensure_passwd_entry() {
  local uid gid wrapper directory
  uid="$(id -u)"
  gid="$(id -g)"
  ! getent passwd "$uid" >/dev/null || return 0
  wrapper="$(nss_wrapper_library)" || die "uid $uid has no entry in /etc/passwd and the image has no libnss_wrapper.so to give it one"
  socket_directory || die "neither /var/run/postgresql nor /tmp can be written to"
  directory="$REPLY"
  export NSS_WRAPPER_PASSWD="$directory/.passwd" NSS_WRAPPER_GROUP="$directory/.group"
  printf 'postgres:x:%s:%s:PostgreSQL:%s:/bin/false\n' "$uid" "$gid" "$PGDATA" >"$NSS_WRAPPER_PASSWD"
  printf 'postgres:x:%s:\n' "$gid" >"$NSS_WRAPPER_GROUP"
  export LD_PRELOAD="$wrapper"
}

# usage: nss_wrapper_library
nss_wrapper_library() {
  local file
  for file in /usr/lib/*/libnss_wrapper.so /usr/lib/libnss_wrapper.so; do
    if [[ -s "$file" ]]; then
      printf '%s\n' "$file"
      return 0
    fi
  done
  return 1
}

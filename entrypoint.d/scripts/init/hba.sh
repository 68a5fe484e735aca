# shellcheck shell=bash
# Who may connect over the network to a cluster that was just made.

# usage: write_hba [POSTGRES_ARG...]
# Adds the line for all hosts. Without a method it is the one the server encrypts passwords with, as the arguments have it.
write_hba() {
  local method="$POSTGRES_HOST_AUTH_METHOD"
  if [[ -z "$method" ]]; then
    method="$(server_setting password_encryption "$@")"
  fi
  {
    printf '\n'
    if [[ "$method" == trust ]]; then
      printf '# warning trust is enabled for all connections\n'
      printf '# see https://www.postgresql.org/docs/%s/auth-trust.html\n' "$PG_MAJOR"
    fi
    printf 'host all all all %s\n' "$method"
  } >>"$PGDATA/pg_hba.conf"
}

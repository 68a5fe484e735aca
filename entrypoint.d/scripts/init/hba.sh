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

# usage: warn_of_trust
warn_of_trust() {
  method_is_trust || return 0
  cat >&2 <<'EOF'
********************************************************************************
WARNING: POSTGRES_HOST_AUTH_METHOD has been set to "trust". This will allow
         anyone with access to the Postgres port to access your database without
         a password, even if POSTGRES_PASSWORD is set. See PostgreSQL
         documentation about "trust":
         https://www.postgresql.org/docs/current/auth-trust.html

         It is not recommended to use POSTGRES_HOST_AUTH_METHOD=trust. Replace
         it with "-e POSTGRES_PASSWORD=password" instead to set a password in
         "docker run".
********************************************************************************
EOF
}

# shellcheck shell=bash
# The environment of a Citus node that stands alone, without Patroni: what CITUS_ROLE and the password are turned into.

# usage: citus_settings
# Moving shards without stopping writes needs logical decoding; Patroni sets the same for Citus.
citus_settings() {
  [[ -n "$CITUS_ROLE" ]] || return 0
  printf 'wal_level = logical\n'
}

# usage: write_citus_password
# Puts the password where libpq looks for it, in the server as well, which logs in to the other nodes; and where no SQL can read it.
write_citus_password() {
  [[ -n "$POSTGRES_PASSWORD" ]] || return 0
  socket_directory
  export PGPASSFILE="$REPLY/.pgpass-citus"
  rm --force "$PGPASSFILE"
  (umask 077 && printf '*:*:*:%s:%s\n' "$(quote_pgpass "$POSTGRES_USER")" "$(quote_pgpass "$POSTGRES_PASSWORD")" >"$PGPASSFILE")
}

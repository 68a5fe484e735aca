# shellcheck shell=bash
# Talks SQL to the temporary server. The two names are the official image's, because sourced initialisation scripts call them.

# usage: docker_process_sql [PSQL_ARG...]
# Runs SQL from stdin or --file as the superuser in POSTGRES_DB, and fails at the first error.
docker_process_sql() {
  local -a database=()
  [[ -z "$POSTGRES_DB" ]] || database=(--dbname "$(conninfo_of_database "$POSTGRES_DB")")
  psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc "${database[@]}" "$@"
}

# usage: name_quoted_user
# Gives the superuser the name that initdb could not. ALTER ROLE refuses to rename the user of its own session, and there is no other;
# 10 is the superuser's fixed oid. A SCRAM secret does not depend on the name.
name_quoted_user() {
  [[ "$(initdb_user)" != "$POSTGRES_USER" ]] || return 0
  psql --set ON_ERROR_STOP=1 --username "$(initdb_user)" --dbname postgres --no-password --no-psqlrc --quiet \
    --set name="$POSTGRES_USER" <<<"UPDATE pg_authid SET rolname = :'name' WHERE oid = 10;"
}

# usage: create_database
# initdb has made some databases already; POSTGRES_DB may be one of them.
create_database() {
  docker_process_sql --dbname postgres --set name="$POSTGRES_DB" --quiet <<'EOF'
SELECT format('CREATE DATABASE %I', :'name')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
EOF
}

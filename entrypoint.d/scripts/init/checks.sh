# shellcheck shell=bash
# Everything that can be wrong with a standalone start. Changes nothing; each function reports through `problem`.

# usage: check_standalone [POSTGRES_ARG...]
check_standalone() {
  check_config_file "$@"
  check_access
  check_major_version
  check_preload
  check_memory
  check_tls
  data_directory_state
  case "$REPLY" in
    absent) check_initialisation ;;
    foreign) problem "$PGDATA is not empty and holds no PostgreSQL cluster (there is no PG_VERSION); it is left as it is" ;;
    incomplete) check_incomplete ;;
  esac
}

# usage: check_config_file [POSTGRES_ARG...]
check_config_file() {
  take_config_file "$@"
  [[ "$REPLY" == "$PGDATA/postgresql.conf" || -r "$REPLY" ]] || problem "config_file '$REPLY' does not exist or cannot be read by uid $(id -u)"
}

# usage: check_initialisation
check_initialisation() {
  check_password
  check_initdb_arguments
  check_user_scripts
}

# usage: check_incomplete
check_incomplete() {
  if [[ "$POSTGRES_ON_FAILED_INIT" == start-over ]]; then
    check_initialisation
    return
  fi
  problem "the initialisation of $PGDATA did not complete: an init script failed, or the container was stopped meanwhile.
A half-made database is not served. Look at the log of that start, then either remove the directory's contents,
or set POSTGRES_ON_FAILED_INIT=start-over to have them removed and the initialisation repeated."
}

# usage: check_password
check_password() {
  local method="${POSTGRES_HOST_AUTH_METHOD%% *}"
  case "$method" in
    '' | trust | reject | scram-sha-256 | md5 | password | gss | sspi | ident | peer | ldap | radius | cert | pam | bsd | oauth) ;;
    *) problem "POSTGRES_HOST_AUTH_METHOD is '$method', which is no authentication method of pg_hba.conf" ;;
  esac
  if [[ -z "$POSTGRES_PASSWORD" && "$method" != trust ]]; then
    problem "Database is uninitialized and superuser password is not specified.
You must specify POSTGRES_PASSWORD to a non-empty value for the superuser,
for example \"-e POSTGRES_PASSWORD=password\" on \"docker run\", or name a file in POSTGRES_PASSWORD_FILE.
POSTGRES_HOST_AUTH_METHOD=trust allows all connections without a password. This is *not* recommended."
  elif [[ "$POSTGRES_PASSWORD" == *$'\n'* ]]; then
    problem "POSTGRES_PASSWORD has more than one line"
  fi
}

# usage: check_initdb_arguments
check_initdb_arguments() {
  # shellcheck disable=SC2034  # only whether it can be split is asked
  local -a arguments
  split_words arguments "$POSTGRES_INITDB_ARGS" || problem "POSTGRES_INITDB_ARGS has an unmatched quote: $POSTGRES_INITDB_ARGS"
}

# usage: warn_of_trust
warn_of_trust() {
  [[ "$POSTGRES_HOST_AUTH_METHOD" == trust ]] || return 0
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

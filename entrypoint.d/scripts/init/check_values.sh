# shellcheck shell=bash
# What can be wrong with the values a new cluster is made from. Changes nothing; each function reports through `problem`.

# usage: check_superuser
check_superuser() {
  [[ "$POSTGRES_USER" != pg_* ]] || problem "POSTGRES_USER is '$POSTGRES_USER', but names that begin with pg_ are PostgreSQL's own"
}

# usage: check_password
check_password() {
  check_method
  if [[ -z "$POSTGRES_PASSWORD" ]] && ! method_is_trust; then
    # shellcheck disable=SC2154  # of lib/environment.sh
    problem "Database is uninitialized and superuser password is not specified.
You must specify POSTGRES_PASSWORD to a non-empty value for the superuser,
for example \"-e POSTGRES_PASSWORD=password\" on \"docker run\", or name a file in POSTGRES_PASSWORD_FILE${empty_files[POSTGRES_PASSWORD]+ (${empty_files[POSTGRES_PASSWORD]} is empty)}.
POSTGRES_HOST_AUTH_METHOD=trust allows all connections without a password. This is *not* recommended."
  elif [[ "$POSTGRES_PASSWORD" == *$'\n'* ]]; then
    problem "POSTGRES_PASSWORD has more than one line"
  fi
}

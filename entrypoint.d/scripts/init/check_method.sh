# shellcheck shell=bash
# Whether POSTGRES_HOST_AUTH_METHOD makes a line of pg_hba.conf that the server takes, alone and under Patroni. The server reads that file only when it
# starts, and cannot be asked before. What each method needs is in src/backend/libpq/hba.c.

# usage: check_method
# Options follow the method as in pg_hba.conf: `ldap ldapserver=ldap.example.net ldapbasedn="dc=example"`.
check_method() {
  local method="${POSTGRES_HOST_AUTH_METHOD%%[[:space:]]*}"
  case "$method" in
    '' | trust | reject | scram-sha-256 | md5 | password | ident) ;;
    ldap) check_method_build libldap && check_method_options 'ldapurl|ldapserver|ldapbasedn' 'ldapurl|ldapbasedn|ldapprefix|ldapsuffix' ;;
    radius) check_method_options radiusservers radiussecrets ;;
    gss) check_method_build libgssapi ;;
    pam) check_method_build libpam ;;
    oauth)
      ((PG_MAJOR >= 18)) || problem "POSTGRES_HOST_AUTH_METHOD is 'oauth', which PostgreSQL has from 18 on, and this is $PG_MAJOR"
      check_method_options issuer scope
      ;;
    cert | peer | sspi | bsd) problem "POSTGRES_HOST_AUTH_METHOD is '$method', which no line \`host\` of this server can have: $(method_place "$method").
$(method_advice)" ;;
    *) problem "POSTGRES_HOST_AUTH_METHOD is '$method', which is no authentication method of pg_hba.conf: expected one such as scram-sha-256 (the default) or md5" ;;
  esac
}

# usage: check_method_build LIBRARY
# Whether the server was built with what the method needs, which it then links.
check_method_build() {
  grep --quiet --text --fixed-strings "$1" "$(type -P postgres)" ||
    problem "POSTGRES_HOST_AUTH_METHOD is '${POSTGRES_HOST_AUTH_METHOD%%[[:space:]]*}', and this image's PostgreSQL was built without it (it does not link $1)"
}

# usage: check_method_options NAMES...
# Each of NAMES is an option that must be there, or several by `|` of which one must.
check_method_options() {
  local names
  for names; do
    [[ ! "$POSTGRES_HOST_AUTH_METHOD" =~ [[:space:]]\"?($names)= ]] || continue
    problem "POSTGRES_HOST_AUTH_METHOD is '$(mask_secrets <<<"$POSTGRES_HOST_AUTH_METHOD")', and that method needs options: ${names//|/ or }.
Add them, as NAME=VALUE after the method. $(method_advice)"
    return 0
  done
}

# usage: method_place METHOD
method_place() {
  case "$1" in
    cert) printf 'it is for lines \x60hostssl\x60' ;;
    peer) printf 'it is for lines \x60local\x60' ;;
    *) printf 'it is for another operating system' ;;
  esac
}

# usage: method_advice
method_advice() {
  if [[ -n "${PATRONI_SCOPE:-}" ]]; then
    printf 'Or leave POSTGRES_HOST_AUTH_METHOD out, and give lines of your own to Patroni, in postgresql.pg_hba of a patroni.yml'
    return 0
  fi
  printf 'Or leave POSTGRES_HOST_AUTH_METHOD out, mount a pg_hba.conf of your own, and name it: -c hba_file=/etc/postgresql/pg_hba.conf'
}

# usage: method_is_trust
method_is_trust() { [[ "${POSTGRES_HOST_AUTH_METHOD%%[[:space:]]*}" == trust ]]; }

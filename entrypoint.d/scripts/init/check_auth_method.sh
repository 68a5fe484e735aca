# shellcheck shell=bash
# Whether POSTGRES_HOST_AUTH_METHOD makes a line of pg_hba.conf that the server takes. It reads that file only when it starts, and cannot be
# asked before. What each method needs is in src/backend/libpq/hba.c.

# usage: check_auth_method
# Options follow the method as in pg_hba.conf: `ldap ldapserver=ldap.example.net ldapbasedn="dc=example"`.
check_auth_method() {
  local method="${POSTGRES_HOST_AUTH_METHOD%%[[:space:]]*}"
  case "$method" in
    '' | trust | reject | scram-sha-256 | md5 | password | ident) ;;
    ldap) check_auth_build libldap && check_auth_options 'ldapurl|ldapserver|ldapbasedn' 'ldapurl|ldapbasedn|ldapprefix|ldapsuffix' ;;
    radius) check_auth_options radiusservers radiussecrets ;;
    gss) check_auth_build libgssapi ;;
    pam) check_auth_build libpam ;;
    oauth)
      ((PG_MAJOR >= 18)) || problem "POSTGRES_HOST_AUTH_METHOD is 'oauth', which PostgreSQL has from 18 on, and this is $PG_MAJOR"
      check_auth_options issuer scope
      ;;
    cert | peer | sspi | bsd) problem "POSTGRES_HOST_AUTH_METHOD is '$method', which no line \`host\` of this server can have: $(auth_place "$method").
$(auth_advice)" ;;
    *) problem "POSTGRES_HOST_AUTH_METHOD is '$method', which is no authentication method of pg_hba.conf" ;;
  esac
}

# usage: check_auth_build LIBRARY
# Whether the server was built with what the method needs, which it then links.
check_auth_build() {
  grep --quiet --text --fixed-strings "$1" "$(type -P postgres)" ||
    problem "POSTGRES_HOST_AUTH_METHOD is '${POSTGRES_HOST_AUTH_METHOD%%[[:space:]]*}', and this image's PostgreSQL was built without it (it does not link $1)"
}

# usage: check_auth_options NAMES...
# Each of NAMES is an option that must be there, or several by `|` of which one must.
check_auth_options() {
  local names
  for names; do
    [[ ! "$POSTGRES_HOST_AUTH_METHOD" =~ [[:space:]]\"?($names)= ]] || continue
    problem "POSTGRES_HOST_AUTH_METHOD is '$(mask_secrets <<<"$POSTGRES_HOST_AUTH_METHOD")', and that method needs options: ${names//|/ or }.
Add them, as NAME=VALUE after the method. $(auth_advice)"
    return 0
  done
}

# usage: auth_place METHOD
auth_place() {
  case "$1" in
    cert) printf 'it is for lines \x60hostssl\x60' ;;
    peer) printf 'it is for lines \x60local\x60' ;;
    *) printf 'it is for another operating system' ;;
  esac
}

# usage: auth_advice
auth_advice() {
  printf 'Or leave POSTGRES_HOST_AUTH_METHOD out, mount a pg_hba.conf of your own, and name it: -c hba_file=/etc/postgresql/pg_hba.conf'
}

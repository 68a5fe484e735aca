# shellcheck shell=bash
# What can be wrong with the method of the line `host all all all` in pg_hba.conf, for a new cluster and under Patroni. Changes nothing.

# usage: check_method
# An option may follow the method, after a blank.
check_method() {
  case "${POSTGRES_HOST_AUTH_METHOD%%[[:space:]]*}" in
    '' | trust | reject | scram-sha-256 | md5 | password | gss | sspi | ident | peer | ldap | radius | cert | pam | bsd | oauth) ;;
    *) problem "POSTGRES_HOST_AUTH_METHOD is '$POSTGRES_HOST_AUTH_METHOD', which is no authentication method of pg_hba.conf: expected one such as scram-sha-256 (the default) or md5" ;;
  esac
}

# usage: method_is_trust
method_is_trust() { [[ "${POSTGRES_HOST_AUTH_METHOD%%[[:space:]]*}" == trust ]]; }

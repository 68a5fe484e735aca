# shellcheck shell=bash
# TLS from mounted files: POSTGRES_TLS_CERT_FILE and POSTGRES_TLS_KEY_FILE, and POSTGRES_TLS_CA_FILE to verify clients.

# usage: check_tls
check_tls() {
  local variable
  for variable in POSTGRES_TLS_CERT_FILE POSTGRES_TLS_KEY_FILE POSTGRES_TLS_CA_FILE; do
    [[ -z "${!variable:-}" || -r "${!variable}" ]] || problem "$variable is '${!variable}', which cannot be read by uid $(id -u)"
  done
  case "${POSTGRES_TLS_CERT_FILE:+cert}${POSTGRES_TLS_KEY_FILE:+key}${POSTGRES_TLS_CA_FILE:+ca}" in
    '' | certkey | certkeyca) ;;
    *) problem "TLS needs both POSTGRES_TLS_CERT_FILE and POSTGRES_TLS_KEY_FILE" ;;
  esac
}

# usage: tls_key_is_acceptable FILE
# PostgreSQL's rule: owned by the server's user and 0600 at most, or by root and 0640 at most.
tls_key_is_acceptable() {
  local owner mode
  read -r owner mode < <(stat --dereference --format='%u %a' "$1")
  { ((owner == $(id -u))) && (((8#$mode & 8#077) == 0)); } || { ((owner == 0)) && (((8#$mode & 8#027) == 0)); }
}

# usage: tls_key_copy DIRECTORY
tls_key_copy() { printf '%s/server.key' "$1"; }

# usage: install_tls_key DIRECTORY
# Copies a key whose owner or mode PostgreSQL would refuse, as a bind mount usually has them.
install_tls_key() {
  [[ -n "${POSTGRES_TLS_KEY_FILE:-}" ]] || return 0
  ! tls_key_is_acceptable "$POSTGRES_TLS_KEY_FILE" || return 0
  install --mode=0600 "$POSTGRES_TLS_KEY_FILE" "$(tls_key_copy "$1")"
}

# usage: tls_settings
tls_settings() {
  [[ -n "${POSTGRES_TLS_KEY_FILE:-}" ]] || return 0
  local key="$POSTGRES_TLS_KEY_FILE"
  if ! tls_key_is_acceptable "$key"; then
    generated_directory
    key="$(tls_key_copy "$REPLY")"
  fi
  printf 'ssl = on\n'
  printf 'ssl_cert_file = %s\n' "$(quote_setting "$POSTGRES_TLS_CERT_FILE")"
  printf 'ssl_key_file = %s\n' "$(quote_setting "$key")"
  [[ -z "${POSTGRES_TLS_CA_FILE:-}" ]] || printf 'ssl_ca_file = %s\n' "$(quote_setting "$POSTGRES_TLS_CA_FILE")"
}

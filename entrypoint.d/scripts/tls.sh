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

# usage: tls_copy DIRECTORY server|restapi
# Sets REPLY to the directory with the copies of a certificate (tls.crt), its key (tls.key) and an authority (ca.crt), below that of generated files.
tls_copy() { REPLY="$1/tls/$2"; }

# usage: install_tls DIRECTORY
# Copies what the environment names below the directory of generated files, with the owner and the mode that PostgreSQL demands of a key.
install_tls() {
  [[ -z "${POSTGRES_TLS_CERT_FILE:-}${PATRONI_RESTAPI_CERTFILE:-}" ]] || pgstart tls install "$1/tls"
}

# usage: tls_settings
tls_settings() {
  [[ -n "${POSTGRES_TLS_KEY_FILE:-}" ]] || return 0
  generated_directory
  tls_copy "$REPLY" server
  printf 'ssl = on\n'
  printf 'ssl_cert_file = %s\n' "$(quote_setting "$REPLY/tls.crt")"
  printf 'ssl_key_file = %s\n' "$(quote_setting "$REPLY/tls.key")"
  [[ -z "${POSTGRES_TLS_CA_FILE:-}" ]] || printf 'ssl_ca_file = %s\n' "$(quote_setting "$REPLY/ca.crt")"
}

# usage: restapi_tls_environment
# Sets REPLY_ENVIRONMENT to the variables that make Patroni read the copies of its REST interface's files.
restapi_tls_environment() {
  REPLY_ENVIRONMENT=()
  [[ -n "${PATRONI_RESTAPI_CERTFILE:-}" ]] || return 0
  generated_directory
  tls_copy "$REPLY" restapi
  REPLY_ENVIRONMENT=("PATRONI_RESTAPI_CERTFILE=$REPLY/tls.crt")
  [[ -z "${PATRONI_RESTAPI_KEYFILE:-}" ]] || REPLY_ENVIRONMENT+=("PATRONI_RESTAPI_KEYFILE=$REPLY/tls.key")
  [[ -z "${PATRONI_RESTAPI_CAFILE:-}" ]] || REPLY_ENVIRONMENT+=("PATRONI_RESTAPI_CAFILE=$REPLY/ca.crt")
}

# Files that are not copied, because a patroni.yml of the user's names them.
tls_files_in_place=()

# usage: read_tls_in_place FILE...
read_tls_in_place() { tls_files_in_place=("$@"); }

# usage: watch_tls PID
# Keeps the copies up to date beside the server, or Patroni, with this process id, and reloads it.
watch_tls() {
  [[ -n "${POSTGRES_TLS_CERT_FILE:-}${PATRONI_RESTAPI_CERTFILE:-}${tls_files_in_place[*]}" ]] || return 0
  generated_directory
  /opt/container/bin/pgstart tls watch "$REPLY/tls" "$1" "${tls_files_in_place[@]}" &
}

# usage: refresh_tls
# Looks at once, because the user says that something has changed.
refresh_tls() {
  [[ -n "${POSTGRES_TLS_CERT_FILE:-}${PATRONI_RESTAPI_CERTFILE:-}" ]] || return 0
  generated_directory
  pgstart tls refresh "$REPLY/tls" || true
}

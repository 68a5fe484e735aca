# shellcheck shell=bash disable=SC2154  # postmaster_* are set by read_postmaster_file
# What may be replaced while the data stay: certificates with their keys, and the superuser's password. Both are looked at beside the running server.

# TLS from mounted files: POSTGRES_TLS_CERT_FILE and POSTGRES_TLS_KEY_FILE, and POSTGRES_TLS_CA_FILE to verify clients.

# usage: check_tls
check_tls() {
  local variable
  for variable in POSTGRES_TLS_CERT_FILE POSTGRES_TLS_KEY_FILE POSTGRES_TLS_CA_FILE; do
    [[ -z "${!variable:-}" ]] || check_tls_file "$variable" "${!variable}"
  done
  case "${POSTGRES_TLS_CERT_FILE:+cert}${POSTGRES_TLS_KEY_FILE:+key}${POSTGRES_TLS_CA_FILE:+ca}" in
    '' | certkey | certkeyca) ;;
    *) problem "TLS needs both POSTGRES_TLS_CERT_FILE and POSTGRES_TLS_KEY_FILE" ;;
  esac
}

# usage: check_tls_file VARIABLE FILE
# Certificates are read all the time, so root's are of no use even where a start as root has read its secrets.
check_tls_file() {
  local what="$1 is '$2', which"
  if [[ -d "$2" ]]; then
    problem "$what is a directory; an engine makes one where the file to mount does not exist"
  elif [[ ! -e "$2" ]]; then
    problem "$what cannot be read by uid $(id -u): it does not exist or is in a directory that uid $(id -u) cannot look into"
  elif [[ ! -r "$2" ]]; then
    problem "$what cannot be read by uid $(id -u): it belongs to $(stat --dereference --format='uid %u and gid %g (mode %a)' "$2").
Give it to uid $(id -u), or to group $(id -g) with mode 640; on Kubernetes set \`fsGroup: $(id -g)\` and \`defaultMode: 0440\`."
  fi
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

# A password that the environment gives to a database which has one already. It is compared with what the server stores, never by a failed login.

# usage: start_password_check VARIABLE
# Returns at once. VARIABLE has the password of POSTGRES_USER. To be called only for a database that was there before this start.
start_password_check() {
  [[ -n "${!1:-}" ]] || return 0
  check_password "$1" &
}

# usage: check_password VARIABLE
# Says in one line that the password differs, or that it has been applied.
check_password() {
  local text answer what="$1 differs from the password of role $POSTGRES_USER"
  until
    wait_until_ready || return 0
    text="$(stored_password "$1" 2>&1)"
  do
    # A server that has been stopped meanwhile may come back under Patroni.
    is_ready || continue
    if [[ "$text" == *'password authentication failed'* ]]; then
      warn "$what, and cannot be applied because local connections need that password: change it by ALTER ROLE"
    else
      warn "$1 could not be compared with the password of role $POSTGRES_USER: ${text//$'\n'/ }"
    fi
    return 0
  done
  # What stands before the last line are the server's warnings.
  text="${text##*$'\n'}"
  # A standby of another server's has the password of that one.
  [[ "$1" != POSTGRES_PASSWORD || "$text" != standby* ]] || return 0
  if ! answer="$(candidate_password="${!1}" pgstart password "$POSTGRES_USER" <<<"${text#* }" 2>&1)"; then
    warn "$1 could not be compared with the password of role $POSTGRES_USER: ${answer#entrypoint: error: }"
  elif [[ "$answer" == same ]]; then
    return 0
  elif [[ "$1" != POSTGRES_PASSWORD ]]; then
    warn "$what, which stays as it is: set it to the password in use, with which the members of this cluster log in, or change that in all of them by cluster/rotate-passwords.sh"
  elif [[ "$POSTGRES_PASSWORD_SYNC" == off ]]; then
    warn "$what, which stays as it is: set POSTGRES_PASSWORD_SYNC=on to apply it"
  elif text="$(apply_password 2>&1)"; then
    say "$what, and was applied (POSTGRES_PASSWORD_SYNC=on)"
  else
    warn "$what, and could not be applied: ${text//$'\n'/ }"
  fi
}

# usage: wait_until_ready
# Until the server answers sessions. Fails if the container's first process has ended.
wait_until_ready() {
  until is_ready; do
    kill -0 "$$" 2>/dev/null || return 1
    sleep 0.2
  done
}

# usage: is_ready
# The file may be that of a server which was killed.
is_ready() {
  read_postmaster_file 2>/dev/null && [[ "$postmaster_status" == ready ]] &&
    pg_isready --quiet --host="$postmaster_socket_directory" --port="$postmaster_port"
}

# usage: stored_password VARIABLE
# Prints `primary` or `standby`, and what the server stores for POSTGRES_USER. The password in VARIABLE is for a socket that asks for one.
stored_password() {
  PGPASSWORD="${!1}" PGCONNECT_TIMEOUT=5 own_sql --dbname postgres --command "SELECT CASE WHEN pg_is_in_recovery() THEN 'standby ' ELSE 'primary ' END || coalesce(rolpassword, '')
    FROM pg_authid WHERE rolname = session_user"
}

# usage: apply_password
# A commit that waited for a standby would keep the old password without a word.
apply_password() {
  PGPASSWORD="$POSTGRES_PASSWORD" PGCONNECT_TIMEOUT=5 own_sql --dbname postgres <<SQL
$(unlogged_sql)
SET synchronous_commit = local;
SET default_transaction_read_only = off;
\\getenv password POSTGRES_PASSWORD
ALTER ROLE CURRENT_USER PASSWORD :'password';
SQL
}

# usage: unlogged_sql
# Prints what keeps the statements of a session out of the server's log, of statistics and of what other sessions see, whatever is set for others.
unlogged_sql() {
  cat <<'SQL'
SET track_activities = off;
SET log_statement = none;
SET log_min_duration_statement = -1;
SET log_min_duration_sample = -1;
SET log_transaction_sample_rate = 0;
SET log_min_error_statement = panic;
SET pg_stat_statements.track_utility = off;
SET auto_explain.log_min_duration = -1;
SET pgaudit.log = none;
SQL
}

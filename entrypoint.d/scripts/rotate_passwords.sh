# shellcheck shell=bash disable=SC2154  # postmaster_* are set by read_postmaster_file
# The passwords of a Patroni cluster: of the superuser, with which the nodes of Citus log in to each other too (pg_dist_authinfo), of replication and of
# rewinding. cluster/rotate-passwords.sh calls the steps below in all members, in this order: check, members, addresses, open, prepare, commit, settle, close, verify;
# and abandon if one fails.
#
# A role has one password, and no two servers change it at the same moment. So while it changes, the addresses of the members are a bridge: from there
# these roles log in without one. docs/explanation/decisions/passwords-change-over-a-bridge.md says why. A step that is repeated does no harm.

# The transaction that is prepared in each group before the first one commits.
rotation_transaction=pgsetup_rotate_passwords

# usage: check_password_files
# To be called before the environment is read. Root has looked before it stepped down.
check_password_files() {
  local kind variable
  [[ -z "${rotation_has_files:-}" ]] || return 0
  export rotation_has_files=yes
  for kind in SUPERUSER REPLICATION REWIND; do
    variable="PATRONI_${kind}_PASSWORD"
    [[ -n "${!variable:-}" ]] || { [[ "$kind" == SUPERUSER && -n "${POSTGRES_PASSWORD:-}" ]] && variable=POSTGRES_PASSWORD; } || continue
    problem "$variable has the password itself, with which this container would start again: name a file in ${variable}_FILE, and recreate the members one by one"
  done
}

# usage: rotation_step STEP [ARG...]
rotation_step() {
  require_generated_patroni
  read_postmaster_file || die "PostgreSQL is not running here: wait until this member is healthy, and run the command again"
  case "$*" in
    'check '*) report_member "$2" ;;
    members) list_members ;;
    'addresses '*) list_addresses "${@:2}" ;;
    'open '*' '*) open_bridge "${@:2}" ;;
    prepare) prepare_passwords ;;
    'commit '*) commit_passwords "${@:2}" ;;
    settle) wait_for_passwords ;;
    close) take_passwords ;;
    'verify '*) verify_passwords "${@:2}" ;;
    abandon) abandon_rotation ;;
    *) die "rotate-passwords is one step of a change in all members, which cluster/rotate-passwords.sh makes: docs/guides/change-passwords.md" ;;
  esac
}

# usage: require_generated_patroni
# Sets patroni_directory, and patroni_pid to the Patroni that reads it.
require_generated_patroni() {
  local process
  local -a command
  generated_patroni_directory
  patroni_directory="$REPLY"
  patroni_pid=''
  for process in /proc/[0-9]*; do
    mapfile -d '' -t command 2>/dev/null <"$process/cmdline" || continue
    [[ "${command[1]:-}" != */patroni || "${command[2]:-}" != "$patroni_directory" ]] || patroni_pid="${process#/proc/}"
  done
  [[ -n "$patroni_pid" ]] || die "no Patroni runs here with the image's own configuration. With a patroni.yml of your own the passwords are in it:
change them by hand as docs/guides/change-passwords.md says"
}

# usage: own_roles
# Sets REPLY_KINDS to the roles that have a password, by the words in the names of their variables.
own_roles() {
  local kind variable
  REPLY_KINDS=()
  for kind in SUPERUSER REPLICATION REWIND; do
    variable="PATRONI_${kind}_PASSWORD"
    [[ -z "${!variable}" ]] || REPLY_KINDS+=("$kind")
  done
}

# usage: rotation_sql [PSQL_ARG...]
# SQL in the database that Citus distributes.
rotation_sql() { PGCONNECT_TIMEOUT=5 own_sql --dbname "$(conninfo_of_database "${PATRONI_CITUS_DATABASE:-postgres}")" "$@"; }

# usage: report_member SALT
# Prints the member's name, whether all its passwords are in use already (used or new), and a digest of them by which members can be compared. The caller
# shows that to no one.
report_member() {
  local state=new digest
  own_roles
  ((${#REPLY_KINDS[@]})) || die "this member has no passwords: its cluster logs in without"
  if [[ ! -e "$patroni_directory/3-bridge.yml" ]] && has_taken_passwords && database_has_passwords; then state=used; fi
  digest="$(printf '%s\0' "$1" "$PATRONI_SUPERUSER_PASSWORD" "$PATRONI_REPLICATION_PASSWORD" "$PATRONI_REWIND_PASSWORD" | sha256sum)"
  printf '%s\t%s\t%s\n' "${PATRONI_NAME:-$HOSTNAME}" "$state" "${digest%% *}"
}

# usage: list_members
# Prints name, group, address and role of all members that the store knows. Without Citus the group is 0.
list_members() {
  patronictl --config-file "${patroni_directory%/*}/patroni.yml" list --format tsv | awk -F '\t' -v OFS='\t' '
    NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
    { print $column["Member"], ("Group" in column) ? $column["Group"] : 0, $column["Host"], $column["Role"] }'
}

# usage: list_addresses HOST[:PORT]...
# Prints the addresses from which this member comes to those.
list_addresses() {
  local host
  local -a names=()
  for host; do
    split_address "$host"
    names+=("$REPLY_HOST")
  done
  patroni_python sources "${names[@]}"
}

# usage: has_taken_passwords
# Whether Patroni's file has the passwords.
has_taken_passwords() {
  local kind variable
  own_roles
  for kind in "${REPLY_KINDS[@]}"; do
    variable="PATRONI_${kind}_PASSWORD"
    [[ "$(patroni_python value "$patroni_directory/2-passwords.yml" "postgresql.authentication.${kind,,}.password")" == "${!variable}" ]] || return 1
  done
}

# usage: database_has_passwords
# Whether this server has all of them, as its leader may have had for a moment.
database_has_passwords() {
  local kind role password stored
  own_roles
  for kind in "${REPLY_KINDS[@]}"; do
    role="PATRONI_${kind}_USERNAME" password="PATRONI_${kind}_PASSWORD"
    stored="$(rotation_sql --set role="${!role}" <<<"SELECT rolpassword FROM pg_authid WHERE rolname = :'role'")" || return
    [[ "$(candidate_password="${!password}" pgstart password "${!role}" <<<"$stored" 2>/dev/null)" == same ]] || return 1
    [[ -n "$(rotation_sql < <(
      unlogged_sql
      authinfo_sql "$kind"
      printf '%s\n' "SELECT 'other' FROM pg_dist_authinfo WHERE rolename = :'role' AND authinfo ~ :'given' AND strpos(' ' || authinfo || ' ', ' ' || :'wanted' || ' ') = 0;" '\endif'
    ))" ]] || continue
    return 1
  done
}

# usage: authinfo_sql KIND
# Prints SQL that sets role, password, wanted (what pg_dist_authinfo is to have, as Patroni writes it) and given (a pattern of what it may have), and
# begins an \if in a database with Citus.
authinfo_sql() {
  printf '\\getenv role PATRONI_%s_USERNAME\n\\getenv password PATRONI_%s_PASSWORD\n' "$1" "$1"
  cat <<'SQL'
SELECT 'password=' || regexp_replace(:'password', '([\s''\\])', '\\\1', 'g') AS wanted,
  '(^|\s)password\s*=\s*(''([^''\\]|\\.)*''|([^\s\\]|\\.)*)' AS given, to_regclass('pg_catalog.pg_dist_authinfo') IS NOT NULL AS citus \gset
\if :citus
SQL
}

# usage: prepare_passwords
# Here, at the leader of a group: nothing with a password leaves the container. Citus would repeat the statements on other nodes. An error is told without
# its line, which has the password.
prepare_passwords() {
  rotation_sql --set VERBOSITY=terse < <(
    unlogged_sql
    printf '\\set transaction %s\n' "$rotation_transaction"
    cat <<'SQL'
SET lock_timeout = '30s';
SET statement_timeout = 0;
SET default_transaction_read_only = off;
SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts WHERE gid = :'transaction' \gexec
BEGIN;
SET LOCAL citus.enable_ddl_propagation = off;
SET LOCAL citus.enable_alter_role_propagation = off;
SQL
    own_roles
    for kind in "${REPLY_KINDS[@]}"; do
      authinfo_sql "$kind"
      cat <<'SQL'
UPDATE pg_dist_authinfo SET authinfo = regexp_replace(authinfo, :'given', '\1' || replace(:'wanted', '\', '\\')) WHERE rolename = :'role';
\endif
ALTER ROLE :"role" PASSWORD :'password';
SQL
    done
    two_phase_sql 'PREPARE TRANSACTION'
  )
}

# usage: two_phase_sql STATEMENT
# Prints it for the change's transaction. Without Citus there is one group, and transactions that are prepared may be off: then preparing has committed.
two_phase_sql() {
  printf "SELECT current_setting('max_prepared_transactions')::int > 0 AS two_phase \\gset\n\\if :two_phase\n%s '%s';\n" "$1" "$rotation_transaction"
  [[ "$1" != PREPARE* ]] || printf '\\else\nCOMMIT;\n'
  printf '\\endif\n'
}

# usage: commit_passwords HOST[:PORT]...
# At the leaders of all groups, each after the other within moments.
commit_passwords() {
  local leader failed=''
  for leader; do
    split_address "$leader"
    rotation_sql --host "$REPLY_HOST" --port "$REPLY_PORT" < <(two_phase_sql 'COMMIT PREPARED') || failed+=" $leader"
  done
  [[ -z "$failed" ]] || die "the new passwords are prepared, and could not be made valid at:$failed"
}

# usage: split_address HOST[:PORT]
# Sets REPLY_HOST and REPLY_PORT. An IPv6 address with a port is in brackets.
# shellcheck disable=SC2034  # for the caller
split_address() {
  REPLY_HOST="$1" REPLY_PORT=5432
  if [[ "$1" == \[*\]:* || "$1" != *:*:* && "$1" == *:* ]]; then
    REPLY_HOST="${1%:*}" REPLY_PORT="${1##*:}"
  fi
  REPLY_HOST="${REPLY_HOST#\[}"
  REPLY_HOST="${REPLY_HOST%\]}"
}

# usage: open_bridge SECONDS ADDRESS...
# Ends by itself after so many seconds, whatever becomes of the caller.
open_bridge() {
  local token log="/proc/$patroni_pid/fd/2"
  token="$(date +%s.%N)"
  # The container's log may be root's alone.
  { true >>"$log"; } 2>/dev/null || log=/dev/null
  bridge_text "$token" "${@:2}" >"$patroni_directory/.bridge"
  expire_bridge "$1" "$token" </dev/null >>"$log" 2>&1 &
  disown
  mv "$patroni_directory/.bridge" "$patroni_directory/3-bridge.yml"
  reload_patroni
}

# usage: bridge_text TOKEN ADDRESS...
bridge_text() {
  local address kind user
  local -a lines=()
  own_roles
  for address in "${@:2}"; do
    if [[ "$address" == *:* ]]; then address+=/128; else address+=/32; fi
    for kind in "${REPLY_KINDS[@]}"; do
      user="PATRONI_${kind}_USERNAME"
      lines+=("host all $(quote_hba "${!user}") $address trust")
    done
    lines+=("host replication $(quote_hba "$PATRONI_REPLICATION_USERNAME") $address trust")
  done
  printf '# %s\npostgresql:\n' "$1"
  patroni_hba_text "${lines[@]}"
}

# usage: remove_bridge
remove_bridge() { rm --force "$patroni_directory/3-bridge.yml"; }

# usage: expire_bridge SECONDS TOKEN
expire_bridge() {
  local line deadline=$((SECONDS + $1))
  while ((SECONDS < deadline)); do
    sleep 2
    line=''
    { read -r line <"$patroni_directory/3-bridge.yml"; } 2>/dev/null || [[ -e "$patroni_directory/.bridge" ]] || return 0
    [[ -z "$line" || "$line" == "# $2" ]] || return 0
  done
  warn "a change of passwords has not come to its end in $1 s. Members log in with passwords again: run the command again"
  abandon_rotation
}

# usage: abandon_rotation
# Without the bridge. The new passwords are kept where the server has them.
abandon_rotation() {
  rotation_sql --set transaction="$rotation_transaction" >/dev/null <<'SQL' || true
SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts WHERE gid = :'transaction' AND NOT pg_is_in_recovery() \gexec
SQL
  ! database_has_passwords || write_patroni_passwords
  remove_bridge
  reload_patroni
}

# usage: reload_patroni
# Returns when new sessions are let in by the lines of pg_hba.conf that the files say.
reload_patroni() {
  local now deadline=$((SECONDS + 120))
  kill -s HUP "$patroni_pid"
  until has_wanted_hba; do
    ((SECONDS < deadline)) || die "Patroni has not written the lines for the members into $PGDATA/pg_hba.conf: is hba_file set, or does Patroni hang?"
    sleep 0.1
  done
  now="$(rotation_sql --command 'SELECT clock_timestamp()')"
  rotation_sql --command 'SELECT pg_reload_conf()' >/dev/null
  until [[ "$(rotation_sql --command "SELECT pg_conf_load_time() > '$now'")" == t ]]; do
    ((SECONDS < deadline)) || die "the server has not read its configuration again"
    sleep 0.1
  done
}

# usage: has_wanted_hba
# Patroni copies the lines as they are.
has_wanted_hba() {
  local wanted
  wanted="$(sed --quiet "s/^  - '\(.* trust\)'\$/\1/p" "$patroni_directory/3-bridge.yml" 2>/dev/null || sed --quiet "s/^  - '\(.* trust\)'\$/\1/p" "$patroni_directory/1-generated.yml")"
  [[ "$(grep ' trust$' "$PGDATA/pg_hba.conf")" == "${wanted//\'\'/\'}" ]]
}

# usage: wait_for_passwords
# When the change has been committed: until this server has it, and until the statements that began before have ended. They may yet open connections to
# any node with the old password, and need the bridge for that.
wait_for_passwords() {
  local deadline=$((SECONDS + 60)) old began
  began="$(rotation_sql --command 'SELECT clock_timestamp()')"
  until database_has_passwords; do
    ((SECONDS < deadline)) || die "this server does not have the new passwords yet: is it a standby that lags behind?"
    sleep 0.2
  done
  while
    old="$(rotation_sql --command "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND state = 'active' AND query_start < '$began' AND pid <> pg_backend_pid()")"
    ((old))
  do
    if ((SECONDS >= deadline)); then
      warn "$old statements that began before the passwords changed still run: one that has to reach another node by a new connection may fail"
      break
    fi
    sleep 0.2
  done
}

# usage: take_passwords
# From now on Patroni logs in with the passwords, and so does everyone else.
take_passwords() {
  write_patroni_passwords
  remove_bridge
  reload_patroni
}

# usage: verify_passwords HOST[:PORT]...
# Logs in to the leaders of all groups as this member will, without the bridge.
verify_passwords() {
  local leader kind user password deadline=$((SECONDS + 60))
  local -a what
  own_roles
  for leader; do
    split_address "$leader"
    for kind in "${REPLY_KINDS[@]}"; do
      user="PATRONI_${kind}_USERNAME" password="PATRONI_${kind}_PASSWORD"
      what=(--dbname postgres --command 'SELECT')
      [[ "$kind" != REPLICATION ]] || what=(--dbname 'dbname=postgres replication=true' --command 'IDENTIFY_SYSTEM')
      PGPASSWORD="${!password}" rotation_sql --host "$REPLY_HOST" --port "$REPLY_PORT" --username "${!user}" "${what[@]}" >/dev/null ||
        die "${!user} cannot log in to $leader with the new password"
    done
  done
  until has_working_connections; do
    ((SECONDS < deadline)) || die "this member does not replicate, or does not reach the other nodes of Citus, with the new passwords: see the logs"
    sleep 0.5
  done
}

# usage: has_working_connections
# A standby streams, and has the password for the next time in the file that Patroni writes; the leader of the coordinator's group finds that all nodes
# reach each other.
has_working_connections() {
  local answer
  answer="$(rotation_sql --command "SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT 'standby ' || status FROM pg_stat_wal_receiver) ELSE 'leader' END")"
  case "$answer" in
    leader)
      [[ "${PATRONI_CITUS_GROUP:-}" == 0 ]] || return 0
      [[ "$(rotation_sql --command 'SELECT bool_and(result) FROM citus_check_cluster_node_health()')" == t ]]
      ;;
    'standby streaming')
      socket_directory
      grep --quiet --fixed-strings ":$(quote_pgpass "$PATRONI_REPLICATION_USERNAME"):$(quote_pgpass "$PATRONI_REPLICATION_PASSWORD")" "$REPLY/.pgpass"
      ;;
    *) return 1 ;;
  esac
}

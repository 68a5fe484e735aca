# shellcheck shell=bash
# The roles that Patroni makes when its post_init has ended, made at that one's end already: a password that a library such as passwordcheck refuses,
# or a kill in between, is then a failure of the initialisation, and not a cluster that no replica can join.

# usage: create_patroni_roles
create_patroni_roles() {
  local user password
  patroni_variable PATRONI_REPLICATION_USERNAME
  user="$REPLY"
  [[ -n "$user" ]] || return 0
  patroni_variable PATRONI_REPLICATION_PASSWORD
  create_patroni_role "$user" REPLICATION "$REPLY"
  patroni_variable PATRONI_REWIND_PASSWORD
  password="$REPLY"
  [[ -n "$password" ]] || return 0
  patroni_variable PATRONI_REWIND_USERNAME
  create_patroni_role "$REPLY" NOREPLICATION "$password"
}

# usage: create_patroni_role NAME ATTRIBUTE PASSWORD
# The server's log does not get to see the password, nor the list of processes. Patroni gives the rights that rewinding takes.
create_patroni_role() {
  role_password="$3" docker_process_sql --dbname postgres --set name="$1" --set attribute="$2" --quiet <<'SQL'
SET log_statement = none;
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
SET pg_stat_statements.track_utility = off;
SET pgaudit.log = none;
\getenv password role_password
SELECT format('%s ROLE %I LOGIN %s PASSWORD %L', CASE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') THEN 'ALTER' ELSE 'CREATE' END,
  :'name', :'attribute', nullif(:'password', '')) \gexec
SQL
}

# usage: patroni_variable NAME
# Sets REPLY to a variable that Patroni, whose child this shell is, was started with: it takes them out of what its children get.
patroni_variable() {
  local entry
  REPLY=''
  while IFS= read -r -d '' entry; do
    [[ "$entry" != "$1="* ]] || REPLY="${entry#*=}"
  done <"/proc/$PPID/environ"
}

# shellcheck shell=bash
# The user's initialisation scripts, and the server that they talk to. It listens on no TCP address, and its socket is in a private directory: a
# client that waits on the usual socket would otherwise connect, and be cut off by the restart that follows.

# usage: user_scripts
# Sets user_script_files to the entries of /docker-entrypoint-initdb.d, in the order they are run.
user_scripts() {
  local LC_ALL=C
  user_script_files=(/docker-entrypoint-initdb.d/*)
  [[ -e "${user_script_files[0]}" || -L "${user_script_files[0]}" ]] || user_script_files=()
}

# usage: check_user_scripts
# Finds what would fail half-way while there is still nothing to be left half-made.
check_user_scripts() {
  local file
  [[ -e /docker-entrypoint-initdb.d ]] || return 0
  if [[ ! -r /docker-entrypoint-initdb.d || ! -x /docker-entrypoint-initdb.d ]]; then
    problem "/docker-entrypoint-initdb.d cannot be read by uid $(id -u)"
    return 0
  fi
  user_scripts
  for file in "${user_script_files[@]}"; do
    [[ "$file" != *.@(sh|sql|sql.gz|sql.xz|sql.zst) ]] || check_user_script "$file"
  done
}

# usage: check_user_script FILE
check_user_script() {
  if [[ -L "$1" && ! -e "$1" ]]; then
    problem "$1 is a link to $(readlink "$1"), which does not exist in the container"
  elif [[ -d "$1" ]]; then
    problem "$1 is a directory. An engine makes one where the file to mount does not exist on its side: correct the name of that file, and remove the directory there."
  elif [[ ! -r "$1" ]]; then
    problem "$1 cannot be read by uid $(id -u)"
  elif [[ -p "$1" ]]; then
    # Looking into it would wait for another user who writes.
    problem "$1 is a named pipe: expected a file"
  else
    case "$1" in
      *.sh) check_shell_script "$1" ;;
      *.gz) check_compressed "$1" gunzip gzip 1f8b ;;
      *.xz) check_compressed "$1" xzcat xz fd377a585a00 ;;
      *.zst) check_compressed "$1" zstd zstd 28b52ffd 5?2a4d18 ;;
    esac
  fi
}

# usage: check_shell_script FILE
# An executable file is started by the kernel, which takes the end of a Windows line for part of the interpreter's name. A file that is sourced
# would fail at its first command that has one.
check_shell_script() {
  local line='' rest program
  IFS= read -r line <"$1" 2>/dev/null || true
  windows_line "$1" "$line"
  if [[ -n "$REPLY" ]]; then
    problem "$1 has the line ends of Windows (CRLF, first in line $REPLY), with which it cannot run: convert it, by \`dos2unix\` or \`sed --in-place 's/\\r\$//'\`."
    return 0
  fi
  if [[ ! -x "$1" && "$line" == $'\xef\xbb\xbf'* ]]; then
    problem "$1 begins with a byte order mark, which the shell takes for a part of the first command: remove it, by \`sed --in-place '1s/^\\xef\\xbb\\xbf//'\`."
    return 0
  fi
  [[ -x "$1" && "$line" == '#!'* ]] || return 0
  read -r program rest <<<"${line#??}"
  if [[ "$program" == */env ]]; then
    program="$(env_program "$rest")"
  fi
  type -P -- "$program" >/dev/null ||
    problem "$1 is to be run by '$program', as its first line says, and this image does not have it: install it in an image of your own, or name another interpreter"
}

# usage: windows_line FILE FIRST_LINE
# Sets REPLY to the number of the first line with the end of a Windows line, or to nothing. After the first line that is a mistake in a shell's script
# only, and not in the text of a here-document, which may have to have them.
windows_line() {
  REPLY=1
  [[ "$2" != *$'\r' ]] || return 0
  REPLY=''
  [[ "$2" != '#!'* || "$2" =~ ^'#!'.*(/|[[:space:]])(ba|da|k|z|)sh([[:space:]]|$) ]] || return 0
  REPLY="$(LC_ALL=C awk '
    end != "" { line = $0; if (strips) sub(/^\t+/, "", line); if (line == end) end = ""; next }
    /\r$/ { print NR; exit }
    match($0, /(^|[^<])<<-?[ \t]*[\\"\047]?[A-Za-z_][A-Za-z_0-9]*/) {
      end = substr($0, RSTART, RLENGTH); strips = end ~ /<<-/; sub(/^.*<<-?[ \t]*[\\"\047]?/, "", end)
    }' "$1")"
}

# usage: env_program ARGUMENTS
# Prints the program that env(1) would run: the first word that is neither an option, nor the value of one, nor an assignment.
env_program() {
  local -a words
  local word value=''
  read -r -a words <<<"$1"
  for word in "${words[@]}"; do
    word="${word#-S}"
    if [[ -n "$value" ]]; then
      value=''
    elif [[ "$word" == @(-u|--unset|-C|--chdir) ]]; then
      value=yes
    elif [[ -n "$word" && "$word" != -* && "$word" != *=* ]]; then
      break
    fi
  done
  printf '%s\n' "$word"
}

# usage: check_compressed FILE PROGRAM FORMAT MAGIC...
# Only the first bytes are looked at: all of a dump would take as long as loading it.
check_compressed() {
  local file="$1" program="$2" format="$3" magic found
  shift 3
  type -P "$program" >/dev/null || problem "$file needs $program, which this image does not have"
  found="$(od --address-radix=n --format=x1 --read-bytes=6 "$file")"
  for magic; do
    # shellcheck disable=SC2053  # a pattern
    if [[ "${found// /}" == $magic* ]]; then return 0; fi
  done
  problem "$file is not compressed by $format: expected a file that \`$format --test\` takes. Compress it, or give it a name that ends with .sql."
}

# usage: docker_process_init_files [FILE...]
# Runs the files, by their names and modes, against the temporary server.
docker_process_init_files() {
  local file
  # For sourced scripts, which know it from the official image.
  # shellcheck disable=SC2034
  psql=(docker_process_sql)
  printf '\n'
  for file; do
    # A pattern that matches nothing.
    [[ -e "$file" || -L "$file" ]] || continue
    # shellcheck disable=SC2034  # report_failed_initialisation says with it where an initialisation failed
    initialisation_stage="$file"
    process_init_file "$file"
    printf '\n'
  done
}

# usage: process_init_file FILE
# What is sourced runs in this shell, as its author expects, but unset variables are not an error to it.
process_init_file() {
  local name="$0" strict="$-"
  [[ "$name" == /* ]] || name=/entrypoint.sh
  case "$1" in
    *.sh)
      if [[ -x "$1" ]]; then
        printf '%s: running %s\n' "$name" "$1"
        "$1"
      else
        printf '%s: sourcing %s\n' "$name" "$1"
        set +u
        # shellcheck disable=SC1090  # the user's file
        source "$1"
        [[ "$strict" != *u* ]] || set -u
      fi
      ;;
    *.sql) printf '%s: running %s\n' "$name" "$1" && docker_process_sql --file "$1" ;;
    *.sql.gz) printf '%s: running %s\n' "$name" "$1" && gunzip --stdout "$1" | docker_process_sql ;;
    *.sql.xz) printf '%s: running %s\n' "$name" "$1" && xzcat "$1" | docker_process_sql ;;
    *.sql.zst) printf '%s: running %s\n' "$name" "$1" && zstd --decompress --stdout "$1" | docker_process_sql ;;
    *) printf '%s: ignoring %s\n' "$name" "$1" ;;
  esac
}

# usage: docker_process_sql [PSQL_ARG...]
# Runs SQL from stdin or --file as the superuser in POSTGRES_DB, and fails at the first error.
docker_process_sql() {
  local -a database=()
  [[ -z "$POSTGRES_DB" ]] || database=(--dbname "$(conninfo_of_database "$POSTGRES_DB")")
  psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc "${database[@]}" "$@"
}

# usage: docker_setup_db
# Makes the database POSTGRES_DB, unless it is there. initdb has made some databases already, and POSTGRES_DB may be one of them.
docker_setup_db() {
  name_quoted_user
  docker_process_sql --dbname postgres --set name="$POSTGRES_DB" --quiet <<'SQL'
SELECT format('CREATE DATABASE %I', :'name')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
SQL
  [[ -z "${CITUS_ROLE:-}" ]] || docker_process_sql --quiet --command 'CREATE EXTENSION IF NOT EXISTS citus'
}

# usage: name_quoted_user
# Gives the superuser the name that initdb could not. ALTER ROLE refuses to rename the user of its own session, and there is no other;
# 10 is the superuser's fixed oid. A SCRAM secret does not depend on the name.
name_quoted_user() {
  [[ "$(initdb_user)" != "$POSTGRES_USER" ]] || return 0
  psql --set ON_ERROR_STOP=1 --username "$(initdb_user)" --dbname postgres --no-password --no-psqlrc --quiet \
    --set name="$POSTGRES_USER" <<<"UPDATE pg_authid SET rolname = :'name' WHERE oid = 10;"
}

# usage: docker_temp_server_start [postgres] [POSTGRES_ARG...]
# Returns when the server accepts connections; exports what libpq needs to reach it. The usual directories are named as well, for a script that
# starts a server of its own there.
docker_temp_server_start() {
  [[ "${1:-}" != postgres ]] || shift
  local deadline=$((SECONDS + ${PGCTLTIMEOUT:-60}))
  socket_directory
  temporary_socket="$(mktemp --directory "$REPLY/.initialising.XXXXXX")"
  # PGPASSWORD is for POSTGRES_INITDB_ARGS such as --auth-local=scram-sha-256.
  export PGHOST="$temporary_socket,/var/run/postgresql,/tmp" PGPORT="${PGPORT:-5432}" PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}"
  unset PGHOSTADDR PGSERVICE
  ensure_layers "$@"
  keep_private
  server_command "$@"
  env --unset=NOTIFY_SOCKET /opt/container/bin/pgstart run "${REPLY_COMMAND[@]}" -c listen_addresses='' -c unix_socket_directories="$temporary_socket" \
    -c archive_mode=off -p "$PGPORT" &
  temporary_server=$!
  # shellcheck disable=SC2154  # set by read_postmaster_file
  until read_postmaster_file && [[ "$postmaster_pid" == "$temporary_server" && "$postmaster_status" == @(ready|standby) ]]; do
    kill -0 "$temporary_server" 2>/dev/null || die "the temporary server did not start"
    ((SECONDS < deadline)) || die "the temporary server was not ready after ${PGCTLTIMEOUT:-60} s (PGCTLTIMEOUT)"
    sleep 0.05
  done
}

# usage: docker_temp_server_stop
# A fast stop. A server that does not end cleanly fails the initialisation. A script may have restarted the server, which is then no
# child of this shell any more, or have stopped it.
docker_temp_server_stop() {
  if read_postmaster_file && [[ "$postmaster_pid" != "$temporary_server" ]]; then
    pg_ctl --pgdata="$PGDATA" --mode=fast --silent stop
  elif [[ -e "$PGDATA/postmaster.pid" ]]; then
    kill -s INT "$temporary_server"
  fi
  wait "$temporary_server"
  check_clean_stop
  end_privacy
  rmdir "$temporary_socket"
  unset PGHOST PGPASSWORD
}

# usage: keep_private
# Keeps a server that a script starts by itself, as `pg_ctl start` does, as private as this one: what ALTER SYSTEM writes wins over files, and a new
# cluster has nothing there yet. Not on a cluster that is served already: a kill would leave it so.
keep_private() {
  private_settings=("listen_addresses = ''" "unix_socket_directories = '$temporary_socket'")
  initialising_marker
  [[ ! -d "$REPLY" ]] || printf '%s\n' "${private_settings[@]}" >>"$PGDATA/postgresql.auto.conf"
}

# usage: end_privacy
# Takes out what is still as keep_private has written it.
end_privacy() {
  local file="$PGDATA/postgresql.auto.conf"
  initialising_marker
  [[ -d "$REPLY" ]] || return 0
  grep --invert-match --line-regexp --fixed-strings --regexp="${private_settings[0]}" --regexp="${private_settings[1]}" "$file" >"$file.new" || true
  chmod --reference="$file" "$file.new"
  mv "$file.new" "$file"
}

# usage: check_clean_stop
check_clean_stop() {
  local state
  state="$(LC_ALL=C pg_controldata "$PGDATA" | sed --quiet 's/^Database cluster state: *//p')"
  [[ "$state" == 'shut down' ]] || die "the temporary server was not shut down cleanly; its state is: $state"
}

# usage: report_failed_initialisation
# A trap for the end of `initialise`, which has set initialisation_stage and scripts_have_begun.
# shellcheck disable=SC2317,SC2154  # called by the trap
report_failed_initialisation() {
  local status=$?
  [[ -n "$initialisation_stage" ]] || return 0
  if ((status)); then
    warn "the initialisation failed (status $status) in: $initialisation_stage"
  else
    warn "the initialisation was ended with status 0 by: $initialisation_stage
A script that is not executable runs inside the initialisation and ends it with \`exit\`: end such a script with \`return\`, or make it executable."
  fi
  [[ -n "$scripts_have_begun" ]] || withdraw_initialisation
}

# usage: require_initialised STATUS
# STATUS is what the initialisation ended with. An initialisation script that calls `exit 0` ends it too, and the directory's state says so where
# the status does not.
require_initialised() {
  data_directory_state
  [[ "$1" == 0 && "$REPLY" == complete ]] ||
    die "the database was not completely initialised and is not served; the message above tells where it stopped"
}

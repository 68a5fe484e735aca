# shellcheck shell=bash
# What can be wrong with the options of initdb, and is not found by initdb itself. Changes nothing; each function reports through `problem`.

# usage: check_initdb_arguments
check_initdb_arguments() {
  # shellcheck disable=SC2034  # only whether it can be split is asked
  local -a arguments
  local name value
  if ! split_words arguments "$POSTGRES_INITDB_ARGS"; then
    problem "POSTGRES_INITDB_ARGS has an unmatched quote: $POSTGRES_INITDB_ARGS"
    return 0
  fi
  [[ -z "$POSTGRES_INITDB_WALDIR" ]] || check_wal_directory POSTGRES_INITDB_WALDIR "$POSTGRES_INITDB_WALDIR"
  while IFS=$'\t' read -r name value; do
    case "$name" in
      username) problem "POSTGRES_INITDB_ARGS names the superuser '$value' (--username), and POSTGRES_USER is '$POSTGRES_USER'.
Set POSTGRES_USER=$value instead: the database is made, and initialisation scripts are run, under that name." ;;
      pgdata) problem "POSTGRES_INITDB_ARGS names the data directory '$value' (--pgdata), and PGDATA is '$PGDATA'.
Set PGDATA=$value instead: the server is started there." ;;
      waldir) check_wal_argument "$value" ;;
    esac
  done < <(initdb_options)
}

# usage: check_wal_argument DIRECTORY
check_wal_argument() {
  if [[ -n "$POSTGRES_INITDB_WALDIR" ]]; then
    problem "the directory of the write-ahead log is given twice: POSTGRES_INITDB_ARGS has '$1' (--waldir), and POSTGRES_INITDB_WALDIR is '$POSTGRES_INITDB_WALDIR'.
Leave one of them out."
  else
    check_wal_directory '--waldir in POSTGRES_INITDB_ARGS' "$1"
  fi
}

# usage: check_wal_directory ORIGIN DIRECTORY
check_wal_directory() {
  local data directory
  if [[ "$2" != /* ]]; then
    problem "$1 is '$2', but must be an absolute path"
    return 0
  fi
  data="$(realpath --canonicalize-missing -- "$PGDATA")"
  directory="$(realpath --canonicalize-missing -- "$2")"
  [[ "$directory/" != "$data/"* ]] || problem "$1 is '$2', which is in the data directory $PGDATA, where initdb wants to find nothing.
Name a directory elsewhere, or leave it out: the write-ahead log is then in $PGDATA/pg_wal."
  [[ ! -d "$2" ]] || is_free_for_wal "$2" || problem "$1 is '$2', which is not empty, and initdb wants an empty directory: it is left as it is.
Name a directory below it, which is then made, or another one."
  # initdb sets its mode, and root gives it to postgres first.
  ((EUID == 0)) || [[ ! -d "$2" || -O "$2" ]] || problem "$1 is '$2', which belongs to uid $(stat --format=%u "$2") and has to belong to uid $(id -u).
Give it to uid $(id -u), set POSTGRES_INITDB_WALDIR and start with --user root once, or name a directory below it, which is then made."
}

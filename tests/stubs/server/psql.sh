#!/usr/bin/env bash
# Stands in for psql: creates extensions that have a control file, and knows the version that the file says. Its path
# tells the server's major.
set -Eeuo pipefail

[[ "$0" =~ /postgresql/([0-9]+)/bin/psql$ ]]
readonly extensions="$ROOT/usr/share/postgresql/${BASH_REMATCH[1]}/extension"

# usage: version NAME
# A test may say that an extension fails once.
version() {
  if rm "$TRACE/fails-once-$1" 2>/dev/null; then
    printf 'ERROR:  another session is in the way of %s\n' "$1" >&2
    exit 3
  fi
  local control="$extensions/$1.control"
  if [[ ! -e "$control" ]]; then
    printf 'ERROR:  extension "%s" is not available\n' "$1" >&2
    exit 3
  fi
  sed --quiet "s/^default_version = '\(.*\)'/\1/p" "$control"
}

main() {
  local sql
  sql="$(cat)"
  printf '%s\n' "$sql" >>"$TRACE/sql"
  if [[ "$sql" == "SELECT count(*) FROM pg_extension"* ]]; then
    # Whether an extension is there is asked after it was dropped.
    printf '0\n'
  elif [[ "$sql" =~ extname\ =\ \'(.*)\' ]]; then
    version "${BASH_REMATCH[1]}"
  elif [[ "$sql" =~ ^"CREATE EXTENSION IF NOT EXISTS "\"(.*)\" ]]; then
    version "${BASH_REMATCH[1]}" >/dev/null
  fi
}

main "$@"

# shellcheck shell=bash
# Splitting and joining text safely. Knows quoting rules and nothing of what the text means.

# usage: split_words ARRAY TEXT
# Splits TEXT as a shell would, honouring quotes and backslashes but expanding nothing; fails when a quote is left open. xargs does
# it, so that no text from the environment is ever evaluated.
split_words() {
  local -n into="$1"
  into=()
  [[ -n "$2" ]] || return 0
  xargs --no-run-if-empty true <<<"$2" 2>/dev/null || return 1
  # shellcheck disable=SC2034  # a reference to the caller's array
  mapfile -d '' -t into < <(xargs --no-run-if-empty printf '%s\0' <<<"$2")
}

# usage: trim VARIABLE
# Takes blanks and line feeds from both ends of its value, which the file that it goes to does not see either.
trim() {
  local value="${!1}"
  value="${value#"${value%%[![:space:]]*}"}"
  printf -v "$1" '%s' "${value%"${value##*[![:space:]]}"}"
}

# usage: quote_setting TEXT
# Prints TEXT as a quoted value of postgresql.conf.
quote_setting() {
  local text="${1//\\/\\\\}"
  printf "'%s'" "${text//\'/\'\'}"
}

# usage: quote_yaml TEXT
# Prints TEXT as a single-quoted YAML scalar.
quote_yaml() { printf "'%s'" "${1//\'/\'\'}"; }

# usage: quote_pgpass TEXT
# Prints TEXT as a field of libpq's password file.
quote_pgpass() {
  local text="${1//\\/\\\\}"
  printf '%s' "${text//:/\\:}"
}

# usage: conninfo_of_database NAME
# Prints the value of `--dbname` that means the database NAME and nothing else. libpq takes a bare name with an equals sign, or one that begins
# with postgresql://, for a whole connection string (the manual, "Connection Strings"); what stands in quotes in such a string is not
# looked into again.
conninfo_of_database() {
  local name="${1//\\/\\\\}"
  printf "dbname='%s'" "${name//\'/\\\'}"
}

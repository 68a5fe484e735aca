# shellcheck shell=bash
# Which major versions of PostgreSQL this image has: its own, PG_MAJOR, and those it can upgrade from.

# usage: server_programs MAJOR
server_programs() { printf '/usr/lib/postgresql/%s/bin\n' "$1"; }

# usage: server_majors
# Prints the majors that this image has.
server_majors() {
  local program
  local -a majors=()
  for program in /usr/lib/postgresql/*/bin/postgres; do
    program="${program%/bin/postgres}"
    majors+=("${program##*/}")
  done
  printf '%s\n' "${majors[*]}"
}

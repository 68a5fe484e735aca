# shellcheck shell=bash
# Which initialisation scripts there are in /docker-entrypoint-initdb.d, and whether they can be run.

# usage: user_scripts
# Sets user_script_files to the entries, in the order they are run.
user_scripts() {
  local LC_ALL=C
  user_script_files=(/docker-entrypoint-initdb.d/*)
  [[ -e "${user_script_files[0]}" || -L "${user_script_files[0]}" ]] || user_script_files=()
}

# usage: check_user_scripts
# Finds what would fail half-way while there is still nothing to be left half-made.
check_user_scripts() {
  local file program
  [[ -e /docker-entrypoint-initdb.d ]] || return 0
  if [[ ! -r /docker-entrypoint-initdb.d || ! -x /docker-entrypoint-initdb.d ]]; then
    problem "/docker-entrypoint-initdb.d cannot be read by uid $(id -u)"
    return 0
  fi
  user_scripts
  for file in "${user_script_files[@]}"; do
    case "$file" in
      *.sh | *.sql) program=true ;;
      *.sql.gz) program=gunzip ;;
      *.sql.xz) program=xzcat ;;
      *.sql.zst) program=zstd ;;
      *) continue ;;
    esac
    [[ -r "$file" ]] || problem "$file cannot be read by uid $(id -u)"
    command -v "$program" >/dev/null || problem "$file needs $program, which this image does not have"
  done
}

#!/usr/bin/env bash
# Stands in for apt-get(8): keeps dpkg's status file as the real one would, of packages that hold nothing and depend
# on nothing. A package has version 1, or what the file of its name in `versions` of the test says. Notes when two
# of it run at the same time, which the real one would fail at. Cannot find packages named `nosuch…`, and reports the first
# of them only. With a
# configuration file, it knows the packages of the index beside it and no other, and installs the files that the index names.
set -Eeuo pipefail

# usage: missing NAME...     prints those that are not installed; fails where one is not known
missing() {
  local name
  for name; do
    if [[ "$name" == nosuch* ]] || { [[ -n "$index" ]] && ! grep --quiet --line-regexp "Package: $name" "$index"; }; then
      printf 'E: Unable to locate package %s\n' "$name" >&2
      exit 100
    fi
    grep --quiet --line-regexp "Package: $name" "$ROOT/var/lib/dpkg/status" || printf '%s\n' "$name"
  done
}

# usage: version NAME
version() {
  if [[ -n "$index" ]]; then
    field Version "$1"
    return
  fi
  cat "${TRACE%/trace}/versions/$1" 2>/dev/null || printf 1
}

# usage: field FIELD NAME     prints a field of a package from the index
field() {
  awk -v RS= -v FS='\n' -v field="$1: " -v name="Package: $2" \
    '$1 == name { for (i = 2; i <= NF; i++) if (index($i, field) == 1) printf "%s", substr($i, length(field) + 1) }' "$index"
}

# usage: look_at_file NAME     fails unless the file of a package is there, as the index says
look_at_file() {
  local file
  file="${index%/*}/$(field Filename "$1")"
  [[ "$(field SHA256 "$1")" == "$(sha256sum <"$file" | cut -d ' ' -f 1)" ]]
}

# usage: install_packages NAME...
install_packages() {
  local name names
  names="$(missing "$@")"
  for name in $names; do
    if [[ -n "$index" ]]; then look_at_file "$name"; fi
    printf 'Package: %s\nStatus: install ok installed\nArchitecture: all\nVersion: %s\n\n' "$name" "$(version "$name")" \
      >>"$ROOT/var/lib/dpkg/status"
  done
}

# usage: fix_broken     installs again what is half there; the package `stubborn` stays so
fix_broken() {
  sed '/^Package: stubborn$/,/^$/b
    s/^Status: [a-z]* [a-z]* half-installed$/Status: install ok installed/' "$ROOT/var/lib/dpkg/status" >"$TRACE/status"
  cat "$TRACE/status" >"$ROOT/var/lib/dpkg/status"
}

# usage: simulate_installation NAME...
simulate_installation() {
  local name names
  names="$(missing "$@")"
  for name in $names; do
    printf 'Inst %s (%s Debian:12.11/oldstable [all])\n' "$name" "$(version "$name")"
  done
}

# usage: purge_packages NAME...
purge_packages() {
  local name
  for name; do
    # A paragraph a record.
    awk -v RS= -v ORS='\n\n' -v name="$name" '$2 != name' "$ROOT/var/lib/dpkg/status" >"$TRACE/status"
    cat "$TRACE/status" >"$ROOT/var/lib/dpkg/status"
  done
}

# usage: apt-get [--simulate] [--fix-broken] [OPTION...] update|install|purge [OPTION...] [--] NAME...
main() {
  mkdir "$TRACE/dpkg" || touch "$TRACE/overlap"
  printf '%s\n' "$*" >>"$TRACE/apt-get"
  local verb='' simulate='' fix='' index=''
  local -a names=()
  while (($# > 0)); do
    case "$1" in
      --simulate) simulate=1 ;;
      --fix-broken) fix=1 ;;
      -o) shift ;;
      --config-file=*)
        index="$ROOT${1#*=}"
        index="${index%/*}/Packages"
        ;;
      -*) ;;
      update | install | purge) verb="$1" ;;
      *) names+=("$1") ;;
    esac
    shift
  done
  case "$verb$simulate" in
    update) ;;
    install1) simulate_installation "${names[@]}" ;;
    install)
      if [[ -n "$fix" ]]; then fix_broken; else install_packages "${names[@]}"; fi
      ;;
    purge1) printf 'Purg %s [1]\n' "${names[@]}" ;;
    purge) purge_packages "${names[@]}" ;;
    *) printf 'E: Invalid operation %s\n' "$verb" >&2 && exit 100 ;;
  esac
  rmdir "$TRACE/dpkg"
}

main "$@"

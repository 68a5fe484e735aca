#!/usr/bin/env bash
# Installs the same manifests twice into fresh containers and compares every path of the two trees: type, mode, owner,
# time, size, link target, digest, extended attributes. Nothing but the base, the manifests and the archives is the
# same: directories, host names, time zones, umasks, numbers of jobs, file systems (and with them the order of
# directory entries), caches and the day. A third installation takes what the first one has built from its cache; it
# installs no build packages, so its receipt does not name them as removed, and directories have not lost them. What
# the Makefile hands in: PG, EXTENSIONS, VENDOR, BASE. Needs Docker and gcc.
# shellcheck source-path=SCRIPTDIR
set -Eeuo pipefail

readonly pg="${PG:-18}" extensions="${EXTENSIONS:-}" base="${BASE:-debian:bookworm}"
readonly vendor="${VENDOR:-$HOME/.cache/pgsetup/vendor}"
directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
# shellcheck source=tree.sh
source "$directory/tools/tree.sh"
# Any time will do, as long as it is the same one.
readonly epoch="${SOURCE_DATE_EPOCH:-1767225600}"

# usage: install NAME CACHE JOBS UMASK OPTION...     installs in a container of that name; OPTIONs are docker's
install() {
  local name="$1" cache="$2" jobs="$3" umask="$4"
  shift 4
  local -a options=(
    --name "reproducible-$name" --hostname "$name" --env "SOURCE_DATE_EPOCH=$epoch"
    --volume "$directory/dist/pgsetup:/mnt/$name/pgsetup:ro" --volume "$directory/manifests:/mnt/$name/manifests:ro"
    --volume "pgsetup-reproducible-$cache:/var/cache/pgsetup" "$@"
  )
  local -a arguments=(install "/mnt/$name/manifests" --pg "$pg" --jobs "$jobs" --skip-unavailable)
  if [[ -n "$extensions" ]]; then
    arguments+=(--extensions "$extensions")
  fi
  if [[ -d "$vendor" ]]; then
    options+=(--volume "$vendor:/mnt/$name/vendor:ro")
    arguments+=(--vendor "/mnt/$name/vendor")
  fi
  if [[ -n "${SSL_CERT_FILE:-}" ]]; then
    options+=(--volume "$SSL_CERT_FILE:/mnt/$name/ca.pem:ro")
    arguments+=(--ca-bundle "/mnt/$name/ca.pem")
  fi
  # shellcheck disable=SC2016 # the shell in the container has the arguments
  docker run "${options[@]}" "$base" bash -c 'date && umask "$1" && shift && exec "$@"' - \
    "$umask" "/mnt/$name/pgsetup" "${arguments[@]}" >&2
}

# usage: another_day     prints docker's options for a container in which programs see another day
# Only programs that are linked dynamically see it: pgsetup itself does not, compilers, dpkg, apt and Python do.
another_day() {
  gcc -shared -fPIC -O2 -o "$scratch/another_day.so" "$directory/tools/another_day.c"
  printf '/mnt/another_day.so\n' >"$scratch/ld.so.preload"
  printf -- '--volume\n%s\n' "$scratch/another_day.so:/mnt/another_day.so:ro" "$scratch/ld.so.preload:/etc/ld.so.preload:ro"
}

# usage: compare ONE OTHER     compares the trees of two containers
compare() {
  local one="$1" other="$2"
  if diff --unified=0 "$scratch/$one" "$scratch/$other"; then
    printf 'reproducible: %s and %s: %d lines about two trees, and no difference\n' "$one" "$other" "$(wc --lines <"$scratch/$one")"
  else
    printf 'not reproducible: %s and %s differ in the lines above\n' "$one" "$other" >&2
    return 1
  fi
}

# usage: built CONTAINER     makes the listing built-CONTAINER of what in a tree does not depend on whether anything was built for it
# The bills of materials contain a digest of the receipt without the packages that were removed.
built() {
  sed --regexp-extended '/^\(the whole tree/d; /^[^ ]*\/receipt.json /d; s/^([^ ]+ d [0-9]+ [^ ]+) .*/\1/' "$scratch/$1" >"$scratch/built-$1"
}

# usage: clean
clean() {
  docker rm --force reproducible-one reproducible-two reproducible-three >/dev/null 2>&1 || true
  docker volume rm pgsetup-reproducible-one pgsetup-reproducible-two pgsetup-reproducible-work >/dev/null 2>&1 || true
  rm -rf "$scratch"
}

main() {
  local status=0
  scratch="$(mktemp --directory)"
  readonly scratch
  clean
  mkdir -p "$scratch"
  trap clean EXIT
  install one one 2 022 --env TZ=UTC --tmpfs /var/tmp/pgsetup:exec
  tree_of_stopped reproducible-one >"$scratch/one"
  local -a day=()
  readarray -t day < <(another_day)
  install two two 3 077 --env TZ=Pacific/Kiritimati --env LANG=de_DE.UTF-8 \
    --volume pgsetup-reproducible-work:/var/tmp/pgsetup "${day[@]}"
  tree_of_stopped reproducible-two >"$scratch/two"
  compare one two || status=1
  install three one 1 027 --env TZ=America/Caracas --tmpfs /var/tmp/pgsetup:exec
  tree_of_stopped reproducible-three >"$scratch/three"
  built one
  built three
  compare built-one built-three || status=1
  return "$status"
}

main "$@"

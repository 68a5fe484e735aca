#!/usr/bin/env bash
# Installs the same manifests twice into fresh containers, from directories of different names, at different times
# and with different numbers of jobs, and compares every path of the two trees: type, mode, owner, time, target and
# digest. What the Makefile hands in: PG, EXTENSIONS, VENDOR, BASE.
set -Eeuo pipefail

readonly pg="${PG:-18}" extensions="${EXTENSIONS:-}" base="${BASE:-debian:bookworm}"
readonly vendor="${VENDOR:-$HOME/.cache/pgsetup/vendor}"
directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
# Any time will do, as long as it is the same one.
readonly epoch="${SOURCE_DATE_EPOCH:-1767225600}"

# usage: install NAME JOBS     installs in a container of that name
install() {
  local name="$1" jobs="$2"
  local -a options=(
    --name "$name" --env "SOURCE_DATE_EPOCH=$epoch" --tmpfs /var/tmp/pgsetup:exec
    --volume "$directory/dist/pgsetup:/mnt/$name/pgsetup:ro" --volume "$directory/manifests:/mnt/$name/manifests:ro"
    --volume pgsetup-reproducible:/var/cache/pgsetup
  )
  local -a arguments=(install "/mnt/$name/manifests" --pg "$pg" --extensions "$extensions" --jobs "$jobs")
  if [[ -d "$vendor" ]]; then
    options+=(--volume "$vendor:/mnt/$name/vendor:ro")
    arguments+=(--vendor "/mnt/$name/vendor")
  fi
  if [[ -n "${SSL_CERT_FILE:-}" ]]; then
    options+=(--volume "$SSL_CERT_FILE:/mnt/$name/ca.pem:ro")
    arguments+=(--ca-bundle "/mnt/$name/ca.pem")
  fi
  docker run "${options[@]}" "$base" "/mnt/$name/pgsetup" "${arguments[@]}" >&2
}

# usage: listing NAME     prints a line for each path of a container's tree
# Left out is what the engine itself puts into a running container.
listing() {
  local name="$1" image
  image="$(docker commit "$name")"
  docker run --rm --entrypoint bash "$image" -c '
    own=(-path /proc -o -path /sys -o -path /dev -o -path /mnt -o -path /.dockerenv -o -path /var/tmp/pgsetup
      -o -path /var/cache/pgsetup -o -path /etc/hosts -o -path /etc/hostname -o -path /etc/resolv.conf -o -path /etc/mtab)
    find / \( "${own[@]}" \) -prune -o ! -path / ! -path /etc ! -path /var/cache ! -path /var/tmp \
      -printf "%p %y %m %U:%G %T+ %l\n"
    find / \( "${own[@]}" \) -prune -o -type f -print0 | xargs -0 sha256sum | while read -r digest path; do
      printf "%s %s\n" "$path" "$digest"
    done' | LC_ALL=C sort
  docker image rm "$image" >/dev/null
}

# usage: clean
clean() {
  docker rm --force reproducible-one reproducible-two >/dev/null 2>&1 || true
  docker volume rm pgsetup-reproducible >/dev/null 2>&1 || true
}

main() {
  local one two
  one="$(mktemp)" two="$(mktemp)"
  clean
  trap clean EXIT
  install reproducible-one 2
  install reproducible-two 1
  listing reproducible-one >"$one"
  listing reproducible-two >"$two"
  if diff --unified=0 "$one" "$two"; then
    printf 'reproducible: %d lines about two trees, and no difference\n' "$(wc --lines <"$one")"
  else
    printf 'not reproducible: the lines above differ\n' >&2
    return 1
  fi
}

main "$@"

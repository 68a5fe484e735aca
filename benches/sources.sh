#!/usr/bin/env bash
# Fetches, verifies and unpacks PostgreSQL and eight extensions from a server on the loopback interface: pgsetup
# against a careful shell script of the same (curl --parallel, sha256sum, tar, as many at a time as there are
# processors). Prints both times, their ratio, and pgsetup's peak memory.
#
# usage: sources.sh [PGSETUP]      the binary; dist/pgsetup where it is not given
# Needs the archives in VENDOR (default: ~/.cache/pgsetup/vendor), curl and python3.
set -Eeuo pipefail

directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
readonly pgsetup="${1:-$directory/dist/pgsetup}"
readonly vendor="${VENDOR:-$HOME/.cache/pgsetup/vendor}"
readonly rounds="${ROUNDS:-5}"
readonly archives=(
  postgresql-18.6.tar.bz2 citus-14.0.1.tar.gz pgvector-0.8.6.tar.gz pg_cron-1.6.7.tar.gz
  pg_partman-5.2.4.tar.gz pgaudit-18.0.tar.gz pg_repack-1.5.3.tar.gz rum-1.3.15.tar.gz topn-2.7.0.tar.gz
)

# shellcheck source=benches/measure.sh
source "$directory/benches/measure.sh"

work="$(mktemp --directory)"
readonly work
server=""

finish() {
  if [[ -n "$server" ]]; then
    kill "$server"
  fi
  rm -rf "$work"
}
trap finish EXIT

# usage: source_of ARCHIVE INDENT     a source as manifests have it
source_of() {
  local digest
  digest="$(sha256sum "$vendor/$1")"
  printf '%surl: %s/%s\n%ssha256: %s\n%sinsecure: a server on the loopback interface\n' \
    "$2" "$base" "$1" "$2" "${digest%% *}" "$2"
}

# usage: write_manifests     manifests that select the archives
write_manifests() {
  local archive name names=()
  mkdir -p "$work/manifests"
  for archive in "${archives[@]:1}"; do
    name="${archive%-*}"
    names+=("$name")
    {
      printf 'kind: extension\nname: %s\nsummary: A source\nlicense: PostgreSQL\n' "$name"
      printf 'homepage: https://example.org\nreleases:\n  - version: "1"\n    postgresql: [18]\n    sources:\n      -\n'
      source_of "$archive" '        '
      printf '    provides:\n      - { name: %s, default_version: "1" }\nbuild:\n  pgxs: {}\n' "$name"
    } >"$work/manifests/$name.yaml"
  done
  {
    printf 'kind: postgresql\nname: "18"\nmajor: 18\nversion: "18.6"\nlicense: PostgreSQL\n'
    printf 'homepage: https://www.postgresql.org\nsource: archive\narchive:\n'
    source_of "${archives[0]}" '  '
  } >"$work/manifests/server.yaml"
  {
    printf 'kind: image\nname: postgresql\nbase: debian:bookworm\npostgresql: "18"\nlocale: C.UTF-8\n'
    printf 'user: { name: postgres, uid: 999, gid: 999, home: /var/lib/postgresql, shell: /bin/bash }\n'
    printf 'configuration: /etc/postgresql/image.conf\nprune: {}\nextensions: [%s]\n' "$(join "${names[@]}")"
  } >"$work/manifests/image.yaml"
}

# usage: join WORD...     the words with commas between
join() {
  local IFS=,
  printf '%s' "$*"
}

# usage: by_pgsetup
by_pgsetup() {
  "$pgsetup" fetch "$work/manifests" --to "$work/files" --unpack "$work/trees" >/dev/null 2>&1
}

# usage: by_shell
by_shell() {
  mkdir "$work/files" "$work/trees"
  (
    cd "$work/files"
    curl --parallel --parallel-max 6 --fail --no-progress-meter --remote-name-all "${archives[@]/#/$base/}"
    sha256sum --check --quiet "$work/sums"
    # The one that takes longest comes first.
    printf '%s\n' "${archives[@]}" | xargs --max-procs "$(nproc)" --replace sh -c \
      'mkdir ../trees/{} && tar --extract --no-same-owner --strip-components 1 --directory ../trees/{} --file {}'
  )
}

main() {
  local archive port
  for archive in "${archives[@]}"; do
    if [[ ! -f "$vendor/$archive" ]]; then
      printf 'skipped: it needs %s in %s\n' "$archive" "$vendor" >&2
      return
    fi
  done
  python3 -u -m http.server --bind 127.0.0.1 --directory "$vendor" 0 >"$work/server" 2>/dev/null &
  server="$!"
  until port="$(grep --no-messages --only-matching --perl-regexp 'port \K[0-9]+' "$work/server")"; do
    sleep 0.1
  done
  readonly base="http://127.0.0.1:$port"
  (cd "$vendor" && sha256sum "${archives[@]}") >"$work/sums"
  write_manifests
  race "$rounds"
  python3 - "$pgsetup" "$work" <<'PYTHON' >"$work/memory"
import resource, subprocess, sys
program, work = sys.argv[1:]
subprocess.run([program, "fetch", f"{work}/manifests", "--to", f"{work}/files", "--unpack", f"{work}/trees"],
               check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
PYTHON
  awk -v own="$(median <"$work/pgsetup-seconds")" -v shell="$(median <"$work/shell-seconds")" \
    -v memory="$(<"$work/memory")" 'BEGIN {
      printf "fetch, verify, unpack: pgsetup %.2f s, shell %.2f s, ratio %.2f, peak memory %.1f MB\n",
        own, shell, own / shell, memory * 1024 / 1e6
      exit !(own < shell && memory * 1024 < 64e6)
    }'
}

main "$@"

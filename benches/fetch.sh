#!/usr/bin/env bash
# Fetches everything that the default selection needs, from the network and with an empty cache: pgsetup against curl
# and sha256sum, which are told the addresses of the same files. Both take in turns what VENDOR has from there. Prints
# the median of both and their ratio.
#
# usage: fetch.sh [PGSETUP] [MANIFESTS]      the binary and the directory of manifests; dist/pgsetup and manifests
# ROUNDS: how often each of the two fetches (default: 5). VENDOR: archives that the network does not have here
# (default: ~/.cache/pgsetup/vendor, if it exists). The last line is kept in BENCH_DIR, for install.sh's page. Needs curl.
set -Eeuo pipefail

directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
readonly pgsetup="${1:-$directory/dist/pgsetup}"
readonly manifests="${2:-$directory/manifests}"
readonly rounds="${ROUNDS:-5}"
readonly vendor="${VENDOR:-$HOME/.cache/pgsetup/vendor}"
readonly kept="${BENCH_DIR:-/var/tmp/pgsetup-bench}/fetch"

# shellcheck source=benches/measure.sh
source "$directory/benches/measure.sh"

work="$(mktemp --directory)"
readonly work
trap 'rm -rf "$work"' EXIT

# usage: by_pgsetup
by_pgsetup() {
  local options=()
  if [[ -d "$vendor" ]]; then
    options=(--vendor "$vendor")
  fi
  "$pgsetup" fetch "$manifests" --to "$work/files" "${options[@]}" >"$work/table" 2>"$work/log"
}

# usage: by_shell
by_shell() {
  mkdir "$work/files"
  (
    cd "$work/files"
    curl --config "$work/downloads" --parallel --parallel-max 6 --location --fail --no-progress-meter
    sha256sum --check --quiet "$work/sums"
  )
}

# usage: write_downloads     the files of the last fetch, as curl and sha256sum take them
write_downloads() {
  local file from source
  (cd "$work/files" && sha256sum -- *) >"$work/sums"
  while read -r file from; do
    if [[ "$from" == vendor ]]; then
      source="$(grep --files-with-matches --recursive --null "" "$vendor" | xargs --null sha256sum |
        awk -v digest="$(awk -v file="$file" '$2 == file { print $1 }' "$work/sums")" '$1 == digest { print $2; exit }')"
      from="file://$source"
    fi
    printf 'url = "%s"\noutput = "%s"\n' "$from" "$file"
  done < <(awk '/^what / { table = 1; next } /^[0-9]+ files, / { exit } table { print $3, $NF }' "$work/table") \
  >"$work/downloads"
}

main() {
  # This one also tells where the files are.
  if ! by_pgsetup; then
    tail -n 20 "$work/log" >&2
    return 1
  fi
  write_downloads
  race "$rounds"
  mkdir --parents "$(dirname "$kept")"
  awk -v own="$(median <"$work/pgsetup-seconds")" -v shell="$(median <"$work/shell-seconds")" \
    -v files="$(wc -l <"$work/sums")" 'BEGIN {
      printf "fetch of %d files: pgsetup %.2f s, curl and sha256sum %.2f s, ratio %.2f\n", files, own, shell, own / shell
      exit !(own <= shell)
    }' | tee "$kept"
}

main "$@"

#!/usr/bin/env bash
# Starts and stops databases, many times, with kills at random moments, and looks for what must not happen: a database served that was never
# completely made, an acknowledged commit that is gone, a stop by SIGTERM that ends in a recovery.
#
#   CYCLES=200 SEED=1 IMAGE=pgsetup/postgresql:18 tools/cycles.sh
#
# Each cycle is one life of a container on a volume that goes from cycle to cycle. It ends in one of five ways, drawn by lot:
#   init      killed within the first seconds of an initialisation, on an empty volume
#   start     killed within the first second of a start
#   load      killed while rows are written
#   shutdown  told to stop while rows are written, and killed meanwhile
#   stop      told to stop while rows are written; the next start must not recover
# shellcheck source-path=SCRIPTDIR disable=SC2034,SC2154

set -Eeuo pipefail

readonly cycles="${CYCLES:-200}" seed="${SEED:-$RANDOM}" image="${IMAGE:-pgsetup/postgresql:18}"
readonly data=/var/lib/postgresql/data name="pgsetup-cycles-$$"
work="$(mktemp --directory)"
readonly work acknowledged="$work/acknowledged"
# shellcheck source=cycles/life.sh
source "$(dirname "${BASH_SOURCE[0]}")/cycles/life.sh"
# shellcheck source=cycles/checks.sh
source "$(dirname "${BASH_SOURCE[0]}")/cycles/checks.sh"

# usage: clean_up
clean_up() {
  docker rm --force "$name" >/dev/null 2>&1 || true
  docker volume rm --force "$name" >/dev/null 2>&1 || true
  rm --recursive --force "$work"
}
trap clean_up EXIT

# usage: draw
# Sets ending, now that the volume is as it is: an initialisation needs an empty one.
draw() {
  local -a endings=(start load shutdown stop)
  if ((RANDOM % 5 == 0)) || [[ "$state" == empty && $((RANDOM % 2)) == 0 ]]; then
    ending=init
  else
    ending="${endings[RANDOM % 4]}"
  fi
}

main() {
  local ending state=empty cycle
  local -A count=()
  RANDOM="$seed"
  printf 'SEED=%s CYCLES=%s IMAGE=%s\n' "$seed" "$cycles" "$image"
  docker volume create "$name" >/dev/null
  : >"$acknowledged"
  for ((cycle = 1; cycle <= cycles; cycle++)); do
    draw
    "life_$ending"
    count[$ending]=$((${count[$ending]:-0} + 1))
    printf '%d %s: volume %s, %d rows acknowledged\n' "$cycle" "$ending" "$state" "$(wc --lines <"$acknowledged")"
  done
  last_check
  for ending in "${!count[@]}"; do
    printf '%s: %d\n' "$ending" "${count[$ending]}"
  done
  printf '%d cycles, %d starts refused as half-made, no fault (SEED=%s)\n' "$cycles" "$refused" "$seed"
}

main

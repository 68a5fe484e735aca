#!/usr/bin/env bash
# Measures whole installations in containers of the same base image: pgsetup against benches/setup.sh, which is what a careful
# engineer writes by hand. Rounds are interleaved; printed, and written to docs/results/benchmarks.md, are medians and ratios.
#
#   cold     pgsetup with an empty cache
#   open     the same with --sandbox off: what confining the builds costs
#   warm     the same again: nothing has changed, the cache is there
#   tests    one test of a manifest has changed
#   bumped   one small extension (topn) is compiled with another flag
#   setup    setup.sh, which compiles in the layer of its container, as such scripts do; it remembers nothing, so this is
#            what each of the four above costs it
#   volume   setup.sh that compiles on a volume, where pgsetup compiles, too
#
# Sources and wheels are in one directory that both mount; both find the same warm package archive.
#
# usage: install.sh [PGSETUP]      the binary; dist/pgsetup where it is not given
#   ROUNDS=3 WARM_ROUNDS=1 OPEN_ROUNDS=3 VOLUME_ROUNDS=1 VENDOR=~/.cache/pgsetup/vendor BENCH_DIR=/var/tmp/pgsetup-bench BASE=debian:bookworm
# WARM_ROUNDS is how often a round measures `warm` and `tests`, which are short; their denominator is setup.sh of the same
# rounds. Needs Docker. A round takes as long as two or three installations.
set -Eeuo pipefail

directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
pgsetup="$(realpath "${1:-$directory/dist/pgsetup}")"
docker="$("$directory/tools/docker.sh")"
readonly pgsetup docker
readonly base="${BASE:-debian:bookworm}" vendor="${VENDOR:-$HOME/.cache/pgsetup/vendor}"
readonly rounds="${ROUNDS:-3}" warm_rounds="${WARM_ROUNDS:-1}" volume_rounds="${VOLUME_ROUNDS:-1}"
readonly open_rounds="${OPEN_ROUNDS:-3}"
readonly work="${BENCH_DIR:-/var/tmp/pgsetup-bench}"
readonly container="pgsetup-bench-$$"
sampler=""

finish() {
  if [[ -n "$sampler" ]]; then
    kill "$sampler" 2>/dev/null || true
  fi
  "$docker" rm --force "$container" >/dev/null 2>&1 || true
}
trap finish EXIT

# usage: prepare     sources, wheels, Debian packages, and the three states of the manifests
prepare() {
  mkdir -p "$work"/{apt,lists,results}
  rm -rf "$work"/results/* "$work"/manifests*
  "$pgsetup" fetch "$directory/manifests" --to "$work/sources" --vendor "$vendor" >/dev/null
  cp -r "$directory/manifests" "$work/manifests"
  cp -r "$directory/manifests" "$work/manifests-tests"
  cp -r "$directory/manifests" "$work/manifests-bumped"
  sed --in-place 's/^\( *\)- description: .*/&, again/' "$work/manifests-tests/extensions/pgvector.yaml"
  sed --in-place 's/^  pgxs: {}$/  pgxs: { make: [PG_CFLAGS=-DBUMPED] }/' "$work/manifests-bumped/extensions/topn.yaml"
  cmp --quiet "$work"/manifests{,-tests}/extensions/pgvector.yaml && die 'no test of pgvector was changed'
  cmp --quiet "$work"/manifests{,-bumped}/extensions/topn.yaml && die 'no flag of topn was changed'
  # What apt has downloaded stays, for both.
  printf 'Binary::apt::APT::Keep-Downloaded-Packages "true";\nAPT::Keep-Downloaded-Packages "true";\n' >"$work/keep"
  : >"$work/nothing"
}

die() {
  printf 'install.sh: %s\n' "$1" >&2
  exit 1
}

# usage: within SCRIPT [DOCKER-OPTION...]     runs a shell script in a fresh container, with what both find there
within() {
  local script="$1"
  shift
  "$docker" run --rm --name "$container" --label "$container" \
    --volume "$work/sources:/sources:ro" --volume "$work/results:/results" \
    --volume "$work/apt:/var/cache/apt" --volume "$work/lists:/var/lib/apt/lists" \
    --volume "$work/keep:/etc/apt/apt.conf.d/99keep:ro" --volume "$work/nothing:/etc/apt/apt.conf.d/docker-clean:ro" \
    --volume "$pgsetup:/usr/local/bin/pgsetup:ro" --volume "$directory/benches/setup.sh:/setup.sh:ro" \
    "$@" "$base" bash -c "$script"
}

# usage: empty NAME     an empty directory for a volume
empty() {
  rm -rf "${work:?}/$1"
  mkdir "$work/$1"
}

# usage: timed NAME COMMAND [DOCKER-OPTION...]     runs it, and appends its seconds to results/NAME; the clock runs inside
timed() {
  local name="$1" command="$2"
  shift 2
  sync
  watch_processors "$work/results/stat"
  within "began=\$EPOCHREALTIME
    $command >/results/$name.log 2>&1 || { tail -n 40 /results/$name.log; exit 1; }
    ended=\$EPOCHREALTIME
    test -x /usr/lib/postgresql/18/bin/postgres && test -x /opt/patroni/bin/patroni
    test \$(ls /usr/share/postgresql/18/extension/{citus,vector,pg_cron,pg_partman,pgaudit,pg_repack,rum,topn}.control | wc -l) -eq 8
    echo \"\$began \$ended\" >/results/span" "$@"
  kill "$sampler"
  wait "$sampler" 2>/dev/null || true
  sampler=""
  awk '{ printf "%.2f\n", $2 - $1 }' "$work/results/span" >>"$work/results/$name"
  printf '  %-7s %8s s\n' "$name" "$(tail -n 1 "$work/results/$name")"
}

# usage: watch_processors FILE     writes times and busy and all ticks of the processors, until it is killed; ticks that
# the machine below took from this one are neither
watch_processors() {
  (
    while read -r _ user nice system idle iowait irq softirq _ </proc/stat; do
      printf '%s %d %d\n' "$EPOCHREALTIME" \
        $((user + nice + system + irq + softirq)) $((user + nice + system + idle + iowait + irq + softirq))
      sleep 0.5
    done
  ) >"$1" &
  sampler="$!"
}

# usage: busy NAME BEGAN ENDED     appends to results/NAME-busy how busy the processors were between two moments, in per cent
busy() {
  awk -v began="$2" -v ended="$3" '
    $1 >= began && !first { first = 1; busy = $2; all = $3 }
    $1 <= ended { last_busy = $2; last_all = $3 }
    END { printf "%.1f\n", 100 * (last_busy - busy) / (last_all - all) }' "$work/results/stat" >>"$work/results/$1-busy"
}

# usage: by_setup NAME [DOCKER-OPTION...]
by_setup() {
  timed "$1" "/setup.sh" "${@:2}"
  busy "$1" "$(awk '$1 == "phase" && $3 == "compile" { print $2 }' "$work/results/$1.log")" \
    "$(awk '$1 == "phase" && $3 == "compiled" { print $2 }' "$work/results/$1.log")"
}

# usage: by_pgsetup NAME MANIFESTS [OPTION...]
by_pgsetup() {
  empty build
  timed "$1" "pgsetup install /manifests --vendor /sources --trace /results/$1.json ${*:3}" \
    --volume "$work/$2:/manifests:ro" --volume "$work/cache:/var/cache/pgsetup" --volume "$work/build:/var/tmp/pgsetup"
}

# usage: compiling TRACE BEGAN     when the first build began and the last one ended, by a trace of a run that began then
compiling() {
  # The trace is printed with a member a line, in the order of their names: a slice's dur, name, ph, pid, tid and ts.
  awk -v began="$2" '
    /^      "dur":/ { dur = $2 + 0 }
    /^      "name":/ { build = /"name": "build / }
    /^      "ts":/ {
      if (build) {
        if (!first || $2 + 0 < from) { from = $2 + 0; first = 1 }
        if ($2 + dur > to) to = $2 + dur
      }
    }
    END { printf "%.3f %.3f\n", began + from / 1e6, began + to / 1e6 }' "$1"
}

# usage: median NAME     of results/NAME
median() {
  sort --numeric-sort "$work/results/$1" | awk '
    { values[NR] = $1 }
    END { print NR % 2 ? values[(NR + 1) / 2] : (values[NR / 2] + values[NR / 2 + 1]) / 2 }'
}

# usage: each NAME     the figure of each round
each() { paste --serial --delimiters=, "$work/results/$1" | sed 's/,/, /g'; }

# usage: rounded NAME     the median, to a tenth
rounded() { printf "%.1f" "$(median "$1")"; }

# usage: volume     the median of setup.sh on a volume, if it was measured
volume() {
  ((volume_rounds == 0)) || median volume
}

# usage: row TEXT NAME
row() {
  local own
  own="$(median "$2")"
  awk -v text="$1" -v own="$own" -v setup="$(median setup)" -v volume="$(volume)" 'BEGIN {
    printf "| %s | %.1f s | %.1f s | %.3f | %s |\n", text, own, setup, own / setup, volume == "" ? "-" : sprintf("%.3f", own / volume)
  }'
}

# usage: report     the page for people
report() {
  local model memory
  model="$(awk -F ': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)"
  memory="$(awk '/^MemTotal/ { printf "%.0f", $2 / 1e6 }' /proc/meminfo)"
  cat <<PAGE
# Benchmarks

Written by \`make bench\` (benches/install.sh); every figure is a median of $rounds rounds, interleaved;
$((rounds * warm_rounds)) for the two rows in which nothing is compiled, and $volume_rounds for the last column.

Machine: $(nproc) processors ($model), $memory GB of memory, Linux $(uname -r), storage driver \
$("$docker" info --format '{{.Driver}}'), base image $base.

Installed are PostgreSQL 18.6, Citus 14.0.1, pgvector, pg_cron, pg_partman, pgaudit, pg_repack, rum, topn and Patroni. Sources,
wheels and Debian packages are local for both.

- benches/setup.sh keeps nothing between runs, so every change costs its whole time. If nothing at all has changed, the layer cache of
  Docker spares both their run.
- setup.sh compiles in the layer of its container, as such scripts do. The last column compares with the same script compiling on a
  volume, as pgsetup does.
- The time of pgsetup includes a throw-away cluster in which every extension is created and tested, and the receipt. setup.sh does
  neither.
- setup.sh compiles all of PostgreSQL (\`make world-bin\`). The manifest of pgsetup leaves out ecpg, about 6 of 250 processor seconds.

| | pgsetup | setup.sh | ratio | ratio to setup.sh on a volume |
|---|---|---|---|---|
$(row 'cold: empty cache' cold)
$(row 'warm: nothing changed' warm)
$(row 'one test of a manifest changed' tests)
$(row 'one small extension compiled with another flag' bumped)

Use of the processors while compiling (100 % is all of them): pgsetup $(median cold-busy) %, setup.sh $(median setup-busy) %.
PAGE
  if ((open_rounds > 0)); then
    printf '\nWhat confining the builds costs: cold %s s (%s), with --sandbox off %s s (%s).\n' \
      "$(rounded cold)" "$(each cold)" "$(rounded open)" "$(each open)"
  fi
  if [[ -s "$work/fetch" ]]; then
    printf '\nFetching from the network with an empty cache (benches/fetch.sh): %s.\n' "$(<"$work/fetch")"
  fi
  if ((volume_rounds > 0)); then
    printf '\nsetup.sh on a volume takes %s s, with processors busy to %s %%.\n' "$(median volume)" "$(median volume-busy)"
  fi
}

main() {
  local round again began ended
  prepare
  # Fills the package archive; nothing of it is measured.
  within 'source <(sed -n "/^packages()/,/^}/p" /setup.sh) && packages' >/dev/null 2>&1 ||
    die 'the Debian packages cannot be installed'
  for ((round = 1; round <= rounds; round++)); do
    printf 'round %d\n' "$round"
    # Who comes first changes, for a machine that gets slower or faster meanwhile.
    if ((round % 2 == 0)); then
      by_setup setup
    fi
    if ((round <= open_rounds && round % 2 == 0)); then
      empty cache
      by_pgsetup open manifests --sandbox off
    fi
    empty cache
    by_pgsetup cold manifests
    read -r began ended < <(compiling "$work/results/cold.json" "$(cut --delimiter=' ' --fields=1 "$work/results/span")")
    busy cold "$began" "$ended"
    if ((round % 2 == 1)); then
      by_setup setup
    fi
    for ((again = 1; again <= warm_rounds; again++)); do
      by_pgsetup warm manifests
      by_pgsetup tests manifests-tests
    done
    by_pgsetup bumped manifests-bumped
    if ((round <= open_rounds && round % 2 == 1)); then
      empty cache
      by_pgsetup open manifests --sandbox off
    fi
    if ((round <= volume_rounds)); then
      empty build
      by_setup volume --volume "$work/build:/usr/src"
    fi
  done
  mkdir -p "$directory/docs/results"
  report | tee "$directory/docs/results/benchmarks.md"
}

main "$@"

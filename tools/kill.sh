#!/usr/bin/env bash
# Kills an installation at random moments, resumes it in the same container with the same cache, and compares the tree
# with that of an undisturbed installation, byte for byte.
#
#   COUNT=100 SEED=2026 tools/kill.sh
#
# Everything is in the cache but one extension (BUMPED), whose flags were changed: it is compiled in every round, with
# the build packages that this wants. Each round has a fresh container of BASE and a copy of that cache. The moment is
# drawn by lot over the time that undisturbed installations take, as many side by side as rounds are, and so is what is
# killed; where an installation has ended before, it is an earlier moment's turn:
#   container  all of it, at once, as if the machine had lost its power; then it is started again
#   pgsetup    pgsetup alone: what it had started lives on
#   child      CHILDREN rounds more: the newest process that pgsetup has started; pgsetup must end by itself
#   term       TERMS rounds more: pgsetup, by SIGTERM; within a second nothing of it may run
# With STRIKES=2 the resumed installation is killed as well, before one that is not disturbed.
# At last two installations begin at the same time with one cache, and both trees are compared.
#
# JOBS rounds go on at the same time, but those by SIGTERM, which are timed. More: PG, EXTENSIONS (of which BUMPED is
# one), PATRONI=true, VENDOR, BASE, CACHE (a volume whose artifacts fill the cache), LOGS (a directory that is kept),
# and the proxies of this machine, which the containers use as well. Needs dist/pgsetup and Docker. Ends with 1 where
# something is not the same.
# shellcheck source-path=SCRIPTDIR
set -Eeuo pipefail

readonly count="${COUNT:-100}" seed="${SEED:-2026}" children="${CHILDREN:-10}" terms="${TERMS:-4}"
readonly pg="${PG:-18}" extensions="${EXTENSIONS:-pgvector topn}" patroni="${PATRONI:-false}"
readonly bumped="${BUMPED:-topn}"
jobs="${JOBS:-$(nproc)}" strikes="${STRIKES:-1}"
readonly base="${BASE:-debian:bookworm}" vendor="${VENDOR:-$HOME/.cache/pgsetup/vendor}"
readonly epoch="${SOURCE_DATE_EPOCH:-1767225600}" prefix="pgsetup-kill-$$"
directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
work="$(mktemp --directory)"
readonly directory work
readonly logs="${LOGS:-$work}"
# shellcheck source=tree.sh
source "$directory/tools/tree.sh"

# usage: clean_up
clean_up() {
  local -a left=()
  readarray -t left < <(docker ps --all --quiet --filter "name=^$prefix")
  ((${#left[@]} == 0)) || docker rm --force "${left[@]}" >/dev/null 2>&1 || true
  readarray -t left < <(docker volume ls --quiet --filter "name=^$prefix")
  ((${#left[@]} == 0)) || docker volume rm --force "${left[@]}" >/dev/null 2>&1 || true
  rm --recursive --force "$work"
}

# usage: manifests     makes the two states of the manifests
manifests() {
  cp --recursive "$directory/manifests" "$work/plain"
  sed --in-place "s/^patroni: .*/patroni: $patroni/" "$work/plain/image.yaml"
  cp --recursive "$work/plain" "$work/bumped"
  local manifest="extensions/$bumped.yaml"
  sed --in-place 's/^  pgxs: {}$/  pgxs: { make: [PG_CFLAGS=-DKILLED] }/' "$work/bumped/$manifest"
  if cmp --quiet "$work/plain/$manifest" "$work/bumped/$manifest"; then
    printf 'kill: no flag of %s could be changed: its manifest has no "pgxs: {}"\n' "$bumped" >&2
    return 2
  fi
}

# usage: container NAME CACHE     a container of the base that does nothing, with the cache of that name
container() {
  local -a options=(
    --name "$prefix-$1" --volume "$directory/dist/pgsetup:/mnt/pgsetup:ro" --volume "$work:/mnt/manifests:ro"
    --volume "$prefix-$2:/var/cache/pgsetup" --env "SOURCE_DATE_EPOCH=$epoch"
  )
  if [[ -d "$vendor" ]]; then
    options+=(--volume "$vendor:/mnt/vendor:ro")
  fi
  if [[ -n "${SSL_CERT_FILE:-}" ]]; then
    options+=(--volume "$SSL_CERT_FILE:/mnt/ca.pem:ro")
  fi
  local variable
  for variable in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    if [[ -n "${!variable:-}" ]]; then
      options+=(--env "$variable=${!variable}")
    fi
  done
  docker run --detach --init "${options[@]}" "$base" sleep infinity >/dev/null
}

# usage: install NAME MANIFESTS     installs in that container; its process id there is in /dev/shm/pgsetup
install() {
  local -a arguments=(install "/mnt/manifests/$2" --pg "$pg" --extensions "$extensions")
  if [[ -d "$vendor" ]]; then
    arguments+=(--vendor /mnt/vendor)
  fi
  if [[ -n "${SSL_CERT_FILE:-}" ]]; then
    arguments+=(--ca-bundle /mnt/ca.pem)
  fi
  # shellcheck disable=SC2016 # the shell in the container has the arguments
  docker exec "$prefix-$1" bash -c 'echo "$$" >/dev/shm/pgsetup && exec /mnt/pgsetup "$@"' - "${arguments[@]}"
}

# usage: copy_cache FROM TO
copy_cache() {
  docker volume rm --force "$prefix-$2" >/dev/null
  copy_volume "$prefix-$1" "$prefix-$2"
}

# usage: copy_volume FROM TO
copy_volume() {
  docker run --rm --volume "$1:/from:ro" --volume "$2:/to" "$base" cp --archive /from/. /to/
}

# usage: steps LOG     prints the steps that had begun and not ended
steps() {
  awk '
    /^start  / { running[substr($0, 8)] = 1 }
    /^done   / { for (step in running) if (index(substr($0, 8), step "  ") == 1) delete running[step] }
    END {
      for (step in running) text = text (text == "" ? "" : ", ") step
      print text == "" ? "between steps" : text
    }' "$1"
}

# usage: newest_child CONTAINER     prints process id and name of the youngest process below pgsetup, if there is one
newest_child() {
  # shellcheck disable=SC2016 # the shell in the container expands it
  docker exec "$1" bash -c '
    top="$(cat /dev/shm/pgsetup)"
    below() {
      local child
      for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        printf "%s %s\n" "$child" "$(cat "/proc/$child/comm" 2>/dev/null)"
        below "$child"
      done
    }
    below "$top" | sort --numeric-sort | tail --lines 1'
}

# usage: quiet CONTAINER     fails where anything but the container itself, and who asks, runs
quiet() {
  # shellcheck disable=SC2016 # the shell in the container expands it
  docker exec "$1" bash -c '
    for process in /proc/[0-9]*; do
      read -r _ _ state parent _ < <(sed "s/(.*)/x/" "$process/stat" 2>/dev/null) || continue
      pid="${process##*/}"
      ((pid == 1 || pid == $$ || parent == $$)) && continue
      command="$(tr "\0" " " 2>/dev/null <"$process/cmdline")" || continue
      [[ "$command" == "sleep infinity " || "$state" == Z ]] && continue
      # Gone since the list was made.
      [[ -e "$process" ]] || continue
      printf "%s still runs: %s\n" "$pid" "$command" && exit 1
    done'
}

# usage: strike KIND CONTAINER     kills; sets struck to what it was
strike() {
  struck=''
  case "$1" in
    container)
      docker kill --signal KILL "$2" >/dev/null
      docker start "$2" >/dev/null
      ;;
    pgsetup) docker exec "$2" bash -c 'kill -KILL "$(cat /dev/shm/pgsetup)"' 2>/dev/null || struck=' (had ended)' ;;
    term) docker exec "$2" bash -c 'kill -TERM "$(cat /dev/shm/pgsetup)"' 2>/dev/null || struck=' (had ended)' ;;
    child)
      local pid name
      read -r pid name < <(newest_child "$2") || true
      struck=" (no child)"
      if [[ -n "${pid:-}" ]] && docker exec "$2" bash -c "kill -KILL $pid" 2>/dev/null; then
        struck=" ($name)"
      fi
      ;;
  esac
}

# usage: moment     draws a moment within the time that an undisturbed installation takes; prints seconds
moment() {
  awk -v lot="$1" -v duration="$duration" 'BEGIN { printf "%.3f\n", duration * lot / 32768 }'
}

# usage: disturbed NUMBER STRIKE KIND SECONDS     an installation that is struck; sets struck, status and stopped
# Fails where it had ended before.
disturbed() {
  local name="$prefix-round-$1" log="$logs/round-$1.killed-$2" installing ended
  install "round-$1" bumped >"$log" 2>&1 &
  installing="$!"
  sleep "$4"
  kill -0 "$installing" 2>/dev/null || return 1
  strike "$3" "$name"
  local began="$EPOCHREALTIME"
  status=0
  wait "$installing" || status="$?"
  ended="$EPOCHREALTIME"
  stopped="$(awk -v began="$began" -v ended="$ended" 'BEGIN { print ended - began }')"
  printf '%3d %-9s at %6.2f s, status %3d%s, during: %s\n' "$1" "$3" "$4" "$status" "$struck" "$(steps "$log")"
}

# usage: round NUMBER KIND SECONDS...     one round, with a moment for each strike; fails where the tree is another one
round() {
  local number="$1" kind="$2" name="round-$1" log="$logs/round-$1" struck status stopped strike=0 verdict=same
  shift 2
  copy_cache before "$name"
  container "$name" "$name"
  local -a moments=("$@")
  while ((strike < $#)); do
    if ! disturbed "$number" "$strike" "$kind" "${moments[strike]}"; then
      # Too late: from the beginning, with earlier moments.
      remove "$name"
      readarray -t moments < <(printf '%s\n' "$@" | awk '{ printf "%.3f\n", $1 * 0.8 }')
      round "$number" "$kind" "${moments[@]}"
      return
    fi
    strike=$((strike + 1))
    if [[ "$kind" == term && "$struck" == '' ]]; then
      # A second, and what docker itself takes.
      awk -v stopped="$stopped" 'BEGIN { exit stopped > 1.5 }' || verdict="not stopped within a second"
      quiet "$prefix-$name" || verdict="something was left running"
    fi
  done
  if ! ((status == 0)) && ! install "$name" bumped >"$log.again" 2>&1; then
    verdict="the last run failed: $(tail --lines 1 "$log.again")"
  elif ! tree_of_running "$prefix-$name" >"$log.tree" || ! diff "$work/reference" "$log.tree" >"$log.diff"; then
    verdict="another tree: $(grep --count '^[<>]' "$log.diff") lines"
    head --lines 20 "$log.diff" >&2
  fi
  remove "$name"
  printf '%3d %s\n' "$number" "$verdict"
  [[ "$verdict" == same ]] || return 1
  rm --force "$log.tree" "$log.diff"
}

# usage: remove NAME     removes a container and its cache
remove() {
  docker rm --force "$prefix-$1" >/dev/null
  docker volume rm --force "$prefix-$1" >/dev/null
}

# usage: all_end_well PID...     waits for all of them; fails where one did
all_end_well() {
  local pid status=0
  for pid in "$@"; do
    wait "$pid" || status=1
  done
  return "$status"
}

# usage: together     two installations at the same time, with one cache; fails where a tree is another one
together() {
  local name status=0
  copy_cache before round
  local -a running=()
  for name in left right; do
    container "$name" round
    install "$name" bumped >"$logs/$name" 2>&1 &
    running+=("$!")
  done
  all_end_well "${running[@]}" || status=1
  for name in left right; do
    tree_of_running "$prefix-$name" >"$logs/$name.tree"
    diff "$work/reference" "$logs/$name.tree" || status=1
    docker rm --force "$prefix-$name" >/dev/null
  done
  printf 'two at the same time with one cache: %s\n' "$( ((status)) && printf 'not both right' || printf 'both same')"
  return "$status"
}

# usage: undisturbed     fills the cache, and makes the tree that all others are compared with; sets duration
# JOBS of them go on side by side, as the rounds do, and all must come to the same tree.
undisturbed() {
  [[ -z "${CACHE:-}" ]] || copy_volume "$CACHE" "$prefix-before"
  container plain before
  install plain plain >"$logs/plain" 2>&1 || { tail --lines 40 "$logs/plain" >&2 && return 1; }
  docker rm --force "$prefix-plain" >/dev/null
  local one began
  local -a running=()
  for ((one = 1; one <= jobs; one++)); do
    copy_cache before "reference-$one"
    container "reference-$one" "reference-$one"
  done
  began="$EPOCHREALTIME"
  for ((one = 1; one <= jobs; one++)); do
    install "reference-$one" bumped >"$logs/reference-$one.log" 2>&1 &
    running+=("$!")
  done
  all_end_well "${running[@]}" || { tail --lines 40 "$logs"/reference-*.log >&2 && return 1; }
  duration="$(awk -v began="$began" -v ended="$EPOCHREALTIME" 'BEGIN { print ended - began }')"
  for ((one = 1; one <= jobs; one++)); do
    tree_of_running "$prefix-reference-$one" >"$work/reference-$one"
    # What is compared must be there, and the build must have been one.
    if ! grep --quiet "^done   build $bumped .* staged" "$logs/reference-$one.log"; then
      printf 'kill: %s was not compiled: the cache has it already\n' "$bumped" >&2
      return 2
    fi
    grep --quiet '^/usr/lib/postgresql/[0-9]*/bin/postgres ' "$work/reference-$one"
    remove "reference-$one"
    diff "$work/reference-1" "$work/reference-$one" >&2
  done
  mv "$work/reference-1" "$work/reference"
}

# usage: rounds FROM TO KIND...     rounds, of which each is of a drawn kind, JOBS of them at a time
# Of every as many rounds as there are kinds, each has another one. Appends the numbers of those that failed to $failed.
rounds() {
  local number from="$1" to="$2" strike
  local -a kinds=() moments=()
  shift 2
  for ((number = from; number <= to; number++)); do
    (((number - from) % $#)) || readarray -t kinds < <(printf '%s\n' "$@" | shuf --random-source <(yes "$RANDOM"))
    moments=()
    for ((strike = 0; strike < strikes; strike++)); do
      moments+=("$(moment "$RANDOM")")
    done
    while (($(jobs -pr | wc --lines) >= jobs)); do
      wait -n || true
    done
    (round "$number" "${kinds[(number - from) % $#]}" "${moments[@]}" || printf '%d\n' "$number" >>"$failed") &
  done
  wait
}

main() {
  local duration failed="$work/failed" kills="$((count * strikes))"
  RANDOM="$seed"
  trap clean_up EXIT
  mkdir --parents "$logs"
  manifests
  : >"$failed"
  printf 'SEED=%s COUNT=%s EXTENSIONS="%s" PATRONI=%s BASE=%s\n' "$seed" "$count" "$extensions" "$patroni" "$base"
  undisturbed
  printf 'undisturbed: %.1f s, %d lines about the tree\n' "$duration" "$(wc --lines <"$work/reference")"
  rounds 1 "$count" container pgsetup
  strikes=1
  rounds $((count + 1)) $((count + children)) child
  jobs=1
  rounds $((count + children + 1)) $((count + children + terms)) term
  together || printf 'together\n' >>"$failed"
  printf '%d kills, %d of children, %d by SIGTERM: %d failed\n' "$kills" "$children" "$terms" "$(wc --lines <"$failed")"
  [[ ! -s "$failed" ]]
}

main "$@"

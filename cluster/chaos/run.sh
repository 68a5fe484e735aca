#!/usr/bin/env bash
# Injects faults into a cluster of its own while a client writes, and writes docs/results/reliability.md. After each fault: nothing acknowledged is
# lost, each group has one leader, and its members stream again; else it stops there and says why.
#
#   COUNT=50      faults          SEED=N     repeats a sequence        LIMIT=3600   seconds after which no further fault begins
#   KEEP=1        leave the cluster for a look        RESUME=1    continue with a cluster that was left, until it has had COUNT faults
#   KINDS="paused disk_full"   only these
# shellcheck source-path=SCRIPTDIR disable=SC2154 # lib.sh has the members
set -Eeuo pipefail

readonly count="${COUNT:-50}" seed="${SEED:-$RANDOM}" limit="${LIMIT:-3600}"
export PROJECT="${PROJECT:-pgsetup-chaos}" WRITE_PORT="${WRITE_PORT:-15000}" READ_PORT="${READ_PORT:-15001}" MEMORY=1536m
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
export RESULTS="${RESULTS:-$here/../../target/chaos}" CLIENT_USER="${CLIENT_USER:-$(id --user):$(id --group)}"

# shellcheck source=../up.sh
source "$here/../up.sh"
# shellcheck source=faults.sh
source "$here/faults.sh"
compose_files+=(--file "$here/compose.yaml")
read -r -a kinds <<<"${KINDS:-postgres_killed container_killed container_crashed paused cut_from_etcd cut_from_peers cut_from_all etcd_leader_killed disk_full stopped_in_turn}"
readonly kinds here

# usage: start
start() {
  rm --recursive --force "$RESULTS"
  mkdir --parents "$RESULTS"
  RESULTS="$(cd "$RESULTS" && pwd)"
  image
  services_image
  passwords
  compose up --detach --scale client=0
  wait_until_healthy 300
  compose up --detach --no-recreate client >/dev/null
  wait_until_writing 60
}

# usage: finish
finish() {
  [[ -n "${KEEP:-}" ]] || compose down --volumes --remove-orphans --timeout 10 >/dev/null 2>&1
}

# usage: now
now() { date +%s.%3N; }

# usage: python FILE [ARG...]
# Runs a file of this directory in the client's container.
python() { docker exec "$(container client)" /opt/patroni/bin/python3 "/chaos/$1" "${@:2}"; }

# usage: all_write_since SECOND
# Whether every lane has had a row acknowledged after that second, and within the last two.
all_write_since() {
  local file last
  for file in "$RESULTS"/acknowledged-{coordinator,group-1,group-2,both-groups}.log; do
    [[ -s "$file" ]] || return 1
    last="$(stat --format %Y "$file")"
    ((last > $1 && last >= $(date +%s) - 2)) || return 1
  done
}

# usage: wait_until_writing SECONDS
# Until every lane has been writing for some seconds; fails if that takes too long.
wait_until_writing() {
  local since deadline=$((SECONDS + $1)) steady=0
  since="$(date +%s)"
  while ((steady < 3)); do
    ((SECONDS <= deadline)) || return 1
    sleep 1
    if all_write_since "$since"; then steady=$((steady + 1)); else steady=0; fi
  done
}

# usage: shuffle
# Sets order to the kinds in random order. It runs in this shell, because a subshell of bash seeds its own generator.
shuffle() {
  local last picked
  order=("${kinds[@]}")
  for ((last = ${#order[@]} - 1; last > 0; last--)); do
    picked=$((RANDOM % (last + 1)))
    local kept="${order[last]}"
    order[last]="${order[picked]}"
    order[picked]="$kept"
  done
}

# usage: choose_target KIND
# Sets REPLY to the service that it happens to. The coordinator is chosen as often as both workers together.
choose_target() {
  local group=$((RANDOM % 4))
  case "$1" in
    etcd_leader_killed) REPLY="$(etcd_leader)" ;;
    stopped_in_turn)
      REPLY="${cluster_members[turn % ${#cluster_members[@]}]}"
      turn=$((turn + 1))
      ;;
    *) REPLY="${leaders[group > 2 ? 0 : group]}" ;;
  esac
}

# usage: one_fault NUMBER KIND
one_fault() {
  local number="$1" kind="$2" target began flowed well load lost complete=yes
  choose_target "$kind"
  target="$REPLY"
  read -r load _ </proc/loadavg
  began="$(now)"
  "inject_$kind" "$target"
  sleep "${fault_lasts[$kind]}"
  flowed=yes
  wait_until_writing $((${fault_ends[$kind]:-80} - fault_lasts[$kind])) || flowed=no
  "heal_$kind" "$target"
  wait_until_well
  wait_until_writing 75 || die_here "the client cannot write after $kind of $target has been healed"
  well="$(now)"
  python check.py >"$RESULTS/check.tsv" || complete=no
  lost="$(awk -F '\t' '{ lost += $4 + $5 } END { print lost + 0 }' "$RESULTS/check.tsv")"
  printf '%s\t' "$number" "${fault_title[$kind]}" "$target" "$began" "$well" "$flowed" "$load" >>"$RESULTS/faults.tsv"
  printf '%s\n' "$lost" >>"$RESULTS/faults.tsv"
  python report.py line
  [[ "$complete" == yes ]] || die_here "acknowledged rows are lost after $kind of $target: $(<"$RESULTS/check.tsv")"
}

# usage: wait_until_well
# Sets leaders.
wait_until_well() {
  local why deadline=$((SECONDS + 180))
  until why="$(docker exec --interactive "$(container client)" /opt/patroni/bin/python3 - "${cluster_groups[@]}" <"$cluster_directory/health.py" 2>&1)"; do
    ((SECONDS <= deadline)) || die_here "the cluster is not well again: $why"
    sleep 1
  done
  read -r -a leaders <<<"${why#leaders: }"
}

# usage: die_here TEXT
# What is needed to find out why stays.
die_here() {
  local service
  say "$1"
  for service in "${cluster_members[@]}" haproxy client; do
    docker logs --since 10m "$(container "$service")" >"$RESULTS/$service.txt" 2>&1 || true
  done
  say "the logs are in $RESULTS; the seed was $seed"
  exit 1
}

# usage: machine
# Prints what the results are true of.
machine() {
  local member
  member="$(container coordinator1)"
  printf '%s, %s processors, %s of memory, Linux %s, Docker %s\n' \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
    "$(awk '/^MemTotal/ { printf "%d GiB", $2 / 1048576 + 0.5 }' /proc/meminfo)" "$(uname --kernel-release)" "$(docker version --format '{{.Server.Version}}')"
  docker exec "$member" psql --username=postgres --dbname=citus --no-psqlrc -Atqc \
    "SELECT 'PostgreSQL ' || current_setting('server_version') || ', Citus ' || extversion FROM pg_extension WHERE extname = 'citus'"
  docker exec "$member" patroni --version
  docker exec "$member" /opt/patroni/bin/python3 -c "
import json, urllib.request
for key, value in sorted(json.load(urllib.request.urlopen('http://localhost:8008/config', timeout=5)).items()):
    if key != 'postgresql': print(f'{key}: {value}')"
}

# usage: resume
# What has happened counts; the members are stopped in turn from where the last run ended.
resume() {
  number="$(wc --lines <"$RESULTS/faults.tsv")"
  turn="$(grep --count --fixed-strings "${fault_title[stopped_in_turn]}" "$RESULTS/faults.tsv" || true)"
  printf ', %s' "$seed" >>"$RESULTS/seed"
  wait_until_well
}

main() {
  local number=0 kind
  local -a order leaders
  turn=0
  RANDOM="$seed"
  say "$count faults, seed $seed, results in $RESULTS"
  trap finish EXIT
  if [[ -n "${RESUME:-}" ]]; then
    resume
  else
    start
    machine >"$RESULTS/machine.txt"
    wait_until_well
    printf '%s' "$seed" >"$RESULTS/seed"
  fi
  local end=$((SECONDS + limit))
  while ((number < count && SECONDS < end)); do
    # Every kind once, in an order of chance, then again.
    shuffle
    for kind in "${order[@]}"; do
      ((number < count && SECONDS < end)) || break
      number=$((number + 1))
      one_fault "$number" "$kind"
    done
  done
  python check.py >"$RESULTS/check.tsv"
  python report.py table
  mkdir --parents "$here/../../docs"
  cp "$RESULTS/reliability.md" "$here/../../docs/results/reliability.md"
}

main "$@"

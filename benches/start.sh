#!/usr/bin/env bash
# How long `docker run` takes to accepting TCP connections, against the same work done by hand in the same image: initdb and a start of the
# server, without any of the entrypoint. Medians of RUNS (10). Run it on a machine that does nothing else.
#
#   first start    an empty volume: docker run … postgres              by hand: initdb, then postgres, in one container
#   restart        a volume with a database that was cleanly stopped   by hand: postgres
set -Eeuo pipefail

readonly runs="${RUNS:-10}" image="${IMAGE:-pgsetup/postgresql:18}" name="pgsetup-start-$$"
readonly data=/var/lib/postgresql/data

# usage: clean_up
clean_up() {
  docker rm --force --volumes "$name" >/dev/null 2>&1 || true
  docker volume rm --force "$name" >/dev/null 2>&1 || true
}
trap clean_up EXIT

# usage: milliseconds_until_serving DOCKER_RUN_ARG...
# From before `docker run` to the first TCP connection that the server answers. It is asked from this machine, so that no `docker exec` is in
# what is measured.
milliseconds_until_serving() {
  local begun answered
  docker rm --force "$name" >/dev/null 2>&1 || true
  begun="$(date +%s%N)"
  docker run --detach --name "$name" --volume "$name:$data" --env POSTGRES_PASSWORD=secret "$@" >/dev/null
  address="$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$name")"
  until answers; do
    if (($(date +%s%N) - begun > 120 * 1000000000)); then
      docker logs "$name" >&2
      return 1
    fi
    sleep 0.01
  done
  answered="$(date +%s%N)"
  printf '%d\n' $(((answered - begun) / 1000000))
}

# usage: answers
# A start packet for a user of the name x, which only a server that lets in answers with a request for a password (R) and not an error.
answers() {
  local answer=''
  { exec 3<>"/dev/tcp/$address/5432"; } 2>/dev/null || return 1
  printf '\x00\x00\x00\x17\x00\x03\x00\x00user\x00postgres\x00\x00' >&3
  IFS= read -r -n 1 -t 2 answer <&3 || true
  exec 3<&- 3>&-
  [[ "$answer" == R ]]
}

# usage: median
median() { sort --numeric-sort | awk '{ all[NR] = $1 } END { print NR % 2 ? all[(NR + 1) / 2] : int((all[NR / 2] + all[NR / 2 + 1]) / 2) }'; }

# usage: first_start DOCKER_RUN_ARG...
first_start() {
  docker rm --force "$name" >/dev/null 2>&1 || true
  docker volume rm --force "$name" >/dev/null
  milliseconds_until_serving "$@"
}

# usage: restart DOCKER_RUN_ARG...
restart() {
  docker stop --signal INT --time 60 "$name" >/dev/null
  milliseconds_until_serving "$@"
}

main() {
  local run by_hand server
  # What the entrypoint would set beside: the image's own settings, and where to listen.
  server="exec postgres -c listen_addresses='*' -c shared_preload_libraries=\$(sed -n \"s/^shared_preload_libraries = '\\(.*\\)'/\\1/p\" /etc/postgresql/image.conf)"
  by_hand="set -e; initdb --username=postgres --pwfile=<(echo secret) --auth-host=scram-sha-256 >/dev/null; echo 'host all all all scram-sha-256' >>\$PGDATA/pg_hba.conf; $server"
  local -a first=() first_hand=() again=() again_hand=()
  for ((run = 1; run <= runs; run++)); do
    first_hand+=("$(first_start --entrypoint bash "$image" -c "$by_hand")")
    again_hand+=("$(restart --entrypoint bash "$image" -c "$server")")
    first+=("$(first_start "$image")")
    again+=("$(restart "$image")")
    printf '%2d: first start %5d ms, by hand %5d ms; restart %5d ms, by hand %5d ms\n' "$run" "${first[-1]}" "${first_hand[-1]}" "${again[-1]}" "${again_hand[-1]}"
  done
  printf 'median of %d: first start %d ms, by hand %d ms; restart %d ms, by hand %d ms\n' "$runs" \
    "$(printf '%d\n' "${first[@]}" | median)" "$(printf '%d\n' "${first_hand[@]}" | median)" \
    "$(printf '%d\n' "${again[@]}" | median)" "$(printf '%d\n' "${again_hand[@]}" | median)"
}

main

# shellcheck shell=bash disable=SC2154
# What must hold whenever a database is served.

refused=0

# usage: fault TEXT...
fault() {
  printf 'FAULT: %s (SEED=%s)\n' "$*" "$seed" >&2
  docker logs --tail 60 "$name" >&2 || true
  exit 1
}

# usage: logged TEXT
logged() { grep --quiet "$1" <(docker logs "$name" 2>&1); }

# usage: volume_state
# Looks from outside, without the entrypoint.
volume_state() {
  docker run --rm --volume "$name:$data" --entrypoint bash "$image" -c "cd $data
    if [[ -e .initialising ]]; then echo half; elif [[ -s PG_VERSION ]]; then echo killed; elif [[ -z \$(ls -A) ]]; then echo empty; else echo foreign; fi"
}

# usage: begin
# Starts a container. One on a half-made volume must end by itself; it is then told to start over.
begin() {
  [[ "$state" != foreign ]] || fault 'the volume holds something that is neither a database nor marked as unfinished'
  if [[ "$state" == half ]]; then
    run_container
    [[ "$(docker wait "$name")" == 1 ]] || fault 'a half-made database was not refused'
    logged 'did not complete' || fault 'the refusal does not say why'
    ! logged 'ready to accept connections' || fault 'a half-made database was served'
    refused=$((refused + 1))
    : >"$acknowledged"
    run_container --env POSTGRES_ON_FAILED_INIT=start-over
  else
    run_container
  fi
}

# usage: begin_serving
# Starts a container and checks what it serves.
begin_serving() {
  local stopped=''
  [[ "$state" != stopped ]] || stopped=yes
  begin
  until docker exec "$name" pg_isready --quiet --host 127.0.0.1 --username postgres 2>/dev/null; do
    [[ "$(docker inspect --format '{{.State.Running}}' "$name")" == true ]] || fault 'a start ended before it served'
    sleep 0.1
  done
  docker exec "$name" bash -c "[[ ! -e $data/.initialising ]]" || fault 'a database is served that is marked as unfinished'
  if [[ -n "$stopped" ]]; then
    ! logged 'not properly shut down' || fault 'the start after a stop by SIGTERM had to recover'
  fi
  sql 'CREATE TABLE IF NOT EXISTS written (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)' >/dev/null
  check_rows
}

# usage: check_rows
# A number that was cut off when the writer was killed counts only if its line is complete.
check_rows() {
  local missing
  sql 'SELECT number FROM written' | sort >"$work/there"
  missing="$({ grep --extended-regexp '^[0-9]+$' "$acknowledged" || true; } | sort --unique | comm -23 - "$work/there" | wc --lines)"
  ((missing == 0)) || fault "$missing acknowledged rows are lost"
}

# usage: sql TEXT
sql() {
  docker exec --env PGOPTIONS='-c client_min_messages=error' "$name" psql --username postgres --no-psqlrc -Atq --set ON_ERROR_STOP=1 --command "$1"
}

# usage: last_check
last_check() {
  begin_serving
  docker stop --time 60 "$name" >/dev/null
  [[ "$(docker inspect --format '{{.State.ExitCode}}' "$name")" == 0 ]] || fault 'the last stop was not clean'
}

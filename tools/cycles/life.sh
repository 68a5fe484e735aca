# shellcheck shell=bash disable=SC2154,SC2034,SC2119,SC2120
# The lives of a container. Each leaves `state`: empty, half (an initialisation did not end), killed (the next start recovers) or stopped.

# usage: run_container [OPTION...]
run_container() {
  docker rm --force "$name" >/dev/null 2>&1 || true
  docker run --detach --name "$name" --volume "$name:$data" --env POSTGRES_PASSWORD=secret "$@" "$image" >/dev/null
}

# usage: sleep_up_to MILLISECONDS
sleep_up_to() {
  local wait=$((RANDOM % $1))
  sleep "$((wait / 1000)).$(printf '%03d' $((wait % 1000)))"
}

# usage: kill_it
kill_it() {
  docker kill --signal KILL "$name" >/dev/null 2>&1 || true
  docker wait "$name" >/dev/null
}

# usage: life_init
# A marker row is the last thing that an initialisation makes: it is there in every database that is served.
life_init() {
  docker rm --force "$name" >/dev/null 2>&1 || true
  docker volume rm "$name" >/dev/null
  docker volume create "$name" >/dev/null
  : >"$acknowledged"
  run_container
  sleep_up_to 4000
  kill_it
  state="$(volume_state)"
}

# usage: life_start
life_start() {
  begin
  sleep_up_to 1000
  kill_it
  state="$(volume_state)"
}

# usage: life_load
life_load() {
  begin_serving
  write_rows
  sleep_up_to 3000
  kill_it
  wait "$writer" || true
  state=killed
}

# usage: life_shutdown
life_shutdown() {
  begin_serving
  write_rows
  sleep_up_to 1500
  docker kill --signal TERM "$name" >/dev/null
  sleep_up_to 150
  kill_it
  wait "$writer" || true
  state=killed
}

# usage: life_stop
life_stop() {
  local status
  begin_serving
  write_rows
  sleep_up_to 1500
  docker kill --signal TERM "$name" >/dev/null
  status="$(docker wait "$name")"
  wait "$writer" || true
  [[ "$status" == 0 ]] || fault "a stop by SIGTERM ended with status $status"
  logged 'database system is shut down' || fault 'a stop by SIGTERM did not shut the database down'
  state=stopped
}

# usage: write_rows
# In the background: numbers, one transaction each. psql prints a number only when its commit was acknowledged.
write_rows() {
  docker exec "$name" bash -c 'for ((i = 0; ; i++)); do echo "INSERT INTO written DEFAULT VALUES RETURNING number;"; done |
    psql --username postgres --no-psqlrc -Atq --set ON_ERROR_STOP=1' 2>/dev/null >>"$acknowledged" &
  writer=$!
}

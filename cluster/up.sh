#!/usr/bin/env bash
# Starts the cluster and waits until every group is in it. What the Makefile hands in: IMAGE, IMAGES (debian or upstream), and what
# compose.yaml names.
# shellcheck source-path=SCRIPTDIR
set -Eeuo pipefail

# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# usage: passwords
# Writes what is missing. Compose mounts them as they are, so the members' user must be able to read them; the directory keeps others out.
passwords() {
  local name
  mkdir --parents "$cluster_directory/secrets"
  chmod 0700 "$cluster_directory/secrets"
  for name in superuser replication rewind; do
    [[ -s "$cluster_directory/secrets/$name" ]] ||
      head --bytes 18 /dev/urandom | base64 | tr '+/' '-_' >"$cluster_directory/secrets/$name"
    chmod 0444 "$cluster_directory/secrets/$name"
  done
}

# usage: image
image() {
  local name="${IMAGE:-pgsetup/postgresql:18}"
  docker image inspect "$name" >/dev/null 2>&1 || make --directory "$cluster_directory/.." image
}

# usage: services_image
# Builds etcd and HAProxy from Debian's packages, where these are wanted and not there yet.
services_image() {
  local name=pgsetup/cluster-services:bookworm client
  if docker image inspect "$name" >/dev/null 2>&1; then
    return
  fi
  say "making $name from Debian's packages"
  client="$("$cluster_directory/../tools/docker.sh")"
  DOCKER="$client" "$cluster_directory/../tools/base.sh" "${BASE:-debian:bookworm}"
  DOCKER_BUILDKIT=1 "$client" build --quiet --network host --build-arg "BASE=${BASE:-debian:bookworm}" --tag "$name" \
    "$cluster_directory/services" >/dev/null
}

# usage: wait_until_healthy SECONDS
wait_until_healthy() {
  local deadline=$((SECONDS + $1)) why='' said=''
  until why="$(docker exec --interactive "$(running_member)" /opt/patroni/bin/python3 - "${cluster_groups[@]}" <"$cluster_directory/health.py" 2>&1)"; do
    if ((SECONDS > deadline)); then
      say "not ready after $1 s: $why"
      return 1
    fi
    [[ "$why" == "$said" ]] || say "$why"
    said="$why"
    sleep 2
  done
  say "$why"
}

# usage: instructions
instructions() {
  cat <<'TEXT'

Distribute a table over the workers and query it:

  cluster/psql.sh <<'SQL'
  CREATE TABLE readings (sensor bigint, at timestamptz DEFAULT now(), value float);
  SELECT create_distributed_table('readings', 'sensor');
  INSERT INTO readings SELECT n % 1000, now(), random() FROM generate_series(1, 100000) n;
  SELECT nodename AS member, count(*) AS shards FROM citus_shards WHERE table_name = 'readings'::regclass GROUP BY 1 ORDER BY 1;
  SELECT count(*) AS rows, count(DISTINCT sensor) AS sensors FROM readings;
  SQL

TEXT
  # shellcheck disable=SC2016 # the reader's shell reads it
  printf 'From outside: PGPASSWORD=$(cat cluster/secrets/superuser) psql -h %s -p %s -U postgres citus   (port %s: read-only)\n' \
    "${BIND:-127.0.0.1}" "${WRITE_PORT:-5000}" "${READ_PORT:-5001}"
  printf 'Its members:  cluster/patronictl.sh list\n'
  printf 'Remove it, and its data:  make cluster-down\n'
}

main() {
  image
  [[ "${IMAGES:-debian}" != debian ]] || services_image
  passwords
  compose up --detach
  wait_until_healthy "${WAIT:-300}"
  instructions
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  main
fi

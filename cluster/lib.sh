# shellcheck shell=bash
# What the scripts of this directory share: the project's name, its members, and how to reach them. Only definitions.

cluster_directory="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
project="${PROJECT:-pgsetup-cluster}"
# Further files of compose, for a cluster that is made for tests.
declare -a compose_files=(--file "$cluster_directory/compose.yaml")

# The members, group by group: the coordinator is group 0. As in compose.yaml.
cluster_groups=('coordinator1,coordinator2,coordinator3' 'worker1a,worker1b' 'worker2a,worker2b')
IFS=, read -r -a cluster_members < <(
  IFS=,
  printf '%s\n' "${cluster_groups[*]}"
)

# usage: compose ARG...
# Compose, the client's plug-in or the program of its own.
compose() {
  local -a program=(docker compose)
  docker compose version >/dev/null 2>&1 || program=(docker-compose)
  "${program[@]}" --project-name "$project" --env-file "$cluster_directory/images/${IMAGES:-debian}.env" "${compose_files[@]}" "$@"
}

# usage: container SERVICE
# Prints the id of a service's container.
container() {
  docker ps --all --quiet --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1"
}

# usage: running_member
# Prints the container of any member that runs.
running_member() {
  local service id
  for service in "${cluster_members[@]}"; do
    id="$(container "$service")"
    if [[ -n "$id" && "$(docker inspect --format '{{.State.Running}} {{.State.Paused}}' "$id")" == 'true false' ]]; then
      printf '%s\n' "$id"
      return
    fi
  done
  printf 'no member of the cluster runs: make cluster\n' >&2
  return 1
}

# usage: say TEXT
say() { printf 'cluster: %s\n' "$1" >&2; }

#!/usr/bin/env bash
# Finds a docker client that can do BuildKit: the first on PATH may have no buildx plug-in.
set -Eeuo pipefail

# usage: docker.sh        prints the client's path
main() {
  local client
  while read -r client; do
    # A client that cannot do BuildKit says so before it asks the engine for anything.
    if printf 'FROM scratch\nLABEL probe=1\n' | DOCKER_BUILDKIT=1 "$client" build --quiet - >/dev/null 2>&1; then
      printf '%s\n' "$client"
      return
    fi
  done < <(type -ap docker | awk '!seen[$0]++')
  printf 'no docker client on PATH can build with BuildKit: install docker-buildx, or an engine that runs\n' >&2
  return 1
}

main "$@"

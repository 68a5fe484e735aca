#!/usr/bin/env bash
# Builds the image. The Makefile passes PG, PREVIOUS, JIT, EXTENSIONS, START, VENDOR, IMAGE, BASE and MANIFESTS.
set -Eeuo pipefail

readonly pg="${PG:-18}" extensions="${EXTENSIONS:-}" start="${START:-postgres}"
readonly vendor="${VENDOR:-$HOME/.cache/pgsetup/vendor}"
directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
manifests="$(readlink --canonicalize "${MANIFESTS:-$directory/manifests}")"
name="$([[ -n "${MANIFESTS:-}" ]] && basename "$manifests" || printf 'postgresql')"
# The manifest of the image says it, unless BASE does.
base="${BASE:-$(sed --quiet 's/^base: *\([^ #]*\).*/\1/p' "$manifests/image.yaml" 2>/dev/null || true)}"
base="${base:-debian:bookworm}"
tag="$pg$([[ "$base" == debian:bookworm ]] || printf -- '-%s' "${base##*:}")$([[ "$start" != root ]] || printf -- '-root')"
readonly manifests base image="${IMAGE:-pgsetup/$name:$tag}"

# usage: context     writes the build context to standard output, as tar
# The manifests and the archives may be outside of the project, so the context has them under the names `manifests` and
# `vendor`. The manifests of an example are links to those of the project.
context() {
  local -a parts=(
    --directory "$directory" Dockerfile LICENSE dist/pgsetup dist/pgstart entrypoint.d
    --directory "$manifests/.." "./${manifests##*/}"
  )
  if [[ -d "$vendor" ]]; then
    parts+=(--directory "$(dirname "$vendor")" "././$(basename "$vendor")")
  fi
  tar --create --dereference --transform "s,^\./\./$(basename "$vendor"),vendor," --transform "s,^\./${manifests##*/},manifests," "${parts[@]}"
}

# usage: build
build() {
  local -a options=(
    --tag "$image" --build-arg "BASE=$base" --build-arg PGSETUP=prebuilt
    --build-arg "PG=$pg" --build-arg "PG_MAJOR=${pg%%-*}" --build-arg "EXTENSIONS=$extensions" --build-arg "PREVIOUS=${PREVIOUS:-}"
    --build-arg "START=$start"
    --build-arg "PGSETUP_OPTIONS=--skip-unavailable${JIT:+ --jit}"
  )
  # A proxy of this machine is the build's, too; docker keeps these out of the image.
  local name
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    if [[ -n "${!name:-}" ]]; then
      options+=(--build-arg "$name=${!name}")
    fi
  done
  local certificates="${SSL_CERT_FILE:-}"
  if [[ -n "$certificates" ]]; then
    options+=(--secret "id=ca-certificates,src=$certificates")
  fi
  context | DOCKER_BUILDKIT=1 "$docker" build --progress=plain "${options[@]}" -
}

# usage: summary
summary() {
  local size base_size
  size="$("$docker" image inspect --format '{{.Size}}' "$image")"
  base_size="$("$docker" image inspect --format '{{.Size}}' "$base")"
  printf '\n%s: %d MB, %d MB more than %s\n\n' "$image" "$((size / 1000000))" "$(((size - base_size) / 1000000))" "$base"
  "$docker" run --rm --entrypoint cat "$image" /usr/share/pgsetup/contents.txt
  printf '\nStart it:\n  docker run --rm -e POSTGRES_PASSWORD=secret -p 5432:5432 %s\n' "$image"
}

main() {
  if [[ "$start" != @(postgres|root) ]]; then
    printf 'START=%s: expected postgres, or root for an image that starts as the official one does\n' "$start" >&2
    return 2
  fi
  if [[ -n "${VENDOR:-}" && ! -d "$VENDOR" ]]; then
    printf 'VENDOR=%s: there is no such directory\n' "$VENDOR" >&2
    return 2
  fi
  if [[ ! -d "$manifests" ]]; then
    printf 'MANIFESTS=%s: there is no such directory\n' "${MANIFESTS:-manifests}" >&2
    return 2
  fi
  docker="$("$directory/tools/docker.sh")"
  readonly docker
  DOCKER="$docker" "$directory/tools/base.sh" "$base"
  build
  summary
}

main "$@"

# shellcheck shell=bash
# Python packages that contain published schemas, each in an environment of its own below target/.

# usage: obtain PACKAGE==VERSION     sets REPLY to its program; fails with 75 where the package is not available
obtain() {
  local name="${1%%==*}" environment
  environment="$(dirname "${BASH_SOURCE[0]}")/../target/$name"
  REPLY="$environment/bin/$name"
  [[ ! -x "$REPLY" ]] || return 0
  rm --recursive --force "$environment"
  if ! python3 -m venv "$environment" >&2 || ! "$environment/bin/pip" install --quiet --disable-pip-version-check "$1" >&2; then
    rm --recursive --force "$environment"
    printf 'the published schemas are not available: python3 -m venv or pip install %s failed\n' "$1" >&2
    return 75
  fi
}

#!/usr/bin/env bash
# Makes sure that the engine has the base image: takes the one it has, pulls it, or bootstraps it from the apt
# archive that this machine uses.
set -Eeuo pipefail

readonly docker="${DOCKER:-docker}"

# usage: bootstrap IMAGE SUITE
bootstrap() {
  local image="$1" suite="$2" tree
  "$(dirname "${BASH_SOURCE[0]}")/setup.sh" base
  tree="$(mktemp --suffix=.tar)"
  # shellcheck disable=SC2064 # the name as it is now
  trap "rm -f '$tree'" EXIT
  # As in the published image: /usr is merged from the start, so the package that would merge it, and with it
  # 47 MB of perl, has nothing to do. apt would choose it all the same, so it is out of reach meanwhile.
  # shellcheck disable=SC2016 # mmdebstrap's shell knows the directory
  debian_sources "$suite" | mmdebstrap --quiet --variant=minbase --include=ca-certificates,usr-is-merged \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --setup-hook='mkdir -p "$1/etc/apt/preferences.d"' \
    --setup-hook='printf "Package: usrmerge\nPin: release *\nPin-Priority: -1\n" >"$1/etc/apt/preferences.d/usrmerge"' \
    --customize-hook='rm "$1/etc/apt/preferences.d/usrmerge"' \
    "$suite" "$tree" - >&2
  "$docker" import --change 'CMD ["bash"]' "$tree" "$image" >/dev/null
}

# usage: debian_sources SUITE     prints one-line sources of the Debian archive that apt is configured to use
debian_sources() {
  local suite="$1" archive security
  archive="$(uris | grep --max-count=1 --extended-regexp '/debian/?$' || true)"
  security="$(uris | grep --max-count=1 --extended-regexp '/debian-security/?$' || true)"
  if [[ -z "$archive" ]]; then
    printf 'apt is configured with no Debian archive to make the base from\n' >&2
    return 1
  fi
  printf 'deb %s %s main\n' "$archive" "$suite" "$archive" "$suite-updates"
  if [[ -n "$security" ]]; then
    printf 'deb %s %s-security main\n' "$security" "$suite"
  fi
}

# usage: uris     prints the address of every index that apt knows
uris() {
  # shellcheck disable=SC2016 # apt replaces this
  apt-get indextargets --format '$(REPO_URI)' | sort --unique
}

# usage: base.sh IMAGE     for example debian:bookworm
main() {
  local image="$1"
  if "$docker" image inspect "$image" >/dev/null 2>&1; then
    return
  fi
  printf 'base: %s is not here; pulling it\n' "$image" >&2
  if timeout 120 "$docker" pull --quiet "$image" >/dev/null 2>&1; then
    return
  fi
  printf 'base: it cannot be pulled; making it from the apt archive of this machine\n' >&2
  bootstrap "$image" "${image##*:}"
}

main "$@"

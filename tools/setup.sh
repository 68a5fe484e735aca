#!/usr/bin/env bash
# Finds what this machine lacks before anything is compiled. Where the user is root and apt is there, it installs the
# packages. Elsewhere one line names what is missing and the command that installs it, and the exit status is 1.
#
# usage: setup.sh TARGET
#   compile   to compile the static binary
#   lint      to check formatting, lints, scripts and spelling
#   base      to make the base image from the apt archive of this machine
#   image     compile, a container engine with BuildKit, and the base image
#   test      compile, lint, what tests call, and an engine; without one the tests of the image are ignored
#   bench     what benchmarks call
#   release   compile, and what describes the binaries
#   audit     cargo-deny
# PGSETUP_REQUIRE_ALL=1 makes the engine a requirement of `test` as well. BASE is the base image.
set -Eeuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What is looked for, Debian's package that brings it, and the target that needs it. This is the only list of packages.
readonly requirements='
make                make             compile
cc                  gcc              compile
libc.a              libc6-dev        compile
ca-certificates.crt ca-certificates  compile
shellcheck          shellcheck       lint
shfmt               shfmt            lint
codespell           codespell        lint
nginx               nginx-light      test
openssl             openssl          test
python3             python3          release
readelf             binutils         release
python3-venv        python3-venv     test
mmdebstrap          mmdebstrap       base
curl                curl             bench
'

# usage: needs GROUP     whether the target needs what is listed for GROUP
needs() {
  case "$target" in
    image) [[ "$1" == compile ]] ;;
    release) [[ "$1" =~ ^(compile|release)$ ]] ;;
    test) [[ "$1" =~ ^(compile|lint|test)$ ]] ;;
    *) [[ "$1" == "$target" ]] ;;
  esac
}

# usage: is_there NAME     whether a requirement is met
is_there() {
  case "$1" in
    libc.a) [[ "$(cc -print-file-name=libc.a 2>/dev/null)" == */* ]] ;;
    ca-certificates.crt) [[ -s "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" ]] ;;
    python3-venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

# usage: can_install     whether packages can be installed here without asking
can_install() { [[ "$(id --user)" == 0 ]] && command -v apt-get >/dev/null; }

# usage: at_least VERSION MINIMUM
at_least() { [[ "$(printf '%s\n' "$2" "$1" | sort --version-sort | head --lines 1)" == "$2" ]]; }

# usage: candidate PACKAGE     prints the version that apt would install, or nothing
candidate() { apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'; }

# usage: rust_minimum     prints the oldest Rust that compiles this project
rust_minimum() { awk -F '"' '/^rust-version/ { print $2 }' Cargo.toml; }

# usage: rust_missing     prints what is missing of the Rust toolchain, or nothing
rust_missing() {
  local version minimum
  minimum="$(rust_minimum)"
  version="$(cargo --version 2>/dev/null | awk '{ print $2 }')" || true
  if [[ -z "$version" ]]; then
    printf 'Rust %s' "$minimum"
  elif ! at_least "$version" "$minimum"; then
    printf 'Rust %s (here is %s)' "$minimum" "$version"
  elif needs lint && ! cargo fmt --version >/dev/null 2>&1; then
    printf 'rustfmt'
  elif needs lint && ! cargo clippy --version >/dev/null 2>&1; then
    printf 'clippy'
  fi
}

# usage: rust_packages     prints Debian's packages of a Rust that is new enough, or nothing
rust_packages() {
  local minimum
  minimum="$(rust_minimum)"
  # cargo-web is the newer Rust that Debian keeps for browsers.
  if at_least "$(candidate cargo-web)" "$minimum"; then
    printf '%s\n' cargo-web rustc-web
    needs lint && printf '%s\n' rustfmt-web rust-web-clippy
  elif at_least "$(candidate cargo)" "$minimum"; then
    printf '%s\n' cargo rustc
    needs lint && printf '%s\n' rustfmt rust-clippy
  fi
  return 0
}

# usage: engine_packages     prints Debian's packages of the container engine; the client and BuildKit became packages of their own
engine_packages() {
  local package
  for package in docker.io docker-cli docker-buildx; do
    [[ -z "$(candidate "$package")" ]] || printf '%s\n' "$package"
  done
}

# usage: engine_is_required     whether the target fails without a container engine
engine_is_required() { [[ "$target" == image || ("$target" == test && "${PGSETUP_REQUIRE_ALL:-}" == 1) ]]; }

# usage: look     sets missing, packages, and commands (what installs the rest) to what the target needs and this machine lacks
look() {
  local name package group rust
  missing=() packages=() commands=()
  while read -r name package group; do
    if [[ -n "$name" ]] && needs "$group" && ! is_there "$name"; then
      missing+=("$name")
      packages+=("$package")
    fi
  done <<<"$requirements"
  if needs compile || needs lint; then
    rust="$(rust_missing)"
    [[ -z "$rust" ]] || look_for_rust "$rust"
  fi
  if [[ "$target" == audit ]] && ! is_there cargo-deny; then
    missing+=(cargo-deny)
    commands+=("cargo install --locked cargo-deny")
  fi
  if engine_is_required || { [[ "$target" == test ]] && can_install; }; then
    is_there docker || look_for_engine
  fi
}

# usage: look_for_rust MISSING
look_for_rust() {
  local -a found=()
  missing+=("$1")
  if command -v rustup >/dev/null; then
    commands+=("rustup update stable && rustup component add rustfmt clippy")
    return
  fi
  readarray -t found < <(rust_packages)
  if ((${#found[@]})); then
    packages+=("${found[@]}")
  else
    commands+=("curl --proto '=https' --tlsv1.2 --silent --show-error --fail https://sh.rustup.rs | sh")
  fi
}

# usage: look_for_engine
look_for_engine() {
  local -a found=()
  readarray -t found < <(engine_packages)
  if engine_is_required || ((${#found[@]})); then
    missing+=(docker)
    packages+=("${found[@]:-docker.io}")
  fi
}

# usage: install     installs the packages that are missing
install() {
  printf 'setup: installing %s\n' "${packages[*]}" >&2
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "${packages[@]}" >&2
}

# usage: report     names what is missing and the command that installs it, in one line
report() {
  local list remedy
  list="$(printf '%s, ' "${missing[@]}")"
  if ((${#packages[@]})) && command -v apt-get >/dev/null; then
    commands=("sudo apt-get install --no-install-recommends ${packages[*]}" "${commands[@]}")
  elif ((${#packages[@]})); then
    commands=("your package manager (Debian's packages: ${packages[*]})" "${commands[@]}")
  fi
  remedy="$(printf '%s; then ' "${commands[@]}")"
  printf 'setup: missing %s; install with: %s\n' "${list%, }" "${remedy%; then }" >&2
}

# usage: require_packages     installs what is missing, or reports it and fails
require_packages() {
  look
  if ((${#missing[@]} == 0)); then
    return
  fi
  if can_install; then
    # Which Rust and which engine apt has is known only after this.
    apt-get update --quiet >&2 || true
    look
    if ((${#packages[@]})); then
      install || true
      hash -r
      look
    fi
  fi
  if ((${#missing[@]})); then
    report
    return 1
  fi
}

# usage: engine_fault     prints why images cannot be built here, or nothing
engine_fault() {
  local said
  if ! is_there docker; then
    printf 'there is no container engine'
  elif ! said="$(docker version --format '{{.Server.Version}}' 2>&1)"; then
    printf 'no container engine answers (%s)' "${said##*$'\n'}"
  elif ! tools/docker.sh >/dev/null 2>&1; then
    printf 'docker cannot build with BuildKit (install docker-buildx)'
  fi
}

# usage: start_engine     starts the engine of this machine and waits until it answers
start_engine() {
  local attempt
  if [[ -n "${DOCKER_HOST:-}" ]] || ! can_install || ! is_there docker || ! is_there service; then
    return 1
  fi
  service docker start >/dev/null 2>&1 || return 1
  for ((attempt = 0; attempt < 30; attempt++)); do
    ! docker version >/dev/null 2>&1 || return 0
    sleep 1
  done
  return 1
}

# usage: require_engine     starts the engine where it does not run; without one a test goes on, and an image does not
require_engine() {
  local fault
  fault="$(engine_fault)"
  if [[ "$fault" == 'no container engine answers'* ]] && start_engine; then
    fault="$(engine_fault)"
  fi
  if [[ -z "$fault" ]]; then
    tools/base.sh "${BASE:-debian:bookworm}"
  elif engine_is_required; then
    printf 'setup: %s\n' "$fault" >&2
    return 1
  else
    printf 'setup: %s: the tests of the image are ignored\n' "$fault" >&2
  fi
}

main() {
  target="$1"
  readonly target
  local -a missing packages commands
  case "$target" in
    compile | lint | base | bench | release | audit) require_packages ;;
    image | test)
      require_packages
      require_engine
      ;;
    *)
      printf 'setup: %s is not a target: compile, lint, base, image, test, bench, release or audit\n' "$target" >&2
      return 2
      ;;
  esac
}

main "${1:?usage: setup.sh TARGET}"

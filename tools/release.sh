#!/usr/bin/env bash
# Makes everything that a release consists of, in dist/release: static binaries for amd64 and arm64, a bill of materials of
# each, the man page, completions and SHA256SUMS. Where an engine answers, it also builds the image that holds the binary.
#
# The same commit gives the same bytes, whatever the directory, the user and the day are: paths are remapped, and times are
# SOURCE_DATE_EPOCH, which defaults to the time of the commit. The compiler has to be the same; BUILD names it.
#
# The architecture of this machine is compiled by its own Rust. The other one is compiled by that Rust as well, if it has
# the target and there is a cross compiler, or else in a container with Debian's Rust. Where neither works, one line says so.
set -Eeuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly output=dist/release
version="$(awk -F '"' '/^version/ { print $2; exit }' Cargo.toml)"
readonly version

# usage: triple ARCHITECTURE     prints the GNU name of the architecture (amd64 or arm64), as in x86_64-linux-gnu
triple() {
  case "$1" in
    amd64) printf 'x86_64-linux-gnu' ;;
    arm64) printf 'aarch64-linux-gnu' ;;
  esac
}

# usage: rust_target ARCHITECTURE
rust_target() {
  local name
  name="$(triple "$1")"
  printf '%s-unknown-linux-gnu' "${name%%-*}"
}

# usage: native     prints the architecture of this machine
native() {
  case "$(uname -m)" in
    x86_64) printf 'amd64' ;;
    aarch64) printf 'arm64' ;;
    *)
      printf 'release: binaries are made on amd64 and arm64, and this machine is %s\n' "$(uname -m)" >&2
      return 1
      ;;
  esac
}

# usage: epoch     prints the time that everything has, in seconds since 1970
epoch() {
  if [[ -n "${SOURCE_DATE_EPOCH:-}" ]]; then
    printf '%s' "$SOURCE_DATE_EPOCH"
  else
    git log -1 --format=%ct
  fi
}

# usage: binary ARCHITECTURE     prints the path of the binary
binary() { printf '%s/pgsetup-%s-linux-%s' "$output" "$version" "$1"; }

# usage: compile ARCHITECTURE [COMPILER]     compiles with this machine's Rust; COMPILER links for another architecture
compile() {
  local target name separator=$'\x1f'
  target="$(rust_target "$1")"
  name="${target//-/_}"
  # The C code of ring would otherwise have this directory in it.
  local -x "CFLAGS_$name=-ffile-prefix-map=$PWD=. -ffile-prefix-map=${CARGO_HOME:-$HOME/.cargo}=cargo"
  if [[ -n "${2:-}" ]]; then
    local -x "CC_$name=$2" "CARGO_TARGET_${name^^}_LINKER=$2"
  fi
  local -x CARGO_ENCODED_RUSTFLAGS
  CARGO_ENCODED_RUSTFLAGS="$(
    printf "%s$separator" -C target-feature=+crt-static "--remap-path-prefix=$(rustc --print sysroot)=rust" \
      "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
    printf '%s' "--remap-path-prefix=$PWD=."
  )"
  local -a options=(--locked --release --target "$target" --target-dir target/release-build)
  cargo build "${options[@]}" --package pgstart
  # pgsetup carries it.
  PGSETUP_PGSTART="$PWD/target/release-build/$target/release/pgstart" cargo build "${options[@]}" --package pgsetup
  install -D "target/release-build/$target/release/pgsetup" "$(binary "$1")"
}

# usage: compile_in_container ARCHITECTURE     compiles with Debian's Rust and cross compiler
compile_in_container() {
  local image="pgsetup-release:$1" base="${BASE:-debian:bookworm}" container package
  local -a options=(
    --tag "$image" --build-arg "BASE=$base" --build-arg "ARCHITECTURE=$1" --build-arg "TARGET=$(rust_target "$1")"
    --build-arg "COMPILER=$(triple "$1")-gcc" --file tools/release/Dockerfile
  )
  package="$(triple "$1")"
  options+=(--build-arg "PACKAGES=gcc-${package//_/-} libc6-dev-$1-cross")
  if [[ -n "${SSL_CERT_FILE:-}" ]]; then
    options+=(--secret "id=ca-certificates,src=$SSL_CERT_FILE")
  fi
  DOCKER="$docker" tools/base.sh "$base"
  tar --create --exclude=./target --exclude=./dist --exclude=./.git --exclude=./fuzz . |
    DOCKER_BUILDKIT=1 "$docker" build --progress=plain "${options[@]}" - >&2
  container="$("$docker" create "$image" /pgsetup)"
  "$docker" cp "$container:/pgsetup" "$(binary "$1")" >&2
  "$docker" rm "$container" >/dev/null
  "$docker" image rm "$image" >/dev/null
}

# usage: compile_other ARCHITECTURE     compiles for the architecture that this machine does not have
compile_other() {
  local compiler
  compiler="$(triple "$1")-gcc"
  if [[ -d "$(rustc --print sysroot)/lib/rustlib/$(rust_target "$1")" ]] && command -v "$compiler" >/dev/null; then
    compile "$1" "$compiler"
    printf '%s: %s, %s\n' "$1" "$(rustc --version)" "$compiler" >>"$output/BUILD"
  elif [[ -n "$docker" ]]; then
    compile_in_container "$1" || return 1
    printf '%s: rustc-web and %s of %s\n' "$1" "$compiler" "${BASE:-debian:bookworm}" >>"$output/BUILD"
  else
    return 1
  fi
}

# usage: check ARCHITECTURE     fails where the binary is not static, or is for another architecture
check() {
  local facts machine
  machine="$([[ "$1" == amd64 ]] && printf 'X86-64' || printf 'AArch64')"
  facts="$(readelf --file-header --program-headers "$(binary "$1")")"
  if ! grep --quiet "Machine: .*$machine" <<<"$facts" || grep --quiet ' INTERP ' <<<"$facts"; then
    printf 'release: %s is not a static binary for %s\n' "$(binary "$1")" "$1" >&2
    return 1
  fi
}

# usage: documents ARCHITECTURE     makes the bill of materials of the binary
documents() {
  tools/release/sbom.py "$(rust_target "$1")" "$(binary "$1")" "$SOURCE_DATE_EPOCH" >"$(binary "$1").cdx.json"
}

# usage: texts BINARY     makes the completions, and copies the man page
texts() {
  "$1" completions bash >"$output/pgsetup.bash"
  "$1" completions zsh >"$output/_pgsetup"
  "$1" completions fish >"$output/pgsetup.fish"
  if [[ -f docs/reference/pgsetup.1 ]]; then
    cp docs/reference/pgsetup.1 "$output"
  else
    printf 'release: no man page: docs/reference/pgsetup.1 does not exist\n' >&2
  fi
}

# usage: image     builds the image that holds nothing but the binary, of every architecture that was compiled
image() {
  local tag="pgsetup/pgsetup:$version"
  tar --create --directory "$output" --transform 's,^\./Dockerfile$,Dockerfile,' . \
    --directory "$PWD/tools/release" --transform 's,^image.Dockerfile$,Dockerfile,' image.Dockerfile |
    DOCKER_BUILDKIT=1 "$docker" build --quiet --tag "$tag" --build-arg "VERSION=$version" - >/dev/null
  if [[ "$("$docker" run --rm --network none "$tag" --version)" != "pgsetup $version" ]]; then
    printf 'release: the image %s does not run pgsetup %s\n' "$tag" "$version" >&2
    return 1
  fi
  printf 'release: built the image %s\n' "$tag"
}

main() {
  local own other architecture
  local -a made=()
  SOURCE_DATE_EPOCH="$(epoch)"
  export SOURCE_DATE_EPOCH
  docker="$(tools/docker.sh 2>/dev/null || true)"
  own="$(native)"
  other="$([[ "$own" == amd64 ]] && printf 'arm64' || printf 'amd64')"
  rm --recursive --force "$output"
  mkdir --parents "$output"
  compile "$own"
  printf '%s: %s, %s\n' "$own" "$(rustc --version)" "$(cc --version | head --lines 1)" >"$output/BUILD"
  made=("$own")
  if compile_other "$other"; then
    made+=("$other")
  else
    printf 'release: no binary for %s: it needs the target %s of Rust and %s-gcc, or a container engine\n' \
      "$other" "$(rust_target "$other")" "$(triple "$other")" >&2
  fi
  for architecture in "${made[@]}"; do
    check "$architecture"
    documents "$architecture"
  done
  texts "$(binary "$own")"
  (cd "$output" && find . -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum >../SHA256SUMS && mv ../SHA256SUMS .)
  find "$output" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
  if [[ -n "$docker" ]]; then
    image
  else
    printf 'release: no image: no container engine with BuildKit answers\n' >&2
  fi
  printf 'release: %s:\n' "$output"
  sed 's/^/  /' "$output/SHA256SUMS"
}

main

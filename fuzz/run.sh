#!/usr/bin/env bash
# Runs every fuzz target, all at the same time, for SECONDS_EACH seconds (600). Fails when one of them crashes; what
# it crashed on is then in fuzz/artifacts.
#
# usage: run.sh [TARGET...]
# Needs a nightly compiler: coverage for libFuzzer is not in a stable one. Says so where there is none.
set -Eeuo pipefail

directory="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
readonly directory
readonly seconds="${SECONDS_EACH:-600}"
targets=("$@")
if ((${#targets[@]} == 0)); then
  targets=(archive digest manifest)
fi

# The flags with which cargo-fuzz builds; no more of it is needed here.
export RUSTFLAGS="--cfg fuzzing -Zsanitizer=address -Ccodegen-units=1 -Cpasses=sancov-module
  -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS="${RUSTFLAGS//$'\n'/ }"

# usage: seeds TARGET     examples to begin with
seeds() {
  local corpus="$directory/corpus/$1" file format
  mkdir -p "$corpus" "$directory/artifacts/$1"
  case "$1" in
    manifest)
      find "$directory/../manifests" "$directory/../tests/bad" -name '*.yaml' |
        while read -r file; do cp "$file" "$corpus/$(sha256sum <"$file" | head -c 16)"; done
      ;;
    digest)
      sed --quiet 's/.*sha256: *//p' "$directory"/../manifests/extensions/*.yaml "$directory"/../tests/bad/digests/*.yaml |
        split --lines 1 - "$corpus/seed-"
      ;;
    archive)
      # The first byte says whether checksums are repaired and whether a component is stripped.
      for format in "" --gzip --bzip2 --xz; do
        {
          printf '\1'
          # shellcheck disable=SC2086
          tar --create $format --directory "$directory/.." LICENSE rustfmt.toml tests/bad/digests 2>/dev/null
        } >"$corpus/seed$format" || rm -f "$corpus/seed$format"
      done
      ;;
  esac
}

main() {
  local host target status=0 running=()
  if ! rustc +nightly --version >/dev/null 2>&1; then
    printf 'skipped: fuzzing needs a nightly compiler (rustup toolchain install nightly)\n' >&2
    return
  fi
  host="$(rustc +nightly --print host-tuple)"
  cargo +nightly build --manifest-path "$directory/Cargo.toml" --locked --release --target "$host"
  for target in "${targets[@]}"; do
    seeds "$target"
    "$directory/target/$host/release/$target" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=1024 -max_len=16384 \
      -artifact_prefix="$directory/artifacts/$target/" "$directory/corpus/$target" \
      >"$directory/artifacts/$target.log" 2>&1 &
    running+=("$!")
  done
  for target in "${!targets[@]}"; do
    if wait "${running[$target]}"; then
      tail --lines 1 "$directory/artifacts/${targets[$target]}.log" | sed "s/^/${targets[$target]}: /"
    else
      printf '%s: crashed\n' "${targets[$target]}" >&2
      tail --lines 40 "$directory/artifacts/${targets[$target]}.log" >&2
      status=1
    fi
  done
  return "$status"
}

main

#!/usr/bin/env bash
# Stands in for useradd(8).
set -Eeuo pipefail

# usage: useradd --system --uid UID --gid GID --no-create-home --home-dir HOME --shell SHELL NAME
printf '%s:x:%s:%s::%s:%s\n' "${11}" "$3" "$5" "$8" "${10}" >>"$ROOT/etc/passwd"
printf '%s:!:1::::::\n' "${11}" >>"$ROOT/etc/shadow"

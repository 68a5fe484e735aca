#!/usr/bin/env bash
# Stands in for groupadd(8).
set -Eeuo pipefail

# usage: groupadd --system --gid GID NAME
printf '%s:x:%s:\n' "$4" "$3" >>"$ROOT/etc/group"

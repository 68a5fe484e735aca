#!/usr/bin/env bash
# Stands in for apt-mark(8): notes what is marked.
set -Eeuo pipefail

printf '%s\n' "$*" >>"$TRACE/apt-mark"

#!/usr/bin/env bash
# Stands in for initdb: makes a data directory with an empty configuration.
set -Eeuo pipefail

# usage: initdb --pgdata DIR OPTION...
mkdir -p "$ROOT$2"
touch "$ROOT$2/postgresql.conf"
# A mark that a killed server left does not mean that this one is ready.
rm --force "$TRACE/server-runs"

#!/usr/bin/env bash
# Stands in for pg_isready: the server is ready as soon as it runs.
set -Eeuo pipefail

[[ -e "$TRACE/server-runs" ]]

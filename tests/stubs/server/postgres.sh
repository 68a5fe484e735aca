#!/usr/bin/env bash
# Stands in for the server: runs until it is told to stop, and stops cleanly.
set -Eeuo pipefail

trap 'rm --force "$TRACE/server-runs"; exit 0' INT TERM
touch "$TRACE/server-runs"
while true; do
  sleep 0.05
done

#!/usr/bin/env bash
# Stands before the compiler, where a makefile calls it by its path: counts how many of it run at the same time, complains of too many, and compiles only when as
# many run as there are jobs, or when fewer than that are still to come. Where jobs are left idle while there is work,
# it waits for ever. TRACE/jobs and TRACE/total say how many jobs and compilations there are.
set -Eeuo pipefail

# usage: entries DIRECTORY
entries() {
  local -a names=("$1"/*)
  printf '%d\n' "${#names[@]}"
}

main() {
  local jobs total
  shopt -s nullglob
  jobs="$(<"$TRACE/jobs")"
  total="$(<"$TRACE/total")"
  mkdir -p "$TRACE/running" "$TRACE/finished"
  touch "$TRACE/running/$$"
  if (($(entries "$TRACE/running") > jobs)); then
    touch "$TRACE/too-many"
  fi
  until (($(entries "$TRACE/running") >= jobs || total - $(entries "$TRACE/finished") < jobs)); do
    sleep 0.02
  done
  cc "$@"
  touch "$TRACE/finished/$$-$RANDOM"
  rm "$TRACE/running/$$"
}

main "$@"

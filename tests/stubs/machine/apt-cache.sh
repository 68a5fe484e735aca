#!/usr/bin/env bash
# Stands in for apt-cache(8): prints the record of each package, which depends on nothing.
set -Eeuo pipefail

# usage: apt-cache show OPTION... NAME=VERSION...
for word; do
  if [[ "$word" == *=* ]]; then
    printf 'Package: %s\nArchitecture: all\nVersion: %s\n\n' "${word%%=*}" "${word#*=}"
  fi
done

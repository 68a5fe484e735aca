#!/usr/bin/env bash
# Stands in for apt-cache(8): prints the record of each package, which depends on nothing. Its file holds its name and
# version. The archive has no file of the package `local`.
set -Eeuo pipefail

# usage: apt-cache show OPTION... NAME=VERSION...
for word; do
  if [[ "$word" == *=* && "$word" != -* ]]; then
    name="${word%%=*}" version="${word#*=}"
    printf 'Package: %s\nArchitecture: all\nVersion: %s\n' "$name" "$version"
    if [[ "$name" != local ]]; then
      file="$name $version"
      printf 'Filename: pool/%s_%s_all.deb\nSize: %s\nSHA256: ' "$name" "$version" "${#file}"
      printf '%s' "$file" | sha256sum | cut -d ' ' -f 1
    fi
    printf '\n'
  fi
done

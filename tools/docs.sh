#!/usr/bin/env bash
# Builds the site of the documentation with mdBook, into dist/docs. The list of its pages is made from docs/README.md.
set -Eeuo pipefail

directory="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly directory
cd "$directory"

# usage: summary     turns the index into the list of pages that mdBook reads
# Headings become parts, pages below a heading of the third level are indented, and what follows a link is left out.
summary() {
  printf '# Summary\n\n[Documentation](README.md)\n'
  awk '
    /^## / { printf "\n# %s\n\n", substr($0, 4) }
    /^### / { printf "- [%s]()\n", substr($0, 5); nested = 1 }
    /^## / { nested = 0 }
    /^- \[/ { sub(/\).*/, ")"); print (nested ? "  " : "") $0 }
  ' docs/README.md
}

main() {
  if ! command -v mdbook >/dev/null; then
    printf 'mdbook is not installed: cargo install mdbook --locked\n' >&2
    return 1
  fi
  local source=target/docs
  rm -rf "$source"
  mkdir -p "$source"
  cp docs/book.toml "$source/"
  cp -r docs "$source/src"
  rm "$source/src/book.toml"
  summary >"$source/src/SUMMARY.md"
  mdbook build "$source" --dest-dir "$directory/dist/docs"
  printf 'dist/docs/index.html\n'
}

main "$@"

# shellcheck shell=bash
# Whether the image has the locales of the C library that a server wants. Changes nothing; each function reports through `problem`.

# usage: has_locale NAME
# locale(1) complains of one that is not there, and succeeds all the same.
has_locale() { [[ -z "$(LC_ALL="$1" locale 2>&1 >/dev/null)" ]]; }

# usage: check_locales_of_cluster SETTINGS
# A cluster that another image has made names that image's locales. PostgreSQL looks at what a later file does not override, though the
# command line may.
check_locales_of_cluster() {
  local name value origin
  while IFS=$'\t' read -r name value origin; do
    [[ "$name" == lc_@(messages|monetary|numeric|time) && -n "$value" ]] || continue
    has_locale "$value" || problem "$name is '$value' ($origin), a locale that this image does not have; PostgreSQL would not start.
Make an image with it, as entrypoint.d/README.md shows (\"Locales\"). Databases that are sorted by it cannot be used without it; if there are none,
\`$name = C.UTF-8\` in postgresql.conf or in a file of /etc/postgresql/conf.d will do."
  done < <(awk -F '\t' '$3 != "command line" { last[$1] = $0 } END { for (name in last) print last[name] }' <<<"$1")
}

# usage: check_locales_of_initdb
check_locales_of_initdb() {
  local name value told=''
  while IFS=$'\t' read -r name value; do
    case "$name" in
      no-locale | locale) told=yes ;;&
      locale | lc-*) has_locale "$value" || problem "POSTGRES_INITDB_ARGS has --$name=$value, and this image does not have that locale of the C library.
$(locale_advice)" ;;
    esac
  done < <(initdb_options)
  [[ -n "$told" || -z "$(locale 2>&1 >/dev/null)" ]] ||
    problem "the environment asks for a locale that this image does not have: $(env | grep --extended-regexp '^(LANG|LC_[A-Z]+)=' | paste --serial --delimiters=' ').
$(locale_advice)"
}

# usage: locale_advice
locale_advice() {
  printf 'ICU'\''s are in it: --locale-provider=icu --icu-locale=de-DE. For others see entrypoint.d/README.md, "Locales".'
}

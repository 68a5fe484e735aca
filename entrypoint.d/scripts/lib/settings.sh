# shellcheck shell=bash
# Reads files of postgresql.conf's form. Does not evaluate includes: who calls decides what is read.

# usage: list_settings FILE
# Prints "name<TAB>value<TAB>line" for each setting. Values are unquoted. The syntax is the manual's, "Setting Parameters": an equals
# sign is optional, a hash sign begins a comment outside quotes, quotes are doubled inside quotes.
list_settings() {
  awk -v quote="'" '
    {
      line = $0
      sub(/^[ \t]+/, "", line)
      if (line == "" || line ~ /^#/) next
      if (!match(line, /^[A-Za-z_][A-Za-z0-9_.]*/)) next
      name = tolower(substr(line, 1, RLENGTH))
      rest = substr(line, RLENGTH + 1)
      sub(/^[ \t]*=?[ \t]*/, "", rest)
      if (substr(rest, 1, 1) == quote) {
        value = ""
        for (at = 2; at <= length(rest); at++) {
          letter = substr(rest, at, 1)
          following = substr(rest, at + 1, 1)
          if (letter == quote && following == quote) { value = value quote; at++ }
          else if (letter == "\\" && following != "") { value = value following; at++ }
          else if (letter == quote) break
          else value = value letter
        }
      } else {
        value = rest
        sub(/[ \t]*(#.*)?$/, "", value)
      }
      printf "%s\t%s\t%d\n", name, value, NR
    }' "$1"
}

# usage: setting_in FILE NAME
# Prints the value FILE gives NAME; the last one counts, as it does for PostgreSQL. Prints nothing if it gives none.
setting_in() {
  [[ -r "$1" ]] || return 0
  list_settings "$1" | awk -F '\t' -v name="$2" '$1 == name { value = $2 } END { if (value != "") print value }'
}

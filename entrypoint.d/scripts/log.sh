# shellcheck shell=bash
# What the entrypoint says. Everything goes to stderr, where PostgreSQL's own log goes; stdout belongs to the command that is run.

# usage: say TEXT...
say() { printf 'entrypoint: %s\n' "$*" >&2; }

# usage: warn TEXT...
warn() { printf 'entrypoint: warning: %s\n' "$*" >&2; }

# usage: die TEXT...
die() {
  printf 'entrypoint: error: %s\n' "$*" >&2
  exit 1
}

# What is wrong with this start. Collected, because a person who must fix four variables should not need four starts to learn of them.
problems=() problems_are_collected=''

# usage: problem TEXT
# Remembers a mistake; stop_on_problems reports all of them.
problem() { problems+=("$1"); }

# usage: collect_problems
# From now on stop_unless_collecting leaves the report to stop_on_problems.
collect_problems() { problems_are_collected=yes; }

# usage: stop_unless_collecting
# Ends a function that a derived image may call by itself, as it calls the official image's: there a mistake ends the start at once.
stop_unless_collecting() { [[ -n "$problems_are_collected" ]] || stop_on_problems; }

# usage: stop_on_problems
stop_on_problems() {
  ((${#problems[@]})) || return 0
  local text
  for text in "${problems[@]}"; do
    printf 'entrypoint: error: %s\n' "${text//$'\n'/$'\n'                   }" >&2
  done
  exit 1
}

# Takes secrets out of what is shown. Knows how they are written in connection strings and URLs, and names of settings that are secrets.

# The end of a setting's name by which its whole value is a secret.
secret_setting='(passphrase_command|password|passwd|secrets?|token|api_?key)$'

# usage: mask_secrets
# A filter: of `password=…` in any quotes, also inside longer names such as sslpassword, and of `//user:password@` nothing is left.
mask_secrets() {
  local value="''[^']*''|'([^'\\\\]|\\\\.)*'|\"([^\"\\\\]|\\\\.)*\"|([^[:space:]'\"\\\\&]|\\\\.)+"
  sed --regexp-extended --expression="s/((password|passwd|passphrase|secrets?|token|api_?key)[[:space:]]*=[[:space:]]*)($value)/\\1***/gI" \
    --expression='s#(://[^][:space:]:/@]*:)[^[:space:]@/]+@#\1***@#g' \
    --expression="s/^(.*ssl[_-]passphrase[_-]command['\"]?[[:space:]]*[=:][[:space:]]*).+/\\1***/I"
}

# usage: mask_setting NAME VALUE
# Prints NAME=VALUE with what may be shown of it.
mask_setting() {
  if [[ "${1,,}" =~ $secret_setting ]]; then
    printf '%s=***' "$1"
  else
    printf '%s=%s' "$1" "$(mask_secrets <<<"$2")"
  fi
}

# usage: mask_words WORD...
# Prints the words of a command line, quoted for a shell, with what may be shown of them.
mask_words() {
  local word
  for word; do
    printf '%q ' "$(mask_secrets <<<"$word")"
  done
}

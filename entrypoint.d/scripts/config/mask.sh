# shellcheck shell=bash
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

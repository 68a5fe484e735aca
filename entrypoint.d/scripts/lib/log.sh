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
problems=()

# usage: problem TEXT
# Remembers a mistake; stop_on_problems reports all of them.
problem() { problems+=("$1"); }

# usage: stop_on_problems
stop_on_problems() {
  ((${#problems[@]})) || return 0
  local text
  for text in "${problems[@]}"; do
    printf 'entrypoint: error: %s\n' "${text//$'\n'/$'\n'                   }" >&2
  done
  exit 1
}

# shellcheck shell=bash
# Which patroni.yml counts: the user's where there is one, else one that is generated at each start.

# usage: patroni_user_file COMMAND [ARG...]
# Sets REPLY to the user's file, the first of: the command line's, PATRONI_CONFIGURATION (Patroni reads it by itself; REPLY is then
# "environment"), /etc/patroni/patroni.yml, and /etc/postgresql/patroni.yml unless the entrypoint wrote that. Else to nothing. One that
# cannot be read is the user's as well: to pass over it would be to start with another configuration than was given.
patroni_user_file() {
  local file arg
  REPLY=''
  if [[ "$1" == patroni ]]; then
    for arg in "${@:2}"; do
      [[ "$arg" == -* ]] || REPLY="$arg"
    done
  fi
  [[ -z "$REPLY" ]] || return 0
  if [[ -n "${PATRONI_CONFIGURATION:-}" ]]; then
    REPLY=environment
    return 0
  fi
  for file in /etc/patroni/patroni.yml /etc/postgresql/patroni.yml; do
    if [[ -e "$file" || -L "$file" ]] && ! was_generated "$file"; then
      REPLY="$file"
      return 0
    fi
  done
}

# usage: generated_mark
generated_mark() { printf '# Written by the entrypoint at each start, and overwritten at the next.'; }

# usage: was_generated FILE
was_generated() {
  local line=''
  [[ -f "$1" && -r "$1" ]] || return 1
  read -r line <"$1" || true
  [[ "$line" == "$(generated_mark)"* ]]
}

# usage: write_patroni_file
# Writes the generated file and sets REPLY to its name. It holds no passwords: those stay in the environment.
write_patroni_file() {
  local file
  generated_directory || die "no directory for generated configuration: make /etc/postgresql, /var/run/postgresql or /tmp writable"
  file="$REPLY/patroni.yml"
  mkdir --parents "$REPLY"
  install_tls_key "$REPLY"
  patroni_text >"$file.new"
  mv "$file.new" "$file"
  REPLY="$file"
}

# usage: link_patronictl FILE
# So that `docker exec NAME patronictl list` needs no option. A home that cannot be written to is no reason not to start.
link_patronictl() {
  mkdir --parents "$HOME/.config/patroni" 2>/dev/null || return 0
  ln --symbolic --force --no-dereference "$1" "$HOME/.config/patroni/patronictl.yaml" 2>/dev/null || true
}

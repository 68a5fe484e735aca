#!/usr/bin/env bash
# gosu USER[:GROUP] COMMAND [ARG...]: runs COMMAND as another user, as the program of that name in the official image does. Wrappers around its
# entrypoint call it. Root steps down by setpriv(1); a user who is that one already only runs COMMAND.
set -Eeuo pipefail

# usage: fail TEXT
fail() {
  printf 'gosu: %s\n' "$1" >&2
  exit 1
}

# usage: main USER[:GROUP] COMMAND [ARG...]
# USER and GROUP are names or numbers. Without GROUP the user's own groups count; a number that no user has keeps the caller's group.
main() {
  local user group entry uid gid home=/
  local -a groups=(--init-groups)
  (($# >= 2)) || fail 'usage: gosu USER[:GROUP] COMMAND [ARG...]'
  user="${1%%:*}"
  group="${1#"$user"}"
  group="${group#:}"
  shift

  if entry="$(getent passwd "$user")"; then
    IFS=: read -r _ _ uid gid _ home _ <<<"$entry"
  elif [[ "$user" =~ ^[0-9]+$ ]]; then
    uid="$user"
    gid="$(id -g)"
    groups=(--clear-groups)
  else
    fail "user '$user' does not exist: expected a name of /etc/passwd or a number"
  fi
  if [[ -n "$group" ]]; then
    groups=(--clear-groups)
    if entry="$(getent group "$group")"; then
      IFS=: read -r _ _ gid _ <<<"$entry"
    elif [[ "$group" =~ ^[0-9]+$ ]]; then
      gid="$group"
    else
      fail "group '$group' does not exist: expected a name of /etc/group or a number"
    fi
  fi

  export HOME="$home"
  if [[ "$(id -u):$(id -g)" == "$uid:$gid" ]]; then
    exec "$@"
  fi
  ((EUID == 0)) || fail "uid $(id -u) cannot become $uid:$gid: only root can. Start the container with --user root, or without gosu."
  exec setpriv --reuid="$uid" --regid="$gid" "${groups[@]}" -- "$@"
}

main "$@"

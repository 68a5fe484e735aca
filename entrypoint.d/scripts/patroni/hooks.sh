# shellcheck shell=bash
# Programs of the user's that Patroni runs: the files in /etc/patroni/hooks that are named for the occasion. What each is called with is in
# Patroni's manual.
#
#   on_start, on_stop, on_restart, on_reload, on_role_change     callbacks: action, role and scope
#   pre_promote, before_stop                                     may refuse a promotion; runs before a stop
#   bootstrap                                                    makes the first member's data instead of initdb: from a backup
#   create_replica                                               makes a replica's data; if it fails, pg_basebackup does

# usage: hook NAME
# Sets REPLY to the file and succeeds, if there is one.
hook() {
  REPLY="/etc/patroni/hooks/$1"
  [[ -e "$REPLY" ]]
}

# usage: check_hooks
check_hooks() {
  local file
  for file in /etc/patroni/hooks/*; do
    case "${file##*/}" in
      '*') ;;
      on_start | on_stop | on_restart | on_reload | on_role_change | pre_promote | before_stop | bootstrap | create_replica)
        [[ -x "$file" ]] || problem "$file cannot be executed by uid $(id -u)"
        ;;
      *) problem "$file is named for nothing that Patroni does: see entrypoint.d/README.md" ;;
    esac
  done
}

# usage: bootstrap_hook_text
# Below `bootstrap`.
bootstrap_hook_text() {
  hook bootstrap || return 0
  printf '  method: hook\n  hook:\n    command: %s\n' "$(quote_yaml "$REPLY")"
}

# usage: member_hooks_text
# Below `postgresql`.
member_hooks_text() {
  local name title='  callbacks:\n'
  for name in on_start on_stop on_restart on_reload on_role_change; do
    hook "$name" || continue
    printf "$title"'    %s: %s\n' "$name" "$(quote_yaml "$REPLY")"
    title=''
  done
  for name in pre_promote before_stop; do
    ! hook "$name" || printf '  %s: %s\n' "$name" "$(quote_yaml "$REPLY")"
  done
  ! hook create_replica ||
    printf '  create_replica_methods:\n  - hook\n  - basebackup\n  hook:\n    command: %s\n' "$(quote_yaml "$REPLY")"
}

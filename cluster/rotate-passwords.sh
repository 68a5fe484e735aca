#!/usr/bin/env bash
# Rotates the passwords of a Patroni cluster's own roles, the superuser, replication and rewinding, while it serves. docs/guides/change-passwords.md has
# the whole task.
#
#   cluster/rotate-passwords.sh --generate      the example cluster, with new passwords in cluster/secrets
#   cluster/rotate-passwords.sh [MEMBER...]     with the passwords that the members' secrets have now
#
# MEMBER is the name of a container, and EXEC how to run a command in one: EXEC='kubectl exec {} --container=postgresql --' for pods.
# shellcheck source-path=SCRIPTDIR
set -Eeuo pipefail

# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

read -r -a exec_words <<<"${EXEC:-docker exec {\}}"

# The members as they are called here, and what each says of itself: its name, whether its passwords are new or used, a digest of them.
declare -a members=() names=() states=() digests=()
# Where the cluster's store says that all members, and the leaders of the groups, are reached; the members that lead; from where each comes to others.
declare -a hosts=() leaders=() leading=() addresses=()
bridge_seconds=300

# usage: in_member MEMBER STEP [ARG...]
in_member() {
  local member="$1"
  shift
  "${exec_words[@]//\{\}/$member}" /entrypoint.sh rotate-passwords "$@" </dev/null 2> >(sed "s|^|$member: |" >&2)
}

# usage: in_each STEP [ARG...]
# In all members at the same time. Fails if one fails.
in_each() {
  local member pid failed=0
  local -a pids=()
  for member in "${members[@]}"; do
    in_member "$member" "$@" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do
    wait "$pid" || failed=1
  done
  return "$failed"
}

# usage: fail TEXT
fail() {
  say "$1"
  exit 1
}

# usage: ask_members
ask_members() {
  local member salt answer name state digest
  salt="$(head --bytes 18 /dev/urandom | base64)"
  names=() states=() digests=()
  for member in "${members[@]}"; do
    answer="$(in_member "$member" check "$salt")" || fail "$member cannot change its passwords now; nothing was changed"
    IFS=$'\t' read -r name state digest <<<"$answer"
    names+=("$name") states+=("$state") digests+=("$digest")
  done
}

# usage: find_addresses
# An address that two members share is that of their host, and the bridge would be open to every process there.
find_addresses() {
  local member answer shared
  addresses=()
  for member in "${members[@]}"; do
    answer="$(in_member "$member" addresses "${hosts[@]}")" || fail "$member does not find the other members; nothing was changed"
    read -r -a answer <<<"$answer"
    addresses+=("${answer[@]}")
  done
  shared="$(printf '%s\n' "${addresses[@]}" | sort | uniq --repeated)"
  [[ -z "$shared" ]] || fail "members share the address ${shared//$'\n'/, }: the change lets addresses in without a password, and these would not be the members' alone"
}

# usage: agree_on_passwords
# Until all members see the same secrets: Kubernetes takes a minute or two to bring a changed one to all pods.
agree_on_passwords() {
  local said='' deadline=$((SECONDS + ${WAIT:-180}))
  while ask_members && [[ "$(printf '%s\n' "${digests[@]}" | sort --unique | wc --lines)" != 1 || " ${states[*]} " != *' new '* ]]; do
    if ((SECONDS >= deadline)); then
      [[ " ${states[*]} " == *' new '* ]] ||
        fail "the members use the passwords of their secrets already: change these first. A file that is mounted alone has to be written in place, not replaced"
      fail "the members do not see the same passwords: ${members[*]}. A file that is mounted alone has to be written in place, not replaced"
    fi
    [[ -n "$said" ]] || say "waiting until all members see the same new passwords in their secrets, for ${WAIT:-180} s at most (WAIT)"
    said=yes
    sleep 2
  done
}

# usage: find_leaders
# Fails unless the members are all those that the cluster's store knows, and each group has a leader.
find_leaders() {
  local name group host role i
  local -A at=() leaderless=()
  hosts=() leaders=() leading=()
  for i in "${!members[@]}"; do at["${names[i]}"]="${members[i]}"; done
  while IFS=$'\t' read -r name group host role; do
    [[ -n "${at[$name]:-}" ]] || fail "the cluster has a member $name that was not named: it would be left with the old passwords"
    [[ "$role" != 'Standby Leader' ]] || fail "this is a standby cluster: change the passwords in its primary cluster"
    # One that is still starting has none.
    [[ -z "$host" ]] || hosts+=("$host")
    [[ "${leaderless[$group]:-}" == no ]] || leaderless["$group"]="$group"
    if [[ "$role" == Leader ]]; then
      leaders+=("$host") leading+=("${at[$name]}")
      leaderless["$group"]=no
    fi
  done < <(in_member "${members[0]}" members)
  ((${#leaders[@]})) || fail "the cluster's store names no leader"
  for group in "${leaderless[@]}"; do
    [[ "$group" == no ]] || { say "group $group has no leader now" && return 1; }
  done
}

# usage: change
# Fails where a leader changes meanwhile, and is made again then.
change() {
  local member
  find_leaders || return
  for member in "${leading[@]}"; do
    in_member "$member" prepare || return
  done
  in_member "${members[0]}" commit "${leaders[@]}"
}

# usage: generate
# Compose mounts the files, so they are written and not replaced.
generate() {
  local name
  for name in superuser replication rewind; do
    chmod u+w "$cluster_directory/secrets/$name"
    head --bytes 18 /dev/urandom | base64 | tr '+/' '-_' >"$cluster_directory/secrets/$name"
    chmod 0444 "$cluster_directory/secrets/$name"
  done
}

# usage: rotate
rotate() {
  local deadline status before
  say "opening a bridge between the members for at most $bridge_seconds s: ${addresses[*]}"
  trap 'say "failed; ending what is under way"; in_each abandon || true' EXIT
  in_each open "$bridge_seconds" "${addresses[@]}" || exit 1
  deadline=$((SECONDS + 90))
  until
    status=0
    change || status=$?
    ((status == 0))
  do
    # 3 is psql's of a statement that failed: again only for another leader.
    before="${leaders[*]}"
    sleep 2
    find_leaders && [[ "$status" == 3 && "$before" == "${leaders[*]}" ]] && exit 1
    ((SECONDS < deadline)) || exit 1
    say "changing again"
  done
  say "changed at the leaders ${leaders[*]}; now every member takes the passwords"
  in_each settle || exit 1
  in_each close || exit 1
  trap - EXIT
  in_each verify "${leaders[@]}" || fail "run the command again when the reason is gone"
  say "all ${#members[@]} members use the new passwords"
}

main() {
  local service generates=''
  if [[ "${1:-}" == --generate ]]; then
    generates=yes
    shift
  fi
  members=("$@")
  if ((${#members[@]} == 0)); then
    for service in "${cluster_members[@]}"; do members+=("$(container "$service")"); done
  fi
  ask_members
  find_leaders || exit 1
  find_addresses
  [[ -z "$generates" ]] || generate
  agree_on_passwords
  rotate
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  main "$@"
fi

#!/usr/bin/env bash
# What is in the tree of a container, for comparisons: a line for each path, with type, mode, owner, time, size, links,
# digest, and one for the whole with extended attributes. Left out is what the engine itself puts into a running
# container and what is mounted; of the directories it does that in, time and size. To be sourced.

# A Debian has more lines than this: with fewer, the listing has failed.
readonly tree_least=5000

# usage: tree_script     prints the shell script that lists the tree it is run in
tree_script() {
  cat <<'SCRIPT'
set -eo pipefail
export TZ=UTC
own=(-path /proc -o -path /sys -o -path /dev -o -path /mnt -o -path /.dockerenv -o -path /var/tmp/pgsetup
  -o -path /var/cache/pgsetup -o -path /etc/hosts -o -path /etc/hostname -o -path /etc/resolv.conf -o -path /etc/mtab
  -o -path /etc/ld.so.preload)
shared=(/ /etc /var/cache /var/tmp)
others=()
for directory in "${shared[@]}"; do others+=(! -path "$directory"); done
find "${shared[@]}" -maxdepth 0 -printf "%p %y %m %U:%G\n"
find / \( "${own[@]}" \) -prune -o "${others[@]}" \
  -printf "%p %y %m %U:%G %T+ %s %n %l\n" | sed "s/ d \(.*\) [0-9]* [0-9]* $/ d \1/"
find / \( "${own[@]}" \) -prune -o -type f -print0 | xargs -0 sha256sum | while read -r digest path; do
  printf "%s sha256 %s\n" "$path" "$digest"
done
find / \( "${own[@]}" \) -prune -o "${others[@]}" ! -type s -print0 |
  LC_ALL=C sort --zero-terminated |
  tar --create --null --no-recursion --files-from - --absolute-names --xattrs --xattrs-include="*" --acls --numeric-owner \
    --format=pax --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime |
  sha256sum | sed "s/^/(the whole tree with extended attributes, as tar) sha256 /"
SCRIPT
}

# usage: tree_sorted     reads a listing and prints it in order; fails where it is too short to be one
tree_sorted() {
  LC_ALL=C sort | awk -v least="$tree_least" '
    { print }
    END {
      if (NR < least) {
        printf "tree: the listing has %d lines, and a tree has at least %d\n", NR, least >"/dev/stderr"
        exit 1
      }
    }'
}

# usage: tree_of_stopped CONTAINER     prints the listing of a container that has ended
tree_of_stopped() (
  set -o pipefail
  image="$(docker commit "$1")"
  trap 'docker image rm "$image" >/dev/null' EXIT
  docker run --rm --entrypoint bash "$image" -c "$(tree_script)" | tree_sorted
)

# usage: tree_of_running CONTAINER     prints the listing of a container that runs
tree_of_running() (
  set -o pipefail
  docker exec "$1" bash -c "$(tree_script)" | tree_sorted
)

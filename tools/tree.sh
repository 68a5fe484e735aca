#!/usr/bin/env bash
# What is in the tree of a container, for comparisons: a line for each path, with type, mode, owner, time, size, links,
# digest, and one for the whole with extended attributes. Left out is what the engine itself puts into a running
# container, with the times of the directories it does that in, and what is mounted. To be sourced.

# usage: tree_script     prints the shell script that lists the tree it is run in
tree_script() {
  cat <<'SCRIPT'
export TZ=UTC
own=(-path /proc -o -path /sys -o -path /dev -o -path /mnt -o -path /.dockerenv -o -path /var/tmp/pgsetup
  -o -path /var/cache/pgsetup -o -path /etc/hosts -o -path /etc/hostname -o -path /etc/resolv.conf -o -path /etc/mtab
  -o -path /etc/ld.so.preload)
find / \( "${own[@]}" \) -prune -o ! -path / ! -path /etc ! -path /var/cache ! -path /var/tmp \
  -printf "%p %y %m %U:%G %T+ %s %n %l\n" | sed "s/ d \(.*\) [0-9]* [0-9]* $/ d \1/"
find / \( "${own[@]}" \) -prune -o -type f -print0 | xargs -0 sha256sum | while read -r digest path; do
  printf "%s sha256 %s\n" "$path" "$digest"
done
find / \( "${own[@]}" \) -prune -o ! -path / ! -path /etc ! -path /var/cache ! -path /var/tmp -print0 |
  LC_ALL=C sort --zero-terminated |
  tar --create --null --no-recursion --files-from - --xattrs --xattrs-include="*" --acls --numeric-owner \
    --format=pax --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime 2>/dev/null |
  sha256sum | sed "s/^/(the whole tree with extended attributes, as tar) sha256 /"
SCRIPT
}

# usage: tree_of_stopped CONTAINER     prints the listing of a container that has ended
tree_of_stopped() {
  local image
  image="$(docker commit "$1")"
  docker run --rm --entrypoint bash "$image" -c "$(tree_script)" | LC_ALL=C sort
  docker image rm "$image" >/dev/null
}

# usage: tree_of_running CONTAINER     prints the listing of a container that runs
tree_of_running() {
  docker exec "$1" bash -c "$(tree_script)" | LC_ALL=C sort
}

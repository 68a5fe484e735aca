# shellcheck shell=bash
# What can happen to a cluster: each kind has a function that does it to one service, and one that heals it. Both take a service's name.
# Only containers of this project are touched.
# shellcheck disable=SC2034,SC2154 # run.sh reads the lists, lib.sh has the groups

# kind: seconds that it lasts at least, and what a reader calls it
declare -A fault_lasts=(
  [postgres_killed]=5 [container_killed]=5 [container_crashed]=5 [paused]=5 [cut_from_etcd]=40 [cut_from_peers]=15 [cut_from_all]=5
  [etcd_leader_killed]=10 [disk_full]=15 [stopped_in_turn]=5
)
# Seconds after which it is healed even if writes have not come back. What a frozen worker was asked, Citus waits for without end.
declare -A fault_ends=([paused]=32)
declare -A fault_title=(
  [postgres_killed]='leader: PostgreSQL killed (SIGKILL)'
  [container_killed]='leader: container killed (SIGKILL), started again after the failover'
  [container_crashed]='leader: Patroni killed, container restarted by the engine'
  [paused]='leader: paused (SIGSTOP), for 32 s at most'
  [cut_from_etcd]='leader: cut off from etcd for 40 s'
  [cut_from_peers]='leader: cut off from its standbys'
  [cut_from_all]='leader: cut off from all others'
  [etcd_leader_killed]='etcd: leader killed'
  [disk_full]='leader: disk full'
  [stopped_in_turn]='docker stop, each member in turn'
)

inject_postgres_killed() { docker exec "$(container "$1")" bash -c "kill -KILL \"\$(head -n 1 \"\$PGDATA/postmaster.pid\")\""; }
heal_postgres_killed() { :; }

inject_container_killed() { docker kill --signal KILL "$(container "$1")" >/dev/null; }
heal_container_killed() { docker start "$(container "$1")" >/dev/null; }

# Process 1 ends when its child, Patroni, does; from inside, it cannot be killed itself.
inject_container_crashed() {
  # shellcheck disable=SC2016 # for the shell inside
  docker exec "$(container "$1")" bash -c '
    for process in /proc/[0-9]*; do
      read -r _ _ _ parent _ 2>/dev/null <"$process/stat" || continue
      if [[ "$parent" == 1 ]] && grep --quiet patroni "$process/cmdline"; then kill -KILL "${process#/proc/}"; fi
    done' || true
}
heal_container_crashed() { :; }

inject_paused() { docker pause "$(container "$1")" >/dev/null; }
heal_paused() { docker unpause "$(container "$1")" >/dev/null; }

inject_cut_from_etcd() { cut_off "$1" etcd1 etcd2 etcd3; }
heal_cut_from_etcd() { connect_again "$1"; }

inject_cut_from_peers() {
  local group service
  for group in "${cluster_groups[@]}"; do
    [[ ",$group," != *",$1,"* ]] || break
  done
  local -a peers=()
  for service in ${group//,/ }; do
    [[ "$service" == "$1" ]] || peers+=("$service")
  done
  cut_off "$1" "${peers[@]}"
}
heal_cut_from_peers() { connect_again "$1"; }

inject_cut_from_all() { in_network_of "$1" 'iptables -I INPUT ! -i lo -j DROP; iptables -I OUTPUT ! -o lo -j DROP'; }
heal_cut_from_all() { connect_again "$1"; }

inject_etcd_leader_killed() { docker kill --signal KILL "$(container "$1")" >/dev/null; }
heal_etcd_leader_killed() { docker start "$(container "$1")" >/dev/null; }

# All room goes to a file whose name base backups and pg_rewind leave out. New segments of the write-ahead log are what then fails.
inject_disk_full() {
  local keeper id _
  keeper="$(container keeper)" id="$(container "$1")"
  docker exec "$keeper" bash -c "cd '/volumes/$1' && fallocate --length \"\$(df --output=avail --block-size=1 . | tail -n 1)\" pgsql_tmp_filler" || true
  docker exec "$keeper" bash -c "cat /dev/zero >>'/volumes/$1/pgsql_tmp_filler'" 2>/dev/null || true
  for _ in 1 2 3 4 5 6; do
    docker exec "$id" timeout 3 psql --username=postgres --quiet --tuples-only --command='SELECT pg_switch_wal()' >/dev/null 2>&1 || break
    sleep 1
  done
}
heal_disk_full() { docker exec "$(container keeper)" rm --force "/volumes/$1/pgsql_tmp_filler"; }

inject_stopped_in_turn() { docker stop --time 60 "$(container "$1")" >/dev/null; }
heal_stopped_in_turn() { docker start "$(container "$1")" >/dev/null; }

# usage: cut_off SERVICE FROM...
# Drops every packet between them, silently, in the service's network namespace.
cut_off() {
  local service address script=''
  for service in "${@:2}"; do
    address="$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(container "$service")")"
    script+="iptables -I INPUT -s $address -j DROP; iptables -I OUTPUT -d $address -j DROP; "
  done
  in_network_of "$1" "$script"
}

# usage: connect_again SERVICE
connect_again() { in_network_of "$1" 'iptables -F'; }

# usage: in_network_of SERVICE SCRIPT
in_network_of() {
  docker run --rm --network "container:$(container "$1")" --cap-add NET_ADMIN --entrypoint bash pgsetup/cluster-services:bookworm -c "set -e; $2"
}

# usage: etcd_leader
# Prints the service whose member is the leader.
etcd_leader() {
  local service
  for service in etcd1 etcd2 etcd3; do
    if docker exec "$(container client)" /opt/patroni/bin/python3 -c "
import json, sys, urllib.request
ask = urllib.request.Request('http://$service:2379/v3/maintenance/status', b'{}')
status = json.load(urllib.request.urlopen(ask, timeout=3))
sys.exit(status['leader'] != status['header']['member_id'])" 2>/dev/null; then
      printf '%s\n' "$service"
      return
    fi
  done
  return 1
}

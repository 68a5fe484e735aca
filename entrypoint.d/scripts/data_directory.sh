# shellcheck shell=bash
# The data directory and the directories beside it: where they are, what state they are in, who may use them.

# usage: pgstart COMMAND [ARG...]
# Runs the program for what a shell cannot do well; without arguments it lists its commands.
pgstart() { /opt/container/bin/pgstart "$@"; }

# usage: first_writable DIR...
# Sets REPLY to the first of the directories that can be written to; fails when none can.
first_writable() {
  for REPLY; do
    if [[ -d "$REPLY" && -w "$REPLY" ]]; then return 0; fi
  done
  return 1
}

# usage: resolve_data_directory
# Follows a symbolic link to the data directory, once and for all: find(1) and chown(1) would take the link for the directory.
resolve_data_directory() {
  local here="$PWD"
  [[ -d "${PGDATA:-}" ]] && cd -P -- "$PGDATA" 2>/dev/null || return 0
  export PGDATA="$PWD"
  cd -- "$here" 2>/dev/null || true
}

# usage: place_data_directory
# Sets PGDATA to where the data really are. The same answer comes at each start, and to root, who would otherwise see a directory that is not empty.
place_data_directory() {
  [[ -d "${PGDATA:-}" && ! -e "$PGDATA/PG_VERSION" ]] || return 0
  place_in_volume_above
  place_below
}

# usage: place_in_volume_above
# The official image of PostgreSQL 18 has its volume at /var/lib/postgresql and the data in MAJOR/docker below it. A volume that is mounted
# there is used in the same way, unless the image's own data directory is used.
place_in_volume_above() {
  local docker="/var/lib/postgresql/${PG_MAJOR:-}/docker" line above='' own=''
  local -a fields
  [[ "$PGDATA" == /var/lib/postgresql/data && ! -e "$PGDATA/.initialising" && ! -e "$PGDATA/pgdata" ]] || return 0
  if [[ ! -e "$docker/PG_VERSION" && ! -e "$docker/.initialising" ]]; then
    # proc(5), mountinfo. A volume without a name is one that the engine has made for the image's VOLUME, and named by 64 digits.
    while read -r line; do
      read -r -a fields <<<"$line"
      case "${fields[4]}" in
        /var/lib/postgresql) above=yes ;;
        /var/lib/postgresql/data) own="${fields[3]}" ;;
      esac
    done </proc/self/mountinfo
    [[ -n "$above" && "$own" =~ /[0-9a-f]{64}/_data$ ]] || return 0
    is_empty_directory "$PGDATA" || return 0
  fi
  export PGDATA="$docker"
}

# usage: is_empty_directory DIRECTORY
# lost+found is the file system's.
is_empty_directory() {
  local entry
  for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    [[ "${entry##*/}" == lost+found || ! -e "$entry" && ! -L "$entry" ]] || return 1
  done
}

# usage: place_below
# PostgreSQL insists on owning its data directory. A volume of another user that may be written to, as OpenShift gives it to an arbitrary
# uid, cannot be one, but a directory in it can: PGDATA becomes its `pgdata`, if nothing else is there.
place_below() {
  local entry
  [[ -d "$PGDATA" ]] || return 0
  if ((EUID == 0)) || [[ -O "$PGDATA" || ! -w "$PGDATA" || ! -x "$PGDATA" ]]; then
    [[ -e "$PGDATA/pgdata/PG_VERSION" || -e "$PGDATA/pgdata/.initialising" ]] || return 0
  fi
  for entry in "$PGDATA"/* "$PGDATA"/.[!.]* "$PGDATA"/..?*; do
    [[ "${entry##*/}" == @(pgdata|lost+found) || ! -e "$entry" ]] || return 0
  done
  export PGDATA="$PGDATA/pgdata"
}

# usage: socket_directory
# Sets REPLY to the directory of PostgreSQL's socket and of short-lived files of this start.
socket_directory() { first_writable /var/run/postgresql "${TMPDIR:-/tmp}"; }

# usage: generated_directory
# Sets REPLY to where generated configuration goes: /etc/postgresql, or where the root is read-only (or the uid is not the image's)
# a directory beside the socket. Written at every start, so it needs no volume.
generated_directory() {
  if first_writable /etc/postgresql; then return 0; fi
  socket_directory || return
  REPLY="$REPLY/.configuration"
}

# usage: image_settings_file
# Sets REPLY to the fragment of postgresql.conf that the image's build wrote: preload, extension settings.
image_settings_file() { REPLY=/etc/postgresql/image.conf; }

# usage: initialising_marker
# Sets REPLY to the directory that exists from before initdb until the last initialisation script has ended.
initialising_marker() { REPLY="$PGDATA/.initialising"; }

# usage: read_postmaster_file
# Sets postmaster_pid, postmaster_port, postmaster_socket_directory, postmaster_address and postmaster_status (starting, stopping,
# ready or standby); fails when there is no such file. The lines are those of src/include/utils/pidfile.h.
# shellcheck disable=SC2034  # they are for the caller
read_postmaster_file() {
  local -a lines=()
  [[ -r "$PGDATA/postmaster.pid" ]] || return 1
  mapfile -t lines <"$PGDATA/postmaster.pid" || return 1
  postmaster_pid="${lines[0]:-}"
  postmaster_port="${lines[3]:-}"
  postmaster_socket_directory="${lines[4]:-}"
  postmaster_address="${lines[5]:-}"
  postmaster_status="${lines[7]:-}"
  postmaster_status="${postmaster_status%% *}"
  [[ -n "$postmaster_pid" ]]
}

# usage: remember_start server|upgrade|"patroni [SCHEME HOST PORT]"
# Tells the health check what kind of start this is. The host's name is in it because a directory of sockets may be shared between containers, and
# outlives a restart of this one.
remember_start() {
  local host
  socket_directory || die "neither /var/run/postgresql nor /tmp can be written to: mount a tmpfs there"
  read -r host </proc/sys/kernel/hostname
  rm --force "$REPLY/.health"
  printf '%s %s\n' "$host" "$1" >"$REPLY/.health"
  # The directory is sticky, and this start continues as postgres, who could not replace root's file.
  ((EUID != 0)) || chown postgres:postgres "$REPLY/.health" 2>/dev/null || rm --force "$REPLY/.health"
}

# usage: data_directory_state
# Sets REPLY: absent (nothing there), unreadable (what is there cannot be told), incomplete (an initialisation did not end), upgrading (an upgrade did
# not end), foreign (files, but not a cluster), or complete.
data_directory_state() {
  initialising_marker
  if is_hidden "$PGDATA"; then
    REPLY=unreadable
  elif [[ -e "$REPLY" ]]; then
    REPLY=incomplete
  elif upgrade_is_unfinished; then
    REPLY=upgrading
  elif [[ -s "$PGDATA/PG_VERSION" ]]; then
    REPLY=complete
    [[ -r "$PGDATA/PG_VERSION" ]] || REPLY=unreadable
  elif [[ ! -d "$PGDATA" ]] || is_empty_directory "$PGDATA"; then
    REPLY=absent
  else
    REPLY=foreign
  fi
}

# usage: is_hidden PATH
# Whether this user cannot tell what is at PATH, a directory or nothing: it may not be looked into, or one above it. Sets REPLY_HIDDEN to that one.
is_hidden() {
  REPLY_HIDDEN="$1"
  while [[ ! -e "$REPLY_HIDDEN" && "$REPLY_HIDDEN" == ?*/* ]]; do REPLY_HIDDEN="${REPLY_HIDDEN%/*}"; done
  [[ -d "$REPLY_HIDDEN" && ! -x "$REPLY_HIDDEN" || "$REPLY_HIDDEN" == "$1" && -d "$1" && ! -r "$1" ]]
}

# usage: settle_data_directory
# Says it where PGDATA is not what it was given as.
settle_data_directory() {
  local given
  resolve_data_directory
  given="${PGDATA:-}"
  place_data_directory
  [[ "${PGDATA:-}" == "$given" ]] ||
    say "the data directory is $PGDATA: $(placement_reason "$given")"
}

# usage: placement_reason GIVEN
placement_reason() {
  if [[ "$PGDATA" == "$1"/* && -s "$PGDATA/PG_VERSION" ]]; then
    printf 'there is a cluster in it, and nothing else in %s' "$1"
  elif [[ "$PGDATA" == "$1"/* ]]; then
    printf '%s belongs to uid %s, and PostgreSQL insists on owning its data directory' "$1" "$(stat --format=%u "$1")"
  else
    printf '%s is empty, and the volume is mounted above it, as the official image has it' "$1"
  fi
}

# usage: is_claimed
# Whether another container holds the lock that claim_data_directory takes.
is_claimed() {
  local status=0
  flock --nonblock --exclusive "$PGDATA" true 2>/dev/null || status=$?
  ((status == 1))
}

# usage: claim_data_directory
# Takes a lock on the directory itself, held until the last process of this start has ended. Two containers on one volume have
# pids of their own, so PostgreSQL's pid file cannot keep them apart; a lock of the kernel can.
claim_data_directory() {
  local lock status=0
  exec {lock}<"$PGDATA"
  flock --nonblock --exclusive "$lock" 2>/dev/null || status=$?
  case "$status" in
    0) ;;
    1) die "another container is using $PGDATA: two servers on one data directory would destroy it" ;;
    *) warn "$PGDATA cannot be locked on this file system; make sure that no other container uses it" ;;
  esac
}

# usage: docker_create_db_directories
# Makes the directories that a server needs, and as root gives them to postgres. What cannot be made or given does not stop the start: on some volumes
# owner and mode cannot be set, a read-only root has no place for sockets, and the checks after stepping down say what is missing.
docker_create_db_directories() {
  local wal
  mkdir --parents "$PGDATA" || die "cannot create $PGDATA as uid $(id -u)"
  make_private "$PGDATA"
  wal_directory
  wal="$REPLY"
  if [[ -n "$wal" ]]; then
    mkdir --parents "$wal" || die "cannot create the directory of the write-ahead log, $wal, as uid $(id -u)"
    make_private "$wal"
  fi
  # It is gone where a tmpfs is mounted at /run.
  [[ -d /var/run/postgresql ]] || { mkdir /var/run/postgresql && chmod 3777 /var/run/postgresql; } 2>/dev/null || true
  ((EUID == 0)) || return 0
  give_to_postgres "$PGDATA"
  [[ -z "$wal" ]] || give_to_postgres "$wal"
  give_to_postgres /var/run/postgresql
  # Directories above PGDATA that were made for it, as MAJOR/docker in a volume of the official image's.
  if [[ -O "${PGDATA%/*}" && "${PGDATA%/*}" == /var/lib/postgresql/?* ]]; then
    chown postgres:postgres "${PGDATA%/*}" 2>/dev/null || true
  fi
  # The directory and not what is in it: log files may be of another user, who reads them.
  [[ "${POSTGRES_LOG:-}" != file || ! -O /var/log/postgresql ]] || chown postgres:postgres /var/log/postgresql ||
    warn "cannot give /var/log/postgresql to postgres"
}

# usage: make_private DIRECTORY
# 0750 is initdb's --allow-group-access, which is the owner's choice to keep.
make_private() {
  [[ "$(stat --format=%a "$1")" == @(700|750) ]] || chmod 0700 "$1" 2>/dev/null || true
}

# usage: make_volume_private
# The image's own data directory is open to all and sticky, as in the official image, so that a tmpfs over it and any uid can be served. A volume
# copies that; from the first start on, whatever is run, it is postgres's alone.
make_volume_private() {
  [[ ! -k "${PGDATA:-}" || ! -O "$PGDATA" ]] || chmod 0700 "$PGDATA" 2>/dev/null || true
}

# usage: give_to_postgres DIRECTORY
# Only what is not postgres's yet, and never configuration, which may be mounted from the host: a recursive chown of a large database would take
# minutes at each start. What root itself may not look into, without the capability for it, is postgres's or is left to the checks.
give_to_postgres() {
  [[ -d "$1" ]] || return 0
  if is_hidden "$1"; then
    [[ "$(stat --format=%U "$1")" == postgres ]] || chown postgres:postgres "$1" || warn "cannot give $1 to postgres"
    return 0
  fi
  find "$1" ! -user postgres -exec chown --no-dereference postgres:postgres {} + || warn "cannot give $1 to postgres"
}

# usage: check_lock_file
# Refuses data that a running server may use, before anything is changed.
check_lock_file() {
  local text
  [[ -e "$PGDATA/postmaster.pid" || -e "$PGDATA/global/pg_control" ]] || return 0
  text="$(pgstart locks check 2>&1)" || problem "$text"
}

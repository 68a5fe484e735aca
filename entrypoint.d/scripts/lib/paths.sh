# shellcheck shell=bash
# Where things are. Uses nothing but what bash has built in, because the health check reads this too and must not start processes.

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
# PostgreSQL insists on owning its data directory. A volume of someone else's that may be written to, as OpenShift gives it to an arbitrary
# uid, cannot be one, but a directory in it can: PGDATA becomes its `pgdata`, if nothing else is there. The same answer comes at each start,
# and to root, who would otherwise see a directory that is not empty.
place_data_directory() {
  local entry
  [[ -d "${PGDATA:-}" && ! -e "$PGDATA/PG_VERSION" ]] || return 0
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

# shellcheck shell=bash
# What becomes of a new cluster whose bootstrap Patroni has given up. With initdb.sh and post_init.sh this keeps the rule of a standalone start: what
# failed before any script of the user's began leaves nothing.

# usage: user_scripts_begin
# Notes in the marker that there is something of the user's now. Without a marker, in a cluster that a patroni.yml of the user's makes, there is nothing to note.
user_scripts_begin() {
  initialising_marker
  [[ ! -d "$REPLY" ]] || touch "$REPLY/scripts"
}

# usage: end_bootstrap
end_bootstrap() {
  initialising_marker
  [[ -d "$REPLY" ]] || return 0
  rm --force "$REPLY/scripts"
  end_initialisation
}

# usage: withdraw_failed_bootstrap PATRONI_STATUS
# To be called when Patroni has ended. A marker that is there now is this start's: another one's would have been refused or discarded.
withdraw_failed_bootstrap() {
  initialising_marker
  if [[ "$1" == 0 || ! -d "$REPLY" || -e "$REPLY/scripts" || -e "$PGDATA/postmaster.pid" ]]; then return 0; fi
  withdraw_initialisation
}

# shellcheck shell=bash
# Where the server's log goes: to the container's own by default, or to files in /var/log/postgresql with POSTGRES_LOG=file.

# usage: logging_settings
# A week of files, each day's overwritten in the next, so that no disk fills up unseen.
logging_settings() {
  [[ "$POSTGRES_LOG" == file ]] || return 0
  printf "logging_collector = on\n"
  printf "log_directory = '/var/log/postgresql'\n"
  printf "log_filename = 'postgresql-%%a.log'\n"
  printf "log_truncate_on_rotation = on\n"
  printf "log_rotation_age = 1d\n"
  printf "log_rotation_size = 0\n"
}

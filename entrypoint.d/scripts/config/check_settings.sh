# shellcheck shell=bash
# Whether the server takes its settings, found out before there is a cluster: a mistake that only the start of a new cluster's server
# found would leave that cluster half-made. The server itself is asked, see config/ask_server.sh.

# usage: check_settings [POSTGRES_ARG...]
# For a cluster that is to be made. Where something else is wrong already only names and values are asked for, so that nothing is reported twice.
# shellcheck disable=SC2154  # of lib/log.sh
check_settings() {
  local question=data_directory said
  # A file that cannot be read is a mistake that has been reported.
  take_config_file "$@"
  [[ "$REPLY" == "$PGDATA/postgresql.conf" || -r "$REPLY" ]] || return 0
  ((${#problems[@]})) || question="$(thorough_question)"
  ! ask_about_new_cluster "$question" "$@" || return 0
  said="$REPLY"
  if ask_about_new_cluster "$question" "$@" -c shared_preload_libraries=; then
    # A library may miss in the imitated cluster what it would find in a real one: only that it is not there counts.
    [[ "$said" == *'could not access file'* || "$said" == *'could not load library'* ]] || return 0
  fi
  report_settings ask_about_new_cluster "$said" "$@"
}

# usage: check_settings_of_cluster [POSTGRES_ARG...]
# For a cluster that is there, perhaps with a server that runs: names and values.
check_settings_of_cluster() {
  ask_about_cluster data_directory "$@" || report_settings ask_about_cluster "$REPLY" "$@"
}

# usage: thorough_question
# A setting that the server computes, so that it has to look at how settings go together, libraries and TLS files first. Up to PostgreSQL
# 14 there is none.
thorough_question() {
  if ((PG_MAJOR >= 15)); then
    printf 'shared_memory_size\n'
  else
    printf 'data_directory\n'
  fi
}

# usage: report_settings ASK TEXT [POSTGRES_ARG...]
# The server ends at the first mistake of its command line, before it reads files. So each of its settings is asked for alone, and then the
# files without them, by the function ASK; TEXT, what the server said of all, is for what is in neither.
report_settings() {
  local ask="$1" text="$2" name value found=''
  shift 2
  while IFS=$'\t' read -r name value _; do
    [[ "$name" != data_directory ]] || continue
    ! ask_about_setting "$name=$value" || continue
    found=yes
    problem "the command line has '$(mask_setting "$name" "$value")', which PostgreSQL $PG_MAJOR refuses: $REPLY
Nothing was changed. \`docker run --rm IMAGE postgres --describe-config\` lists each setting with its type, its default and its limits."
  done < <(take_config_file "$@" && argument_settings "${REPLY_ARGUMENTS[@]}")
  if [[ -n "$found" ]]; then
    take_config_file "$@"
    ! "$ask" data_directory -c "config_file=$REPLY" || return 0
    text="$REPLY"
  fi
  problem "PostgreSQL $PG_MAJOR refuses its configuration: $text
Nothing was changed. \`docker run … IMAGE --explain\` shows which file or variable each setting comes from."
}

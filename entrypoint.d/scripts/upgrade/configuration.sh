# shellcheck shell=bash disable=SC2154  # upgrade_* are set by read_upgrade_options and read_upgrade_state
# Brings the old cluster's configuration over, and what it names.

# usage: carry_configuration
# The old cluster's files, as far as the new server takes them. What it does not know any more must not stop it.
carry_configuration() {
  local file new="$PGDATA/.upgrade/new"
  cp --preserve "$PGDATA/pg_hba.conf" "$PGDATA/pg_ident.conf" "$new/"
  carry_files
  for file in postgresql.conf postgresql.auto.conf; do
    cp --preserve "$new/$file" "$new/$file.initdb"
    cp --preserve "$PGDATA/$file" "$new/$file"
    if postgres -D "$new" -C server_version >/dev/null; then
      rm "$new/$file.initdb"
    else
      mv "$new/$file" "$new/$file.$upgrade_from"
      mv "$new/$file.initdb" "$new/$file"
      warn "PostgreSQL $PG_MAJOR does not take the old $file, for the reason above; it is kept as $file.$upgrade_from, and a new one is used"
    fi
  done
}

# usage: carry_files
# What lies in the data directory and is not PostgreSQL's: certificates, such as Citus makes, and files that the configuration includes.
carry_files() {
  local file
  for file in "$PGDATA"/*; do
    case "${file##*/}" in
      postmaster.* | *.signal | *.pid | backup_label* | tablespace_map* | current_logfiles | recovery.* | *.log) continue ;;
    esac
    [[ -e "$PGDATA/.upgrade/new/${file##*/}" ]] || [[ ! -f "$file" && "${file##*/}" != conf.d ]] ||
      cp --archive "$file" "$PGDATA/.upgrade/new/"
  done
}

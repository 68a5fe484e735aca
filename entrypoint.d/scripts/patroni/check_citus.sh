# shellcheck shell=bash
# What can be wrong with Citus under Patroni. Changes nothing; reports through `problem`.

# usage: check_citus
check_citus() {
  case "${PATRONI_CITUS_GROUP:+group}${PATRONI_CITUS_DATABASE:+database}" in
    '') return 0 ;;
    groupdatabase) ;;
    *) problem "PATRONI_CITUS_GROUP and PATRONI_CITUS_DATABASE belong together, and one of them is not set" ;;
  esac
  [[ "${PATRONI_CITUS_GROUP:-0}" =~ ^[0-9]+$ ]] || problem "PATRONI_CITUS_GROUP is '$PATRONI_CITUS_GROUP', but must be a number: 0 is the coordinator"
  preload_library_exists citus || problem "PATRONI_CITUS_GROUP is set, but this image was built without Citus"
}

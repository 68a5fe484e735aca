# shellcheck shell=bash
# Tells from the command line what kind of start this is. Looks at words only, never at the machine.

# usage: command_kind COMMAND [ARG...]
# Prints standalone, patroni, upgrade or other. "other" is exec'ed as it stands, and nothing is initialised for it.
command_kind() {
  local command="$1"
  shift
  case "$command" in
    postgres) ! postgres_only_reports "$@" || command=other ;;
    patroni) ! patroni_only_reports "$@" || command=other ;;
    upgrade) ;;
    *) command=other ;;
  esac
  case "$command${PATRONI_SCOPE:+ with scope}" in
    postgres) printf 'standalone\n' ;;
    patroni* | 'postgres with scope') printf 'patroni\n' ;;
    upgrade*) printf 'upgrade\n' ;;
    *) printf 'other\n' ;;
  esac
}

# usage: postgres_only_reports [ARG...]
# True for the options with which postgres prints something and ends, or works without serving.
postgres_only_reports() {
  case "${1:-}" in
    --single | --boot | --check | --fork*) return 0 ;;
  esac
  local arg
  for arg; do
    case "$arg" in
      '-?' | -V | -C | --help | --version | --describe-config) return 0 ;;
    esac
  done
  return 1
}

# usage: patroni_only_reports [ARG...]
patroni_only_reports() {
  local arg
  for arg; do
    case "$arg" in
      -h | --help | --version | --validate-config | --generate-config | --generate-sample-config) return 0 ;;
    esac
  done
  return 1
}

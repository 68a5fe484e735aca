# shellcheck shell=bash
# Files of certificates and keys that Patroni's variables name, for the store, its REST interface and patronictl. Patroni says of one that is
# not there that it waits for the store.

# usage: check_patroni_certificates
check_patroni_certificates() {
  local variable
  given_variables PATRONI_
  for variable in "${REPLY_VARIABLES[@]}"; do
    case "$variable" in
      *_CACERT | *_CERT | *_KEY | *_CAFILE | *_CERTFILE | *_KEYFILE)
        [[ -f "${!variable}" && -r "${!variable}" ]] ||
          problem "$variable is '${!variable}', which is no file that uid $(id -u) can read"
        ;;
    esac
  done
}

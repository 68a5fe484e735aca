# shellcheck shell=bash source-path=SCRIPTDIR
# Loads every function of the entrypoint. Only definitions: nothing here may have an effect, because a derived image may source it.

container_scripts="$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")"

# shellcheck source=log.sh
source "$container_scripts/lib/log.sh"
# shellcheck source=paths.sh
source "$container_scripts/lib/paths.sh"
# shellcheck source=environment.sh
source "$container_scripts/lib/environment.sh"
# shellcheck source=words.sh
source "$container_scripts/lib/words.sh"
# shellcheck source=settings.sh
source "$container_scripts/lib/settings.sh"
# shellcheck source=postmaster.sh
source "$container_scripts/lib/postmaster.sh"
# shellcheck source=health_target.sh
source "$container_scripts/lib/health_target.sh"
# shellcheck source=supervise.sh
source "$container_scripts/lib/supervise.sh"
# shellcheck source=command.sh
source "$container_scripts/lib/command.sh"
# shellcheck source=passwd.sh
source "$container_scripts/lib/passwd.sh"
# shellcheck source=../init/checks.sh
source "$container_scripts/init/checks.sh"
# shellcheck source=../init/data_directory.sh
source "$container_scripts/init/data_directory.sh"
# shellcheck source=../init/directories.sh
source "$container_scripts/init/directories.sh"
# shellcheck source=../init/initdb.sh
source "$container_scripts/init/initdb.sh"
# shellcheck source=../init/hba.sh
source "$container_scripts/init/hba.sh"
# shellcheck source=../init/sql.sh
source "$container_scripts/init/sql.sh"
# shellcheck source=../init/user_scripts.sh
source "$container_scripts/init/user_scripts.sh"
# shellcheck source=../init/temporary_server.sh
source "$container_scripts/init/temporary_server.sh"
# shellcheck source=../config/preload.sh
source "$container_scripts/config/preload.sh"
# shellcheck source=../config/memory.sh
source "$container_scripts/config/memory.sh"
# shellcheck source=../config/tls.sh
source "$container_scripts/config/tls.sh"
# shellcheck source=../config/logging.sh
source "$container_scripts/config/logging.sh"
# shellcheck source=../config/layers.sh
source "$container_scripts/config/layers.sh"
# shellcheck source=../config/effective.sh
source "$container_scripts/config/effective.sh"
# shellcheck source=../patroni/checks.sh
source "$container_scripts/patroni/checks.sh"
# shellcheck source=../patroni/environment.sh
source "$container_scripts/patroni/environment.sh"
# shellcheck source=../patroni/files.sh
source "$container_scripts/patroni/files.sh"
# shellcheck source=../patroni/configuration.sh
source "$container_scripts/patroni/configuration.sh"
# shellcheck source=../runtime/standalone.sh
source "$container_scripts/runtime/standalone.sh"
# shellcheck source=../runtime/patroni.sh
source "$container_scripts/runtime/patroni.sh"
# shellcheck source=../runtime/explain.sh
source "$container_scripts/runtime/explain.sh"

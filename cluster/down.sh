#!/usr/bin/env bash
# Removes the cluster with its data, networks and passwords.
# shellcheck source-path=SCRIPTDIR
set -Eeuo pipefail

# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

compose down --volumes --remove-orphans --timeout 20
rm --recursive --force "$cluster_directory/secrets"

#!/bin/sh
# Is this container doing its work? See the health module of pgstart for the answers. With --wait, as the image's own health check asks, it ends
# when there is something to say; without, at once.

exec /opt/container/bin/pgstart health "$@"

#!/bin/sh
# Is this container doing its work? See the health module of pgstart for the answers. With --wait, as the image's own health check asks, it ends
# when there is something to say; without, at once.

# Where the image starts as root the engine asks as root, which may see less of the data than postgres does.
if [ "$(id -u)" = 0 ]; then
  exec setpriv --reuid=postgres --regid=postgres --init-groups -- /opt/container/bin/pgstart health "$@"
fi
exec /opt/container/bin/pgstart health "$@"

#!/bin/sh
# Started as root, as some platforms do to mount a volume, it gives the data folder to igla and goes on as igla.
set -eu
user="${IGLA_USER:-igla}"
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$IGLA_DATA"
    chown "$user" "$IGLA_DATA"
    HOME="$(getent passwd "$user" | cut -d: -f6)"
    export HOME
    exec setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups "$@"
fi
exec "$@"

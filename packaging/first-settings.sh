#!/bin/sh
# Installs the first settings where there are none; what an administrator wrote is never touched.
set -e
to="$DESTDIR$1/goniec/goniec.conf"
[ -e "$to" ] || install -D -m 0640 "$MESON_SOURCE_ROOT/packaging/goniec.conf" "$to"

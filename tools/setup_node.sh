#!/bin/sh
# Sets up what the npm package is built, checked, tested and shown with, inside the checkout. It needs Node 20.
set -eu
cd "$(dirname "$0")/.."

missing=""
command -v node >/dev/null 2>&1 || missing="$missing nodejs"
command -v npm >/dev/null 2>&1 || missing="$missing npm"
if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null
  else
    echo "These Debian packages are needed:$missing  (sudo apt-get install$missing)" >&2
    exit 1
  fi
fi
if ! node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)'; then
  echo "Node 20 or later is needed; this is $(node --version)" >&2
  exit 1
fi

stamp=node_modules/.stamp
if ! cmp -s package-lock.json "$stamp"; then
  # No script of a package runs: none of them needs one.
  npm ci --ignore-scripts --silent --no-audit --no-fund
  cp package-lock.json "$stamp"
fi
